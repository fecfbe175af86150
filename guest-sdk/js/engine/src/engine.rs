//! The interpreter of this instance: how a bundle gets into it, and how it is called.

use std::cell::{Cell, RefCell};

use rquickjs::{
    CatchResultExt, CaughtError, Context, Ctx, Function, Object, Persistent, Result, Runtime, Value,
    context::EvalOptions, function::IntoArgs,
};
use serde_json::json;

use crate::{
    bindings::{
        Event, Query, Status, mainspring::workflow::log, mainspring::workflow::time, mainspring::workflow::types,
    },
    convert::Js,
    host,
};

/// What the interpreter may use of the stack in the module's memory, in bytes. Recursion that goes deeper is a
/// RangeError. A call takes several times as much of the host's own stack, which ends at 512 KiB.
const STACK_BYTES: usize = 96 * 1024;

/// How much more memory objects may take than after loading before unused cycles are looked for, in bytes. To look for them
/// writes to all objects there are, and so makes the memory that instances share one that each has for itself.
const GARBAGE_BYTES: usize = 1024 * 1024;

/// What the bundle is called in stack traces, until the SDK has looked up where a line comes from.
const BUNDLE: &str = "workflow-bundle.js";

thread_local! {
    static ENGINE: RefCell<Option<Engine>> = const { RefCell::new(None) };
    static LOADING: Cell<bool> = const { Cell::new(false) };
    /// What the bundle did while it was loaded that would not be the same for every run.
    static LOAD_TIME: Cell<Option<&'static str>> = const { Cell::new(None) };
    /// A bundle that is evaluated when the run begins, as its evaluation is not the same for every run.
    static POSTPONED: RefCell<Option<String>> = const { RefCell::new(None) };
    /// Promises that were rejected and that nobody handles, and why.
    static UNHANDLED: RefCell<Vec<Unhandled>> = const { RefCell::new(Vec::new()) };
    static WORKFLOW_TYPES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

type Unhandled = (Persistent<Value<'static>>, Persistent<Value<'static>>);

/// An interpreter, and what it was given.
struct Engine {
    context: Context,
    exports: Option<Exports>,
    runtime: Runtime,
}

/// The functions that the SDK's JavaScript gives.
#[derive(Clone)]
struct Exports {
    start: Persistent<Function<'static>>,
    resume: Persistent<Function<'static>>,
    settle: Persistent<Function<'static>>,
    answer_query: Persistent<Function<'static>>,
    describe_error: Persistent<Function<'static>>,
}

/// Whether the bundle is being loaded, and not a run going on.
pub fn is_loading() -> bool {
    LOADING.get()
}

/// Remembers what makes the evaluation of the bundle differ between runs.
pub fn note_load_time(what: &'static str) {
    if LOAD_TIME.get().is_none() {
        LOAD_TIME.set(Some(what));
    }
}

pub fn workflow_types() -> Vec<String> {
    WORKFLOW_TYPES.with_borrow(Clone::clone)
}

/// The clock that the interpreter's C asks for, in microseconds.
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
extern "C" fn __rquickjs_host_now_us() -> f64 {
    if is_loading() {
        note_load_time("the clock is read");
        return 0.0;
    }
    let now = time::now();
    now.seconds as f64 * 1e6 + f64::from(now.nanoseconds / 1_000)
}

// What the builder calls.

/// Gives the builder a place to write the bundle to.
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
extern "C" fn mainspring_bundle_buffer(len: usize) -> *mut u8 {
    Vec::leak(vec![0; len]).as_mut_ptr()
}

/// Loads the bundle that lies in the buffer. With `postpone` it is evaluated once here, to learn of its errors and its
/// workflows, and again when a run begins. Gives the address of the answer: its length in four bytes, then JSON.
///
/// # Safety
/// The buffer is one that [`mainspring_bundle_buffer`] gave for this length, and is used once.
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
unsafe extern "C" fn mainspring_load(buffer: *mut u8, len: usize, postpone: u32) -> *const u8 {
    // SAFETY: the caller promises it.
    let bundle = unsafe { Vec::from_raw_parts(buffer, len, len) };
    std::panic::set_hook(Box::new(|panic| log::write(log::Level::Error, &panic.to_string(), &[])));
    let answer = match load(bundle, postpone != 0) {
        Ok(workflow_types) => json!({ "workflowTypes": workflow_types, "loadTime": LOAD_TIME.get() }),
        Err(error) => json!({ "error": error }),
    };
    let mut bytes = answer.to_string().into_bytes();
    bytes.splice(..0, (bytes.len() as u32).to_le_bytes());
    Vec::leak(bytes).as_ptr()
}

fn load(bundle: Vec<u8>, postpone: bool) -> std::result::Result<Vec<String>, String> {
    let bundle = String::from_utf8(bundle).map_err(|error| error.to_string())?;
    LOADING.set(true);
    begin().map_err(|error| error.to_string())?;
    // What the interpreter itself wants of the clock, such as a seed that nothing uses, does not count.
    LOAD_TIME.set(None);
    let workflow_types = evaluate(&bundle)?;
    if postpone {
        // A fresh interpreter, to which nothing has happened.
        begin().map_err(|error| error.to_string())?;
        POSTPONED.set(Some(bundle.clone()));
    }
    WORKFLOW_TYPES.set(workflow_types.clone());
    ENGINE.with_borrow(|engine| {
        if let Some(Engine { runtime, .. }) = engine {
            runtime.run_gc();
            runtime.set_gc_threshold(runtime.memory_usage().malloc_size as usize + GARBAGE_BYTES);
        }
    });
    // Of what was freed nothing shall be left: every byte of memory that is not zero is part of the component.
    for length in [bundle.len(); 3] {
        let mut freed = std::hint::black_box(vec![1u8; length]);
        freed.fill(0);
    }
    LOADING.set(false);
    Ok(workflow_types)
}

fn begin() -> Result<()> {
    let runtime = Runtime::new()?;
    runtime.set_max_stack_size(STACK_BYTES);
    let context = Context::full(&runtime)?;
    runtime.set_host_promise_rejection_tracker(Some(Box::new(|ctx, promise, reason, is_handled| {
        // No JavaScript may run here: it may be the end of the stack that rejects the promise.
        UNHANDLED.with_borrow_mut(|unhandled| {
            unhandled.retain(|(known, _)| known.clone().restore(&ctx).is_ok_and(|known| known != promise));
            if !is_handled {
                unhandled.push((Persistent::save(&ctx, promise), Persistent::save(&ctx, reason)));
            }
        });
    })));
    context.with(|ctx| ctx.globals().set("__mainspring_host", host::object(&ctx)?))?;
    // One that is there already is never used again; its memory is not worth the trouble of freeing what refers to it.
    if let Some(old) = ENGINE.replace(Some(Engine { context, exports: None, runtime })) {
        std::mem::forget(old);
    }
    Ok(())
}

/// Evaluates the bundle: its last expression is what the SDK gives.
fn evaluate(bundle: &str) -> std::result::Result<Vec<String>, String> {
    with_context(|ctx| {
        let mut options = EvalOptions::default();
        options.strict = false;
        options.filename = Some(BUNDLE.to_owned());
        let given: Object = ctx.eval_with_options(bundle, options).catch(ctx).map_err(|error| described(&error))?;
        let function = |name: &str| -> std::result::Result<_, String> {
            let function: Function = given.get(name).map_err(|error| format!("the bundle gives no {name}: {error}"))?;
            Ok(Persistent::save(ctx, function))
        };
        let exports = Exports {
            start: function("start")?,
            resume: function("resume")?,
            settle: function("settle")?,
            answer_query: function("answerQuery")?,
            describe_error: function("describeError")?,
        };
        ENGINE.with_borrow_mut(|engine| {
            if let Some(engine) = engine {
                engine.exports = Some(exports);
            }
        });
        while ctx.execute_pending_job() {}
        let Js(workflow_types) = given.get("workflowTypes").map_err(|error| error.to_string())?;
        Ok(workflow_types)
    })
}

fn described(error: &CaughtError) -> String {
    match error {
        CaughtError::Exception(exception) => {
            let name: String = exception.as_object().get("name").unwrap_or_default();
            let [message, stack] = [exception.message(), exception.stack()].map(Option::unwrap_or_default);
            format!("{name}: {message}\n{stack}")
        }
        other => other.to_string(),
    }
}

// What the host calls.

pub fn start(workflow_type: String, input: types::Payloads) -> Status {
    if let Some(bundle) = POSTPONED.take()
        && let Err(error) = evaluate(&bundle)
    {
        give_up(&error, &[]);
    }
    activate(|exports| exports.start, (Js(workflow_type), Js(input)))
}

pub fn resume(events: Vec<Event>) -> Status {
    activate(|exports| exports.resume, (Js(events),))
}

pub fn answer_query(query: Query) -> std::result::Result<types::Payloads, types::Failure> {
    with_context(|ctx| {
        let answer: Js<_> = call(ctx, |exports| exports.answer_query, (Js(query),));
        answer.0
    })
}

/// Calls the SDK, then runs jobs until none is left and no condition has become true.
fn activate<A: for<'js> IntoArgs<'js>>(which: fn(Exports) -> Persistent<Function<'static>>, args: A) -> Status {
    with_context(|ctx| {
        let () = call(ctx, which, args);
        loop {
            while ctx.execute_pending_job() {}
            let unhandled: Vec<_> = UNHANDLED.with_borrow(|all| all.iter().map(|(_, why)| why.clone()).collect());
            let settled: Js<Option<Status>> = call(ctx, |exports| exports.settle, (unhandled,));
            if let Some(status) = settled.0 {
                return status;
            }
        }
    })
}

fn call<'js, A, R>(ctx: &Ctx<'js>, which: fn(Exports) -> Persistent<Function<'static>>, args: A) -> R
where
    A: IntoArgs<'js>,
    R: rquickjs::FromJs<'js>,
{
    let Some(exports) = exports() else { give_up("there is no bundle in this module", &[]) };
    let called = which(exports.clone()).restore(ctx).and_then(|function| function.call::<A, R>(args)).catch(ctx);
    match called {
        Ok(value) => value,
        Err(error) => crash(ctx, exports, error),
    }
}

/// The workflow task fails: the code, and not the workflow, is at fault.
fn crash<'js>(ctx: &Ctx<'js>, exports: Exports, error: CaughtError<'js>) -> ! {
    let thrown = match error {
        CaughtError::Exception(exception) => exception.into_value(),
        CaughtError::Value(value) => value,
        CaughtError::Error(error) => give_up(&error.to_string(), &[]),
    };
    match details(ctx, exports, thrown) {
        Ok((message, fields)) => give_up(&message, &fields),
        Err(error) => give_up(&format!("an error that cannot be described: {error}"), &[]),
    }
}

fn details<'js>(ctx: &Ctx<'js>, exports: Exports, thrown: Value<'js>) -> Result<(String, Vec<(String, String)>)> {
    let described = exports.describe_error.restore(ctx)?.call::<_, Js<_>>((thrown,))?;
    Ok(described.0)
}

/// Says why, and traps.
fn give_up(message: &str, fields: &[(String, String)]) -> ! {
    log::write(log::Level::Error, message, fields);
    std::process::abort();
}

fn exports() -> Option<Exports> {
    ENGINE.with_borrow(|engine| engine.as_ref().and_then(|engine| engine.exports.clone()))
}

fn with_context<R>(body: impl FnOnce(&Ctx) -> R) -> R {
    // Out of the cell first: what runs comes back here.
    let context = ENGINE.with_borrow(|engine| engine.as_ref().map(|engine| engine.context.clone()));
    match context {
        Some(context) => context.with(|ctx| body(&ctx)),
        None => give_up("there is no bundle in this module: it is the bare engine", &[]),
    }
}
