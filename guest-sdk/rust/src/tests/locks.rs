//! Mutex and semaphore: one after the other, in the order of asking.

use std::{cell::RefCell, rc::Rc};

use super::*;

#[test]
fn a_mutex_is_given_in_the_order_of_asking_also_across_awaits() {
    #[workflow]
    async fn queues() -> WorkflowResult<Vec<u32>> {
        let log = Rc::new(Mutex::new(Vec::new()));
        let routine = |n: u32| {
            let log = log.clone();
            async move {
                let mut log = log.lock().await?;
                work(&format!("w{n}")).await?;
                log.push(n);
                WorkflowResult::Ok(())
            }
        };
        try_join_all((1..=3).map(|n| spawn(routine(n)))).await?;
        assert!(log.try_lock().is_some());
        Ok(log.lock().await?.clone())
    }
    let mut run = TestRun::start::<queues>(NONE);
    assert_eq!(asked(&run), ["1:w1"]);
    run.complete_activity(1, "");
    run.complete_activity(2, "");
    assert_eq!(asked(&run), ["1:w1", "2:w2", "3:w3"]);
    run.complete_activity(3, "");
    assert_eq!(run.result::<Vec<u32>>().unwrap(), [1, 2, 3]);
}

#[test]
fn a_semaphore_lets_so_many_in_and_nobody_overtakes() {
    #[workflow]
    async fn crowd() -> WorkflowResult<Vec<String>> {
        let semaphore = Semaphore::new(2);
        let log = Rc::new(RefCell::new(Vec::new()));
        let routine = |name: &'static str, permits: usize| {
            let (semaphore, log) = (semaphore.clone(), log.clone());
            async move {
                let _permit = semaphore.acquire_many(permits).await?;
                log.borrow_mut().push(name.to_owned());
                signals::<()>(name).next().await?;
                WorkflowResult::Ok(())
            }
        };
        let all = [("a", 1), ("b", 1), ("big", 2), ("c", 1)].map(|(name, permits)| spawn(routine(name, permits)));
        try_join_all(all).await?;
        assert_eq!(semaphore.available_permits(), 2);
        Ok(log.take())
    }
    let mut run = TestRun::start::<crowd>(NONE);
    on_each(&mut run, ["b", "a", "big", "c"]);
    assert_eq!(run.result::<Vec<String>>().unwrap(), ["a", "b", "big", "c"]);
}

fn on_each<const N: usize>(run: &mut TestRun, names: [&str; N]) {
    for name in names {
        assert!(run.is_blocked(), "before {name}");
        run.signal(name, ());
    }
}

#[test]
fn whoever_gives_up_waiting_lets_the_next_one_in() {
    #[workflow]
    async fn gives_up() -> WorkflowResult<bool> {
        let semaphore = Semaphore::new(1);
        let held = semaphore.acquire().await?;
        let large = spawn(semaphore.acquire_many(2).timeout(seconds(1)));
        let small = spawn(semaphore.acquire());
        sleep(Duration::from_millis(1)).await?;
        drop(held);
        sleep(Duration::from_millis(1)).await?;
        assert_eq!(semaphore.available_permits(), 1, "the large wish stands in front");
        assert!(large.await.is_err());
        let _permit = small.await?;
        Ok(true)
    }
    let mut run = TestRun::start::<gives_up>(NONE);
    assert_eq!(asked(&run), ["1:1ms", "2:1s"]);
    run.fire_timer(1);
    run.fire_timer(3);
    run.fire_timer(2);
    assert!(run.result::<bool>().unwrap());
}

#[test]
fn a_permit_that_was_granted_and_not_taken_is_given_back() {
    #[workflow]
    async fn races() -> WorkflowResult<()> {
        let semaphore = Semaphore::new(1);
        let held = semaphore.acquire().await?;
        let mut go = signals::<()>("go");
        select! {
            both = async { go.next().await?; drop(held); WorkflowResult::Ok(()) } => both?,
            permit = semaphore.acquire() => drop(permit?),
        }
        let _again = semaphore.acquire().await?;
        Ok(())
    }
    let mut run = TestRun::start::<races>(NONE);
    run.signal("go", ());
    run.result::<()>().unwrap();
}

#[test]
fn waiting_for_a_lock_can_be_canceled() {
    #[workflow]
    async fn waits() -> WorkflowResult<()> {
        let mutex = Mutex::new(());
        let _held = mutex.lock().await?;
        let _ = mutex.lock().await?;
        Ok(())
    }
    let mut run = TestRun::start::<waits>(NONE);
    run.request_cancel("enough");
    assert!(run.is_canceled());
}
