//! Signals and conditions.

use std::{cell::Cell, rc::Rc};

use super::*;

#[workflow]
async fn collects(count: usize) -> WorkflowResult<Vec<String>> {
    sleep(seconds(1)).await?;
    let mut names = signals::<String>("name");
    let mut all = Vec::new();
    while all.len() < count {
        all.push(names.next().await?);
    }
    Ok(all)
}

#[test]
fn signals_that_nobody_listened_to_are_kept_in_order() {
    let mut run = TestRun::start::<collects>([3]);
    run.resume([signal("name", "a"), signal("other", "x"), signal("name", "b")]);
    run.fire_timer(1);
    assert!(run.is_blocked());
    run.signal("name", "c");
    assert_eq!(run.result::<Vec<String>>().unwrap(), ["a", "b", "c"]);
}

#[test]
fn a_signal_that_cannot_be_read_is_left_out_with_a_warning() {
    let mut run = TestRun::start::<collects>([1]);
    run.fire_timer(1);
    run.signal("name", 7);
    assert!(run.is_blocked());
    let lines = run.log_lines();
    assert_eq!((lines[0].0, &lines[0].2), (Level::Warn, &vec![("signal".into(), "name".into())]));
    run.signal("name", "fine");
    assert_eq!(run.result::<Vec<String>>().unwrap(), ["fine"]);
}

#[test]
fn a_wait_that_was_dropped_loses_no_signal() {
    #[workflow]
    async fn polls() -> WorkflowResult<String> {
        let mut names = signals::<String>("name");
        assert!(names.next().timeout(seconds(1)).await.is_err());
        assert_eq!(names.try_next(), None);
        Ok(names.next().await?)
    }
    let mut run = TestRun::start::<polls>(NONE);
    run.fire_timer(1);
    run.signal("name", "late");
    assert_eq!(run.result::<String>().unwrap(), "late");
}

#[test]
fn each_signal_goes_to_one_of_several_listeners() {
    #[workflow]
    async fn two_listeners() -> WorkflowResult<(u32, u32)> {
        let (mut a, mut b) = (signals("n"), signals("n"));
        let (a, b) = join!(a.next(), b.next());
        Ok((a?, b?))
    }
    let mut run = TestRun::start::<two_listeners>(NONE);
    run.signal("n", 1);
    run.signal("n", 2);
    assert_eq!(run.result::<(u32, u32)>().unwrap(), (1, 2));
}

#[test]
fn a_condition_is_asked_again_whenever_anything_moved() {
    #[workflow]
    async fn counts() -> WorkflowResult<u32> {
        let count = Rc::new(Cell::new(0));
        spawn({
            let count = count.clone();
            async move {
                let mut ticks = signals::<()>("tick");
                while ticks.next().await.is_ok() {
                    count.set(count.get() + 1);
                }
            }
        });
        wait_condition(|| count.get() >= 2).await?;
        Ok(count.get())
    }
    let mut run = TestRun::start::<counts>(NONE);
    run.signal("tick", ());
    assert!(run.is_blocked());
    run.signal("tick", ());
    assert_eq!(run.result::<u32>().unwrap(), 2);
}

#[test]
fn conditions_that_make_each_other_true_all_get_through() {
    #[workflow]
    async fn chain() -> WorkflowResult<()> {
        let step = Cell::new(0);
        let links = (0..5).rev().map(|n| {
            let step = &step;
            async move {
                wait_condition(|| step.get() == n).await?;
                step.set(n + 1);
                WorkflowResult::Ok(())
            }
        });
        try_join_all(links).await?;
        wait_condition(|| step.get() == 5).await?;
        Ok(())
    }
    TestRun::start::<chain>(NONE).result::<()>().unwrap();
}

#[test]
fn conditions_that_stay_false_let_the_workflow_rest() {
    #[workflow]
    async fn stuck() -> WorkflowResult<()> {
        let asked = Cell::new(0);
        let never = |_| {
            wait_condition(|| {
                asked.set(asked.get() + 1);
                assert!(asked.get() < 100);
                false
            })
        };
        select! {
            _ = join_all((0..3).map(never)) => {}
            done = signals::<()>("stop").next() => done?,
        }
        Ok(())
    }
    let mut run = TestRun::start::<stuck>(NONE);
    assert!(run.is_blocked());
    run.signal("noise", ());
    run.signal("stop", ());
    run.result::<()>().unwrap();
}
