//! Queries: a question to a run, which changes nothing.

use mainspring_api::{
    common::{Header, Payloads},
    failure::Failure,
};

use crate::{
    bindings::{
        activation::Query,
        types::{FailureLink, Payload},
    },
    convert::{
        failure::failure_to_proto,
        payload::{header_to_guest, payloads_to_guest, payloads_to_proto},
    },
    host::Fault,
};

/// A query, as a client sends it.
#[derive(Debug, Clone, Default)]
pub struct Question {
    pub name: String,
    pub args: Option<Payloads>,
    pub header: Option<Header>,
}

/// What the workflow says: a result, or why there is none.
pub type QueryAnswer = Result<Option<Payloads>, Failure>;

pub fn to_guest(question: &Question) -> Query {
    Query {
        name: question.name.clone(),
        args: payloads_to_guest(question.args.as_ref()),
        header: header_to_guest(question.header.as_ref()),
    }
}

pub fn answer(answer: Result<Vec<Payload>, Vec<FailureLink>>) -> Result<QueryAnswer, Fault> {
    Ok(match answer {
        Ok(result) => Ok(payloads_to_proto(result)),
        Err(failure) => Err(failure_to_proto(failure)?),
    })
}
