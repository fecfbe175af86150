//! The orders in which a list can be asked for.
//!
//! The order of lists is the default; the times of start have an index of their own. Every other order is made by
//! going through all runs that fit and keeping the first ones, for which there is a limit.

use std::cmp::Reverse;

use mainspring_api::workflow::WorkflowExecutionInfo;

use super::{
    attribute::{Attribute, Fact, Facts, Source},
    index::{Place, Position},
};

#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Open runs first, then those that closed last.
    Listed,
    Start {
        descends: bool,
    },
    By(Vec<(&'static Attribute, bool)>),
}

/// A run's place in one of the orders: marks of the same list compare as its runs stand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mark {
    Listed(Position),
    /// The earliest start first.
    Ascending(Reverse<Position>),
    /// What it is sorted by, as bytes in the order of the values; then the run.
    Sorted(Vec<u8>, uuid::Uuid),
}

impl Order {
    pub(super) fn by(attributes: Vec<(&'static Attribute, bool)>) -> Order {
        let sources: Vec<(Source, bool)> = attributes.iter().map(|(it, descends)| (it.source, *descends)).collect();
        match sources[..] {
            [] | [(Source::CloseTime, true)] | [(Source::CloseTime, true), (Source::StartTime, true)] => Order::Listed,
            [(Source::StartTime, descends)] => Order::Start { descends },
            _ => Order::By(attributes),
        }
    }

    pub(super) fn mark(&self, info: &WorkflowExecutionInfo, place: &Place, as_of: i64) -> Mark {
        match self {
            Order::Listed => Mark::Listed(place.position(as_of)),
            Order::Start { descends } => Order::started(place.start, place.run, *descends),
            Order::By(attributes) => {
                let mut bytes = Vec::new();
                for (attribute, descends) in attributes {
                    let from = bytes.len();
                    write(&info.of(attribute), &mut bytes);
                    if *descends {
                        bytes[from..].iter_mut().for_each(|byte| *byte = !*byte);
                    }
                }
                Mark::Sorted(bytes, place.run)
            }
        }
    }

    pub(super) fn started(start: i64, run: uuid::Uuid, descends: bool) -> Mark {
        let position = Position { close: Position::OPEN, start: Reverse(start), run };
        if descends { Mark::Listed(position) } else { Mark::Ascending(Reverse(position)) }
    }
}

/// Writes a value so that bytes compare as values do. No value comes after every value, as with the time of close.
fn write(fact: &Fact<'_>, bytes: &mut Vec<u8>) {
    const SOME: u8 = 1;
    const NONE: u8 = 2;
    match fact {
        Fact::Text(text) => {
            bytes.push(SOME);
            for byte in text.bytes() {
                bytes.push(byte);
                if byte == 0 {
                    bytes.push(0xff);
                }
            }
            bytes.extend_from_slice(&[0, 1]);
        }
        Fact::Int(number) => {
            bytes.push(SOME);
            bytes.extend_from_slice(&(number ^ i64::MIN).to_be_bytes());
        }
        Fact::Bool(value) => bytes.extend_from_slice(&[SOME, u8::from(*value)]),
        Fact::Null | Fact::Unknown | Fact::List(_) => bytes.push(NONE),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[test]
    fn bytes_compare_as_values_do() {
        let bytes = |fact: Fact<'_>| {
            let mut bytes = Vec::new();
            write(&fact, &mut bytes);
            bytes
        };
        let text = |text| Fact::Text(Cow::Borrowed(text));
        assert!([text(""), text("\0"), text("a"), text("a\0"), text("ab"), Fact::Null].map(bytes).is_sorted());
        assert!([Fact::Int(i64::MIN), Fact::Int(-1), Fact::Int(0), Fact::Int(7), Fact::Null].map(bytes).is_sorted());
    }
}
