//! `run`: the main job.

use std::sync::Arc;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::budgets::Budgets;
use super::destination::Destination;
use super::live::{Job, Start};
use super::select::Selection;
use super::{Failed, Result, endpoints};
use crate::console::Console;
use crate::conversation::{Interaction, Policy};
use crate::plan::{Concat, ContainmentKind, EFFORTS, EditFormat, Endpoint, Feedback, Reveal, SandboxKind, TestTurns};
use crate::recipe::{Dialect, Recipe};
use crate::runner::Request;

/// Drive an agent over tasks, judge what it leaves, and print the table
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Run {
    /// The agents to drive: `mtsec-agents agents list` names them; or paths of recipes, such as ./my-agent.yaml; more
    /// than one makes a cell of each
    #[arg(required = true, value_delimiter = ',', value_name = "SCAFFOLD", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    scaffolds: Vec<String>,
    /// A model name (`mtsec-agents models` lists them), provider/model, or a scripted model: oracle, oracle:insecure,
    /// nop, script:FILE; more than one makes a cell of each
    #[arg(short, long = "model", required = true, value_delimiter = ',', value_name = "MODEL", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    models: Vec<String>,
    /// Another endpoint (vLLM, Ollama, …) for all models, or with NAME= for one model or for those of one provider (local:
    /// open weights) beside others; may be given more than once. Taken to speak what the agent speaks unless --dialect says
    /// what it does. Its key is read from MTSEC_API_KEY; that of one for all models else from OPENAI_API_KEY
    #[arg(long, value_name = "[NAME=]URL")]
    api_base: Vec<Endpoint>,
    /// What the models' server speaks, where it is not all that is known of it: the agent is told to speak one of these
    #[arg(long = "dialect", value_delimiter = ',', value_name = "NAME", value_parser = PossibleValuesParser::new(Dialect::ALL.map(Dialect::name)))]
    dialects: Vec<String>,

    #[command(flatten)]
    selection: Selection,
    /// single, expansion, editing, refactor, longer-single, random, debugging-tests or debugging-natural; may be given more
    /// than once [default: those of the first four that a task has]
    #[arg(
        long = "interaction",
        value_delimiter = ',',
        value_name = "NAME",
        help_heading = "Tasks"
    )]
    interactions: Vec<Interaction>,

    /// Attempts at each task, interaction and cell
    #[arg(short = 'k', long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    attempts: u32,
    /// Trials at once [default: the number of cores, at most 8]
    #[arg(short = 'n', long, value_name = "N", value_parser = at_least_one)]
    concurrent: Option<usize>,
    /// How often an infrastructure failure is tried again
    #[arg(short, long, default_value_t = 1, value_name = "N")]
    retries: u32,

    /// Another version of the agent than the pinned one, which its recipe was made for; with more than one agent
    /// AGENT=VERSION
    #[arg(
        long = "agent-version",
        value_delimiter = ',',
        value_name = "VERSION",
        help_heading = "Agent"
    )]
    agent_versions: Vec<String>,
    /// How the model writes edits: diff, udiff or whole; more than one makes a cell of each
    #[arg(
        long = "edit-format",
        value_delimiter = ',',
        value_name = "FORMAT",
        help_heading = "Agent"
    )]
    edit_formats: Vec<EditFormat>,
    /// The agent does not lint its edits
    #[arg(long, help_heading = "Agent")]
    no_lint: bool,
    /// The agent neither suggests nor runs shell commands
    #[arg(long, help_heading = "Agent")]
    no_shell_commands: bool,
    /// The agent is not told beforehand in how many steps the work will come (OpenHands)
    #[arg(long, help_heading = "Agent")]
    no_preamble: bool,
    /// Show the agent a map of the repository of this many tokens
    #[arg(long, value_name = "TOKENS", default_value_t = 0, help_heading = "Agent")]
    repo_map: u32,
    /// Reasoning effort, where the model has levels
    #[arg(long, value_name = "LEVEL", value_parser = PossibleValuesParser::new(EFFORTS), help_heading = "Agent")]
    reasoning_effort: Option<String>,
    /// Thinking budget, where the model takes a number
    #[arg(long, value_name = "TOKENS", help_heading = "Agent")]
    thinking_tokens: Option<u32>,
    /// For llm: in which interactions the code of all turns so far counts: expansion (as in the paper), all (as in the
    /// benchmark's kit) or never
    #[arg(long, value_name = "WHEN", default_value = "expansion", help_heading = "Agent")]
    concat: Concat,
    /// For llm: after the first turn, ask for differences instead of whole programs
    #[arg(long, help_heading = "Agent")]
    code_diff: bool,
    /// Where the task's security policy is said: none, system (the gateway adds it to the model's system prompt), first, last
    /// or every turn
    #[arg(long, value_name = "PLACE", default_value = "none", help_heading = "Conversation")]
    policy: Policy,
    /// The conversations of so many turns; single has one, random three [default: each task's own]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100), help_heading = "Conversation")]
    turns: Option<u32>,
    /// Decides what is chosen by chance: the first turns of random, and the tests that are held out; refused where nothing is
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Conversation")]
    seed: u64,
    /// After the last turn tell the agent which tests fail, at most so often
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100), help_heading = "Conversation")]
    feedback: u32,
    /// What the agent is told of a failed test: names, cases (also input and expected value) or traceback (also what came)
    #[arg(long, value_name = "WHAT", default_value = "cases", help_heading = "Conversation")]
    reveal: Reveal,
    /// Split the tests of each task: the agent is told of the one half, and judged by the other
    #[arg(long, help_heading = "Conversation")]
    held_out: bool,
    /// The model that puts failures in words for debugging-natural [default: the agent's]
    #[arg(long, value_name = "MODEL", help_heading = "Conversation")]
    critic: Option<String>,
    /// Longest turn [default: the recipe's]
    #[arg(long, value_name = "SECONDS", value_parser = positive, help_heading = "Limits")]
    turn_limit: Option<f64>,
    /// Longest session [default: the recipe's]
    #[arg(long, value_name = "SECONDS", value_parser = positive, help_heading = "Limits")]
    session_limit: Option<f64>,
    /// Longest silence of the agent within a turn; waiting for its model is none [default: the recipe's]
    #[arg(long, value_name = "SECONDS", value_parser = positive, help_heading = "Limits")]
    quiet_limit: Option<f64>,
    /// Longest trial, from its workspace to the end of its session [default: none]
    #[arg(long, value_name = "SECONDS", value_parser = positive, help_heading = "Limits")]
    trial_limit: Option<f64>,
    /// Most agent time of a turn: without the time in which the model is waited for [default: none]
    #[arg(long, value_name = "SECONDS", value_parser = positive, help_heading = "Limits")]
    agent_turn_limit: Option<f64>,
    /// Most agent time of a session, its start included [default: none]
    #[arg(long, value_name = "SECONDS", value_parser = positive, help_heading = "Limits")]
    agent_session_limit: Option<f64>,
    /// Most agent time of a trial [default: none]
    #[arg(long, value_name = "SECONDS", value_parser = positive, help_heading = "Limits")]
    agent_trial_limit: Option<f64>,
    #[command(flatten)]
    budgets: Budgets,
    /// Which snapshots are judged: last or all
    #[arg(long, default_value = "last", value_name = "WHICH", help_heading = "Limits")]
    test_turns: TestTurns,

    /// What is around the code that is judged: namespaces or docker
    #[arg(long, default_value = "namespaces", value_name = "KIND", help_heading = "Safety")]
    sandbox: SandboxKind,
    /// What holds the agent: namespaces, docker, or none (it can then do whatever you can)
    #[arg(long, default_value = "namespaces", value_name = "KIND", help_heading = "Safety")]
    containment: ContainmentKind,

    /// Print the cells and trials, and start nothing
    #[arg(long, help_heading = "Output")]
    dry_run: bool,
    #[command(flatten)]
    destination: Destination,
}

const EXAMPLES: &str = "\
Examples:
  mtsec-agents run aider --model oracle
  mtsec-agents run aider --model o3 --interaction expansion,editing -n 4
  mtsec-agents run aider --model o3 --edit-format diff,udiff,whole      a sweep: one cell each
  mtsec-agents run aider codex openhands llm --model gpt-5             four scaffolds in one run
  mtsec-agents run aider --model my-model --api-base http://127.0.0.1:8000/v1
  mtsec-agents run codex --model my-model --api-base http://127.0.0.1:8000/v1 --dialect openai-chat
  mtsec-agents run aider --model gpt-4o,qwen3-8b --api-base local=http://127.0.0.1:8000/v1
  mtsec-agents run ./my-agent.yaml --model o3                           an agent of your own, by its recipe
  mtsec-agents run aider --model oracle --tasks seccodeplt.jsonl -i CWE-79 --dry-run";

impl Run {
    pub fn carry_out(self, console: &Arc<Console>) -> Result {
        let name = self.destination.name()?;
        let dataset = self.selection.load()?;
        let start = Start::New {
            dataset: Box::new(dataset),
            jobs: self.destination.jobs_dir.clone(),
            name,
            dry_run: self.dry_run,
        };
        let (json, concurrent) = (self.destination.json, self.concurrent);
        Job {
            request: self.request()?,
            start,
            concurrent,
            json,
            console: console.clone(),
        }
        .carry_out()
    }

    fn request(self) -> std::result::Result<Request, Failed> {
        let models = self.models.iter().chain(&self.critic);
        let api_base = endpoints::of(&self.api_base, models.map(String::as_str))?;
        // The run may be resumed from another folder.
        let scaffolds = self
            .scaffolds
            .into_iter()
            .map(|scaffold| match Recipe::is_path(&scaffold) {
                true => std::path::absolute(&scaffold).map_or(scaffold, |path| path.display().to_string()),
                false => scaffold,
            });
        let scaffolds = scaffolds.collect();
        let (tasks, include, exclude, limit) = self.selection.parts();
        Ok(Request {
            scaffolds,
            agent_versions: self.agent_versions,
            models: self.models,
            api_base,
            dialects: self.dialects,
            tasks,
            include,
            exclude,
            limit,
            interactions: self.interactions,
            attempts: self.attempts,
            concurrent: self.concurrent,
            retries: self.retries,
            edit_formats: self.edit_formats,
            no_lint: self.no_lint,
            no_preamble: self.no_preamble,
            no_shell_commands: self.no_shell_commands,
            repo_map: self.repo_map,
            reasoning_effort: self.reasoning_effort,
            thinking_tokens: self.thinking_tokens,
            concat: self.concat,
            code_diff: self.code_diff,
            policy: self.policy,
            turns: self.turns,
            seed: self.seed,
            feedback: Feedback {
                retries: self.feedback,
                reveal: self.reveal,
            },
            held_out: self.held_out,
            critic: self.critic,
            turn_limit: self.turn_limit,
            session_limit: self.session_limit,
            quiet_limit: self.quiet_limit,
            trial_limit: self.trial_limit,
            agent_turn_limit: self.agent_turn_limit,
            agent_session_limit: self.agent_session_limit,
            agent_trial_limit: self.agent_trial_limit,
            trial_budget: self.budgets.trial(),
            run_budget: self.budgets.run(),
            test_turns: self.test_turns,
            sandbox: self.sandbox,
            containment: self.containment,
            ..Request::default()
        })
    }
}

/// A count on the command line.
pub fn at_least_one(text: &str) -> std::result::Result<usize, String> {
    text.parse()
        .ok()
        .filter(|number| *number >= 1)
        .ok_or_else(|| "expected a number from 1 on".to_owned())
}

fn positive(text: &str) -> std::result::Result<f64, String> {
    let number = text
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "expected a number of seconds above 0".to_owned())
}
