//! The filters of lists: SQL-like conditions on a run's standard attributes, as Temporal has them.
//!
//! ```text
//! condition  = term { OR term }          term = factor { AND factor }
//! factor     = NOT factor | "(" condition ")" | comparison
//! comparison = attribute ( = | != | < | <= | > | >= ) value
//!            | attribute [NOT] IN "(" value {"," value} ")"
//!            | attribute [NOT] BETWEEN value AND value
//!            | attribute [NOT] STARTS_WITH value
//!            | attribute IS [NOT] NULL
//! ```

use mainspring_api::{enums::WorkflowExecutionStatus, workflow::WorkflowExecutionInfo};
use mainspring_core::Time;

/// A filter that has been read.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter(Option<Condition>);

#[derive(Clone, Debug, PartialEq)]
enum Condition {
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
    Compare(Attribute, Operator, Value),
    In(Attribute, Vec<Value>),
    IsNull(Attribute),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Attribute {
    WorkflowId,
    RunId,
    WorkflowType,
    ExecutionStatus,
    TaskQueue,
    StartTime,
    CloseTime,
    ExecutionTime,
    HistoryLength,
    HistorySizeBytes,
    StateTransitionCount,
}

const ATTRIBUTES: [(&str, Attribute); 11] = [
    ("WorkflowId", Attribute::WorkflowId),
    ("RunId", Attribute::RunId),
    ("WorkflowType", Attribute::WorkflowType),
    ("ExecutionStatus", Attribute::ExecutionStatus),
    ("TaskQueue", Attribute::TaskQueue),
    ("StartTime", Attribute::StartTime),
    ("CloseTime", Attribute::CloseTime),
    ("ExecutionTime", Attribute::ExecutionTime),
    ("HistoryLength", Attribute::HistoryLength),
    ("HistorySizeBytes", Attribute::HistorySizeBytes),
    ("StateTransitionCount", Attribute::StateTransitionCount),
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Equal,
    Less,
    Greater,
    StartsWith,
}

#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Value {
    Text(String),
    Number(i64),
}

/// How deep conditions may be nested: the reader recurses.
const DEPTH_MAX: usize = 50;
/// Longest filter, in bytes.
const LENGTH_MAX: usize = 16 * 1024;

impl Filter {
    /// Reads a filter. The error names the position (a byte, from 1) and what was expected there.
    pub fn parse(text: &str) -> Result<Filter, String> {
        if text.len() > LENGTH_MAX {
            return Err(format!("it has {} bytes, {LENGTH_MAX} are allowed", text.len()));
        }
        let mut reader = Reader { tokens: tokens(text)?, at: 0, depth: 0 };
        if reader.peek() == &Token::End {
            return Ok(Filter(None));
        }
        let condition = if reader.is_word("ORDER") { None } else { Some(reader.condition()?) };
        reader.order_by()?;
        match reader.peek() {
            Token::End => Ok(Filter(condition)),
            _ => reader.expected("AND, OR or the end"),
        }
    }

    pub fn fits(&self, info: &WorkflowExecutionInfo) -> bool {
        self.0.as_ref().is_none_or(|condition| condition.fits(info))
    }
}

impl Condition {
    fn fits(&self, info: &WorkflowExecutionInfo) -> bool {
        match self {
            Condition::And(left, right) => left.fits(info) && right.fits(info),
            Condition::Or(left, right) => left.fits(info) || right.fits(info),
            Condition::Not(condition) => !condition.fits(info),
            Condition::IsNull(attribute) => attribute.of(info).is_none(),
            Condition::In(attribute, values) => attribute.of(info).is_some_and(|value| values.contains(&value)),
            Condition::Compare(attribute, operator, value) => attribute.of(info).is_some_and(|has| match operator {
                Operator::Equal => has == *value,
                Operator::Less => has < *value,
                Operator::Greater => has > *value,
                Operator::StartsWith => match (&has, value) {
                    (Value::Text(has), Value::Text(start)) => has.starts_with(start.as_str()),
                    _ => false,
                },
            }),
        }
    }
}

impl Attribute {
    fn of(self, info: &WorkflowExecutionInfo) -> Option<Value> {
        let execution = info.execution.as_ref();
        let time = |time: Option<&mainspring_api::Timestamp>| time.map(|time| Value::Number(Time::from_proto(time).0));
        match self {
            Attribute::WorkflowId => execution.map(|execution| Value::Text(execution.workflow_id.clone())),
            Attribute::RunId => execution.map(|execution| Value::Text(execution.run_id.clone())),
            Attribute::WorkflowType => info.r#type.as_ref().map(|kind| Value::Text(kind.name.clone())),
            Attribute::ExecutionStatus => Some(Value::Number(i64::from(info.status))),
            Attribute::TaskQueue => Some(Value::Text(info.task_queue.clone())),
            Attribute::StartTime => time(info.start_time.as_ref()),
            Attribute::CloseTime => time(info.close_time.as_ref()),
            Attribute::ExecutionTime => time(info.execution_time.as_ref()),
            // Temporal knows these of closed runs only.
            _ if info.close_time.is_none() => None,
            Attribute::HistoryLength => Some(Value::Number(info.history_length)),
            Attribute::HistorySizeBytes => Some(Value::Number(info.history_size_bytes)),
            Attribute::StateTransitionCount => Some(Value::Number(info.state_transition_count)),
        }
    }

    fn is_time(self) -> bool {
        matches!(self, Attribute::StartTime | Attribute::CloseTime | Attribute::ExecutionTime)
    }

    fn is_text(self) -> bool {
        matches!(self, Attribute::WorkflowId | Attribute::RunId | Attribute::WorkflowType | Attribute::TaskQueue)
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number(i64),
    Symbol(&'static str),
    End,
}

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, String> {
    const SYMBOLS: [&str; 10] = ["!=", "<>", "<=", ">=", "=", "<", ">", "(", ")", ","];
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let position = text.len() - rest.len() + 1;
        let Some(first) = rest.chars().next() else {
            tokens.push((position, Token::End));
            return Ok(tokens);
        };
        let length_of = |fits: fn(char) -> bool| rest.find(|c| !fits(c)).unwrap_or(rest.len());
        let (token, length) = if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            (Token::Symbol(symbol), symbol.len())
        } else if matches!(first, '\'' | '"') {
            let (text, length) = quoted(rest, first).ok_or(format!("position {position}: the text has no end"))?;
            (Token::Text(text), length)
        } else if first == '`' {
            let (text, length) = quoted(rest, first).ok_or(format!("position {position}: the name has no end"))?;
            (Token::Word(text), length)
        } else if first.is_ascii_digit() || first == '-' {
            let length = 1 + rest[1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - 1);
            let number = rest[..length].parse();
            (Token::Number(number.map_err(|error| format!("position {position}: {error}"))?), length)
        } else if first.is_alphabetic() || first == '_' {
            let length = length_of(|c| c.is_alphanumeric() || c == '_');
            (Token::Word(rest[..length].to_owned()), length)
        } else {
            return Err(format!("position {position}: {first:?} has no meaning here"));
        };
        tokens.push((position, token));
        rest = &rest[length..];
    }
}

/// A text in quotes, which are doubled or escaped inside; and its length with them.
fn quoted(rest: &str, quote: char) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => text.push(chars.next()?.1),
            _ if c == quote && chars.peek().is_some_and(|(_, next)| *next == quote) => {
                chars.next();
                text.push(quote);
            }
            _ if c == quote => return Some((text, at + c.len_utf8())),
            _ => text.push(c),
        }
    }
    None
}

struct Reader {
    tokens: Vec<(usize, Token)>,
    at: usize,
    depth: usize,
}

impl Reader {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].1
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    fn expected<T>(&self, what: &str) -> Result<T, String> {
        let found = match self.peek() {
            Token::Word(word) => format!("{word:?}"),
            Token::Text(text) => format!("the text {text:?}"),
            Token::Number(number) => number.to_string(),
            Token::Symbol(symbol) => format!("{symbol:?}"),
            Token::End => "the end".into(),
        };
        Err(format!("position {}: expected {what}, found {found}", self.tokens[self.at].0))
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(found) if found.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.next();
        }
        found
    }

    fn take_symbol(&mut self, symbol: &'static str) -> bool {
        let found = self.peek() == &Token::Symbol(symbol);
        if found {
            self.next();
        }
        found
    }

    fn need_symbol(&mut self, symbol: &'static str) -> Result<(), String> {
        if self.take_symbol(symbol) { Ok(()) } else { self.expected(&format!("{symbol:?}")) }
    }

    fn condition(&mut self) -> Result<Condition, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("position {}: nested more than {DEPTH_MAX} deep", self.tokens[self.at].0));
        }
        let mut condition = self.term()?;
        while self.take_word("OR") {
            condition = Condition::Or(Box::new(condition), Box::new(self.term()?));
        }
        self.depth -= 1;
        Ok(condition)
    }

    fn term(&mut self) -> Result<Condition, String> {
        let mut condition = self.factor()?;
        while self.take_word("AND") {
            condition = Condition::And(Box::new(condition), Box::new(self.factor()?));
        }
        Ok(condition)
    }

    fn factor(&mut self) -> Result<Condition, String> {
        let mut negated = false;
        while self.take_word("NOT") {
            negated = !negated;
        }
        let condition = if self.take_symbol("(") {
            let condition = self.condition()?;
            self.need_symbol(")")?;
            condition
        } else {
            self.comparison()?
        };
        Ok(if negated { Condition::Not(Box::new(condition)) } else { condition })
    }

    fn attribute(&mut self) -> Result<Attribute, String> {
        let Token::Word(word) = self.peek() else { return self.expected("an attribute") };
        let Some((_, attribute)) = ATTRIBUTES.iter().find(|(name, _)| name == word) else {
            let known: Vec<&str> = ATTRIBUTES.iter().map(|(name, _)| *name).collect();
            return self.expected(&format!("one of {}", known.join(", ")));
        };
        let attribute = *attribute;
        self.next();
        Ok(attribute)
    }

    fn comparison(&mut self) -> Result<Condition, String> {
        use Operator::{Equal, Greater, Less, StartsWith};
        let attribute = self.attribute()?;
        if self.take_word("IS") {
            let negated = self.take_word("NOT");
            if !self.take_word("NULL") {
                return self.expected("NULL");
            }
            let condition = Condition::IsNull(attribute);
            return Ok(if negated { not(condition) } else { condition });
        }
        if self.take_word("NOT") {
            return self.worded(attribute)?.map(not).map_or_else(|| self.expected("IN, BETWEEN or STARTS_WITH"), Ok);
        }
        if let Some(condition) = self.worded(attribute)? {
            return Ok(condition);
        }
        let Token::Symbol(symbol) = *self.peek() else { return self.expected("an operator") };
        let (operator, negated) = match symbol {
            "=" => (Equal, false),
            "!=" | "<>" => (Equal, true),
            "<" => (Less, false),
            ">=" => (Less, true),
            ">" => (Greater, false),
            "<=" => (Greater, true),
            _ => return self.expected("an operator"),
        };
        self.next();
        let condition = Condition::Compare(attribute, operator, self.value(attribute)?);
        debug_assert!(operator != StartsWith);
        // What has no value fits neither a comparison nor its opposite.
        let known = |condition| Condition::And(Box::new(not(Condition::IsNull(attribute))), Box::new(not(condition)));
        Ok(if negated { known(condition) } else { condition })
    }

    fn worded(&mut self, attribute: Attribute) -> Result<Option<Condition>, String> {
        if self.take_word("IN") {
            self.need_symbol("(")?;
            let mut values = vec![self.value(attribute)?];
            while self.take_symbol(",") {
                values.push(self.value(attribute)?);
            }
            self.need_symbol(")")?;
            return Ok(Some(Condition::In(attribute, values)));
        }
        if self.take_word("BETWEEN") {
            let low = self.value(attribute)?;
            if !self.take_word("AND") {
                return self.expected("AND");
            }
            let high = self.value(attribute)?;
            let below = Condition::Compare(attribute, Operator::Less, low);
            let above = Condition::Compare(attribute, Operator::Greater, high);
            let outside = Condition::Or(Box::new(below), Box::new(above));
            let known = not(Condition::IsNull(attribute));
            return Ok(Some(Condition::And(Box::new(known), Box::new(not(outside)))));
        }
        if self.is_word("STARTS_WITH") {
            if !attribute.is_text() {
                return self.expected("an operator for this attribute (STARTS_WITH is for texts)");
            }
            self.next();
            return Ok(Some(Condition::Compare(attribute, Operator::StartsWith, self.value(attribute)?)));
        }
        Ok(None)
    }

    /// A value of the attribute's type.
    fn value(&mut self, attribute: Attribute) -> Result<Value, String> {
        let value = match (self.peek(), attribute) {
            (Token::Text(text), Attribute::ExecutionStatus) => match status(text) {
                Some(status) => Value::Number(status),
                None => return self.expected("an execution status such as 'Running'"),
            },
            (Token::Text(text), attribute) if attribute.is_time() => match time(text) {
                Some(time) => Value::Number(time),
                None => return self.expected("a time such as '2026-01-31T12:00:00Z'"),
            },
            (Token::Text(text), attribute) if attribute.is_text() => Value::Text(text.clone()),
            (Token::Text(text), _) => match text.parse() {
                Ok(number) => Value::Number(number),
                Err(_) => return self.expected("a number"),
            },
            (Token::Number(number), attribute) if !attribute.is_text() => Value::Number(*number),
            _ if attribute.is_text() => return self.expected("a text in quotes"),
            _ => return self.expected("a value"),
        };
        self.next();
        Ok(value)
    }

    /// The one order that there is, is Temporal's default; asking for it by name is allowed.
    fn order_by(&mut self) -> Result<(), String> {
        if !self.take_word("ORDER") {
            return Ok(());
        }
        if !self.take_word("BY") {
            return self.expected("BY");
        }
        self.expected(
            "no ORDER BY: runs are listed open ones first, the latest first, and other orders are not supported",
        )
    }
}

fn not(condition: Condition) -> Condition {
    Condition::Not(Box::new(condition))
}

fn status(text: &str) -> Option<i64> {
    use WorkflowExecutionStatus as S;
    let all = [S::Running, S::Completed, S::Failed, S::Canceled, S::Terminated, S::ContinuedAsNew, S::TimedOut];
    all.into_iter()
        .find(|status| format!("{status:?}").eq_ignore_ascii_case(text))
        .map(|status| i64::from(i32::from(status)))
}

/// Nanoseconds since 1970 of a time as RFC 3339 writes it.
fn time(text: &str) -> Option<i64> {
    let timestamp: mainspring_api::Timestamp = text.parse().ok()?;
    Some(Time::from_proto(&timestamp).0)
}

#[cfg(test)]
mod tests {
    use mainspring_api::common::{WorkflowExecution, WorkflowType};

    use super::*;

    fn run() -> WorkflowExecutionInfo {
        WorkflowExecutionInfo {
            execution: Some(WorkflowExecution { workflow_id: "order-1001".into(), run_id: "r".into() }),
            r#type: Some(WorkflowType { name: "OrderWorkflow".into() }),
            status: WorkflowExecutionStatus::Running.into(),
            task_queue: "orders".into(),
            start_time: Some(Time(1_700_000_000_000_000_000).to_proto()),
            ..Default::default()
        }
    }

    #[test]
    fn conditions_are_read_with_their_precedence() {
        for (query, fits) in [
            ("", true),
            ("WorkflowId = 'order-1001'", true),
            ("WorkflowId = \"other\"", false),
            ("WorkflowType = 'A' OR WorkflowType = 'OrderWorkflow' AND TaskQueue = 'orders'", true),
            ("(WorkflowType = 'A' OR WorkflowType = 'OrderWorkflow') AND TaskQueue != 'orders'", false),
            ("NOT WorkflowId = 'x' AND ExecutionStatus = 'Running'", true),
            ("ExecutionStatus IN ('Completed', 'Failed')", false),
            ("WorkflowId STARTS_WITH 'order-'", true),
            ("WorkflowId NOT STARTS_WITH 'order-'", false),
            ("StartTime > '2023-01-01T00:00:00Z'", true),
            ("StartTime BETWEEN '2023-01-01T00:00:00Z' AND '2023-02-01T00:00:00Z'", false),
            ("CloseTime IS NULL", true),
            ("CloseTime != '2023-01-01T00:00:00Z'", false),
        ] {
            assert_eq!(Filter::parse(query).map(|filter| filter.fits(&run())), Ok(fits), "{query}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_position() {
        for (query, complaint) in [
            ("WorkflowId =", "position 13: expected a text in quotes, found the end"),
            ("Colour = 'red'", "position 1: expected one of WorkflowId"),
            ("WorkflowId = 'x' WorkflowId", "position 18: expected AND, OR or the end, found \"WorkflowId\""),
            ("ExecutionStatus = 'Happy'", "position 19: expected an execution status"),
            ("StartTime > 'yesterday'", "position 13: expected a time"),
            ("(WorkflowId = 'x'", "position 18: expected \")\", found the end"),
            ("WorkflowId = 'x", "position 14: the text has no end"),
            ("WorkflowId ; 'x'", "position 12: ';' has no meaning here"),
        ] {
            let error = Filter::parse(query).unwrap_err();
            assert!(error.starts_with(complaint), "{query}: {error}");
        }
        assert!(Filter::parse(&"(".repeat(1_000)).unwrap_err().contains("nested more than"));
    }
}
