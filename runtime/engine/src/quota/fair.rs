//! Whose turn it is: queues that are shared fairly between their owners, the namespaces.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use uuid::Uuid;

/// Work for a few threads, shared between owners by the time that their work has taken (start-time fair queuing).
///
/// An owner's virtual time is the time that its jobs have taken, divided by its weight; whoever is furthest behind is
/// next. One that comes back after a pause begins where the others stand: it gets its share from now on, and nothing
/// for the time when it wanted nothing.
///
/// Nothing that runs is ever interrupted, so an owner's long jobs could occupy all threads. Therefore there are more
/// threads than `slots`: the `reserve` runs jobs of owners only that have nothing running. So whoever wants a
/// first thread gets one at once, as long as no more than `reserve` owners do; beyond that it waits for the end of one
/// job, and is the next then.
#[derive(Debug)]
pub struct FairQueue<T> {
    owners: HashMap<Uuid, Owner<T>>,
    slots: usize,
    reserve: usize,
    running: usize,
    /// The virtual time at which the latest job began.
    time: f64,
}

#[derive(Debug)]
struct Owner<T> {
    jobs: VecDeque<T>,
    running: usize,
    time: f64,
    /// What a job of this owner has taken lately, in seconds: its running jobs are counted with it until they end.
    usual: f64,
    /// It wanted, and might not: it has no claim to the time that has passed meanwhile.
    was_held: bool,
}

/// What an owner may have.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    /// At least 1. Twice the weight is twice the time.
    pub weight: u64,
    /// Jobs that may run at once.
    pub concurrent: usize,
    /// How long it must not begin anything; zero where it may.
    pub pause: Duration,
}

/// A job that has begun. It goes back with [`FairQueue::done`].
#[derive(Debug)]
pub struct Ticket {
    pub owner: Uuid,
    counted: f64,
    weight: u64,
}

#[derive(Debug)]
pub enum Next<T> {
    Job(Ticket, T),
    /// Nothing may begin now; perhaps after this time, if nothing else happens before.
    Wait(Option<Duration>),
}

/// What a job is counted with before any of its owner's has ended, in seconds.
const UNKNOWN: f64 = 0.001;

impl<T> FairQueue<T> {
    pub fn new(slots: usize, reserve: usize) -> FairQueue<T> {
        FairQueue { owners: HashMap::new(), slots: slots.max(1), reserve, running: 0, time: 0.0 }
    }

    pub fn push(&mut self, owner: Uuid, job: T) {
        let time = self.time;
        let new = || Owner { jobs: VecDeque::new(), running: 0, time, usual: UNKNOWN, was_held: false };
        let owner = self.owners.entry(owner).or_insert_with(new);
        if owner.jobs.is_empty() && owner.running == 0 {
            owner.time = owner.time.max(time);
        }
        owner.jobs.push_back(job);
    }

    pub fn next(&mut self, share: impl Fn(Uuid) -> Share) -> Next<T> {
        let (slots, running, time) = (self.slots, self.running, self.time);
        let mut wait: Option<Duration> = None;
        let mut best: Option<(f64, Uuid, Share)> = None;
        if running >= slots + self.reserve {
            return Next::Wait(None);
        }
        for (id, owner) in self.owners.iter_mut().filter(|(_, owner)| !owner.jobs.is_empty()) {
            let share = share(*id);
            let has_room = owner.running < share.concurrent && (running < slots || owner.running == 0);
            if !has_room {
                continue;
            }
            if !share.pause.is_zero() {
                owner.was_held = true;
                wait = Some(wait.map_or(share.pause, |wait| wait.min(share.pause)));
                continue;
            }
            if std::mem::take(&mut owner.was_held) {
                owner.time = owner.time.max(time);
            }
            if best.is_none_or(|(least, other, _)| (owner.time, *id) < (least, other)) {
                best = Some((owner.time, *id, share));
            }
        }
        let Some((began, id, share)) = best else { return Next::Wait(wait) };
        let Some(owner) = self.owners.get_mut(&id) else { return Next::Wait(wait) };
        let Some(job) = owner.jobs.pop_front() else { return Next::Wait(wait) };
        let weight = share.weight.max(1);
        let ticket = Ticket { owner: id, counted: owner.usual, weight };
        owner.time += ticket.counted / weight as f64;
        owner.running += 1;
        self.running += 1;
        self.time = self.time.max(began);
        Next::Job(ticket, job)
    }

    /// A job has ended, and has taken this long.
    pub fn done(&mut self, ticket: Ticket, took: Duration) {
        self.running -= 1;
        let Some(owner) = self.owners.get_mut(&ticket.owner) else { return };
        let took = took.as_secs_f64();
        owner.running -= 1;
        owner.time += (took - ticket.counted) / ticket.weight as f64;
        owner.usual = (3.0 * owner.usual + took) / 4.0;
        if owner.jobs.is_empty() && owner.running == 0 && owner.time <= self.time {
            self.owners.remove(&ticket.owner);
        }
    }

    /// Jobs of an owner: those that wait, and those that run.
    pub fn count(&self, owner: Uuid) -> (usize, usize) {
        self.owners.get(&owner).map_or((0, 0), |owner| (owner.jobs.len(), owner.running))
    }

    /// How long a new job of an owner waits for those of its own before it, roughly.
    pub fn delay(&self, owner: Uuid) -> Duration {
        let owner = self.owners.get(&owner);
        let seconds = owner.map_or(0.0, |owner| owner.jobs.len() as f64 * owner.usual / self.slots as f64);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// Takes the first job that fits out of those of an owner that wait.
    pub fn withdraw(&mut self, owner: Uuid, fits: impl Fn(&T) -> bool) -> Option<T> {
        let jobs = &mut self.owners.get_mut(&owner)?.jobs;
        let index = jobs.iter().position(fits)?;
        jobs.remove(index)
    }

    /// Everything that waits, for nobody.
    pub fn drain(&mut self) -> Vec<T> {
        self.owners.values_mut().flat_map(|owner| owner.jobs.drain(..)).collect()
    }
}

/// Requests that take about the same time each: the owners take turns.
#[derive(Debug)]
pub struct TurnQueue<T> {
    queues: HashMap<Uuid, VecDeque<T>>,
    /// Those that have something waiting, each once.
    turns: VecDeque<Uuid>,
}

impl<T> Default for TurnQueue<T> {
    fn default() -> TurnQueue<T> {
        TurnQueue { queues: HashMap::new(), turns: VecDeque::new() }
    }
}

impl<T> TurnQueue<T> {
    pub fn push(&mut self, owner: Uuid, request: T) {
        let queue = self.queues.entry(owner).or_default();
        if queue.is_empty() {
            self.turns.push_back(owner);
        }
        queue.push_back(request);
    }

    pub fn pop(&mut self) -> Option<T> {
        let owner = self.turns.pop_front()?;
        let queue = self.queues.get_mut(&owner)?;
        let request = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&owner);
        } else {
            self.turns.push_back(owner);
        }
        request
    }

    pub fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
}

#[cfg(test)]
mod tests;
