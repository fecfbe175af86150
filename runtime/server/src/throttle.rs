//! Lines of the log that strangers can cause: so many each second, and no more.

use std::time::Instant;

use parking_lot::Mutex;

use crate::limits;

#[derive(Default)]
pub(crate) struct Throttle(Mutex<State>);

#[derive(Default)]
struct State {
    began: Option<Instant>,
    lines: u32,
    held_back: u64,
}

impl Throttle {
    /// Whether a line may be written now: if so, how many were not since the last one.
    pub fn admit(&self) -> Option<u64> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        if state.began.is_none_or(|began| now.saturating_duration_since(began).as_secs() >= 1) {
            (state.began, state.lines) = (Some(now), 0);
        }
        if state.lines >= limits::REFUSALS_LOGGED {
            state.held_back += 1;
            return None;
        }
        state.lines += 1;
        Some(std::mem::take(&mut state.held_back))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_held_back_is_told_with_the_next_line() {
        let (throttle, begin) = (Throttle::default(), Instant::now());
        for _ in 0..limits::REFUSALS_LOGGED {
            assert_eq!(throttle.admit_at(begin), Some(0));
        }
        assert_eq!(throttle.admit_at(begin), None);
        assert_eq!(throttle.admit_at(begin + Duration::from_millis(999)), None);
        assert_eq!(throttle.admit_at(begin + Duration::from_secs(1)), Some(2));
        assert_eq!(throttle.admit_at(begin + Duration::from_secs(1)), Some(0));
    }
}
