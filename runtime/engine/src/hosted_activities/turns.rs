//! Turns of activities that compute: the threads that run them are shared between the namespaces like those of workflows.
//!
//! A guest that waits (for an answer, a pause, a heartbeat) has no turn and needs none. One that computes when the
//! sandbox's clock ticks gives its turn back and asks for another. A turn that is not given back, because its guest has
//! begun to wait, ends by itself soon after.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::oneshot, time::timeout};
use uuid::Uuid;

use crate::{
    clock, limits,
    quota::{FairQueue, Next, Quotas, Ticket},
};

/// Who has a turn, and who waits for one.
pub struct Turns {
    quotas: Arc<Quotas>,
    state: Mutex<State>,
}

struct State {
    queue: FairQueue<oneshot::Sender<TurnId>>,
    running: HashMap<TurnId, Running>,
    last: TurnId,
}

type TurnId = u64;

struct Running {
    ticket: Ticket,
    began: Duration,
}

impl Turns {
    /// So many at the same time.
    pub fn new(slots: usize, quotas: Arc<Quotas>) -> Turns {
        let state = State { queue: FairQueue::new(slots, 0), running: HashMap::new(), last: 0 };
        Turns { quotas, state: Mutex::new(state) }
    }

    /// Gives a turn back, and waits for the next one.
    async fn next(&self, owner: Uuid, before: Option<TurnId>) -> Option<TurnId> {
        let (sender, mut receiver) = oneshot::channel();
        {
            let mut state = self.state.lock();
            state.end(before);
            state.queue.push(owner, sender);
            self.hand_out(&mut state);
        }
        loop {
            match timeout(limits::TURN_OF_ACTIVITY, &mut receiver).await {
                Ok(turn) => return turn.ok(),
                // Turns may have ended by themselves meanwhile, and pauses of namespaces.
                Err(_) => self.hand_out(&mut self.state.lock()),
            }
        }
    }

    fn end(&self, turn: Option<TurnId>) {
        let mut state = self.state.lock();
        state.end(turn);
        self.hand_out(&mut state);
    }

    fn hand_out(&self, state: &mut State) {
        let now = clock::monotonic();
        let is_over = |turn: &Running| now.saturating_sub(turn.began) > limits::TURN_OF_ACTIVITY;
        let over: Vec<_> = state.running.extract_if(|_, turn| is_over(turn)).collect();
        for (_, turn) in over {
            state.queue.done(turn.ticket, limits::TURN_OF_ACTIVITY);
        }
        // What is asked about is there: an attempt has the meter that it was made with.
        while let Next::Job(ticket, waiting) = state.queue.next(|namespace| self.quotas.meter(namespace, "").share()) {
            state.last += 1;
            match waiting.send(state.last) {
                Ok(()) => {
                    state.running.insert(state.last, Running { ticket, began: now });
                }
                // The attempt has ended meanwhile.
                Err(_) => state.queue.done(ticket, Duration::ZERO),
            }
        }
    }
}

impl State {
    fn end(&mut self, turn: Option<TurnId>) {
        if let Some(turn) = turn.and_then(|turn| self.running.remove(&turn)) {
            let took = clock::monotonic().saturating_sub(turn.began).min(limits::TURN_OF_ACTIVITY);
            self.queue.done(turn.ticket, took);
        }
    }
}

/// The turns of one attempt. What it has is given back when this is dropped.
pub struct AttemptTurns {
    turns: Arc<Turns>,
    owner: Uuid,
    has: Arc<Mutex<Option<TurnId>>>,
}

impl AttemptTurns {
    pub fn new(turns: Arc<Turns>, owner: Uuid) -> AttemptTurns {
        AttemptTurns { turns, owner, has: Arc::default() }
    }

    pub fn next(&self) -> impl Future<Output = ()> + Send + 'static {
        let (turns, owner, has) = (Arc::clone(&self.turns), self.owner, Arc::clone(&self.has));
        async move {
            let before = has.lock().take();
            let turn = turns.next(owner, before).await;
            *has.lock() = turn;
        }
    }
}

impl Drop for AttemptTurns {
    fn drop(&mut self) {
        self.turns.end(self.has.lock().take());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mainspring_sandbox::GuestLimits;
    use mainspring_store::MemoryStore;

    use super::*;
    use crate::{inner::Namespaces, quota::Quota};

    const A: Uuid = Uuid::from_u128(1);
    const B: Uuid = Uuid::from_u128(2);

    fn turns(slots: usize) -> Arc<Turns> {
        let quotas = Quotas::open(
            &MemoryStore::new(),
            &Namespaces::default(),
            Quota::default(),
            GuestLimits::default(),
            usize::MAX,
        );
        Arc::new(Turns::new(slots, Arc::new(quotas.unwrap())))
    }

    /// Who had how many of so many turns, where each of these attempts always computes.
    async fn shares(turns: &Arc<Turns>, attempts: &[Uuid], count: usize) -> BTreeMap<Uuid, usize> {
        let (sender, mut had) = tokio::sync::mpsc::channel(1);
        let mut tasks = tokio::task::JoinSet::new();
        for owner in attempts {
            let (turns, owner, sender) = (AttemptTurns::new(Arc::clone(turns), *owner), *owner, sender.clone());
            tasks.spawn(async move {
                loop {
                    turns.next().await;
                    // It computes for a moment.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    if sender.send(owner).await.is_err() {
                        return;
                    }
                }
            });
        }
        let mut shares = BTreeMap::new();
        for _ in 0..count {
            *shares.entry(had.recv().await.unwrap()).or_default() += 1;
        }
        shares
    }

    #[tokio::test]
    async fn namespaces_share_and_not_attempts() {
        let shares = shares(&turns(1), &[A, A, A, A, A, A, A, A, B], 200).await;
        assert!(shares[&B] > 70, "{shares:?}");
    }

    #[tokio::test]
    async fn whoever_is_alone_has_all_of_them() {
        let turns = turns(2);
        let mine = [AttemptTurns::new(Arc::clone(&turns), A), AttemptTurns::new(Arc::clone(&turns), A)];
        for turn in &mine {
            turn.next().await;
        }
        assert_eq!(turns.state.lock().running.len(), 2);
        drop(mine);
        assert_eq!(turns.state.lock().running.len(), 0);
    }

    #[tokio::test]
    async fn a_turn_that_is_not_given_back_ends_by_itself() {
        let turns = turns(1);
        let waits_for_an_answer = AttemptTurns::new(Arc::clone(&turns), A);
        waits_for_an_answer.next().await;
        let computes = AttemptTurns::new(Arc::clone(&turns), B);
        computes.next().await;
        assert_eq!(turns.state.lock().running.len(), 1);
        // What it had is no more, and to give it back changes nothing.
        drop(waits_for_an_answer);
        assert_eq!(turns.state.lock().running.len(), 1);
    }

    #[tokio::test]
    async fn one_who_has_gone_takes_no_turn() {
        let turns = turns(1);
        let first = AttemptTurns::new(Arc::clone(&turns), A);
        first.next().await;
        let gone = AttemptTurns::new(Arc::clone(&turns), A);
        assert!(timeout(Duration::from_millis(1), gone.next()).await.is_err());
        let second = AttemptTurns::new(Arc::clone(&turns), A);
        drop(first);
        timeout(limits::TURN_OF_ACTIVITY * 10, second.next()).await.unwrap();
        assert_eq!(turns.state.lock().running.len(), 1);
    }
}
