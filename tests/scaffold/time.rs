//! An agent's time: by the wall and by its own clock, and what happens when it is up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mtsec_agents::plan::Limits;
use mtsec_agents::scaffold::{Clocks, ModelClock};
use mtsec_agents::trial::{Ending, Limit};

use crate::faults::{LOOP, fake};

/// Sets one limit.
type Set = fn(&mut Limits);

/// A clock of an agent that always waits for its model.
#[derive(Debug)]
struct AlwaysWaiting(Instant);

impl ModelClock for AlwaysWaiting {
    fn waited(&self) -> Duration {
        self.0.elapsed()
    }
}

#[tokio::test]
async fn agent_time_and_silence_leave_the_models_time_out_and_the_wall_does_not() {
    let code = format!("\ndef turn(text):\n    time.sleep(1 if text == 'short\\n' else 600)\n{LOOP}");
    let waiting = || Clocks::start(Arc::new(AlwaysWaiting(Instant::now())));
    // What the model takes is neither silence nor agent time.
    let mut agent = fake(&code);
    agent.bench.stage.clocks = waiting();
    let limits = &mut agent.bench.limits;
    (limits.quiet_seconds, limits.agent_turn_seconds) = (0.2, Some(0.2));
    let mut session = agent.opened().await;
    let end = session.say(1, "short", &agent.bench.limits).await;
    assert_eq!(end.ending, Ending::Answered);
    // But a model that hangs ends the turn.
    agent.bench.limits.turn_seconds = 1.0;
    let end = session.say(2, "long", &agent.bench.limits).await;
    assert_eq!(end.ending, Ending::TimedOut { limit: Limit::Turn });
    session.close().await;

    let limits: [(Limit, Set); 4] = [
        (Limit::AgentTurn, |limits| limits.agent_turn_seconds = Some(0.5)),
        (Limit::AgentSession, |limits| limits.agent_session_seconds = Some(15.0)),
        (Limit::AgentTrial, |limits| limits.agent_trial_seconds = Some(15.0)),
        (Limit::Trial, |limits| limits.trial_seconds = Some(15.0)),
    ];
    for (limit, set) in limits {
        let mut agent = fake(&code);
        set(&mut agent.bench.limits);
        // The trial, and with it the agent, has had most of its time already.
        agent.bench.stage.clocks.trial.at -= Duration::from_secs(5);
        let mut session = agent.opened().await;
        let end = session.say(1, "long", &agent.bench.limits).await;
        assert_eq!(end.ending, Ending::TimedOut { limit });
        session.close().await;
        agent.nothing_runs();
    }
}

#[tokio::test]
async fn an_agent_whose_time_is_up_is_told_then_given_grace_then_killed() {
    let code = "
def told(number, frame):
    open('told', 'a').write(signal.Signals(number).name + ' ')
    if number == signal.SIGTERM:
        time.sleep(GRACE)
        open('told', 'a').write('done')
        sys.exit(0)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, told)
def turn(text):
    open('told', 'a').write('began ')
    while True:
        time.sleep(600)
";
    for (grace, told) in [("0.01", "began SIGINT SIGTERM done"), ("600", "began SIGINT SIGTERM ")] {
        let mut agent = fake(&format!("{}{LOOP}", code.replace("GRACE", grace)));
        agent.bench.limits.quiet_seconds = 1.0;
        let mut session = agent.opened().await;
        let end = session.say(1, "go", &agent.bench.limits).await;
        assert_eq!(end.ending, Ending::TimedOut { limit: Limit::Quiet });
        assert_eq!(agent.bench.read("told"), told);
        agent.nothing_runs();
        session.close().await;
    }
}
