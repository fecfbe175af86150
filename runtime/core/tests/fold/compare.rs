//! What replay says of a command that differs from its event.

use mainspring_api::{
    command::{
        Command, ContinueAsNewWorkflowExecutionCommandAttributes, ProtocolMessageCommandAttributes,
        RecordMarkerCommandAttributes, SignalExternalWorkflowExecutionCommandAttributes,
        StartChildWorkflowExecutionCommandAttributes, StartTimerCommandAttributes, command::Attributes,
    },
    common::{WorkflowExecution, WorkflowType},
    enums::CommandType,
    sdk::UserMetadata,
};
use mainspring_core::{command::check, workflow_task::CompletionOutcome};

use crate::run::{Run, start, text};

fn command(command_type: CommandType, attributes: Attributes) -> Command {
    Command { command_type: command_type.into(), attributes: Some(attributes), ..Command::default() }
}

fn child(id: &str, task_queue: &str) -> Command {
    let attributes = StartChildWorkflowExecutionCommandAttributes {
        workflow_id: id.into(),
        workflow_type: Some(WorkflowType { name: "C".into() }),
        task_queue: Some(mainspring_api::taskqueue::TaskQueue { name: task_queue.into(), ..Default::default() }),
        ..Default::default()
    };
    let attributes = Attributes::StartChildWorkflowExecutionCommandAttributes(attributes);
    command(CommandType::StartChildWorkflowExecution, attributes)
}

fn signal(name: &str) -> Command {
    let attributes = SignalExternalWorkflowExecutionCommandAttributes {
        execution: Some(WorkflowExecution { workflow_id: "other".into(), run_id: String::new() }),
        signal_name: name.into(),
        ..Default::default()
    };
    let attributes = Attributes::SignalExternalWorkflowExecutionCommandAttributes(attributes);
    command(CommandType::SignalExternalWorkflowExecution, attributes)
}

fn marker(name: &str) -> Command {
    let attributes = RecordMarkerCommandAttributes { marker_name: name.into(), ..Default::default() };
    command(CommandType::RecordMarker, Attributes::RecordMarkerCommandAttributes(attributes))
}

/// What replay says when the journal holds the one and the module asks for the other.
fn difference(recorded: Command, asked: &Command) -> String {
    let mut run = Run::start(start());
    run.take(&crate::run::Input::StartTask);
    run.complete_with(vec![recorded], Vec::new());
    let event = run.history.get(4).expect("the command has become an event");
    check(asked, event, &run.state.started).expect_err("they differ")
}

#[test]
fn the_first_field_that_differs_is_named() {
    for (recorded, asked, expected) in [
        (child("c1", "q"), child("c2", "q"), "with another workflow_id"),
        (child("c1", "q"), child("c1", "r"), "with another task_queue"),
        (signal("a"), signal("b"), "with another signal_name"),
        (marker("a"), marker("b"), "with another marker_name"),
        (marker("a"), signal("a"), "the journal has marker \"a\", the module asked for signal \"a\" to workflow"),
    ] {
        let difference = difference(recorded, &asked);
        assert!(difference.contains(expected), "{difference:?} does not contain {expected:?}");
    }
}

#[test]
fn a_summary_that_differs_is_a_difference() {
    let summary = UserMetadata { summary: Some(text("a child")), details: None };
    let asked = Command { user_metadata: Some(summary), ..child("c1", "q") };
    assert!(difference(child("c1", "q"), &asked).ends_with("with another user_metadata"));
}

#[test]
fn what_continues_as_new_is_compared_but_for_the_new_runs_id() {
    let of_type = |name: &str| {
        let attributes = ContinueAsNewWorkflowExecutionCommandAttributes {
            workflow_type: Some(WorkflowType { name: name.into() }),
            ..Default::default()
        };
        let attributes = Attributes::ContinueAsNewWorkflowExecutionCommandAttributes(attributes);
        command(CommandType::ContinueAsNewWorkflowExecution, attributes)
    };
    assert!(difference(of_type("W"), &of_type("X")).ends_with("with another workflow_type"));
}

#[test]
fn a_command_that_cannot_be_carried_out_is_refused_in_temporals_words() {
    let refused = |commands: Vec<Command>| {
        let mut run = Run::start(start());
        run.take(&crate::run::Input::StartTask);
        let outcome = run.respond(commands, Vec::new());
        let Some(CompletionOutcome::Failed(bad)) = outcome else { panic!("{outcome:?}") };
        run.check();
        bad.to_string()
    };
    let timer = |id: &str| {
        let attributes = StartTimerCommandAttributes { timer_id: id.into(), ..Default::default() };
        command(CommandType::StartTimer, Attributes::StartTimerCommandAttributes(attributes))
    };
    let message = |id: &str| {
        let attributes = ProtocolMessageCommandAttributes { message_id: id.into() };
        command(CommandType::ProtocolMessage, Attributes::ProtocolMessageCommandAttributes(attributes))
    };
    let expected =
        "StartTimerDuplicateId: invalid history builder state for action: add-timer-started-event, TimerID: 1";
    assert_eq!(refused(vec![timer("1"), timer("1")]), expected);
    assert_eq!(refused(vec![marker("")]), "BadRecordMarkerAttributes: MarkerName is not set on RecordMarkerCommand.");
    let expected = "BadUpdateWorkflowExecutionMessage: ProtocolMessageCommand referenced absent message ID zz";
    assert_eq!(refused(vec![message("zz")]), expected);
    let expected = "BadStartChildExecutionAttributes: Required field WorkflowId is not set on StartChildWorkflowExecutionCommand. WorkflowType=C Namespace=default";
    assert_eq!(refused(vec![child("", "q")]), expected);
}

#[test]
fn what_closes_the_run_comes_last() {
    let mut run = Run::start(start());
    run.take(&crate::run::Input::StartTask);
    let attributes = Attributes::CompleteWorkflowExecutionCommandAttributes(Default::default());
    let close = command(CommandType::CompleteWorkflowExecution, attributes);
    let before = run.state.clone();
    assert_eq!(run.respond(vec![close.clone(), marker("m")], Vec::new()), None);
    assert_eq!(run.state, before, "a refused input has changed nothing");
    assert_eq!(run.respond(vec![marker("m"), close], Vec::new()), Some(CompletionOutcome::Completed));
}
