//! The imports of `wit/`, as an object of functions that only the SDK's own JavaScript sees.

use rquickjs::{Ctx, Function, Object, Result};

use crate::{
    bindings::mainspring::workflow::{
        activities, attributes, children, external, info, log, markers, random, time, timers, types, updates,
        versioning,
    },
    convert::Js,
    engine,
};

type Pairs<T> = Vec<(String, T)>;

macro_rules! functions {
    ($ctx:ident, $object:ident, { $($name:literal: $body:expr),* $(,)? }) => {
        $($object.set($name, Function::new($ctx.clone(), $body)?)?;)*
    };
}

/// The object, with a property for each function.
pub fn object<'js>(ctx: &Ctx<'js>) -> Result<Object<'js>> {
    let host = Object::new(ctx.clone())?;
    functions!(ctx, host, {
        "now": || {
            if engine::is_loading() {
                engine::note_load_time("the clock is read");
                return Js(types::Datetime { seconds: 0, nanoseconds: 0 });
            }
            Js(time::now())
        },
        "randomBytes": |Js(len): Js<u32>| {
            if engine::is_loading() {
                engine::note_load_time("a random number is drawn");
                return Js(vec![0; len as usize]);
            }
            Js(random::get_bytes(len))
        },
        "startTimer": |Js(after): Js<types::Duration>, Js(summary): Js<Option<String>>| {
            timers::start(after, summary.as_deref())
        },
        "cancelTimer": timers::cancel,
        "scheduleActivity": |Js(name): Js<String>, Js(input): Js<types::Payloads>, Js(options): Js<activities::ActivityOptions>| {
            activities::schedule(&name, &input, &options)
        },
        "cancelActivity": activities::cancel,
        "startChild": |Js(name): Js<String>, Js(input): Js<types::Payloads>, Js(options): Js<children::ChildOptions>| {
            children::start(&name, &input, &options)
        },
        "cancelChild": children::cancel,
        "signalWorkflow": |Js(target): Js<external::Target>, Js(name): Js<String>, Js(input): Js<types::Payloads>, Js(header): Js<Pairs<types::Payload>>| {
            external::signal(&target, &name, &input, &header)
        },
        "cancelSignal": external::cancel_signal,
        "requestCancel": |Js(workflow_id): Js<String>, Js(run_id): Js<String>, Js(reason): Js<String>| {
            external::request_cancel(&workflow_id, &run_id, &reason)
        },
        "acceptUpdate": updates::accept,
        "rejectUpdate": |update: u32, Js(reason): Js<types::Failure>| updates::reject(update, &reason),
        "completeUpdate": |update: u32, Js(outcome): Js<std::result::Result<types::Payloads, types::Failure>>| {
            updates::complete(update, outcome.as_deref().map_err(Vec::as_slice));
        },
        "upsertMemo": |Js(fields): Js<Pairs<Option<types::Payload>>>| attributes::upsert_memo(&fields),
        "upsertSearchAttributes": |Js(fields): Js<Pairs<Option<types::Payload>>>| {
            attributes::upsert_search_attributes(&fields);
        },
        "patched": |Js(id): Js<String>| versioning::patched(&id),
        "deprecatePatch": |Js(id): Js<String>| versioning::deprecate_patch(&id),
        "recordMarker": |Js(name): Js<String>, Js(details): Js<Pairs<types::Payloads>>, Js(failure): Js<Option<types::Failure>>| {
            markers::record_marker(&name, &details, failure.as_deref());
        },
        "info": || Js(info::get()),
        "history": || Js(info::history()),
        "log": |Js(level): Js<log::Level>, Js(message): Js<String>, Js(fields): Js<Pairs<String>>| {
            // Nobody listens while the module is loaded; what is said then would be said once for all runs.
            if !engine::is_loading() {
                log::write(level, &message, &fields);
            }
        },
        "encodeText": |Js(text): Js<String>| Js(text.into_bytes()),
        "decodeText": |Js(bytes): Js<Vec<u8>>, fatal: bool| match String::from_utf8(bytes) {
            Ok(text) => Js(Some(text)),
            Err(_) if fatal => Js(None),
            Err(error) => Js(Some(String::from_utf8_lossy(error.as_bytes()).into_owned())),
        },
    });
    Ok(host)
}
