//! The host that a test brings: it takes notes, and answers what it was told to.

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::{Duration, SystemTime},
};

use super::{Command, Continuation, LogLine};
use crate::{
    activity::ActivityOptions,
    child::ChildWorkflowOptions,
    external::Target,
    failure::Failure,
    host::{Host, Operation},
    info::{HistoryInfo, WorkflowInfo},
    log::Level,
    payload::Payload,
};

/// What a run finds when it begins.
#[derive(Clone)]
pub(super) struct Circumstances {
    pub(super) info: WorkflowInfo,
    pub(super) history: HistoryInfo,
    /// Changes that a replayed run was here before.
    pub(super) unpatched: BTreeSet<String>,
    /// How many runs of its chain came before it.
    runs_before: u32,
}

impl Circumstances {
    pub(super) fn new() -> Self {
        let info = WorkflowInfo {
            namespace: "default".into(),
            workflow_id: "test-workflow".into(),
            run_id: "test-run".into(),
            first_execution_run_id: "test-run".into(),
            continued_execution_run_id: None,
            parent: None,
            root: None,
            workflow_type: String::new(),
            task_queue: "test-queue".into(),
            attempt: 1,
            start_time: start_time(),
            execution_timeout: None,
            run_timeout: None,
            task_timeout: Some(Duration::from_secs(10)),
            retry_policy: None,
            memo: Vec::new(),
            search_attributes: Vec::new(),
            header: Vec::new(),
            last_completion_result: Vec::new(),
            last_failure: None,
        };
        let history = HistoryInfo { length: 3, size_bytes: 1024, continue_as_new_suggested: false };
        Self { info, history, unpatched: BTreeSet::new(), runs_before: 0 }
    }

    /// Those of the run that this one goes on in.
    pub(super) fn next(&self, continuation: &Continuation, now: SystemTime) -> Self {
        let mut next = self.clone();
        next.runs_before += 1;
        let info = &mut next.info;
        info.continued_execution_run_id = Some(info.run_id.clone());
        info.run_id = format!("{}-{}", info.first_execution_run_id, next.runs_before + 1);
        info.start_time = now;
        if let Some(memo) = &continuation.memo {
            info.memo.clone_from(memo);
        }
        if let Some(attributes) = &continuation.search_attributes {
            info.search_attributes.clone_from(attributes);
        }
        next
    }
}

/// 2026-01-01T00:00:00Z.
fn start_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

pub(super) struct FakeHost {
    circumstances: Circumstances,
    pub(super) now: Cell<SystemTime>,
    pub(super) history: Cell<HistoryInfo>,
    random_state: Cell<u64>,
    last_operation: Cell<Operation>,
    pub(super) commands: RefCell<Vec<Command>>,
    /// When each timer is due, whatever became of it.
    pub(super) due: RefCell<BTreeMap<Operation, SystemTime>>,
    /// The timers that have fired or were canceled.
    pub(super) over: RefCell<BTreeSet<Operation>>,
    pub(super) log: RefCell<Vec<LogLine>>,
}

impl FakeHost {
    pub(super) fn new(circumstances: Circumstances) -> Self {
        Self {
            now: Cell::new(circumstances.info.start_time),
            history: Cell::new(circumstances.history),
            circumstances,
            random_state: Cell::new(1),
            last_operation: Cell::new(0),
            commands: RefCell::default(),
            due: RefCell::default(),
            over: RefCell::default(),
            log: RefCell::default(),
        }
    }

    fn next_operation(&self) -> Operation {
        self.last_operation.set(self.last_operation.get() + 1);
        self.last_operation.get()
    }

    fn push(&self, command: Command) {
        self.commands.borrow_mut().push(command);
    }
}

impl Host for Rc<FakeHost> {
    fn now(&self) -> SystemTime {
        self.now.get()
    }

    fn random_bytes(&self, len: u32) -> Vec<u8> {
        // SplitMix64: short, and good enough for a test.
        let next = || {
            let state = self.random_state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
            self.random_state.set(state);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    fn start_timer(&self, after: Duration, summary: Option<&str>) -> Operation {
        let operation = self.next_operation();
        self.due.borrow_mut().insert(operation, self.now.get() + after);
        self.push(Command::StartTimer { operation, after, summary: summary.map(str::to_owned) });
        operation
    }

    fn cancel_timer(&self, timer: Operation) {
        self.over.borrow_mut().insert(timer);
        self.push(Command::CancelTimer(timer));
    }

    fn schedule_activity(&self, activity_type: &str, input: &[Payload], options: &ActivityOptions) -> Operation {
        let operation = self.next_operation();
        self.push(Command::ScheduleActivity {
            operation,
            activity_type: activity_type.to_owned(),
            input: input.to_vec(),
            options: Box::new(options.clone()),
        });
        operation
    }

    fn cancel_activity(&self, activity: Operation) {
        self.push(Command::CancelActivity(activity));
    }

    fn start_child(&self, workflow_type: &str, input: &[Payload], options: &ChildWorkflowOptions) -> Operation {
        let operation = self.next_operation();
        self.push(Command::StartChild {
            operation,
            workflow_type: workflow_type.to_owned(),
            input: input.to_vec(),
            options: Box::new(options.clone()),
        });
        operation
    }

    fn cancel_child(&self, child: Operation) {
        self.push(Command::CancelChild(child));
    }

    fn signal_workflow(
        &self,
        target: &Target,
        name: &str,
        input: &[Payload],
        header: &[(String, Payload)],
    ) -> Operation {
        let operation = self.next_operation();
        self.push(Command::SignalWorkflow {
            operation,
            target: target.clone(),
            name: name.to_owned(),
            input: input.to_vec(),
            header: header.to_vec(),
        });
        operation
    }

    fn cancel_signal(&self, signal: Operation) {
        self.push(Command::CancelSignal(signal));
    }

    fn request_cancel(&self, workflow_id: &str, run_id: &str, reason: &str) -> Operation {
        let operation = self.next_operation();
        self.push(Command::RequestCancel {
            operation,
            workflow_id: workflow_id.to_owned(),
            run_id: run_id.to_owned(),
            reason: reason.to_owned(),
        });
        operation
    }

    fn accept_update(&self, update: u32) {
        self.push(Command::AcceptUpdate(update));
    }

    fn reject_update(&self, update: u32, reason: Failure) {
        self.push(Command::RejectUpdate(update, Box::new(reason)));
    }

    fn complete_update(&self, update: u32, outcome: Result<Vec<Payload>, Failure>) {
        self.push(Command::CompleteUpdate(update, outcome.map_err(Box::new)));
    }

    fn upsert_memo(&self, fields: &[(String, Option<Payload>)]) {
        self.push(Command::UpsertMemo(fields.to_vec()));
    }

    fn upsert_search_attributes(&self, fields: &[(String, Option<Payload>)]) {
        self.push(Command::UpsertSearchAttributes(fields.to_vec()));
    }

    fn patched(&self, id: &str) -> bool {
        if self.circumstances.unpatched.contains(id) {
            return false;
        }
        let command = Command::Patch { id: id.to_owned(), deprecated: false };
        if !self.commands.borrow().contains(&command) {
            self.push(command);
        }
        true
    }

    fn deprecate_patch(&self, id: &str) {
        let command = Command::Patch { id: id.to_owned(), deprecated: true };
        if !self.commands.borrow().contains(&command) {
            self.push(command);
        }
    }

    fn record_marker(&self, name: &str, details: &[(String, Vec<Payload>)], failure: Option<&Failure>) {
        self.push(Command::RecordMarker {
            name: name.to_owned(),
            details: details.to_vec(),
            failure: failure.cloned().map(Box::new),
        });
    }

    fn info(&self) -> WorkflowInfo {
        self.circumstances.info.clone()
    }

    fn history(&self) -> HistoryInfo {
        self.history.get()
    }

    fn log(&self, level: Level, message: &str, fields: &[(String, String)]) {
        self.log.borrow_mut().push((level, message.to_owned(), fields.to_vec()));
    }
}
