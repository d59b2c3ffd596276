//! Where gateway and scaffold meet in time: the one counts how long the model is waited for, the other leaves it out.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::gateway::WaitClock;
use crate::scaffold::ModelClock;

/// The clock of a trial's route, which is opened after the trial has begun.
#[derive(Debug, Default)]
pub(super) struct TrialClock {
    route: OnceLock<Arc<WaitClock>>,
}

impl TrialClock {
    /// The route's calls count from now on.
    pub fn follow(&self, route: Arc<WaitClock>) {
        let _ = self.route.set(route);
    }
}

impl ModelClock for TrialClock {
    fn waited(&self) -> Duration {
        self.route.get().map_or(Duration::ZERO, |route| route.waited())
    }
}
