//! Whatever happens to a run, in whatever order: its state is the fold of its history, with its rows laid over it.

mod child;
mod compare;
mod continue_as_new;
mod orders;
mod reset;
mod run;
mod update;

use mainspring_api::common::RetryPolicy;
use mainspring_core::{RunState, Time, activity::Phase, signal::Signal, workflow::StartWorkflow};
use orders::Order;
use proptest::{prelude::*, test_runner::FileFailurePersistence};
use run::{Input, Run, seconds, start};

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        4 => (0..4u8, any::<bool>()).prop_map(|(attempts, heartbeat)| Order::Activity { attempts, heartbeat }),
        2 => any::<usize>().prop_map(Order::CancelActivity),
        3 => (1..5_000u16).prop_map(Order::Timer),
        1 => any::<usize>().prop_map(Order::CancelTimer),
        1 => Just(Order::Marker),
        1 => (0..12u8).prop_map(Order::Memo),
        1 => any::<u8>().prop_map(Order::SearchAttributes),
        3 => (0..4i32).prop_map(Order::Child),
        2 => Just(Order::Signal),
        1 => Just(Order::CancelExternal),
        6 => Just(Order::Accept),
        1 => Just(Order::Reject),
        5 => Just(Order::Answer),
    ]
}

/// Now and then the last order closes the run.
fn orders() -> impl Strategy<Value = Vec<Order>> {
    let last = prop_oneof![
        30 => Just(None),
        1 => Just(Some(Order::Continue)),
        1 => (0..3u8).prop_map(|how| Some(Order::End(how))),
    ];
    (prop::collection::vec(order(), 0..5), last).prop_map(|(orders, last)| orders.into_iter().chain(last).collect())
}

fn input() -> impl Strategy<Value = Input> {
    let task = prop_oneof![
        10 => Just(Input::StartTask),
        1 => Just(Input::FailTask),
        10 => orders().prop_map(Input::CompleteTask),
    ];
    let activity = prop_oneof![
        6 => any::<usize>().prop_map(Input::StartActivity),
        1 => any::<usize>().prop_map(Input::ReturnActivity),
        2 => any::<usize>().prop_map(Input::Heartbeat),
        4 => any::<usize>().prop_map(Input::Complete),
        4 => (any::<usize>(), any::<bool>()).prop_map(|(which, fatal)| Input::Fail(which, fatal)),
        2 => any::<usize>().prop_map(Input::CancelActivity),
    ];
    let world = prop_oneof![
        4 => any::<u8>().prop_map(Input::Signal),
        4 => any::<u8>().prop_map(Input::Update),
        1 => Just(Input::Cancel),
        4 => (0..6_000u32).prop_map(Input::Wait),
        5 => (any::<usize>(), prop::bool::weighted(0.8)).prop_map(|(which, well)| Input::Answer(which, well)),
        4 => (any::<usize>(), any::<u8>()).prop_map(|(which, how)| Input::EndChild(which, how)),
        1 => Just(Input::Crash),
    ];
    // The run timeout, and worse.
    let end = prop_oneof![Just(Input::Wait(100_000_000)), Just(Input::Terminate)];
    prop_oneof![30 => task, 15 => activity, 25 => world, 1 => end]
}

/// A workflow with or without a delay, a parent and a retry policy.
fn beginning() -> impl Strategy<Value = StartWorkflow> {
    (0..3i64, any::<bool>(), any::<bool>()).prop_map(|(delay, child, retried)| StartWorkflow {
        start_delay: Some(seconds(delay)),
        parent: child.then(run::parent),
        retry_policy: retried.then(|| RetryPolicy { maximum_attempts: 3, ..RetryPolicy::default() }),
        ..start()
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct("tests/fold.proptest-regressions"))),
        ..ProptestConfig::with_cases(400)
    })]

    #[test]
    fn the_state_is_the_fold_of_the_history(start in beginning(), inputs in prop::collection::vec(input(), 0..80)) {
        let mut run = Run::start(start);
        for input in &inputs {
            run.take(input);
            run.check();
            // Whoever lets time pass finds nothing overdue afterwards.
            if let (Input::Wait(_), Some(deadline)) = (input, run.state.next_deadline()) {
                prop_assert!(deadline > run.now, "{:?} is overdue at {:?}", deadline, run.now);
            }
            run.go_on();
            run.check();
        }
    }

    #[test]
    fn a_run_that_is_served_comes_to_its_end(inputs in prop::collection::vec(input(), 0..60)) {
        let mut run = Run::start(start());
        for input in &inputs {
            run.take(input);
            run.go_on();
        }
        // From wherever it stands, a workflow that asks to complete at its next turn does.
        for _ in 0..10 {
            run.take(&Input::Signal(200));
            run.take(&Input::Wait(2_000_000));
            run.take(&Input::StartTask);
            run.take(&Input::CompleteTask(vec![Order::End(0)]));
        }
        run.check();
        prop_assert!(!run.state.is_running());
        prop_assert!(run.state.activities.is_empty() && run.state.timers.is_empty() && run.state.children.is_empty());
        // What it still has to do to others is done once each is answered.
        for effect in run.state.effects() {
            run.answer(&effect, true);
            run.answer(&effect, true);
            run.check();
        }
        prop_assert!(!run.state.has_effects());
    }

    #[test]
    fn whatever_a_run_has_been_through_it_can_be_reset_to_each_of_its_turns(
        start in beginning(),
        inputs in prop::collection::vec(input(), 0..60),
    ) {
        let mut run = Run::start(start);
        for input in &inputs {
            run.take(input);
        }
        for finish in 0..run.state.next_event_id + 2 {
            reset::check_reset(&run, finish);
        }
    }
}

#[test]
fn an_activity_is_attempted_no_more_often_than_its_policy_allows() {
    let mut run = Run::after(vec![Order::Activity { attempts: 3, heartbeat: false }]);
    let mut attempts = 0;
    while let Some(activity) = run.state.activities.values().next() {
        assert!(attempts < 10, "it never ends");
        match activity.phase {
            Phase::Ready => {
                attempts += 1;
                run.take(&Input::StartActivity(0));
                run.take(&Input::Fail(0, false));
            }
            _ => run.take(&Input::Wait(500)),
        }
    }
    assert_eq!(attempts, 3);
}

#[test]
fn time_does_not_run_backwards_within_a_run() {
    let mut run = Run::after(vec![Order::Timer(1_000)]);
    run.now = Time(0);
    run.take(&Input::Signal(200));
    run.check();
}

#[test]
fn a_run_that_is_started_by_a_signal_has_it_before_its_first_turn() {
    let mut run = Run::start(start());
    (run.state, run.history) = (RunState::new("run"), Vec::new());
    let signal = Signal { name: "s".into(), request_id: "r".into(), ..Signal::default() };
    run.step(|step| step.begin_with_signal(start(), signal.clone())).expect("it begins");
    let expected = ["WORKFLOW_EXECUTION_STARTED", "WORKFLOW_EXECUTION_SIGNALED", "WORKFLOW_TASK_SCHEDULED"];
    assert_eq!(run.kinds(), expected);
    run.step(|step| step.signal(signal)).expect("it is known");
    assert_eq!(run.history.len(), 3);
    run.check();
}
