//! Where gateway and scaffold meet in time: the one counts how long the model is waited for, the other leaves it out.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::gateway::WaitClock;
use crate::scaffold::ModelClock;

/// The clock of a trial's route, which is opened after the trial has begun.
#[derive(Debug, Default)]
pub(super) struct TrialClock {
    route: OnceLock<Arc<WaitClock>>,
    /// Time between turns in which the agent had nothing to do: its code was tested.
    stood: Mutex<Duration>,
}

impl TrialClock {
    /// The route's calls count from now on.
    pub fn follow(&self, route: Arc<WaitClock>) {
        let _ = self.route.set(route);
    }

    /// So much time has passed that is not the agent's.
    pub fn stood(&self, time: Duration) {
        *self.stood.lock().unwrap_or_else(PoisonError::into_inner) += time;
    }
}

impl ModelClock for TrialClock {
    fn waited(&self) -> Duration {
        let stood = *self.stood.lock().unwrap_or_else(PoisonError::into_inner);
        stood + self.route.get().map_or(Duration::ZERO, |route| route.waited())
    }
}
