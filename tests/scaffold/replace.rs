//! Replacing an installation: what a run uses stays, and so does what cannot be replaced.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use mtsec_agents::process::children;
use mtsec_agents::recipe::Recipe;
use mtsec_agents::scaffold::{InstallError, Installed, Installer, Status};

use crate::bench::{processes, program};
use crate::common::tiny_task;
use crate::common::traces::until;
use crate::install::{of_wheel, wheel};

/// Tells a hang from an end only.
const LIMIT: Duration = Duration::from_secs(300);

/// A cache with a small agent in it.
struct Cache {
    place: tempfile::TempDir,
    recipe: String,
    installed: Installed,
}

impl Cache {
    /// With an agent whose program is this script.
    fn new(script: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().display();
        let first = format!(
            "import os, time; [time.sleep(0.01) for _ in iter(lambda: os.path.exists('{path}/wait') and not open('{path}/waits', 'w').close(), False)]"
        );
        let recipe = of_wheel(&wheel(place.path(), script), &first);
        fs::write(place.path().join("fake.yaml"), &recipe).unwrap();
        let parsed = Recipe::parse("fake.yaml", &recipe).unwrap();
        let installed = Installer::new(place.path()).ensure(&parsed, &mut |_| {});
        Self {
            installed: installed.unwrap_or_else(|error| panic!("{error}")),
            recipe,
            place,
        }
    }

    fn path(&self) -> &Path {
        self.place.path()
    }

    fn installer(&self) -> Installer {
        Installer::new(self.path())
    }

    fn recipe(&self) -> Recipe {
        Recipe::parse("fake.yaml", &self.recipe).unwrap()
    }

    /// Our own program, with this cache.
    fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments).current_dir(self.path());
        command.env("MTSEC_CACHE", self.path()).env("TMPDIR", self.path());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// What lies beside the installation, without the lock.
    fn beside(&self) -> Vec<PathBuf> {
        let entries = self.installed.folder.parent().unwrap().read_dir().unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let hidden = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "lock");
        paths
            .filter(|path| *path != self.installed.folder && !hidden(path))
            .collect()
    }

    /// Every file is as it was installed.
    fn is_whole(&self) {
        let status = self.installer().verify(&self.recipe(), &mut |_| {});
        assert_eq!(status, Status::Ready(self.installed.clone()));
        assert_eq!(self.beside(), Vec::<PathBuf>::new());
    }
}

#[test]
fn what_cannot_be_replaced_stays() {
    let cache = Cache::new("print('hello')\n");
    let elsewhere = cache.recipe.replace("/fake_agent-1.0", "/nowhere/fake_agent-1.0");
    let elsewhere = Recipe::parse("fake.yaml", &elsewhere).unwrap();
    let error = cache.installer().replace(&elsewhere, &mut |_| {}).unwrap_err();
    assert!(matches!(error, InstallError::Step { .. }), "{error}");
    cache.is_whole();
    let Installed {
        interpreter, program, ..
    } = &cache.installed;
    let said = children::output(Command::new(interpreter).arg(program)).unwrap();
    assert_eq!(said.stdout, b"hello\n");
}

#[test]
fn what_is_held_is_not_replaced() {
    let cache = Cache::new("print('hello')\n");
    let (installer, recipe) = (cache.installer(), cache.recipe());
    let (_, hold) = installer.hold(&recipe, &mut |_| {}).unwrap();
    let error = installer.replace(&recipe, &mut |_| {}).unwrap_err();
    let me = format!("process {} (", std::process::id());
    assert!(
        matches!(&error, InstallError::InUse { by, .. } if by.contains(&me)),
        "{error}"
    );
    cache.is_whole();
    drop(hold);
    assert_eq!(installer.replace(&recipe, &mut |_| {}).unwrap(), cache.installed);
    cache.is_whole();
}

#[test]
fn a_replacement_that_was_killed_is_undone_by_the_next_use() {
    let cache = Cache::new("print('hello')\n");
    fs::write(cache.path().join("wait"), "").unwrap();
    let mut command = cache.program(&["agents", "install", "./fake.yaml", "--force"]);
    let mut replaces = children::spawn(&mut command).unwrap();
    until("the first start", LIMIT, || cache.path().join("waits").exists());
    replaces.kill().unwrap();
    replaces.wait().unwrap();
    let step = cache.path().join("wait").display().to_string();
    until("the end of the step", LIMIT, || processes(&step).is_empty());
    assert_eq!(cache.beside().len(), 1);
    let status = cache.installer().status(&cache.recipe());
    assert!(
        matches!(&status, Status::Broken { reason, .. } if reason.contains("interrupted")),
        "{status:?}"
    );

    let again = cache
        .installer()
        .ensure(&cache.recipe(), &mut |progress| panic!("{progress:?}"));
    assert_eq!(again.unwrap(), cache.installed);
    cache.is_whole();

    // Killed after the new one was finished.
    let parent = cache.installed.folder.parent().unwrap();
    let name = cache.installed.folder.file_name().unwrap().to_string_lossy();
    fs::create_dir(parent.join(format!(".old-{name}"))).unwrap();
    cache.installer().ensure(&cache.recipe(), &mut |_| {}).unwrap();
    cache.is_whole();
}

#[test]
fn a_living_run_keeps_its_agent() {
    let cache = Cache::new("import time; time.sleep(600)\n");
    fs::write(cache.path().join("t.jsonl"), tiny_task("tiny").to_string()).unwrap();
    let arguments = [
        "run",
        "./fake.yaml",
        "-m",
        "nop",
        "--tasks",
        "t.jsonl",
        "--job-name",
        "r",
    ];
    let mut run = children::spawn(&mut cache.program(&arguments)).unwrap();
    let journal = cache.path().join("jobs/r/journal.jsonl");
    until("the trial", LIMIT, || {
        fs::read_to_string(&journal).is_ok_and(|text| text.contains("trial_started"))
    });
    let force = ["agents", "install", "./fake.yaml", "--force"];
    let mut command = cache.program(&force);
    let refused = children::output(command.stderr(Stdio::piped())).unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    let told = fs::read_to_string(&journal).unwrap();
    assert_eq!(refused.status.code(), Some(3), "{said}\n{told}");
    assert!(
        said.contains(&format!("process {} (", run.id())) && said.contains("run ./fake.yaml"),
        "{said}"
    );
    cache.is_whole();
    assert_eq!(
        run.try_wait().unwrap(),
        None,
        "{}",
        fs::read_to_string(&journal).unwrap()
    );
    run.kill().unwrap();
    run.wait().unwrap();
    let done = children::output(&mut cache.program(&force)).unwrap();
    assert_eq!(done.status.code(), Some(0));
    cache.is_whole();
    let place = cache.path().display().to_string();
    until("the end of the agent", LIMIT, || processes(&place).is_empty());
}
