//! Whether the agent can work where it is to run: a command of its recipe says so, before a run begins.
//!
//! An agent whose own sandbox cannot be set up may run to its end all the same, with every one of its commands failing.
//! That would be measured as its work.

use std::path::Path;
use std::sync::Arc;

use super::process::{Hearing, Running, Waited};
use super::{Agent, session};
use crate::conversation::Interaction;
use crate::plan::Options;
use crate::recipe::{Dialect, Preflight, Rendered};
use crate::scaffold::deadlines::{Began, Clocks, Deadlines, NoCalls};
use crate::scaffold::launch::Prepared;
use crate::scaffold::{AgentModel, Exit, OpenError, Stage};

/// Runs the recipe's preflight in places like those of a session, in a new folder below `scratch`.
///
/// # Errors
/// It failed, did not come to an end, or could not be started.
pub(super) async fn check(agent: &Arc<Agent>, scratch: &Path) -> Result<(), OpenError> {
    let Some(preflight) = &agent.rules.source.preflight else {
        return Ok(());
    };
    let stage = stage(scratch).map_err(|source| OpenError::Prepare {
        path: scratch.to_owned(),
        source,
    })?;
    let prepared = Prepared::new(&agent.recipe, &agent.installed, agent.containment.as_ref(), &stage)?;
    let argv = preflight.argv.iter().map(|text| prepared.fill(&agent.recipe, text));
    let rendered = Rendered {
        argv: argv.collect::<Result<_, _>>()?,
        ..prepared.render(&agent.recipe, session::more(None, 1))?
    };
    let (containment, folder) = (agent.containment.as_ref(), prepared.logs.join("turns/0"));
    let mut running = Running::start(&prepared, &rendered, &agent.program, containment, &folder)?;
    let clock = stage.clocks.model.as_ref();
    let began = Began::now(&stage.clocks);
    let waited = running
        .hear(Hearing {
            rules: &agent.rules,
            input: b"",
            deadlines: &Deadlines::of_start(&agent.recipe.source.limits, began),
            clock,
            cancel: &stage.cancel,
        })
        .await;
    let exit = running.bury(waited, &agent.rules).await;
    let how = match (waited, exit) {
        (Waited::Ended, Exit::Code(0)) => return Ok(()),
        (Waited::Ended, Exit::Code(code)) => format!("left with status {code}"),
        (Waited::Ended, Exit::Killed) => "was killed".to_owned(),
        _ => format!(
            "did not come to an end within {:.0} s",
            began.session.at.elapsed().as_secs_f64()
        ),
    };
    let tail = running.last_words();
    Err(OpenError::Preflight {
        command: rendered.argv.join(" "),
        how,
        remedy: remedy(agent, preflight, &tail),
        tail: tail.lines().collect::<Vec<_>>().join("; "),
    })
}

/// What to do about it: the recipe knows what its own words mean.
fn remedy(agent: &Agent, preflight: &Preflight, tail: &str) -> String {
    let name = &agent.recipe.source.name;
    match agent.rules.knows_preflight(tail) {
        true => preflight.advice.clone(),
        false => format!(
            "`mtsec-agents agents verify {name}` tells whether {name} is whole, and `mtsec-agents doctor` whether agents can be held on this machine"
        ),
    }
}

/// A stage without a task and a model.
fn stage(scratch: &Path) -> std::io::Result<Stage> {
    let folder = tempfile::Builder::new()
        .prefix("preflight-")
        .tempdir_in(scratch)?
        .keep();
    let place = |name: &str| {
        let path = folder.join(name);
        std::fs::create_dir(&path).map(|()| path)
    };
    // Nobody is behind it.
    let gateway = folder.join("gateway.sock");
    std::fs::write(&gateway, "")?;
    Ok(Stage {
        trial: "preflight".to_owned(),
        interaction: Interaction::Single,
        workspace: place("workspace")?,
        files: Vec::new(),
        home: place("home")?,
        tmp: place("tmp")?,
        logs: place("logs")?,
        api_base: "http://127.0.0.1:9/t/preflight/v1".to_owned(),
        gateway,
        api_key: "preflight".to_owned(),
        guard: String::new(),
        model: AgentModel {
            name: "none".to_owned(),
            max_input_tokens: 1,
            max_output_tokens: 1,
            input_price: None,
            output_price: None,
            temperature: None,
            accepts_reasoning_effort: false,
            dialect: Dialect::OpenaiChat,
        },
        options: Options::default(),
        clocks: Clocks::start(Arc::new(NoCalls)),
        cancel: Default::default(),
    })
}
