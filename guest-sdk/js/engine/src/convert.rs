//! How the words of `wit/` look in JavaScript.
//!
//! | WIT | JavaScript |
//! | --- | --- |
//! | record | object, names in camel case |
//! | variant | `{ tag, val }`, the tag in camel case |
//! | enum | its case, in camel case |
//! | option | the value, or undefined (null is read as undefined) |
//! | result | `{ tag: 'ok' \| 'err', val }` |
//! | list of bytes | `Uint8Array` |
//! | other list, tuple | array |
//! | duration, datetime | milliseconds |
//! | payload | `{ metadata: { key: Uint8Array }, data: Uint8Array }` |

use rquickjs::{Array, Ctx, Error, FromJs, IntoJs, Object, Result, TypedArray, Value};

use crate::bindings::{
    self as wit,
    mainspring::workflow::{activation, activities, children, external, info, log, types},
};

/// What can be shown to JavaScript.
pub trait ToJs {
    fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>>;
}

/// What can be read from JavaScript.
pub trait OfJs: Sized {
    fn of_js<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Self>;
}

/// Carries the conversions of this module over to the engine's own traits.
pub struct Js<T>(pub T);

impl<'js, T: ToJs> IntoJs<'js> for Js<T> {
    fn into_js(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        self.0.to_js(ctx)
    }
}

impl<'js, T: OfJs> FromJs<'js> for Js<T> {
    fn from_js(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        T::of_js(ctx, value).map(Js)
    }
}

fn wrong<T>(value: &Value, to: &'static str) -> Result<T> {
    Err(Error::new_from_js(value.type_name(), to))
}

macro_rules! as_the_engine_does {
    ($($type:ty),*) => {$(
        impl ToJs for $type {
            fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
                self.into_js(ctx)
            }
        }
        impl OfJs for $type {
            fn of_js<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
                FromJs::from_js(ctx, value)
            }
        }
    )*};
}

as_the_engine_does!(bool, u32, f64, String, ());

impl ToJs for u64 {
    fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        (self as f64).to_js(ctx)
    }
}

impl OfJs for u64 {
    fn of_js<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        // Saturates, which is right for what is counted.
        f64::of_js(ctx, value).map(|number| number as u64)
    }
}

impl<T: ToJs> ToJs for Option<T> {
    fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        match self {
            Some(value) => value.to_js(ctx),
            None => Ok(Value::new_undefined(ctx.clone())),
        }
    }
}

impl<T: OfJs> OfJs for Option<T> {
    fn of_js<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        if value.is_undefined() || value.is_null() { Ok(None) } else { T::of_js(ctx, value).map(Some) }
    }
}

impl<T: ToJs, E: ToJs> ToJs for std::result::Result<T, E> {
    fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        match self {
            Ok(value) => case(ctx, "ok", value),
            Err(error) => case(ctx, "err", error),
        }
    }
}

impl<T: OfJs, E: OfJs> OfJs for std::result::Result<T, E> {
    fn of_js<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        let (tag, val) = tagged(value)?;
        match tag.as_str() {
            "ok" => T::of_js(ctx, val).map(Ok),
            "err" => E::of_js(ctx, val).map(Err),
            _ => wrong(&val, "result"),
        }
    }
}

impl ToJs for Vec<u8> {
    fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        Ok(TypedArray::<u8>::new_copy(ctx.clone(), &self)?.into_value())
    }
}

impl OfJs for Vec<u8> {
    fn of_js<'js>(_: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        let array = TypedArray::<u8>::from_value(value)?;
        // SAFETY: no JavaScript runs before the bytes have been copied.
        #[allow(unsafe_code)]
        let bytes = unsafe { array.as_bytes() };
        bytes.map(<[u8]>::to_vec).ok_or_else(|| Error::new_from_js("detached buffer", "bytes"))
    }
}

impl<T: ToJs> ToJs for Vec<T> {
    fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let array = Array::new(ctx.clone())?;
        for (index, item) in self.into_iter().enumerate() {
            array.set(index, Js(item))?;
        }
        Ok(array.into_value())
    }
}

impl<T: OfJs> OfJs for Vec<T> {
    fn of_js<'js>(_: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        let array = Array::from_value(value)?;
        (0..array.len()).map(|index| array.get(index).map(|Js(item)| item)).collect()
    }
}

impl<A: ToJs, B: ToJs> ToJs for (A, B) {
    fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let array = Array::new(ctx.clone())?;
        array.set(0, Js(self.0))?;
        array.set(1, Js(self.1))?;
        Ok(array.into_value())
    }
}

impl<A: OfJs, B: OfJs> OfJs for (A, B) {
    fn of_js<'js>(_: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        let array = Array::from_value(value)?;
        let (Js(first), Js(second)) = (array.get(0)?, array.get(1)?);
        Ok((first, second))
    }
}

fn case<'js>(ctx: &Ctx<'js>, tag: &str, val: impl ToJs) -> Result<Value<'js>> {
    let object = Object::new(ctx.clone())?;
    object.set("tag", tag)?;
    object.set("val", Js(val))?;
    Ok(object.into_value())
}

fn tagged(value: Value) -> Result<(String, Value)> {
    let object = Object::from_value(value)?;
    Ok((object.get("tag")?, object.get("val")?))
}

macro_rules! record {
    ($type:path { $($field:ident : $name:literal),* $(,)? }) => {
        impl ToJs for $type {
            fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
                let object = Object::new(ctx.clone())?;
                $(object.set($name, Js(self.$field))?;)*
                Ok(object.into_value())
            }
        }
        impl OfJs for $type {
            fn of_js<'js>(_: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
                let object = Object::from_value(value)?;
                Ok(Self { $($field: {
                    let Js(inner) = object.get($name)?;
                    inner
                }),* })
            }
        }
    };
}

macro_rules! variant {
    ($type:path { $($case:ident ($inner:ty) : $name:literal),* ; $($empty:ident : $empty_name:literal),* $(,)? }) => {
        impl ToJs for $type {
            fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
                match self {
                    $(Self::$case(inner) => case(ctx, $name, inner),)*
                    $(Self::$empty => case(ctx, $empty_name, ()),)*
                }
            }
        }
        impl OfJs for $type {
            fn of_js<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
                let (tag, val) = tagged(value)?;
                match tag.as_str() {
                    $($name => <$inner>::of_js(ctx, val).map(Self::$case),)*
                    $($empty_name => Ok(Self::$empty),)*
                    _ => wrong(&val, stringify!($type)),
                }
            }
        }
    };
}

macro_rules! cases {
    ($type:path { $($case:ident : $name:literal),* $(,)? }) => {
        impl ToJs for $type {
            fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
                match self { $(Self::$case => $name.into_js(ctx),)* }
            }
        }
        impl OfJs for $type {
            fn of_js<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
                match String::of_js(ctx, value.clone())?.as_str() {
                    $($name => Ok(Self::$case),)*
                    _ => wrong(&value, stringify!($type)),
                }
            }
        }
    };
}

macro_rules! moment {
    ($type:path) => {
        impl ToJs for $type {
            fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
                (self.seconds as f64 * 1e3 + f64::from(self.nanoseconds) / 1e6).to_js(ctx)
            }
        }
        impl OfJs for $type {
            fn of_js<'js>(ctx: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
                let milliseconds = f64::of_js(ctx, value)?;
                let seconds = (milliseconds / 1e3).floor();
                // Whole microseconds: more than that a number of milliseconds does not hold.
                let microseconds = ((milliseconds - seconds * 1e3) * 1e3).round();
                let (seconds, microseconds) =
                    if microseconds >= 1e6 { (seconds + 1.0, 0.0) } else { (seconds, microseconds) };
                Ok(Self { seconds: seconds as u64, nanoseconds: microseconds as u32 * 1_000 })
            }
        }
    };
}

moment!(types::Duration);
moment!(types::Datetime);

impl ToJs for types::Payload {
    fn to_js<'js>(self, ctx: &Ctx<'js>) -> Result<Value<'js>> {
        let metadata = Object::new(ctx.clone())?;
        for (key, value) in self.metadata {
            metadata.set(key, Js(value))?;
        }
        let object = Object::new(ctx.clone())?;
        object.set("metadata", metadata)?;
        object.set("data", Js(self.data))?;
        Ok(object.into_value())
    }
}

impl OfJs for types::Payload {
    fn of_js<'js>(_: &Ctx<'js>, value: Value<'js>) -> Result<Self> {
        let object = Object::from_value(value)?;
        let mut metadata = Vec::new();
        for property in object.get::<_, Object>("metadata")?.props::<String, Js<Vec<u8>>>() {
            let (key, Js(value)) = property?;
            metadata.push((key, value));
        }
        let data = object.get::<_, Js<Option<Vec<u8>>>>("data")?.0;
        Ok(Self { metadata, data: data.unwrap_or_default() })
    }
}

record!(types::RetryPolicy {
    initial_interval: "initialInterval",
    backoff_coefficient: "backoffCoefficient",
    maximum_interval: "maximumInterval",
    maximum_attempts: "maximumAttempts",
    non_retryable_error_types: "nonRetryableErrorTypes",
});
cases!(types::TimeoutType {
    StartToClose: "startToClose",
    ScheduleToStart: "scheduleToStart",
    ScheduleToClose: "scheduleToClose",
    Heartbeat: "heartbeat",
});
cases!(types::RetryState {
    Unspecified: "unspecified",
    InProgress: "inProgress",
    NonRetryableFailure: "nonRetryableFailure",
    Timeout: "timeout",
    MaximumAttemptsReached: "maximumAttemptsReached",
    RetryPolicyNotSet: "retryPolicyNotSet",
    InternalServerError: "internalServerError",
    CancelRequested: "cancelRequested",
});
record!(types::ApplicationFailure {
    type_: "type",
    non_retryable: "nonRetryable",
    details: "details",
    next_retry_delay: "nextRetryDelay",
});
record!(types::TimeoutFailure { timeout_type: "timeoutType", last_heartbeat_details: "lastHeartbeatDetails" });
record!(types::ActivityFailure {
    scheduled_event_id: "scheduledEventId",
    started_event_id: "startedEventId",
    identity: "identity",
    activity_type: "activityType",
    activity_id: "activityId",
    retry_state: "retryState",
});
record!(types::ChildWorkflowFailure {
    namespace: "namespace",
    workflow_id: "workflowId",
    run_id: "runId",
    workflow_type: "workflowType",
    initiated_event_id: "initiatedEventId",
    started_event_id: "startedEventId",
    retry_state: "retryState",
});
variant!(types::FailureKind {
    Application(types::ApplicationFailure): "application",
    Timeout(types::TimeoutFailure): "timeout",
    Canceled(types::Payloads): "canceled",
    Server(bool): "server",
    Activity(types::ActivityFailure): "activity",
    ChildWorkflow(types::ChildWorkflowFailure): "childWorkflow";
    Terminated: "terminated",
    Other: "other",
});
record!(types::FailureLink {
    message: "message",
    source: "source",
    stack_trace: "stackTrace",
    kind: "kind",
    encoded_attributes: "encodedAttributes",
});

cases!(activities::CancellationType {
    TryCancel: "tryCancel",
    WaitCancellationCompleted: "waitCancellationCompleted",
    Abandon: "abandon",
});
record!(activities::ActivityOptions {
    activity_id: "activityId",
    task_queue: "taskQueue",
    schedule_to_close_timeout: "scheduleToCloseTimeout",
    schedule_to_start_timeout: "scheduleToStartTimeout",
    start_to_close_timeout: "startToCloseTimeout",
    heartbeat_timeout: "heartbeatTimeout",
    retry_policy: "retryPolicy",
    cancellation_type: "cancellationType",
    header: "header",
    summary: "summary",
});

cases!(children::ParentClosePolicy { Terminate: "terminate", Abandon: "abandon", RequestCancel: "requestCancel" });
cases!(children::WorkflowIdReusePolicy {
    AllowDuplicate: "allowDuplicate",
    AllowDuplicateFailedOnly: "allowDuplicateFailedOnly",
    RejectDuplicate: "rejectDuplicate",
});
cases!(children::CancellationType {
    Abandon: "abandon",
    TryCancel: "tryCancel",
    WaitCancellationCompleted: "waitCancellationCompleted",
    WaitCancellationRequested: "waitCancellationRequested",
});
record!(children::ChildOptions {
    workflow_id: "workflowId",
    task_queue: "taskQueue",
    execution_timeout: "executionTimeout",
    run_timeout: "runTimeout",
    task_timeout: "taskTimeout",
    retry_policy: "retryPolicy",
    parent_close_policy: "parentClosePolicy",
    workflow_id_reuse_policy: "workflowIdReusePolicy",
    cancellation_type: "cancellationType",
    memo: "memo",
    search_attributes: "searchAttributes",
    header: "header",
    summary: "summary",
    details: "details",
});

variant!(external::Target { Child(u32): "child", Execution((String, String)): "execution"; });
cases!(log::Level { Trace: "trace", Debug: "debug", Info: "info", Warn: "warn", Error: "error" });

record!(info::WorkflowExecution { workflow_id: "workflowId", run_id: "runId" });
record!(info::ParentInfo { namespace: "namespace", execution: "execution" });
record!(info::WorkflowInfo {
    namespace: "namespace",
    workflow_id: "workflowId",
    run_id: "runId",
    first_execution_run_id: "firstExecutionRunId",
    continued_execution_run_id: "continuedExecutionRunId",
    parent: "parent",
    root: "root",
    workflow_type: "workflowType",
    task_queue: "taskQueue",
    attempt: "attempt",
    start_time: "startTime",
    execution_timeout: "executionTimeout",
    run_timeout: "runTimeout",
    task_timeout: "taskTimeout",
    retry_policy: "retryPolicy",
    memo: "memo",
    search_attributes: "searchAttributes",
    header: "header",
    last_completion_result: "lastCompletionResult",
    last_failure: "lastFailure",
});
record!(info::HistoryInfo {
    length: "length",
    size_bytes: "sizeBytes",
    continue_as_new_suggested: "continueAsNewSuggested",
});

record!(activation::Signal { name: "name", input: "input", identity: "identity", header: "header" });
record!(activation::Update {
    number: "number",
    id: "id",
    name: "name",
    input: "input",
    identity: "identity",
    header: "header",
    run_validator: "runValidator",
});
record!(wit::Query { name: "name", args: "args", header: "header" });
variant!(wit::Event {
    ActivityResolved((u32, std::result::Result<types::Payloads, types::Failure>)): "activityResolved",
    TimerFired(u32): "timerFired",
    SignalReceived(activation::Signal): "signalReceived",
    CancelRequested(String): "cancelRequested",
    ChildStarted((u32, std::result::Result<String, types::Failure>)): "childStarted",
    ChildResolved((u32, std::result::Result<types::Payloads, types::Failure>)): "childResolved",
    ExternalResolved((u32, Option<types::Failure>)): "externalResolved",
    UpdateRequested(activation::Update): "updateRequested";
});
record!(activation::Continuation {
    workflow_type: "workflowType",
    task_queue: "taskQueue",
    input: "input",
    run_timeout: "runTimeout",
    task_timeout: "taskTimeout",
    retry_policy: "retryPolicy",
    memo: "memo",
    search_attributes: "searchAttributes",
    header: "header",
});
variant!(wit::Status {
    Completed(types::Payloads): "completed",
    Failed(types::Failure): "failed",
    Canceled(types::Payloads): "canceled",
    ContinuedAsNew(activation::Continuation): "continuedAsNew";
    Blocked: "blocked",
});
