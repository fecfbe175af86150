//! A filter that has been read, and whether a run fits it.
//!
//! As in SQL a comparison with something that has no value is neither true nor false, and neither is its opposite. And
//! because most rows are judged by an index key alone, there is a fourth answer: one has to look into the run's row.

use std::cmp::Ordering;

use mainspring_api::enums::IndexedValueType;

use super::attribute::{Attribute, Fact, Facts};

#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// Fits what fits all of them: everything, where there are none.
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Not(Box<Condition>),
    Is(&'static Attribute, Test),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    Equal(Value),
    Less(Value),
    Greater(Value),
    In(Vec<Value>),
    /// Both ends belong to it.
    Between(Value, Value),
    StartsWith(String),
    Null,
}

/// What an attribute is compared with, in the units of [`Fact`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
    Null,
    Unknown,
}

impl Condition {
    pub(super) fn of(&self, facts: &impl Facts) -> Truth {
        match self {
            Condition::And(parts) => decide(parts.iter().map(|part| part.of(facts)), Truth::False, Truth::True),
            Condition::Or(parts) => decide(parts.iter().map(|part| part.of(facts)), Truth::True, Truth::False),
            Condition::Not(part) => match part.of(facts) {
                Truth::True => Truth::False,
                Truth::False => Truth::True,
                undecided => undecided,
            },
            Condition::Is(attribute, test) => test.of(&facts.of(attribute), attribute.value_type),
        }
    }

    pub(super) fn fits(&self, facts: &impl Facts) -> bool {
        self.of(facts) == Truth::True
    }
}

/// One part that is `settling` settles it; otherwise doubt prevails, and `rest` is the answer of all parts together.
fn decide(parts: impl Iterator<Item = Truth>, settling: Truth, rest: Truth) -> Truth {
    let mut answer = rest;
    for part in parts {
        match part {
            _ if part == settling => return settling,
            Truth::Unknown => answer = Truth::Unknown,
            Truth::Null if answer != Truth::Unknown => answer = Truth::Null,
            _ => {}
        }
    }
    answer
}

impl Test {
    fn of(&self, fact: &Fact<'_>, value_type: IndexedValueType) -> Truth {
        let truth = match (self, fact) {
            (_, Fact::Unknown) => return Truth::Unknown,
            (Test::Null, fact) => *fact == Fact::Null,
            // A list without entries has none that is equal, and that is certain.
            (_, Fact::Null) if value_type == IndexedValueType::KeywordList => false,
            (_, Fact::Null) => return Truth::Null,
            (Test::Equal(value), fact) => value.equals(fact),
            (Test::In(values), fact) => values.iter().any(|value| value.equals(fact)),
            (Test::Less(value), fact) => value.compare(fact) == Some(Ordering::Greater),
            (Test::Greater(value), fact) => value.compare(fact) == Some(Ordering::Less),
            (Test::Between(low, high), fact) => {
                low.compare(fact).is_some_and(Ordering::is_le) && high.compare(fact).is_some_and(Ordering::is_ge)
            }
            (Test::StartsWith(start), Fact::Text(text)) => text.starts_with(start.as_str()),
            (Test::StartsWith(_), _) => false,
        };
        if truth { Truth::True } else { Truth::False }
    }
}

impl Value {
    fn equals(&self, fact: &Fact<'_>) -> bool {
        match (self, fact) {
            (Value::Text(text), Fact::List(entries)) => entries.contains(text),
            _ => self.compare(fact) == Some(Ordering::Equal),
        }
    }

    /// How the value stands to what the run has; none where the two are of different kinds.
    fn compare(&self, fact: &Fact<'_>) -> Option<Ordering> {
        match (self, fact) {
            (Value::Text(value), Fact::Text(has)) => Some(value.as_str().cmp(has)),
            (Value::Int(value), Fact::Int(has)) => Some(value.cmp(has)),
            #[allow(clippy::cast_precision_loss)] // What is lost is beyond what a fraction can be compared with.
            (Value::Float(value), Fact::Int(has)) => value.partial_cmp(&(*has as f64)),
            (Value::Bool(value), Fact::Bool(has)) => Some(value.cmp(has)),
            _ => None,
        }
    }
}
