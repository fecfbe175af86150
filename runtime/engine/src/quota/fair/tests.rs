//! Simulated threads under simulated loads.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn owner(number: usize) -> Uuid {
    Uuid::from_u128(number as u128 + 1)
}

const FREE: Share = Share { weight: 1, concurrent: usize::MAX, pause: Duration::ZERO };

/// A job of so many milliseconds.
type Job = u64;

/// Threads that work through a queue; owners that always want more.
struct World {
    queue: FairQueue<Job>,
    threads: usize,
    running: Vec<(u64, u64, Ticket)>,
    now: u64,
    /// By owner: milliseconds that its jobs took.
    took: BTreeMap<Uuid, u64>,
}

impl World {
    fn new(slots: usize, reserve: usize) -> World {
        let queue = FairQueue::new(slots, reserve);
        World { queue, threads: slots + reserve, running: Vec::new(), now: 0, took: BTreeMap::new() }
    }

    fn begin(&mut self, share: impl Fn(Uuid) -> Share) {
        while self.running.len() < self.threads
            && let Next::Job(ticket, took) = self.queue.next(&share)
        {
            self.running.push((self.now + took, took, ticket));
        }
    }

    /// Up to the end of the job that ends next; returns whose it was.
    fn step(&mut self) -> Option<Uuid> {
        let index = (0..self.running.len()).min_by_key(|&index| self.running[index].0)?;
        let (end, took, ticket) = self.running.swap_remove(index);
        self.now = end;
        let id = ticket.owner;
        *self.took.entry(id).or_default() += took;
        self.queue.done(ticket, Duration::from_millis(took));
        Some(id)
    }
}

proptest! {
    /// Whatever the lengths of their jobs: those who always want more get time by their weight, give or take the jobs
    /// that nobody can cut short.
    #[test]
    fn the_backlogged_share_by_weight(
        wants in prop::collection::vec((1_u64..200, 1_u64..5), 2..6),
        lengths in prop::collection::vec(1_u64..10, 16),
    ) {
        // One thread, so that a share does not depend on who can use more than one.
        let mut world = World::new(1, 0);
        let share = |id: Uuid| Share { weight: wants[id.as_u128() as usize - 1].1, ..FREE };
        let longest = wants.iter().map(|(length, _)| length * 9).max().unwrap();
        let mut pushed = 0;
        for (number, (length, _)) in wants.iter().enumerate() {
            for _ in 0..2 {
                world.queue.push(owner(number), length * lengths[pushed % 16]);
                pushed += 1;
            }
        }
        while world.now < 400 * longest {
            world.begin(share);
            let id = world.step().unwrap();
            let number = id.as_u128() as usize - 1;
            world.queue.push(id, wants[number].0 * lengths[pushed % 16]);
            pushed += 1;
        }
        let weights: u64 = wants.iter().map(|(_, weight)| weight).sum();
        for (number, (_, weight)) in wants.iter().enumerate() {
            let got = world.took.get(&owner(number)).copied().unwrap_or(0) as f64;
            let due = world.now as f64 * *weight as f64 / weights as f64;
            // Each may be a few of the longest jobs ahead or behind, however long it goes on.
            prop_assert!((got - due).abs() <= 6.0 * longest as f64, "{number}: got {got} of {due} ms; longest {longest}");
        }
    }

    /// One that wants something short once in a while is not kept waiting by any backlog of another's long jobs.
    #[test]
    fn a_newcomer_waits_for_no_backlog(backlog in 1_usize..500, slots in 1_usize..5, length in 1_u64..5_000) {
        let mut world = World::new(slots, 1);
        for _ in 0..backlog {
            world.queue.push(owner(0), length);
        }
        world.begin(|_| FREE);
        for _ in 0..10 {
            world.queue.push(owner(1), 1);
            let before = world.now;
            world.begin(|_| FREE);
            // It has begun already: the reserve is for whoever has nothing running.
            prop_assert!(world.running.iter().any(|(_, _, ticket)| ticket.owner == owner(1)));
            while world.step() != Some(owner(1)) {
                world.begin(|_| FREE);
            }
            prop_assert!(world.now <= before + 1);
        }
    }
}

#[test]
fn without_a_reserve_a_newcomer_is_next() {
    let mut world = World::new(2, 0);
    for _ in 0..100 {
        world.queue.push(owner(0), 1_000);
    }
    world.begin(|_| FREE);
    world.queue.push(owner(1), 1);
    world.step();
    world.begin(|_| FREE);
    assert!(world.running.iter().any(|(_, _, ticket)| ticket.owner == owner(1)));
}

#[test]
fn alone_an_owner_has_every_slot_and_never_the_reserve() {
    let mut world = World::new(3, 2);
    for _ in 0..10 {
        world.queue.push(owner(0), 5);
    }
    world.begin(|_| FREE);
    assert_eq!((world.running.len(), world.queue.count(owner(0))), (3, (7, 3)));
    // A second owner may have one of the reserve, and no second one.
    world.queue.push(owner(1), 5);
    world.queue.push(owner(1), 5);
    world.begin(|_| FREE);
    assert_eq!(world.queue.count(owner(1)), (1, 1));
}

#[test]
fn an_owner_has_no_more_at_once_than_it_may() {
    let mut world = World::new(4, 0);
    for _ in 0..10 {
        world.queue.push(owner(0), 5);
    }
    world.begin(|_| Share { concurrent: 2, ..FREE });
    assert_eq!(world.queue.count(owner(0)), (8, 2));
    // With more allowed, more begins.
    world.begin(|_| Share { concurrent: 3, ..FREE });
    assert_eq!(world.queue.count(owner(0)), (7, 3));
}

#[test]
fn what_waits_can_be_foretold_and_withdrawn() {
    let mut world = World::new(1, 0);
    for length in [100, 200, 300] {
        world.queue.push(owner(0), length);
    }
    assert_eq!(world.queue.withdraw(owner(0), |length| *length == 200), Some(200));
    assert_eq!(world.queue.withdraw(owner(0), |length| *length == 200), None);
    world.begin(|_| FREE);
    assert_eq!(world.queue.withdraw(owner(0), |length| *length == 100), None);
    world.step();
    // One waits, of an owner whose last one has taken a tenth of a second.
    assert!(world.queue.delay(owner(0)) > Duration::from_millis(20), "{:?}", world.queue.delay(owner(0)));
    assert_eq!(world.queue.delay(owner(1)), Duration::ZERO);
}

#[test]
fn one_that_pauses_waits_and_makes_nobody_else_wait() {
    let mut world = World::new(1, 0);
    let pause = |id: Uuid| match id == owner(0) {
        true => Share { pause: Duration::from_secs(3), ..FREE },
        false => FREE,
    };
    world.queue.push(owner(0), 1);
    assert!(matches!(world.queue.next(pause), Next::Wait(Some(wait)) if wait == Duration::from_secs(3)));
    for _ in 0..50 {
        world.queue.push(owner(1), 1);
        world.begin(pause);
        assert_eq!(world.step(), Some(owner(1)));
    }
    // And it has no claim to what the other had meanwhile: from now on they take turns.
    let mut ended = Vec::new();
    for _ in 0..40 {
        world.queue.push(owner(0), 1);
        world.queue.push(owner(1), 1);
        world.begin(|_| FREE);
        ended.extend(world.step());
    }
    let first = ended.iter().filter(|id| **id == owner(0)).count();
    assert!((18..=22).contains(&first), "{first} of 40");
}

#[test]
fn turns_are_taken_and_each_owners_order_is_kept() {
    let mut queue = TurnQueue::default();
    for number in 0..5 {
        queue.push(owner(0), ("flood", number));
    }
    queue.push(owner(1), ("quiet", 0));
    let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
    assert_eq!(order, [("flood", 0), ("quiet", 0), ("flood", 1), ("flood", 2), ("flood", 3), ("flood", 4)]);
    assert!(queue.is_empty());
}
