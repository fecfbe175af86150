//! Runs that are told many things in random order: none may panic, and each replays. (That every run of these tests is
//! replayed when it is dropped is the check.)

use std::{cell::RefCell, rc::Rc};

use serde_json::json;

use super::*;
use crate::testing::signal_with;

/// Uses a bit of everything, all at once.
#[workflow]
async fn busy() -> WorkflowResult<usize> {
    let log = Rc::new(RefCell::new(Vec::<String>::new()));
    let lock = Rc::new(Mutex::new(0_u64));
    let note = |text: String| log.borrow_mut().push(text);
    on_query("log", {
        let log = log.clone();
        move || log.borrow().clone()
    });
    on_signal("child", {
        let log = log.clone();
        async move |name: String| {
            let ended = child_workflow::<String>(name).await.map_err(|error| error.to_string());
            log.borrow_mut().push(format!("{ended:?} {}", random().range(0..100)));
        }
    });
    on_update("work", {
        let (log, lock) = (log.clone(), lock.clone());
        async move |name: String| {
            let mut count = lock.lock().await?;
            *count += 1;
            let answer = work(&name).timeout(seconds(*count)).await;
            log.borrow_mut().push(format!("{answer:?}"));
            WorkflowResult::Ok(*count)
        }
    })
    .validator(|name: String| if name == "bad" { Err(ApplicationFailure::new("Bad", "bad")) } else { Ok(()) });
    let mut ticks = signals::<u32>("tick");
    loop {
        let canceled = select! {
            tick = ticks.next() => match tick {
                Ok(tick) => {
                    note(local_activity("tick", || tick + 1).await?.to_string());
                    false
                }
                Err(_) => true,
            },
            fired = sleep(seconds(5)) => {
                note(side_effect(|| format!("{fired:?} {}", random().range(0..100))));
                fired.is_err()
            }
            enough = wait_condition(|| log.borrow().len() > 12) => {
                enough?;
                shielded(wait_condition(all_handlers_finished)).timeout(seconds(3)).await.ok();
                return Ok(log.borrow().len());
            }
        };
        if canceled {
            shielded(work("clean up")).await.ok();
            return Err(Canceled::default().into());
        }
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) as usize % limit
    }
}

/// What the host may tell the run next: something that comes from outside, or the end of something that is open.
fn any_event(run: &mut TestRun, dice: &mut Dice) -> Event {
    match dice.below(12) {
        0 => return signal("tick", dice.below(100)),
        1 => return signal_with("child", [json!("Child")]),
        2 => return run.update_event("work", ["good"]),
        3 => return run.update_event(["work", "unknown"][dice.below(2)], ["bad"]),
        4 if dice.below(4) == 0 => return Event::CancelRequested("enough".into()),
        _ => {}
    }
    let failure = || Failure::from(ApplicationFailure::new("Failed", "failed")).into_wit();
    let commands = run.commands();
    match &commands[dice.below(commands.len())] {
        Command::StartTimer { operation, .. } => Event::TimerFired(*operation),
        Command::ScheduleActivity { operation, .. } if dice.below(3) == 0 => {
            Event::ActivityResolved((*operation, Err(failure())))
        }
        Command::ScheduleActivity { operation, .. } => {
            Event::ActivityResolved((*operation, Ok(vec![crate::ToPayload::to_payload("done").unwrap()])))
        }
        Command::StartChild { operation, .. } if dice.below(2) == 0 => {
            Event::ChildStarted((*operation, Ok("run".into())))
        }
        Command::StartChild { operation, .. } => Event::ChildResolved((*operation, Err(failure()))),
        _ => signal("noise", ()),
    }
}

#[test]
fn what_happens_in_any_order_happens_again() {
    let (mut completed, mut canceled) = (0, 0);
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let mut run = TestRun::start::<busy>(NONE);
        for _ in 0..200 {
            if !run.is_blocked() {
                break;
            }
            let mut cancel_requested = false;
            let events: Vec<_> = (0..=dice.below(4)).map(|_| any_event(&mut run, &mut dice)).collect();
            let (updates, others): (Vec<_>, Vec<_>) =
                events.into_iter().partition(|event| matches!(event, Event::UpdateRequested(_)));
            // Once in a run, and updates last, as the host has it.
            let others = others.into_iter().filter(|event| {
                !matches!(event, Event::CancelRequested(_)) || !std::mem::replace(&mut cancel_requested, true)
            });
            run.resume(others.chain(updates).collect::<Vec<_>>());
            run.query::<Vec<String>>("log", NONE).unwrap();
        }
        if run.is_canceled() {
            canceled += 1;
        } else if !run.is_blocked() {
            run.result::<usize>().unwrap();
            completed += 1;
        }
    }
    assert!(completed > 20 && canceled > 20, "{completed} completed, {canceled} canceled");
}
