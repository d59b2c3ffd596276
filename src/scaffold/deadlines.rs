//! When an agent's time is up: on the clock of the wall, and on its own, which stands still while it waits for its model.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::plan::Limits;
use crate::trial::Limit;

/// How long an agent has waited for its model; told by whoever carries its calls.
pub trait ModelClock: Debug + Send + Sync {
    /// The time so far in which at least one call was waiting, calls at once counted once.
    fn waited(&self) -> Duration;
}

/// A clock of nobody's calls: all time is the agent's.
#[derive(Debug, Clone, Copy)]
pub struct NoCalls;

impl ModelClock for NoCalls {
    fn waited(&self) -> Duration {
        Duration::ZERO
    }
}

/// A moment on both clocks.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    pub at: Instant,
    pub waited: Duration,
}

impl Moment {
    pub fn now(clock: &dyn ModelClock) -> Self {
        Self {
            at: Instant::now(),
            waited: clock.waited(),
        }
    }

    /// The agent's own time since an earlier moment.
    pub fn own_time_since(&self, earlier: &Moment) -> Duration {
        let wall = self.at.saturating_duration_since(earlier.at);
        wall.saturating_sub(self.waited.saturating_sub(earlier.waited))
    }
}

/// When a wait is over at the latest.
#[derive(Debug, Clone)]
pub struct Deadlines {
    /// By the wall.
    wall: Vec<(Limit, Instant)>,
    /// By the agent's own time: since when, and how long.
    own: Vec<(Limit, Moment, Duration)>,
    /// The longest silence of the agent, also by its own time.
    quiet: Duration,
}

/// Since when the limits of a trial count.
#[derive(Debug, Clone, Copy)]
pub struct Began {
    pub trial: Moment,
    pub session: Moment,
}

impl Began {
    /// For a session that begins now.
    pub fn now(clocks: &Clocks) -> Self {
        Self {
            trial: clocks.trial,
            session: Moment::now(clocks.model.as_ref()),
        }
    }
}

impl Deadlines {
    /// Those of a start that began with its session.
    pub fn of_start(limits: &Limits, began: Began) -> Self {
        let mut deadlines = Self::of_turn(limits, began, began.session);
        deadlines.wall[0].1 = began.session.at + seconds(limits.ready_seconds);
        deadlines.own.retain(|(limit, ..)| *limit != Limit::AgentTurn);
        deadlines.quiet = seconds(limits.ready_seconds);
        deadlines
    }

    /// Those of a turn that begins `now`.
    pub fn of_turn(limits: &Limits, began: Began, now: Moment) -> Self {
        let Began { trial, session } = began;
        let mut wall = vec![
            (Limit::Turn, now.at + seconds(limits.turn_seconds)),
            (Limit::Session, session.at + seconds(limits.session_seconds)),
        ];
        wall.extend(
            limits
                .trial_seconds
                .map(|most| (Limit::Trial, trial.at + seconds(most))),
        );
        let own = [
            (Limit::AgentTurn, now, limits.agent_turn_seconds),
            (Limit::AgentSession, session, limits.agent_session_seconds),
            (Limit::AgentTrial, trial, limits.agent_trial_seconds),
        ];
        let own = own
            .into_iter()
            .filter_map(|(limit, since, most)| Some((limit, since, seconds(most?))));
        Self {
            wall,
            own: own.collect(),
            quiet: seconds(limits.quiet_seconds),
        }
    }

    /// The limit that has passed; the widest of several. Silence counts last.
    pub fn passed(&self, now: &Moment, last_output: &Moment) -> Option<Limit> {
        let by_wall = self
            .wall
            .iter()
            .rev()
            .find(|(_, end)| now.at >= *end)
            .map(|(limit, _)| *limit);
        let by_own = || {
            let passed = |(_, since, most): &&(Limit, Moment, Duration)| now.own_time_since(since) >= *most;
            self.own.iter().rev().find(passed).map(|(limit, ..)| *limit)
        };
        by_wall
            .or_else(by_own)
            .or_else(|| (now.own_time_since(last_output) >= self.quiet).then_some(Limit::Quiet))
    }

    /// The earliest moment at which a limit can pass: if the model is waited for meanwhile, not even then.
    pub fn next(&self, now: &Moment, last_output: &Moment) -> Instant {
        let left = |since: &Moment, most: Duration| now.at + most.saturating_sub(now.own_time_since(since));
        let own = self.own.iter().map(|(_, since, most)| left(since, *most));
        let quiet = left(last_output, self.quiet);
        own.fold(self.by_wall().min(quiet), Instant::min)
    }

    /// The first limit by the wall.
    pub fn by_wall(&self) -> Instant {
        let far = Instant::now() + FAR;
        self.wall.iter().map(|(_, end)| *end).fold(far, Instant::min)
    }
}

/// Far enough away for every limit that cannot be reached.
const FAR: Duration = Duration::from_secs(30 * 24 * 3600);

/// A limit as a duration that can be added to any moment.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).min(FAR)
}

/// What a stage knows of time.
#[derive(Debug, Clone)]
pub struct Clocks {
    pub model: Arc<dyn ModelClock>,
    /// When the trial began.
    pub trial: Moment,
}

impl Clocks {
    /// Those of a trial that begins now.
    pub fn start(model: Arc<dyn ModelClock>) -> Self {
        let trial = Moment::now(model.as_ref());
        Self { model, trial }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            ready_seconds: 5.0,
            turn_seconds: 100.0,
            session_seconds: 200.0,
            quiet_seconds: 50.0,
            answers: 1,
            trial_seconds: Some(300.0),
            agent_turn_seconds: Some(10.0),
            agent_session_seconds: Some(20.0),
            agent_trial_seconds: None,
            disk_bytes: 0,
            files: 0,
        }
    }

    #[test]
    fn the_agents_own_clock_stands_still_while_the_model_is_waited_for() {
        let start = Moment::now(&NoCalls);
        let after = |wall: u64, waited: u64| Moment {
            at: start.at + Duration::from_secs(wall),
            waited: Duration::from_secs(waited),
        };
        let began = Began {
            trial: start,
            session: start,
        };
        let first = Deadlines::of_turn(&limits(), began, start);
        let passed = |now: Moment| first.passed(&now, &now);
        assert_eq!(passed(after(60, 51)), None, "9 seconds of its own");
        assert_eq!(passed(after(61, 51)), Some(Limit::AgentTurn));
        assert_eq!(
            passed(after(100, 99)),
            Some(Limit::Turn),
            "a model that hangs ends the turn"
        );
        assert_eq!(passed(after(300, 299)), Some(Limit::Trial));
        assert_eq!(
            first.passed(&after(55, 54), &start),
            None,
            "the model's silence is not the agent's"
        );
        let now = after(30, 25);
        assert_eq!(first.next(&now, &now), now.at + Duration::from_secs(5));

        let second = Deadlines::of_turn(&limits(), began, after(90, 81));
        assert_eq!(
            second.passed(&after(101, 81), &after(101, 81)),
            Some(Limit::AgentSession)
        );
        let start = Deadlines::of_start(&limits(), began);
        assert_eq!(start.passed(&after(5, 0), &after(5, 0)), Some(Limit::Turn));
    }
}
