//! What the run shows of itself to lists and filters: memo and search attributes.

use std::{cell::RefCell, collections::BTreeMap, time::SystemTime};

use crate::{
    payload::{Payload, PayloadError, ToPayload, search_attribute},
    runtime::Runtime,
    time::rfc3339,
};

/// What an upsert changes; none takes out.
type Changes = Vec<(String, Option<Payload>)>;

/// Notes for people, shown by lists and by `describe`: a memo to start with, or changes to the one that there is.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # fn example() -> WorkflowResult<()> {
/// upsert_memo(Memo::new().set("stage", "paid").unset("waiting for"))?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "nothing changes unless it is given to `upsert_memo`, a child or `continue_as_new`"]
pub struct Memo {
    fields: Fields,
}

impl Memo {
    /// Without notes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a note.
    pub fn set(mut self, key: impl Into<String>, value: impl ToPayload) -> Self {
        self.fields.push(key.into(), value.to_payload().map(Some));
        self
    }

    /// Takes a note out.
    pub fn unset(mut self, key: impl Into<String>) -> Self {
        self.fields.push(key.into(), Ok(None));
        self
    }

    pub(crate) fn into_set(self) -> Result<Vec<(String, Payload)>, PayloadError> {
        self.fields.into_set()
    }
}

/// Values that the run can be found by. They must be registered with the server, with the same types.
///
/// ```no_run
/// # use mainspring_workflow::prelude::*;
/// # fn example() -> WorkflowResult<()> {
/// upsert_search_attributes(SearchAttributes::new().keyword("CustomerId", "c-7").int("Items", 3).unset("Coupon"))?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "nothing changes unless it is given to `upsert_search_attributes`, a child or `continue_as_new`"]
pub struct SearchAttributes {
    fields: Fields,
}

impl SearchAttributes {
    /// Without values.
    pub fn new() -> Self {
        Self::default()
    }

    fn typed(mut self, key: impl Into<String>, kind: &str, value: impl ToPayload) -> Self {
        self.fields.push(key.into(), search_attribute(kind, &value).map(Some));
        self
    }

    /// Sets an attribute of the type `Text`.
    pub fn text(self, key: impl Into<String>, value: impl AsRef<str>) -> Self {
        self.typed(key, "Text", value.as_ref())
    }

    /// Sets an attribute of the type `Keyword`.
    pub fn keyword(self, key: impl Into<String>, value: impl AsRef<str>) -> Self {
        self.typed(key, "Keyword", value.as_ref())
    }

    /// Sets an attribute of the type `KeywordList`.
    pub fn keyword_list<S: AsRef<str>>(self, key: impl Into<String>, values: impl IntoIterator<Item = S>) -> Self {
        let values: Vec<String> = values.into_iter().map(|value| value.as_ref().to_owned()).collect();
        self.typed(key, "KeywordList", values)
    }

    /// Sets an attribute of the type `Int`.
    pub fn int(self, key: impl Into<String>, value: i64) -> Self {
        self.typed(key, "Int", value)
    }

    /// Sets an attribute of the type `Double`.
    pub fn double(self, key: impl Into<String>, value: f64) -> Self {
        self.typed(key, "Double", value)
    }

    /// Sets an attribute of the type `Bool`.
    pub fn bool(self, key: impl Into<String>, value: bool) -> Self {
        self.typed(key, "Bool", value)
    }

    /// Sets an attribute of the type `Datetime`.
    pub fn datetime(self, key: impl Into<String>, value: SystemTime) -> Self {
        self.typed(key, "Datetime", rfc3339(value))
    }

    /// Unsets an attribute.
    pub fn unset(mut self, key: impl Into<String>) -> Self {
        self.fields.push(key.into(), Ok(None));
        self
    }

    pub(crate) fn into_set(self) -> Result<Vec<(String, Payload)>, PayloadError> {
        self.fields.into_set()
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Fields(Result<Changes, PayloadError>);

impl Default for Fields {
    fn default() -> Self {
        Self(Ok(Vec::new()))
    }
}

impl Fields {
    /// What was said last of a key stands.
    fn push(&mut self, key: String, value: Result<Option<Payload>, PayloadError>) {
        let Ok(fields) = &mut self.0 else {
            return;
        };
        match value {
            Ok(value) => {
                fields.retain(|(other, _)| *other != key);
                fields.push((key, value));
            }
            Err(error) => self.0 = Err(error.of(key)),
        }
    }

    /// Only what is set: for where there is nothing to take out of.
    fn into_set(self) -> Result<Vec<(String, Payload)>, PayloadError> {
        Ok(self.0?.into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
    }
}

/// Changes the run's memo. [`info`](crate::info()) shows it changed.
pub fn upsert_memo(memo: Memo) -> Result<(), PayloadError> {
    let (runtime, fields) = (Runtime::current(), memo.fields.0?);
    runtime.command("change the memo", |host| host.upsert_memo(&fields));
    runtime.upserted.memo.borrow_mut().extend(fields);
    Ok(())
}

/// Changes the run's search attributes. [`info`](crate::info()) shows them changed.
pub fn upsert_search_attributes(attributes: SearchAttributes) -> Result<(), PayloadError> {
    let (runtime, fields) = (Runtime::current(), attributes.fields.0?);
    runtime.command("change the search attributes", |host| host.upsert_search_attributes(&fields));
    runtime.upserted.search_attributes.borrow_mut().extend(fields);
    Ok(())
}

/// What the run has changed since it began.
#[derive(Default)]
pub(crate) struct Upserted {
    pub(crate) memo: RefCell<BTreeMap<String, Option<Payload>>>,
    pub(crate) search_attributes: RefCell<BTreeMap<String, Option<Payload>>>,
}

/// Applies changes to what the run was started with.
pub(crate) fn apply(fields: &mut Vec<(String, Payload)>, changes: &BTreeMap<String, Option<Payload>>) {
    fields.retain(|(key, _)| !changes.contains_key(key));
    fields.extend(changes.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))));
}
