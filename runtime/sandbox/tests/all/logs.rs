//! What a workflow writes is logged once: when it runs, and not when it is replayed.

use std::{
    fmt::{Debug, Write as _},
    sync::{Arc, Mutex},
};

use serde_json::json;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::support::{Run, shared};

/// Keeps the lines of workflows, each with its level and its fields.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "mainspring::workflow_log"
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = event.metadata().level().to_string();
        event.record(&mut Line(&mut line));
        self.0.lock().unwrap().push(line);
    }
}

#[test]
fn a_line_is_logged_live_with_the_names_of_its_run_and_muted_in_replay() {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let mut run = Run::start_as(
        shared(),
        "run-log",
        "Puppet",
        json!([
            {"log": {"message": "charging", "times": 1}}, {"print": {"text": "to stdout", "times": 1}},
            {"print": {"text": "to stderr", "times": 1, "stderr": true}}, "await_signal",
            {"log": {"message": "charged", "times": 1}},
        ]),
    );
    run.task();
    let logged = std::mem::take(&mut *lines.0.lock().unwrap());
    assert_eq!(logged.len(), 3, "{logged:?}");
    for (line, words) in logged.iter().zip([
        ["INFO", "message=charging", "key=value"],
        ["INFO", "message=to stdout", "stream=stdout"],
        ["WARN", "message=to stderr", "stream=stderr"],
    ]) {
        let names = ["namespace=\"default\"", "workflow_id=\"workflow-of-run-log\"", "run_id=\"run-log\"", "Puppet"];
        assert!(words.iter().chain(&names).all(|word| line.contains(word)), "{line}");
    }

    run.sandbox.evict(&run.key);
    run.signal("go", json!(1));
    run.task();
    let logged = std::mem::take(&mut *lines.0.lock().unwrap());
    assert_eq!(logged.len(), 1, "the first activation was only replayed: {logged:?}");
    assert!(logged[0].contains("message=charged"));

    run.replay().unwrap();
    assert!(lines.0.lock().unwrap().is_empty());
}
