//! One limiter per provider, shared by all trials: how many calls at once, and when to be quiet.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How faults of a provider are retried.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// How often a call is made in all.
    pub attempts: u32,
    /// No retry starts later than this after the call came in.
    pub total: Duration,
    /// The pause before the first retry; doubles with each.
    pub first_pause: Duration,
    /// The longest pause that doubling leads to. A provider's `Retry-After` may ask for longer.
    pub longest_pause: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 6,
            total: Duration::from_secs(180),
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(30),
        }
    }
}

impl RetryPolicy {
    /// The pause before retry `number` (from 1): doubled each time, spread by up to a quarter so that trials that
    /// failed together do not come back together. `asked` is the provider's own wish, which is honoured when longer.
    pub fn pause(&self, number: u32, asked: Option<Duration>) -> Duration {
        let doubled = self
            .first_pause
            .saturating_mul(1 << number.saturating_sub(1).min(16))
            .min(self.longest_pause);
        let spread = doubled.mul_f64(1.0 - rand::random::<f64>() / 4.0);
        asked.map_or(spread, |asked| asked.max(spread))
    }
}

/// Shared by all calls to one provider.
#[derive(Debug)]
pub struct Limiter {
    permits: Arc<Semaphore>,
    quiet_until: Mutex<Option<Instant>>,
}

impl Limiter {
    /// At most `at_once` calls at the same time.
    pub fn new(at_once: usize) -> Self {
        let permits = Arc::new(Semaphore::new(at_once.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            permits,
            quiet_until: Mutex::new(None),
        }
    }

    /// Waits for a free place and for the end of any quiet time. The place is free again when the permit is dropped.
    pub async fn enter(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        let permit = self.permits.clone().acquire_owned().await.ok();
        while let Some(until) = self.quiet_until() {
            tokio::time::sleep_until(until).await;
        }
        permit
    }

    fn quiet_until(&self) -> Option<Instant> {
        let quiet = *self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner);
        quiet.filter(|until| *until > Instant::now())
    }

    /// Nobody calls for so long: the provider said that there are too many calls.
    pub fn be_quiet(&self, pause: Duration) {
        let mut quiet = self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner);
        *quiet = (*quiet).max(Instant::now().checked_add(pause));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_honour_the_provider() {
        let policy = RetryPolicy::default();
        let pause = |number| policy.pause(number, None).as_secs_f64();
        assert!((0.75..=1.0).contains(&pause(1)) && (3.0..=4.0).contains(&pause(3)) && pause(40) <= 30.0);
        assert_eq!(policy.pause(1, Some(Duration::from_secs(50))), Duration::from_secs(50));
    }
}
