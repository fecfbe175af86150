//! join, select, spawn: which of them moves, and in which order.

use std::{cell::RefCell, rc::Rc};

use super::*;

#[test]
fn join_starts_all_and_waits_for_all() {
    #[workflow]
    async fn joins() -> WorkflowResult<String> {
        let (a, (), c) = join!(work("a"), async { info!("in between") }, async { work("c").await });
        Ok(a? + &c?)
    }
    let mut run = TestRun::start::<joins>(NONE);
    assert_eq!(asked(&run), ["1:a", "2:c"]);
    run.complete_activity(2, "C");
    run.complete_activity(1, "A");
    assert_eq!(run.result::<String>().unwrap(), "AC");
}

#[test]
fn try_join_ends_with_the_first_error() {
    #[workflow]
    async fn joins() -> WorkflowResult<String> {
        let (a, ()) =
            try_join!(async { WorkflowResult::Ok(work("a").await?) }, async { Ok(sleep(seconds(9)).await?) })?;
        Ok(a)
    }
    let mut run = TestRun::start::<joins>(NONE);
    run.fail_activity(1, ApplicationFailure::new("Broken", "no"));
    assert!(run.result::<String>().is_err());
    assert_eq!(asked(&run), ["1:a", "2:9s", "cancel 2"]);

    let mut run = TestRun::start::<joins>(NONE);
    run.fire_timer(2);
    run.complete_activity(1, "A");
    assert_eq!(run.result::<String>().unwrap(), "A");
}

#[workflow]
async fn fans_out(count: u32) -> WorkflowResult<Vec<u32>> {
    let all = (0..count).map(|n| activity("square").arg(n).start_to_close_timeout(seconds(1)));
    Ok(try_join_all(all).await?)
}

#[test]
fn join_all_keeps_the_order_of_the_futures_not_of_the_answers() {
    let mut run = TestRun::start::<fans_out>([3]);
    for operation in [3, 1, 2] {
        run.complete_activity(operation, operation * 10);
    }
    assert_eq!(run.result::<Vec<u32>>().unwrap(), [10, 20, 30]);
    assert!(TestRun::start::<fans_out>([0]).result::<Vec<u32>>().unwrap().is_empty());
}

#[test]
fn try_join_all_ends_with_the_first_error() {
    let mut run = TestRun::start::<fans_out>([3]);
    run.complete_activity(1, 1);
    run.fail_activity(3, ApplicationFailure::new("Broken", "no"));
    assert!(run.result::<Vec<u32>>().unwrap_err().to_string().contains("Broken"));
}

#[test]
fn a_thousand_at_once_are_no_trouble() {
    let mut run = TestRun::start::<fans_out>([1000]);
    for operation in 1..=1000 {
        run.complete_activity(operation, operation);
    }
    assert_eq!(run.result::<Vec<u32>>().unwrap().len(), 1000);
}

#[test]
fn each_answer_of_a_thousand_polls_one_future_only() {
    thread_local! {
        static POLLS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    #[workflow]
    async fn counts(count: usize) -> WorkflowResult<usize> {
        POLLS.set(0);
        let all = (0..count).map(|_| {
            let mut call = work("one").into_future();
            std::future::poll_fn(move |cx| {
                POLLS.set(POLLS.get() + 1);
                std::pin::Pin::new(&mut call).poll(cx)
            })
        });
        let results = try_join_all(all).await?;
        assert_eq!(results.len(), count);
        Ok(POLLS.get())
    }
    let mut run = TestRun::start::<counts>([1000]);
    for operation in (1..=1000).rev() {
        run.complete_activity(operation, "x");
    }
    assert_eq!(run.result::<usize>().unwrap(), 2000, "once when it begins and once when it is done");
}

#[test]
fn a_request_to_cancel_reaches_a_thousand_activities_in_their_order() {
    let mut run = TestRun::start::<fans_out>([1000]);
    run.request_cancel("enough");
    let canceled: Vec<_> = asked(&run).into_iter().skip(1000).collect();
    assert_eq!(canceled, (1..=1000).map(|operation| format!("cancel {operation}")).collect::<Vec<_>>());
    run.cancel_activity(7);
    assert!(run.is_canceled());
}

#[test]
fn anything_that_can_be_awaited_can_race() {
    #[workflow]
    async fn mixed() -> WorkflowResult<&'static str> {
        let mut stops = signals::<()>("stop");
        let semaphore = Semaphore::new(1);
        let _held = semaphore.acquire().await?;
        let routine = spawn(async { sleep(seconds(60)).await });
        let child = child_workflow::<()>("Child");
        select! {
            done = work("activity") => { done?; Ok("activity") }
            done = sleep(seconds(9)) => { done?; Ok("timer") }
            done = child => { done?; Ok("child") }
            done = stops.next() => { done?; Ok("signal") }
            done = semaphore.acquire() => { drop(done?); Ok("permit") }
            done = routine => { done?; Ok("routine") }
            done = external_workflow("x").signal("y") => { done?; Ok("message") }
            done = wait_condition(|| false) => { done?; Ok("condition") }
            reason = canceled() => { info!("{reason}"); Ok("cancel request") }
        }
    }
    let outcome = |act: fn(&mut TestRun)| {
        let mut run = TestRun::start::<mixed>(NONE);
        assert_eq!(asked(&run), ["1:activity", "2:9s", "3:Child", "4:signal y", "5:60s"]);
        act(&mut run);
        run.result::<String>().unwrap()
    };
    assert_eq!(outcome(|run| run.complete_activity(1, "x")), "activity");
    assert_eq!(outcome(|run| run.fire_timer(2)), "timer");
    assert_eq!(outcome(|run| run.complete_child(3, ())), "child");
    assert_eq!(outcome(|run| run.signal("stop", ())), "signal");
    assert_eq!(outcome(|run| run.deliver(4)), "message");
    assert_eq!(outcome(|run| run.fire_timer(5)), "routine");
}

#[workflow]
async fn races() -> WorkflowResult<String> {
    select! {
        result = work("slow") => Ok(result?),
        up = sleep(seconds(5)) => {
            up?;
            Ok("too slow".to_owned())
        }
    }
}

#[test]
fn the_activity_wins_and_the_timer_is_canceled() {
    let mut run = TestRun::start::<races>(NONE);
    run.complete_activity(1, "quick");
    assert_eq!(run.result::<String>().unwrap(), "quick");
    assert_eq!(asked(&run), ["1:slow", "2:5s", "cancel 2"]);
}

#[test]
fn the_timer_wins_and_the_activity_goes_on() {
    let mut run = TestRun::start::<races>(NONE);
    run.fire_timer(2);
    assert_eq!(run.result::<String>().unwrap(), "too slow");
    assert_eq!(asked(&run), ["1:slow", "2:5s"]);
}

#[test]
fn the_first_in_order_wins_where_both_are_done() {
    #[workflow]
    async fn both() -> WorkflowResult<u32> {
        let mut second = signals::<u32>("second");
        let mut first = signals::<u32>("first");
        let mut third = signals::<u32>("third");
        select! {
            n = first.next() => Ok(n?),
            n = second.next() => Ok(n?),
            n = third.next() => Ok(n?),
        }
    }
    let mut run = TestRun::start::<both>(NONE);
    run.resume([signal("third", 3), signal("second", 2), signal("first", 1)]);
    assert_eq!(run.result::<u32>().unwrap(), 1);
}

#[test]
fn a_future_is_kept_by_selecting_on_a_borrow_of_it() {
    #[workflow]
    async fn deadline() -> WorkflowResult<u32> {
        let mut ticks = signals::<()>("tick");
        let mut end = sleep(seconds(60)).start();
        let mut count = 0;
        loop {
            select! {
                _ = &mut end => return Ok(count),
                tick = ticks.next() => { tick?; count += 1 }
            }
        }
    }
    let mut run = TestRun::start::<deadline>(NONE);
    run.signal("tick", ());
    run.signal("tick", ());
    run.fire_timer(1);
    assert_eq!(run.result::<u32>().unwrap(), 2);
    assert_eq!(asked(&run), ["1:60s"]);
}

#[test]
fn routines_run_in_the_order_in_which_they_were_woken() {
    #[workflow]
    async fn routines() -> WorkflowResult<Vec<String>> {
        let trace = Rc::new(RefCell::new(Vec::new()));
        let handles: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .map(|name| {
                let trace = trace.clone();
                spawn(async move {
                    trace.borrow_mut().push(format!("{name} begins"));
                    sleep(seconds(1)).await?;
                    trace.borrow_mut().push(format!("{name} ends"));
                    WorkflowResult::Ok(())
                })
            })
            .collect();
        trace.borrow_mut().push("main waits".into());
        try_join_all(handles).await?;
        Ok(trace.take())
    }
    let mut run = TestRun::start::<routines>(NONE);
    run.resume([3, 1, 2].map(Event::TimerFired));
    assert_eq!(
        run.result::<Vec<String>>().unwrap(),
        ["main waits", "a begins", "b begins", "c begins", "c ends", "a ends", "b ends"]
    );
}

#[test]
fn the_workflow_ends_with_its_main_routine() {
    #[workflow]
    async fn leaves_one_behind() -> WorkflowResult<()> {
        spawn(async { sleep(seconds(9)).await });
        sleep(seconds(1)).await?;
        Ok(())
    }
    let mut run = TestRun::start::<leaves_one_behind>(NONE);
    run.fire_timer(1);
    run.result::<()>().unwrap();
    assert_eq!(asked(&run), ["1:1s", "2:9s"], "nothing is canceled on the way out");
}

#[test]
fn the_futures_crate_works_too() {
    use futures::{StreamExt, stream::FuturesUnordered};

    #[workflow]
    async fn foreign() -> WorkflowResult<Vec<String>> {
        let finished = std::cell::Cell::new(0);
        let mut calls: FuturesUnordered<_> = ["a", "b"].into_iter().map(|name| work(name).into_future()).collect();
        let collect = async {
            let mut results = Vec::new();
            while let Some(result) = calls.next().await {
                results.push(result?);
                finished.set(finished.get() + 1);
            }
            WorkflowResult::Ok(results)
        };
        // Conditions inside a foreign executor of sorts, which wakes its parent by a waker of its own.
        let conditions: FuturesUnordered<_> = (0..=2)
            .map(|count| {
                wait_condition({
                    let finished = &finished;
                    move || finished.get() >= count
                })
            })
            .collect();
        let (results, conditions) = futures::join!(collect, conditions.collect::<Vec<_>>());
        assert_eq!(conditions, [Ok(()), Ok(()), Ok(())]);
        results
    }
    let mut run = TestRun::start::<foreign>(NONE);
    run.complete_activity(2, "B");
    run.complete_activity(1, "A");
    assert_eq!(run.result::<Vec<String>>().unwrap(), ["B", "A"]);
}
