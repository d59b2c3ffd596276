//! How long a trial has waited for its model, calls at once counted once.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The time in which the gateway itself waited for the model, for at least one call of a route: for the answer, the
/// provider's place and retries included, or for the next event of a stream. What a client takes to send its request or to
/// read its answer is its own time: otherwise an agent would stop its clock by not reading. The wait for what other trials
/// have set aside of the run's budget counts too, and is blamed on nobody.
#[derive(Debug, Default)]
pub struct WaitClock {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: usize,
    since: Option<Instant>,
    before: Duration,
}

impl WaitClock {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call begins to wait.
    pub(super) fn begin(&self) {
        let mut state = self.state();
        state.waiting += 1;
        state.since.get_or_insert_with(Instant::now);
    }

    /// A call has its answer, or has given up.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.waiting = state.waiting.saturating_sub(1);
        if state.waiting == 0
            && let Some(since) = state.since.take()
        {
            state.before += since.elapsed();
        }
    }

    /// Counts until what is returned is dropped.
    pub(super) fn count(&self) -> Counted<'_> {
        self.begin();
        Counted(self)
    }

    /// So far, calls that wait still included.
    pub fn waited(&self) -> Duration {
        let state = self.state();
        state.before + state.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// A wait that is counted.
pub(super) struct Counted<'a>(&'a WaitClock);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_at_once_count_once_and_time_between_calls_does_not() {
        let clock = WaitClock::default();
        let started = Instant::now();
        clock.begin();
        clock.begin();
        std::thread::sleep(Duration::from_millis(20));
        clock.end();
        let half = clock.waited();
        clock.end();
        let whole = clock.waited();
        assert!(half >= Duration::from_millis(20) && half <= whole && whole <= started.elapsed());
        std::thread::sleep(Duration::from_millis(5));
        assert_eq!(clock.waited(), whole, "nothing waits");
        clock.begin();
        assert!(clock.waited() >= whole);
    }
}
