//! A stage for one session: its folders, its limits, and the pinned agent.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use mtsec_agents::plan::{EditFormat, Limits, Options};
use mtsec_agents::process::Bare;
use mtsec_agents::recipe::{Dialect, Recipe};
use mtsec_agents::scaffold::{
    AgentModel, Clocks, Installed, Installer, Killed, NoCalls, OpenError, Scaffold, Session, Stage, driver,
};

pub const GUARD: &str = "mtsec-guard-0123456789abcdef";

fn installed(recipe: &Recipe) -> Installed {
    let installer = Installer::new(&Installer::default_cache().expect("no cache folder: set MTSEC_CACHE"));
    installer
        .ensure(recipe, &mut |progress| eprintln!("{progress:?}"))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The pinned Aider, installed into the user's cache by whichever test comes first.
pub fn aider() -> (Arc<Recipe>, Installed) {
    static AIDER: OnceLock<Installed> = OnceLock::new();
    let recipe = Recipe::builtin("aider").unwrap();
    let installed = AIDER.get_or_init(|| installed(&recipe));
    (Arc::new(recipe), installed.clone())
}

/// The pinned Codex, installed likewise.
pub fn codex() -> (Arc<Recipe>, Installed) {
    static CODEX: OnceLock<Installed> = OnceLock::new();
    let recipe = Recipe::builtin("codex").unwrap();
    let installed = CODEX.get_or_init(|| installed(&recipe));
    (Arc::new(recipe), installed.clone())
}

/// Our own executable, which knows the shepherd command.
pub fn program() -> PathBuf {
    env!("CARGO_BIN_EXE_mtsec-agents").into()
}

pub struct Bench {
    pub folder: tempfile::TempDir,
    pub stage: Stage,
    pub limits: Limits,
}

impl Bench {
    /// A stage whose workspace holds these files.
    pub fn new(api_base: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).unwrap();
            path
        };
        let stage = Stage {
            workspace: place("workspace"),
            files: files.iter().map(|(name, _)| name.into()).collect(),
            home: place("home"),
            tmp: place("tmp"),
            logs: place("logs"),
            api_base: api_base.into(),
            gateway: "/dev/null".into(),
            trial: String::new(),
            interaction: mtsec_agents::conversation::Interaction::Single,
            api_key: "dummy-key".into(),
            guard: GUARD.into(),
            model: AgentModel {
                dialect: Dialect::OpenaiChat,
                name: "scripted".into(),
                max_input_tokens: 200_000,
                max_output_tokens: 32_000,
                input_price: Some(2e-6),
                output_price: None,
                temperature: Some(0.0),
                accepts_reasoning_effort: false,
            },
            options: Options::default(),
            clocks: Clocks::start(Arc::new(NoCalls)),
            cancel: Default::default(),
        };
        for (name, content) in files {
            let path = stage.workspace.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        // They tell a hang from an end only: on a loaded machine an agent's imports alone take a minute.
        let limits = Limits {
            ready_seconds: 300.0,
            turn_seconds: 300.0,
            session_seconds: 900.0,
            quiet_seconds: 300.0,
            answers: 20,
            trial_seconds: None,
            agent_turn_seconds: None,
            agent_session_seconds: None,
            agent_trial_seconds: None,
            disk_bytes: 1 << 30,
            files: 100_000,
        };
        Self { folder, stage, limits }
    }

    pub fn format(mut self, format: EditFormat) -> Self {
        self.stage.options.edit_format = Some(format);
        self
    }

    /// Opens a session with the real Aider.
    pub async fn aider(&self) -> Box<dyn Session> {
        let (recipe, installed) = aider();
        let scaffold = driver(recipe, installed, program(), Arc::new(Bare));
        scaffold
            .open(&self.stage, &self.limits)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Opens a session with the real Codex.
    pub async fn codex(&mut self) -> Box<dyn Session> {
        self.stage.model.dialect = Dialect::OpenaiResponses;
        let (recipe, installed) = codex();
        let scaffold = driver(recipe, installed, program(), Arc::new(Bare));
        scaffold
            .open(&self.stage, &self.limits)
            .await
            .unwrap_or_else(|error| panic!("{error}"))
    }

    /// What the agent printed in a turn, for messages.
    pub fn log(&self, turn: usize) -> String {
        std::fs::read_to_string(self.stage.logs.join(format!("turns/{turn}/agent.log"))).unwrap_or_default()
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.stage.workspace.join(name)).unwrap_or_default()
    }

    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.stage.workspace.join(path).exists()
    }
}

/// So many processes were killed, and none is left.
pub fn killed(count: u32) -> Killed {
    Killed { count, left: 0 }
}

/// An edit of `app.py` in each format: from `old` (empty: a new file) to `new`.
pub fn edit(format: EditFormat, file: &str, old: &str, new: &str) -> String {
    match format {
        EditFormat::Diff => format!("{file}\n```python\n<<<<<<< SEARCH\n{old}=======\n{new}>>>>>>> REPLACE\n```\n"),
        EditFormat::Udiff => {
            let minus: String = old.lines().map(|line| format!("-{line}\n")).collect();
            let plus: String = new.lines().map(|line| format!("+{line}\n")).collect();
            format!("```diff\n--- {file}\n+++ {file}\n@@ ... @@\n{minus}{plus}```\n")
        }
        EditFormat::Whole => format!("{file}\n```\n{new}```\n"),
    }
}

/// Live processes whose command line holds this text.
pub fn processes(text: &str) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(text)
    })
    .collect()
}

/// Waits until such a process is seen: one that is just being started anew has no command line to be found by.
pub async fn appears(text: &str) {
    let end = Instant::now() + Duration::from_secs(20);
    while processes(text).is_empty() {
        assert!(Instant::now() < end, "no process with `{text}`");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A fake agent of one script on a bench of its own.
pub struct Fake {
    pub bench: Bench,
    pub scaffold: Arc<dyn Scaffold>,
}

impl Fake {
    /// The agent `name`, whose recipe runs the script.
    pub fn new(name: &str, script: &str, recipe: &str) -> Self {
        let mut bench = Bench::new("http://127.0.0.1:9/v1", &[]);
        let path = bench.folder.path().join(format!("{name}.py"));
        std::fs::write(&path, script).unwrap();
        let installed = Installed {
            name: name.into(),
            version: "1".into(),
            folder: bench.folder.path().to_owned(),
            visible: vec![path.clone()],
            program: path,
            interpreter: "python3".into(),
            digest: None,
        };
        let recipe = Recipe::parse(&format!("{name}.yaml"), recipe).unwrap_or_else(|error| panic!("{error}"));
        bench.limits = recipe.source.limits;
        let scaffold = driver(recipe.into(), installed, program(), Arc::new(Bare));
        Self { bench, scaffold }
    }

    pub async fn open(&self) -> Result<Box<dyn Session>, OpenError> {
        self.scaffold.open(&self.bench.stage, &self.bench.limits).await
    }

    pub async fn opened(&self) -> Box<dyn Session> {
        self.open().await.unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn nothing_runs(&self) {
        let folder = self.bench.folder.path().display().to_string();
        assert_eq!(processes(&folder), Vec::<i32>::new());
    }
}
