//! An agent started by hand: the same command line, environment, files and prompts as by this program, and nothing around it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use minijinja::Value;
use mtsec_agents::gateway::nop::Nop;
use mtsec_agents::gateway::{Gateway, Pricing, RouteBudget, RouteSpec};
use mtsec_agents::process::{children, tree};
use mtsec_agents::recipe::{Dialect, Driven, Places, Recipe};
use mtsec_agents::scaffold::Installed;
use serde_json::json;

use crate::Figures;

const MODEL: &str = "nop";
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const OPENHANDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scaffolds/openhands");
/// A name that stands in no prompt.
const TAG: &str = "endofmessage";

/// The places of one conversation.
struct Bare<'a> {
    recipe: &'a Recipe,
    installed: &'a Installed,
    folder: PathBuf,
    api_base: String,
    api_key: String,
}

/// One conversation with these prompts.
pub fn play(recipe: &Recipe, installed: &Installed, gateway: &Gateway, prompts: &[String]) -> Figures {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().canonicalize().unwrap();
    for name in ["workspace", "home", "tmp", "logs"] {
        std::fs::create_dir(folder.join(name)).unwrap();
    }
    std::fs::write(folder.join("workspace/app.py"), "").unwrap();
    let route = gateway.open(RouteSpec {
        model: Arc::new(Nop),
        wire_model: MODEL.into(),
        guard: None,
        system: None,
        pricing: Pricing::FREE,
        budget: RouteBudget::default(),
        canaries: Arc::default(),
    });
    let record = folder.join("model.jsonl");
    route.begin_turn(1, record.clone()).unwrap();
    let bare = Bare {
        recipe,
        installed,
        folder,
        api_base: route.base_url().into(),
        api_key: route.key().into(),
    };
    children::adopt().unwrap();
    let began = Timestamp::now();
    match &recipe.driven {
        Driven::Pty(_) => bare.interactive(prompts),
        Driven::Exec(_) => bare.one_process_per_turn(prompts),
        Driven::Shim(_) => bare.behind_its_driver(prompts),
        Driven::Api => unreachable!("no agent"),
    }
    // A server of tmux, say.
    tree::kill_descendants(std::process::id() as i32, &[], Duration::from_secs(10));
    Figures::of(began, &crate::calls(&[record]))
}

impl Bare<'_> {
    /// All prompts wait in the pipe: nothing is faster by hand.
    fn interactive(&self, prompts: &[String]) {
        let mut agent = self.start(1, None);
        let mut input = agent.stdin.take().unwrap();
        for prompt in prompts {
            write!(input, "{{{TAG}\n{prompt}\n{TAG}}}\n").unwrap();
        }
        writeln!(input, "/exit").unwrap();
        drop(input);
        agent.wait_with_output().unwrap();
    }

    fn one_process_per_turn(&self, prompts: &[String]) {
        let mut session = None;
        for (index, prompt) in prompts.iter().enumerate() {
            let mut agent = self.start(index + 1, session.as_deref());
            agent.stdin.take().unwrap().write_all(prompt.as_bytes()).unwrap();
            agent.wait_with_output().unwrap();
            session.get_or_insert_with(|| self.session());
        }
    }

    /// The name of the session is the end of its file's.
    fn session(&self) -> String {
        let files = walkdir::WalkDir::new(self.folder.join("logs")).into_iter().flatten();
        let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
        let rollout = names.filter(|name| name.starts_with("rollout-")).last().unwrap();
        let stem = rollout.strip_suffix(".jsonl").unwrap();
        stem[stem.len() - 36..].to_owned()
    }

    fn behind_its_driver(&self, prompts: &[String]) {
        for file in std::fs::read_dir(OPENHANDS).unwrap().flatten() {
            std::fs::copy(file.path(), self.folder.join("logs").join(file.file_name())).unwrap();
        }
        let mut agent = self.start(1, None);
        let mut input = agent.stdin.take().unwrap();
        let mut say = |line: serde_json::Value| writeln!(input, "{line}").unwrap();
        say(json!({
            "type": "start", "workspace": self.path("workspace"), "folder": self.path("logs/state"),
            "api_base": self.api_base, "api_key": self.api_key,
            "model": {"name": MODEL, "family": self.dialect().family(), "temperature": 0.0,
                "max_input_tokens": 200_000, "max_output_tokens": 32_000},
            "iterations": 100, "command_seconds": 120, "call_seconds": 3600, "tries": 2,
        }));
        for (index, prompt) in prompts.iter().enumerate() {
            say(json!({"type": "turn", "turn": index + 1, "prompt": prompt}));
        }
        let mut said = String::new();
        let mut turns = 0;
        for line in BufReader::new(agent.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            turns += usize::from(line.contains("\"turn_finished\""));
            said += &line;
            if turns == prompts.len() {
                break;
            }
        }
        assert_eq!(turns, prompts.len(), "{said}");
        // All has been measured.
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    /// What the agent prefers to speak: `nop` takes all.
    fn dialect(&self) -> Dialect {
        self.recipe
            .source
            .speaks
            .first()
            .copied()
            .unwrap_or(Dialect::OpenaiChat)
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn start(&self, turn: usize, session: Option<&str>) -> Child {
        let rendered = self.recipe.render(&self.places(turn, session)).unwrap();
        if turn == 1 {
            for (path, content) in &rendered.files {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, content).unwrap();
            }
        }
        let log = std::fs::File::create(Path::new(&self.path("logs")).join(format!("stderr-{turn}"))).unwrap();
        Command::new(&rendered.argv[0])
            .args(&rendered.argv[1..])
            .current_dir(self.folder.join("workspace"))
            .env_clear()
            .envs(&rendered.env)
            .env("PATH", PATH)
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn places(&self, turn: usize, session: Option<&str>) -> Places {
        let path = |name: &str| Value::from(self.path(name));
        let shown = |path: &Path| Value::from(path.display().to_string());
        let format = self.recipe.source.supports.default_edit_format;
        let none = || Value::from(());
        let model = Places::from([
            ("name", Value::from(MODEL)),
            ("max_input_tokens", Value::from(200_000)),
            ("max_output_tokens", Value::from(32_000)),
            ("input_price", Value::from(0.0)),
            ("output_price", Value::from(0.0)),
            ("temperature", Value::from(0.0)),
            ("dialect", Value::from(self.dialect().name())),
            ("family", Value::from(self.dialect().family())),
            ("accepts_reasoning_effort", Value::from(false)),
            ("accepts_thinking_tokens", Value::from(false)),
        ]);
        let options = Places::from([
            (
                "edit_format",
                format.map_or(none(), |format| Value::from(format.name())),
            ),
            ("no_lint", Value::from(false)),
            ("no_shell_commands", Value::from(false)),
            ("repo_map", Value::from(0)),
            ("reasoning_effort", none()),
            ("thinking_tokens", none()),
        ]);
        Places::from([
            ("workspace", path("workspace")),
            ("home", path("home")),
            ("tmp", path("tmp")),
            ("logs", path("logs")),
            ("files", Value::from_iter(["app.py"])),
            ("repository", Value::from(false)),
            ("api_base", Value::from(self.api_base.as_str())),
            ("api_key", Value::from(self.api_key.as_str())),
            ("model", Value::from(model)),
            ("options", Value::from(options)),
            ("turn", Value::from(turn)),
            ("session", session.map_or(none(), Value::from)),
            (
                "agent",
                Value::from(Places::from([
                    ("folder", shown(&self.installed.folder)),
                    ("program", shown(&self.installed.program)),
                    ("interpreter", shown(&self.installed.interpreter)),
                    ("version", Value::from(self.installed.version.as_str())),
                ])),
            ),
        ])
    }
}
