//! Where a run stands in a trace: ids that are a function of what its first event holds.
//!
//! Nothing of it is stored, so a run has the same ids after a restart, and what is told of it by two lives of the server
//! fits together. All runs beneath one run, however deep, share a trace:
//!
//! | the run | its trace | its parent |
//! | --- | --- | --- |
//! | was started by a client | its own, by its run id | none |
//! | was started by a client that names a trace | the client's | the client's span |
//! | is a child | that of the workflow at the top, or what that one's client named | the run that started it |
//! | goes on where another closed, or was made by a reset | as if it had been started like that one | the same; it is linked with that one |
//!
//! So a workflow that goes on for ever (by continue-as-new) has a trace for each run, unless its client named one.

use mainspring_api::{
    common::{Header, Payload},
    history::WorkflowExecutionStartedEventAttributes as Started,
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use crate::limits::trace as limits;

/// The header in which the interceptors of Temporal's SDKs for OpenTelemetry tell who starts something: a JSON object with
/// the fields of the W3C's trace context.
pub const HEADER: &str = "_tracer-data";

pub type TraceId = [u8; 16];
pub type SpanId = [u8; 8];

/// A run's place in its trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunTrace {
    pub trace_id: TraceId,
    /// The run's own span.
    pub span_id: SpanId,
    pub parent: Option<ParentSpan>,
    /// The run that this one goes on from, or was reset from: its trace and span.
    pub link: Option<(TraceId, SpanId)>,
    /// Whether the client that named the trace records it; none where no client did.
    pub sampled: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParentSpan {
    pub span_id: SpanId,
    /// It is no run's, but the client's.
    pub is_remote: bool,
}

impl RunTrace {
    pub fn of(run_id: &str, started: &Started) -> RunTrace {
        let named = started.header.as_ref().and_then(named);
        let root = started.root_workflow_execution.as_ref().map(|root| root.run_id.as_str());
        let root = root.filter(|run_id| !run_id.is_empty());
        let trace_of =
            |run_id: &str| named.map_or_else(|| id(&["trace", root.unwrap_or(run_id)]), |named| named.trace_id);
        let parent = match &started.parent_workflow_execution {
            Some(parent) => Some(ParentSpan { span_id: run_span(&parent.run_id), is_remote: false }),
            None => named.map(|named| ParentSpan { span_id: named.span_id, is_remote: true }),
        };
        let before = match started.continued_execution_run_id.as_str() {
            "" => started.original_execution_run_id.as_str(),
            continued => continued,
        };
        let before = Some(before).filter(|before| !before.is_empty() && *before != run_id);
        RunTrace {
            trace_id: trace_of(run_id),
            span_id: run_span(run_id),
            parent,
            link: before.map(|before| (trace_of(before), run_span(before))),
            sampled: named.map(|named| named.sampled),
        }
    }

    /// Whether the trace is among the share `ratio` (0 to 1) that is kept. What its client does not record is not.
    pub fn is_kept(&self, ratio: f64) -> bool {
        // As OpenTelemetry's own sampler decides, so that others with the same ratio keep the same traces.
        let [.., a, b, c, d, e, f, g, h] = self.trace_id;
        let place = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1;
        let bound = ratio.clamp(0.0, 1.0) * (1_u64 << 63) as f64;
        self.sampled != Some(false) && (ratio >= 1.0 || (place as f64) < bound)
    }
}

/// The span of an activity, by the event that scheduled it.
pub fn activity_span(run_id: &str, scheduled_event_id: i64) -> SpanId {
    id(&["activity", run_id, &scheduled_event_id.to_string()])
}

/// The span of one activation. The event id and the attempt alone may come again, where a task came to nothing.
pub fn activation_span(run_id: &str, started_event_id: i64, attempt: i32, began: crate::Time) -> SpanId {
    id(&["activation", run_id, &started_event_id.to_string(), &attempt.to_string(), &began.0.to_string()])
}

/// What a span is known by to whoever goes on below it, as [`HEADER`] holds it.
pub fn to_header(trace_id: TraceId, span_id: SpanId, sampled: bool) -> Payload {
    let (trace_id, span_id) = (u128::from_be_bytes(trace_id), u64::from_be_bytes(span_id));
    let data = format!("{{\"traceparent\":\"00-{trace_id:032x}-{span_id:016x}-{:02x}\"}}", u8::from(sampled));
    let metadata = [("encoding".to_owned(), b"json/plain".to_vec())].into_iter().collect();
    Payload { metadata, data: data.into_bytes(), ..Payload::default() }
}

/// What a run was told of its trace goes on to the runs that come of it, unless they are told something else.
pub(crate) fn carried(from: &Started, to: Option<Header>) -> Option<Header> {
    let told = from.header.as_ref().filter(|header| named(header).is_some());
    let Some(told) = told.and_then(|header| header.fields.get(HEADER)) else { return to };
    let mut header = to.unwrap_or_default();
    header.fields.entry(HEADER.to_owned()).or_insert_with(|| told.clone());
    Some(header)
}

/// What is told of a failure's message.
pub fn shortened(message: &str) -> String {
    message[..message.floor_char_boundary(limits::MESSAGE_BYTES)].to_owned()
}

fn run_span(run_id: &str) -> SpanId {
    id(&["run", run_id])
}

/// A fixed function of these words. Ids must not be all zeros; chance will not make them so.
fn id<const N: usize>(words: &[&str]) -> [u8; N] {
    let mut hash = Sha256::new();
    hash.update(b"mainspring");
    for word in words {
        hash.update([0]);
        hash.update(word);
    }
    let digest: [u8; 32] = hash.finalize().into();
    std::array::from_fn(|index| digest[index])
}

#[derive(Clone, Copy)]
struct Named {
    trace_id: TraceId,
    span_id: SpanId,
    sampled: bool,
}

/// The trace that a client names. What cannot be read counts as nothing, as the W3C has it.
fn named(header: &Header) -> Option<Named> {
    let told = header.fields.get(HEADER).filter(|told| told.encoded_len() <= limits::HEADER_BYTES)?;
    let carrier: serde_json::Value = serde_json::from_slice(&told.data).ok()?;
    let mut parts = carrier.get("traceparent")?.as_str()?.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    // A later version may have more parts; the first one has not.
    if version.len() != 2 || version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    hex::<1>(version)?;
    let (trace_id, span_id, [flags]) = (hex::<16>(trace)?, hex::<8>(span)?, hex::<1>(flags)?);
    let is_valid = trace_id != [0; 16] && span_id != [0; 8];
    is_valid.then_some(Named { trace_id, span_id, sampled: flags & 1 == 1 })
}

/// Lower-case hexadecimal digits, as many as there must be.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use mainspring_api::common::WorkflowExecution;

    use super::*;
    use crate::Time;

    const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn header(carrier: &str) -> Option<Header> {
        let payload = Payload { data: carrier.as_bytes().to_vec(), ..Payload::default() };
        Some(Header { fields: [(HEADER.to_owned(), payload)].into_iter().collect() })
    }

    fn traced(traceparent: &str) -> Option<Header> {
        header(&format!("{{\"traceparent\":\"{traceparent}\"}}"))
    }

    fn run(run_id: &str) -> Started {
        Started {
            original_execution_run_id: run_id.into(),
            first_execution_run_id: run_id.into(),
            ..Started::default()
        }
    }

    fn child(run_id: &str, parent: &str, root: &str) -> Started {
        let execution = |run_id: &str| Some(WorkflowExecution { workflow_id: "w".into(), run_id: run_id.into() });
        Started {
            parent_workflow_execution: execution(parent),
            root_workflow_execution: execution(root),
            ..run(run_id)
        }
    }

    #[test]
    fn ids_are_a_function_of_the_run_and_differ_between_runs() {
        let (one, again, other) =
            (RunTrace::of("a", &run("a")), RunTrace::of("a", &run("a")), RunTrace::of("b", &run("b")));
        assert_eq!(one, again);
        assert_ne!(one.trace_id, other.trace_id);
        assert_ne!(one.span_id, other.span_id);
        assert_eq!((one.parent, one.link, one.sampled), (None, None, None));
        // Fixed for ever: what an older server told must fit together with what this one tells.
        assert_eq!(format!("{:032x}", u128::from_be_bytes(one.trace_id)), "f4f55ec113381a165fd024d76e89fb8f");
        assert_eq!(format!("{:016x}", u64::from_be_bytes(one.span_id)), "0284873cd9142194");
        let spans = [
            activity_span("a", 5),
            activity_span("a", 6),
            activity_span("b", 5),
            activation_span("a", 5, 1, Time(1)),
            activation_span("a", 5, 2, Time(1)),
            activation_span("a", 5, 1, Time(2)),
        ];
        let different: std::collections::BTreeSet<_> = spans.iter().collect();
        assert_eq!(different.len(), spans.len());
    }

    #[test]
    fn a_child_and_its_children_are_in_the_trace_of_the_run_at_the_top() {
        let top = RunTrace::of("top", &run("top"));
        let below = RunTrace::of("child", &child("child", "top", "top"));
        let deep = RunTrace::of("deep", &child("deep", "child", "top"));
        assert_eq!((below.trace_id, deep.trace_id), (top.trace_id, top.trace_id));
        assert_eq!(below.parent, Some(ParentSpan { span_id: top.span_id, is_remote: false }));
        assert_eq!(deep.parent, Some(ParentSpan { span_id: below.span_id, is_remote: false }));
    }

    #[test]
    fn a_run_that_goes_on_is_linked_with_the_one_before() {
        let next = |started: Started| Started { continued_execution_run_id: "a".into(), ..started };
        let first = RunTrace::of("a", &run("a"));
        let second = RunTrace::of("b", &next(run("b")));
        assert_ne!(first.trace_id, second.trace_id);
        assert_eq!(second.link, Some((first.trace_id, first.span_id)));

        let first = RunTrace::of("a", &child("a", "p", "r"));
        let second = RunTrace::of("b", &next(child("b", "p", "r")));
        assert_eq!((second.trace_id, second.parent), (first.trace_id, first.parent));
        assert_eq!(second.link, Some((first.trace_id, first.span_id)));

        // A reset copies the first event of the run that it is made from.
        let reset = RunTrace::of("c", &run("a"));
        let base = RunTrace::of("a", &run("a"));
        assert_eq!(reset.link, Some((base.trace_id, base.span_id)));
        assert_ne!(reset.span_id, base.span_id);
    }

    #[test]
    fn a_client_names_trace_and_parent() {
        let started = Started { header: traced(TRACEPARENT), ..run("a") };
        let trace = RunTrace::of("a", &started);
        assert_eq!(trace.trace_id, hex::<16>("0af7651916cd43dd8448eb211c80319c").unwrap());
        let span_id = hex::<8>("b7ad6b7169203331").unwrap();
        assert_eq!(trace.parent, Some(ParentSpan { span_id, is_remote: true }));
        assert_eq!(trace.sampled, Some(true));
        // Its children are in that trace, too, and below it.
        let child = Started { header: carried(&started, None), ..child("b", "a", "a") };
        let below = RunTrace::of("b", &child);
        assert_eq!(below.trace_id, trace.trace_id);
        assert_eq!(below.parent, Some(ParentSpan { span_id: trace.span_id, is_remote: false }));
    }

    #[test]
    fn what_a_run_is_told_goes_on_unless_something_else_is_said() {
        let told = Started { header: traced(TRACEPARENT), ..run("a") };
        assert_eq!(carried(&told, None), told.header);
        let own = header("{}");
        assert_eq!(carried(&told, own.clone()), own);
        assert_eq!(carried(&run("a"), own.clone()), own);
        assert_eq!(carried(&run("a"), None), None);
        // What is no trace is the workflow's own affair, and would only make later runs' histories longer.
        let long =
            format!("{{\"traceparent\":\"{TRACEPARENT}\",\"baggage\":\"{}\"}}", "x".repeat(limits::HEADER_BYTES));
        for carrier in ["{}", &long] {
            let told = Started { header: header(carrier), ..run("a") };
            assert_eq!(carried(&told, None), None);
            assert_eq!(RunTrace::of("a", &told), RunTrace::of("a", &run("a")));
        }
    }

    #[test]
    fn what_is_no_trace_context_counts_as_nothing() {
        let own = RunTrace::of("a", &run("a"));
        for carrier in ["", "{", "[]", "{}", "{\"traceparent\":1}"] {
            assert_eq!(RunTrace::of("a", &Started { header: header(carrier), ..run("a") }), own, "{carrier}");
        }
        for bad in [
            "",
            "00",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c8031-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(RunTrace::of("a", &Started { header: traced(bad), ..run("a") }), own, "{bad}");
        }
        let later = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more";
        assert_eq!(RunTrace::of("a", &Started { header: traced(later), ..run("a") }).sampled, Some(false));
    }

    #[test]
    fn what_is_told_to_workers_can_be_read_back() {
        let payload = to_header([7; 16], [9; 8], true);
        let header = Header { fields: [(HEADER.to_owned(), payload)].into_iter().collect() };
        let named = named(&header).unwrap();
        assert_eq!((named.trace_id, named.span_id, named.sampled), ([7; 16], [9; 8], true));
    }

    #[test]
    fn a_share_of_all_traces_is_kept_and_always_the_same() {
        let traces: Vec<_> = (0..2_000).map(|n| n.to_string()).map(|id| RunTrace::of(&id, &run(&id))).collect();
        let kept = |ratio| traces.iter().filter(|trace| trace.is_kept(ratio)).count();
        assert_eq!((kept(0.0), kept(1.0)), (0, 2_000));
        assert!((400..600).contains(&kept(0.25)), "{}", kept(0.25));
        assert_eq!(kept(0.25), kept(0.25));
        // A larger share holds the smaller one.
        assert!(traces.iter().all(|trace| !trace.is_kept(0.1) || trace.is_kept(0.2)));
        // Every run of a trace is kept with it.
        let children = traces.iter().zip(0..2_000).map(|(_, n): (_, i32)| {
            let (top, id) = (n.to_string(), format!("{n}-child"));
            RunTrace::of(&id, &child(&id, &top, &top))
        });
        assert!(traces.iter().zip(children).all(|(top, child)| top.is_kept(0.25) == child.is_kept(0.25)));
    }

    #[test]
    fn what_the_client_does_not_record_is_not_kept() {
        let silent = TRACEPARENT.replace("-01", "-00");
        assert!(!RunTrace::of("a", &Started { header: traced(&silent), ..run("a") }).is_kept(1.0));
        let loud = RunTrace::of("a", &Started { header: traced(TRACEPARENT), ..run("a") });
        assert!(loud.is_kept(1.0) && !loud.is_kept(0.0));
    }
}
