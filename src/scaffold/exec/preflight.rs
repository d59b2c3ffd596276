//! Whether the agent can work where it is to run: a command of its recipe says so.
//!
//! An agent whose own sandbox cannot be set up may run to its end all the same, with every one of its commands failing.
//! That would be measured as its work.

use super::process::{Hearing, Running, Waited};
use super::{Agent, session};
use crate::plan::Limits;
use crate::recipe::Rendered;
use crate::scaffold::deadlines::{Began, Deadlines, Moment};
use crate::scaffold::launch::Prepared;
use crate::scaffold::{Exit, OpenError, Stage};
use crate::trial::Ending;

/// Runs the recipe's preflight in a session's places.
///
/// # Errors
/// It failed, did not come to an end, or could not be started.
pub(super) async fn check(agent: &Agent, prepared: &Prepared, stage: &Stage, limits: &Limits) -> Result<(), OpenError> {
    let Some(preflight) = &agent.rules.source.preflight else {
        return Ok(());
    };
    let argv = preflight.argv.iter().map(|text| prepared.fill(&agent.recipe, text));
    let rendered = Rendered {
        argv: argv.collect::<Result<_, _>>()?,
        ..prepared.fill_all(&agent.recipe, session::more(None, 1))?
    };
    let (containment, folder) = (agent.containment.as_ref(), prepared.logs.join("turns/0"));
    let mut running = Running::start(prepared, &rendered, &agent.program, containment, &folder)?;
    let clock = stage.clocks.model.as_ref();
    let began = Began {
        trial: stage.clocks.trial,
        session: Moment::now(clock),
    };
    let waited = running
        .hear(Hearing {
            rules: &agent.rules,
            input: b"",
            deadlines: &Deadlines::of_start(limits, began),
            clock,
            cancel: &stage.cancel,
        })
        .await;
    let exit = running.bury(waited, &agent.rules).await;
    let tail = running.last_words();
    match (waited, exit) {
        (Waited::Cancelled, _) => Err(OpenError::Cancelled),
        (Waited::Limit(_), _) => Err(OpenError::NotReady {
            seconds: began.session.at.elapsed().as_secs_f64(),
            tail,
        }),
        (Waited::Ended, Exit::Code(0)) => Ok(()),
        (Waited::Ended, Exit::Code(code)) => match running.lost() {
            Some(Ending::Failed { .. }) => Err(OpenError::Exited { code, tail }),
            _ => Err(OpenError::Preflight {
                advice: preflight.advice.clone(),
                command: rendered.argv.join(" "),
                tail,
            }),
        },
        (Waited::Ended, Exit::Killed) => Err(OpenError::Exited {
            code: -libc::SIGKILL,
            tail,
        }),
    }
}
