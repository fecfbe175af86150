//! What a filter's names and values mean. What is refused here is refused in Temporal's words.

use std::time::Duration;

use mainspring_api::{
    Timestamp,
    enums::{
        IndexedValueType::{Bool, Datetime, Double, Int, Keyword, KeywordList},
        WorkflowExecutionStatus as Status,
    },
};
use mainspring_core::Time;

use super::{
    Query,
    attribute::{Attribute, Source},
    condition::{Condition, Test, Value},
    index::micros,
    order::Order,
    reader::{Expression, Form, Literal, Operator},
};

const INVALID: &str = "invalid expression";
const NOT_SUPPORTED: &str = "operation is not supported";

pub(super) fn query(form: Form) -> Result<Query, String> {
    if form.limited {
        return Err(format!("{NOT_SUPPORTED}: 'LIMIT' clause"));
    }
    let condition = form.condition.map_or(Ok(Condition::And(Vec::new())), condition)?;
    if form.group_by.len() > 1 {
        return Err(format!("{NOT_SUPPORTED}: 'GROUP BY' clause supports only a single field"));
    }
    let group_by = form.group_by.first().map(|name| attribute(name)).transpose()?;
    if let Some(attribute) = group_by
        && attribute.source != Source::Status
        && attribute.name != "TemporalNamespaceDivision"
    {
        let name = attribute.name;
        return Err(format!("{NOT_SUPPORTED}: 'GROUP BY' clause is not supported for search attribute {name}"));
    }
    let mut order_by = Vec::new();
    for (name, descends) in form.order_by {
        let attribute = attribute(&name)?;
        if attribute.value_type == KeywordList {
            return Err(format!("{NOT_SUPPORTED}: unable to sort by search attribute type KeywordList"));
        }
        order_by.push((attribute, descends));
    }
    Ok(Query { condition, order: Order::by(order_by), group_by })
}

fn condition(expression: Expression) -> Result<Condition, String> {
    let all = |parts: Vec<Expression>| parts.into_iter().map(condition).collect::<Result<Vec<_>, _>>();
    match expression {
        Expression::And(parts) => Ok(Condition::And(all(parts)?)),
        Expression::Or(parts) => Ok(Condition::Or(all(parts)?)),
        Expression::Not(part) => Ok(Condition::Not(Box::new(condition(*part)?))),
        Expression::Comparison { name, operator, values } => comparison(attribute(&name)?, operator, &values),
    }
}

fn attribute(name: &str) -> Result<&'static Attribute, String> {
    Attribute::named(name).ok_or_else(|| format!("invalid search attribute: {name}"))
}

fn comparison(attribute: &'static Attribute, operator: Operator, values: &[Literal]) -> Result<Condition, String> {
    if let Operator::Between { .. } = operator
        && !matches!(attribute.value_type, Datetime | Double | Int | Keyword)
    {
        let (name, value_type) = (attribute.name, attribute.type_name());
        return Err(format!("{INVALID}: cannot do range condition on search attribute '{name}' of type {value_type}"));
    }
    let mut values = values.iter().map(|literal| value(attribute, literal)).collect::<Result<Vec<_>, _>>()?;
    let (word, supported) = match operator {
        Operator::Equal | Operator::NotEqual | Operator::In { .. } => ("", true),
        Operator::Between { .. } | Operator::IsNull { .. } => ("", true),
        Operator::Less => ("<", attribute.value_type != KeywordList),
        Operator::LessOrEqual => ("<=", attribute.value_type != KeywordList),
        Operator::Greater => (">", attribute.value_type != KeywordList),
        Operator::GreaterOrEqual => (">=", attribute.value_type != KeywordList),
        Operator::StartsWith { negated: false } => ("STARTS_WITH", attribute.value_type == Keyword),
        Operator::StartsWith { negated: true } => ("NOT STARTS_WITH", attribute.value_type == Keyword),
        Operator::Like { negated: false } => ("LIKE", false),
        Operator::Like { negated: true } => ("NOT LIKE", false),
    };
    if !supported {
        let (name, value_type) = (attribute.name, attribute.type_name());
        return Err(format!(
            "{NOT_SUPPORTED}: operator '{word}' not supported for {value_type} type search attribute '{name}'"
        ));
    }
    let mut one = || values.pop().unwrap_or(Value::Bool(false));
    let (test, negated) = match operator {
        Operator::Equal => (Test::Equal(one()), false),
        Operator::NotEqual => (Test::Equal(one()), true),
        Operator::Less => (Test::Less(one()), false),
        Operator::GreaterOrEqual => (Test::Less(one()), true),
        Operator::Greater => (Test::Greater(one()), false),
        Operator::LessOrEqual => (Test::Greater(one()), true),
        Operator::Between { negated } => {
            let high = one();
            (Test::Between(one(), high), negated)
        }
        Operator::In { negated } => (Test::In(values), negated),
        Operator::StartsWith { negated } | Operator::Like { negated } => (Test::StartsWith(start(one())?), negated),
        Operator::IsNull { negated } => (Test::Null, negated),
    };
    let condition = Condition::Is(attribute, test);
    Ok(if negated { Condition::Not(Box::new(condition)) } else { condition })
}

/// Only a status is no text among what STARTS_WITH is for.
fn start(value: Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Int(number) => Err(format!(
            "{INVALID}: right-hand side of \"starts_with\" operator must be a literal string (got: {})",
            status_name(number)
        )),
        other => Err(format!(
            "{INVALID}: right-hand side of \"starts_with\" operator must be a literal string (got: {other:?})"
        )),
    }
}

/// The value in the attribute's units.
fn value(attribute: &Attribute, literal: &Literal) -> Result<Value, String> {
    match (attribute.source, literal) {
        (_, Literal::Name(name)) => Err(format!(
            "{NOT_SUPPORTED}: column name on the right side of comparison expression (did you forget to quote {name:?}?)"
        )),
        (Source::Status, Literal::Text(text)) => {
            let number = status(text).ok_or_else(|| format!("{INVALID}: invalid ExecutionStatus value '{text}'"))?;
            Ok(Value::Int(number))
        }
        (Source::Status, Literal::Int(number)) => {
            if status_name(*number).is_empty() {
                return Err(format!("{INVALID}: invalid ExecutionStatus value {number}"));
            }
            Ok(Value::Int(*number))
        }
        (Source::Duration, Literal::Text(text)) => {
            let nanos = duration(text);
            let name = attribute.name;
            nanos
                .map(Value::Int)
                .ok_or_else(|| format!("{INVALID}: invalid duration value for search attribute {name}: {text}"))
        }
        (Source::Status | Source::Duration, Literal::Float(_)) => {
            Err(format!("{INVALID}: unexpected value type float64 for search attribute {}", attribute.name))
        }
        (_, literal) => plain(attribute, literal),
    }
}

fn plain(attribute: &Attribute, literal: &Literal) -> Result<Value, String> {
    match (attribute.value_type, literal) {
        (Keyword | KeywordList, Literal::Text(text)) => Ok(Value::Text(text.clone())),
        (Datetime, Literal::Text(text)) => {
            let time = time(text).ok_or_else(|| format!("{INVALID}: unable to parse datetime '{text}'"))?;
            Ok(Value::Int(time))
        }
        // Nanoseconds since 1970.
        (Datetime, Literal::Int(number)) => Ok(Value::Int(micros(Time(*number)))),
        (Int | Double, Literal::Int(number)) => Ok(Value::Int(*number)),
        (Int | Double, Literal::Float(number)) => Ok(Value::Float(*number)),
        (Bool, Literal::Bool(value)) => Ok(Value::Bool(*value)),
        (_, literal) => {
            let shown = match literal {
                Literal::Text(text) | Literal::Name(text) => format!("{text:?} (type: string)"),
                Literal::Int(number) => format!("{number} (type: int64)"),
                Literal::Float(number) => format!("{number} (type: float64)"),
                Literal::Bool(value) => format!("{value} (type: bool)"),
            };
            let (name, value_type) = (attribute.name, attribute.type_name());
            Err(format!("{INVALID}: invalid value type for search attribute {name} of type {value_type}: {shown}"))
        }
    }
}

/// A status by its name, in either of the ways in which Temporal writes it.
fn status(text: &str) -> Option<i64> {
    (0..=STATUS_MAX).find(|number| status_name(*number) == text || long_status_name(*number) == Some(text))
}

const STATUS_MAX: i64 = Status::Paused as i64;

fn long_status_name(number: i64) -> Option<&'static str> {
    let status = Status::try_from(i32::try_from(number).ok()?).ok()?;
    Some(status.as_str_name())
}

/// The short name of a status; empty where there is no such status.
pub(super) fn status_name(number: i64) -> String {
    let status = i32::try_from(number).ok().and_then(|number| Status::try_from(number).ok());
    status.map_or_else(String::new, |status| format!("{status:?}"))
}

/// Microseconds since 1970 of a time as RFC 3339 writes it, with its T and its zone.
fn time(text: &str) -> Option<i64> {
    let zone = text.len().checked_sub(6).and_then(|at| text.as_bytes().get(at));
    let zoned = text.ends_with('Z') || matches!(zone, Some(b'+' | b'-'));
    if text.as_bytes().get(10) != Some(&b'T') || !zoned {
        return None;
    }
    let timestamp: Timestamp = text.parse().ok()?;
    Some(micros(Time::from_proto(&timestamp)))
}

/// Nanoseconds: a number of them, `1h30m` with the units d, h, m, s, ms, us and ns, or `hours:minutes:seconds`.
fn duration(text: &str) -> Option<i64> {
    if let Ok(nanos) = text.parse() {
        return Some(nanos);
    }
    let parts: Vec<&str> = text.split(':').collect();
    if let [hours, minutes, seconds] = parts[..] {
        let number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u64>().ok())?;
        let (hours, minutes, seconds) = (number(hours)?, number(minutes)?, number(seconds)?);
        let whole = minutes < 60 && seconds < 60;
        let total = hours.checked_mul(3_600)?.checked_add(minutes * 60 + seconds)?;
        return whole.then(|| i64::try_from(Duration::from_secs(total).as_nanos()).ok())?;
    }
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let nanos = in_units(unsigned)?;
    Some(if negative { -nanos } else { nanos })
}

fn in_units(mut rest: &str) -> Option<i64> {
    const UNITS: [(&str, f64); 9] = [
        ("ns", 1.0),
        ("us", 1e3),
        ("µs", 1e3),
        ("μs", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
        ("m", 60e9),
        ("h", 3_600e9),
        ("d", 86_400e9),
    ];
    let mut total = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        // The longest first: `m` is also how `ms` begins.
        let (unit, nanos) =
            UNITS.iter().filter(|(unit, _)| rest.starts_with(unit)).max_by_key(|(unit, _)| unit.len())?;
        total += number * nanos;
        rest = &rest[unit.len()..];
    }
    // The range of durations, in nanoseconds, is that of i64; a cast keeps what is beyond it at its end.
    #[allow(clippy::cast_possible_truncation)]
    Some(total as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_temporal_reads_them() {
        for (text, nanos) in [
            ("100", Some(100)),
            ("-100", Some(-100)),
            ("5ms", Some(5_000_000)),
            ("5µs", Some(5_000)),
            ("1h30m", Some(5_400_000_000_000)),
            ("1.5d", Some(129_600_000_000_000)),
            ("-1h", Some(-3_600_000_000_000)),
            ("00:00:01", Some(1_000_000_000)),
            ("100:00:00", Some(360_000_000_000_000)),
            ("00:90:00", None),
            ("01:00", None),
            ("1w", None),
            ("1h 30m", None),
            ("h", None),
            ("", None),
        ] {
            assert_eq!(duration(text), nanos, "{text}");
        }
    }

    #[test]
    fn times_need_their_t_and_their_zone() {
        assert_eq!(time("2023-01-01T00:00:00Z"), Some(1_672_531_200_000_000));
        assert_eq!(time("2023-01-01T02:00:00.5+02:00"), Some(1_672_531_200_500_000));
        assert_eq!(time("9999-12-31T23:59:59Z"), Some(i64::MAX / 1_000));
        for text in ["2023-01-01", "2023-01-01 00:00:00", "2023-01-01T00:00:00", "2023-13-01T00:00:00Z", "now", ""] {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
