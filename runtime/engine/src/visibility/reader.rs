//! The grammar of filters: an SQL condition, with what may follow it.
//!
//! ```text
//! filter     = [condition] [GROUP BY names] [ORDER BY name [ASC|DESC] {"," name [ASC|DESC]}] [LIMIT number]
//! condition  = term { OR term }          term = factor { AND factor }
//! factor     = NOT factor | "(" condition ")" | comparison
//! comparison = name ( = | != | < | <= | > | >= ) value
//!            | name [NOT] IN "(" value {"," value} ")"
//!            | name [NOT] BETWEEN value AND value
//!            | name [NOT] STARTS_WITH value
//!            | name IS [NOT] NULL
//! ```
//!
//! Here only the form is read; what the names mean and whether the values fit them is `resolve.rs`'s. So a filter that
//! has no form is refused before anything else is said about it, as Temporal does.

use super::tokens::{Placed, Token, tokens};
use crate::limits;

/// A filter's form.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Form {
    pub condition: Option<Expression>,
    pub group_by: Vec<String>,
    /// Each with whether it descends.
    pub order_by: Vec<(String, bool)>,
    pub limited: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Not(Box<Expression>),
    Comparison { name: String, operator: Operator, values: Vec<Literal> },
}

/// An operator, without the NOT that may stand before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In { negated: bool },
    Between { negated: bool },
    StartsWith { negated: bool },
    Like { negated: bool },
    IsNull { negated: bool },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    /// A name where a value belongs.
    Name(String),
}

/// Words that are no names, unless they stand in backquotes.
const RESERVED: [&str; 17] = [
    "AND",
    "OR",
    "NOT",
    "IN",
    "BETWEEN",
    "STARTS_WITH",
    "LIKE",
    "IS",
    "NULL",
    "TRUE",
    "FALSE",
    "ORDER",
    "GROUP",
    "BY",
    "LIMIT",
    "WHERE",
    "SELECT",
];

/// Reads a filter's form.
///
/// # Errors
/// The position (a character, from 1), what was expected there and what was found.
pub(super) fn read(text: &str) -> Result<Form, String> {
    if text.len() > limits::FILTER_BYTES {
        return Err(format!("it has {} bytes, {} are allowed", text.len(), limits::FILTER_BYTES));
    }
    let tokens = tokens(text).map_err(|(at, problem)| syntax_error(text, at, &problem))?;
    let mut reader = Reader { text, tokens, at: 0, depth: 0 };
    let mut form = Form::default();
    if !["ORDER", "GROUP"].iter().any(|word| reader.is_word(word)) && reader.peek() != &Token::End {
        form.condition = Some(reader.condition()?);
    }
    if reader.take_word("GROUP") {
        reader.need_word("BY")?;
        form.group_by = reader.list(Reader::name)?;
    }
    if reader.take_word("ORDER") {
        reader.need_word("BY")?;
        form.order_by = reader.list(Reader::order)?;
    }
    if reader.take_word("LIMIT") {
        form.limited = true;
        reader.next();
    }
    match reader.peek() {
        Token::End => Ok(form),
        _ if form.group_by.is_empty() && form.order_by.is_empty() => reader.expected("AND, OR or the end"),
        _ => reader.expected("the end"),
    }
}

fn syntax_error(text: &str, at: usize, problem: &str) -> String {
    let position = text[..at].chars().count() + 1;
    format!("malformed SQL query: syntax error at position {position}: {problem}")
}

struct Reader<'a> {
    text: &'a str,
    tokens: Vec<Placed>,
    at: usize,
    depth: usize,
}

impl Reader<'_> {
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
            Token::Int(number) => number.to_string(),
            Token::Float(number) => number.to_string(),
            Token::Symbol(symbol) => format!("{symbol:?}"),
            Token::End => "the end".into(),
        };
        Err(syntax_error(self.text, self.tokens[self.at].0, &format!("expected {what}, found {found}")))
    }

    /// Whether a word comes next; names in backquotes are no words.
    fn is_word(&self, word: &str) -> bool {
        let (at, token) = &self.tokens[self.at];
        let quoted = self.text[*at..].starts_with('`');
        matches!(token, Token::Word(found) if !quoted && found.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.next();
        }
        found
    }

    fn need_word(&mut self, word: &str) -> Result<(), String> {
        if self.take_word(word) { Ok(()) } else { self.expected(word) }
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

    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Result<T, String>) -> Result<Vec<T>, String> {
        let mut items = vec![item(self)?];
        while self.take_symbol(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn name(&mut self) -> Result<String, String> {
        match self.peek() {
            Token::Word(word) if !RESERVED.iter().any(|reserved| self.is_word(reserved)) => {
                let word = word.clone();
                self.next();
                Ok(word)
            }
            _ => self.expected("the name of a search attribute"),
        }
    }

    fn order(&mut self) -> Result<(String, bool), String> {
        let name = self.name()?;
        let descends = self.take_word("DESC");
        if !descends {
            self.take_word("ASC");
        }
        Ok((name, descends))
    }

    fn condition(&mut self) -> Result<Expression, String> {
        let mut terms = vec![self.term()?];
        while self.take_word("OR") || self.take_symbol("||") {
            terms.push(self.term()?);
        }
        Ok(if terms.len() == 1 { terms.remove(0) } else { Expression::Or(terms) })
    }

    fn term(&mut self) -> Result<Expression, String> {
        let mut factors = vec![self.factor()?];
        while self.take_word("AND") || self.take_symbol("&&") {
            factors.push(self.factor()?);
        }
        Ok(if factors.len() == 1 { factors.remove(0) } else { Expression::And(factors) })
    }

    fn factor(&mut self) -> Result<Expression, String> {
        let mut negated = false;
        while self.take_word("NOT") {
            negated = !negated;
        }
        let expression = if self.take_symbol("(") {
            self.depth += 1;
            if self.depth > limits::FILTER_DEPTH {
                let problem = format!("nested more than {} deep", limits::FILTER_DEPTH);
                return Err(syntax_error(self.text, self.tokens[self.at].0, &problem));
            }
            let condition = self.condition()?;
            self.need_symbol(")")?;
            self.depth -= 1;
            condition
        } else {
            self.comparison()?
        };
        Ok(if negated { Expression::Not(Box::new(expression)) } else { expression })
    }

    fn comparison(&mut self) -> Result<Expression, String> {
        let name = self.name()?;
        if self.take_word("IS") {
            let negated = self.take_word("NOT");
            if !self.take_word("NULL") {
                return self.expected(if negated { "NULL" } else { "NULL or NOT NULL" });
            }
            return Ok(Expression::Comparison { name, operator: Operator::IsNull { negated }, values: Vec::new() });
        }
        let operator = self.operator()?;
        let values = match operator {
            Operator::In { .. } => {
                self.need_symbol("(")?;
                let values = self.list(Reader::value)?;
                self.need_symbol(")")?;
                values
            }
            Operator::Between { .. } => {
                let low = self.value()?;
                self.need_word("AND")?;
                vec![low, self.value()?]
            }
            _ => vec![self.value()?],
        };
        Ok(Expression::Comparison { name, operator, values })
    }

    fn operator(&mut self) -> Result<Operator, String> {
        let symbols = [
            ("=", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<>", Operator::NotEqual),
            ("<", Operator::Less),
            ("<=", Operator::LessOrEqual),
            (">", Operator::Greater),
            (">=", Operator::GreaterOrEqual),
        ];
        for (symbol, operator) in symbols {
            if self.take_symbol(symbol) {
                return Ok(operator);
            }
        }
        let negated = self.take_word("NOT");
        let words = [
            ("IN", Operator::In { negated }),
            ("BETWEEN", Operator::Between { negated }),
            ("STARTS_WITH", Operator::StartsWith { negated }),
            ("LIKE", Operator::Like { negated }),
        ];
        for (word, operator) in words {
            if self.take_word(word) {
                return Ok(operator);
            }
        }
        self.expected(if negated {
            "IN, BETWEEN or STARTS_WITH"
        } else {
            "one of =, !=, <, <=, >, >=, IN, BETWEEN, STARTS_WITH and IS"
        })
    }

    fn value(&mut self) -> Result<Literal, String> {
        const EXPECTED: &str = "a value: a text in quotes, a number, true or false";
        let literal = match self.peek() {
            Token::Text(text) => Literal::Text(text.clone()),
            Token::Int(number) => Literal::Int(*number),
            Token::Float(number) => Literal::Float(*number),
            Token::Word(_) if self.is_word("TRUE") => Literal::Bool(true),
            Token::Word(_) if self.is_word("FALSE") => Literal::Bool(false),
            Token::Word(_) if RESERVED.iter().any(|word| self.is_word(word)) => return self.expected(EXPECTED),
            Token::Word(word) => Literal::Name(word.clone()),
            _ => return self.expected(EXPECTED),
        };
        self.next();
        Ok(literal)
    }
}
