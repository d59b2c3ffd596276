//! Installing and verifying agents.

use std::fs;
use std::path::Path;

use mtsec_agents::process::children;
use mtsec_agents::recipe::{Install, Recipe};
use mtsec_agents::scaffold::{InstallError, Installer, Status};

use crate::bench;

/// A recipe that needs nothing from a registry.
fn recipe(change: impl Fn(&str) -> String) -> Recipe {
    let text = include_str!("../../scaffolds/aider.yaml");
    Recipe::parse("test.yaml", &change(text)).unwrap()
}

fn fake(folder: &Path, version: &str, finished: bool) {
    let info = folder.join("lib/python3.11/site-packages/aider_chat-0.dist-info");
    fs::create_dir_all(&info).unwrap();
    fs::create_dir_all(folder.join("bin")).unwrap();
    fs::write(
        info.join("METADATA"),
        format!("Metadata-Version: 2.1\nName: aider-chat\nVersion: {version}\n"),
    )
    .unwrap();
    fs::write(folder.join("bin/aider"), "#!/bin/sh\n").unwrap();
    if finished {
        fs::write(folder.join(".complete"), "").unwrap();
    }
}

#[test]
fn the_pinned_aider_is_installed_once_and_then_found() {
    let (recipe, installed) = bench::aider();
    assert_eq!(installed.version, "0.82.1");
    let installer = Installer::new(&Installer::default_cache().unwrap());
    let again = installer
        .ensure(&recipe, &mut |progress| panic!("{progress:?}"))
        .unwrap();
    assert_eq!(again, installed);
    assert_eq!(installer.status(&recipe), Status::Ready(installed));
}

#[test]
fn missing_half_and_wrong_installations_are_told_apart() {
    let cache = tempfile::tempdir().unwrap();
    let installer = Installer::new(cache.path());
    let recipe = recipe(str::to_owned);
    assert!(matches!(installer.status(&recipe), Status::Missing { .. }));

    let Install::Pip(pip) = &recipe.source.install else {
        panic!("{:?}", recipe.source.install)
    };
    assert_eq!(pip.python, ">=3.10,<3.13");
    for minor in [10, 11, 12] {
        fake(
            &cache.path().join(format!("agents/aider/0.82.1-py3.{minor}")),
            "0.82.1",
            false,
        );
    }
    assert!(matches!(installer.status(&recipe), Status::Broken { .. }));
    for minor in [10, 11, 12] {
        fake(
            &cache.path().join(format!("agents/aider/0.82.1-py3.{minor}")),
            "0.81.0",
            true,
        );
    }
    let error = installer.ensure(&recipe, &mut |_| {}).unwrap_err();
    assert!(matches!(error, InstallError::WrongVersion { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("0.81.0") && text.contains("0.82.1") && text.contains("delete the folder"),
        "{text}"
    );
}

#[test]
fn no_python_of_the_range_is_an_error_with_what_was_found() {
    let cache = tempfile::tempdir().unwrap();
    let recipe = recipe(|text| text.replace(">=3.10,<3.13", ">=3.98,<3.99"));
    let error = Installer::new(cache.path()).ensure(&recipe, &mut |_| {}).unwrap_err();
    assert!(matches!(error, InstallError::NoPython(_)), "{error}");
    assert!(error.to_string().contains(">=3.98,<3.99"), "{error}");
}

#[test]
fn a_package_that_pip_cannot_get_leaves_nothing_that_looks_finished() {
    let cache = tempfile::tempdir().unwrap();
    // A local path that does not exist: pip fails without asking anyone.
    let recipe = recipe(|text| text.replace("aider-chat=={{ version }}", "/nonexistent/aider_chat-0.82.1.tar.gz"));
    let installer = Installer::new(cache.path());
    let mut steps = Vec::new();
    let error = installer
        .ensure(&recipe, &mut |progress| steps.push(progress))
        .unwrap_err();
    assert!(
        matches!(&error, InstallError::Step { output, .. } if output.contains("nonexistent")),
        "{error}"
    );
    assert!(matches!(installer.status(&recipe), Status::Broken { .. }));
    assert!(steps.len() >= 2);
}

/// A wheel of nothing but a script, made by hand so that no registry is asked.
pub fn wheel(folder: &Path, script: &str) -> String {
    let code = r##"
import sys, zipfile
info = "fake_agent-1.0.dist-info/"
with zipfile.ZipFile(sys.argv[1], "w") as wheel:
    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: fake-agent\nVersion: 1.0\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr("fake_agent-1.0.data/scripts/fake", "#!python\n" + sys.argv[2])
    wheel.writestr(info + "RECORD", "")
"##;
    let path = folder.join("fake_agent-1.0-py3-none-any.whl");
    let mut command = std::process::Command::new("python3");
    let done = children::output(command.args(["-c", code]).arg(&path).arg(script)).unwrap();
    assert!(done.status.success());
    path.display().to_string()
}

/// The recipe of such a wheel, which does this at its first start.
pub fn of_wheel(wheel: &str, first: &str) -> String {
    include_str!("../../scaffolds/aider.yaml")
        .replace("name: aider", "name: fake")
        .replace("\"0.82.1\"", "\"1.0\"")
        .replace("aider-chat=={{ version }}", wheel)
        .replace("distribution: aider-chat", "distribution: fake-agent")
        .replace("program: bin/aider", "program: bin/fake")
        // The script is not executable.
        .replace(
            r#"args: ["{{ agent.program }}"]"#,
            r#"args: ["{{ agent.interpreter }}", "{{ agent.program }}"]"#,
        )
        .replace(
            "import aider.main, aider.coders, litellm, networkx, scipy.sparse, grep_ast, tiktoken",
            first,
        )
}

#[test]
fn two_installations_at_once_become_one() {
    let cache = tempfile::tempdir().unwrap();
    let text = of_wheel(&wheel(cache.path(), "print('hello')\n"), "pass");
    let install = || {
        let recipe = Recipe::parse("fake.yaml", &text).unwrap();
        let mut steps = 0;
        let installed = Installer::new(cache.path()).ensure(&recipe, &mut |progress| {
            steps += u32::from(matches!(progress, mtsec_agents::scaffold::Progress::Step(_)));
        });
        (installed.unwrap_or_else(|error| panic!("{error}")), steps)
    };
    let ((one, one_steps), (two, two_steps)) = std::thread::scope(|scope| {
        let other = scope.spawn(install);
        (install(), other.join().unwrap())
    });
    assert_eq!(one, two);
    assert!(
        one_steps.min(two_steps) == 0 && one_steps.max(two_steps) >= 3,
        "{one_steps} {two_steps}"
    );
    let said = children::output(std::process::Command::new(&one.interpreter).arg(&one.program)).unwrap();
    assert_eq!(said.stdout, b"hello\n");

    let recipe = Recipe::parse("fake.yaml", &text).unwrap();
    let installer = Installer::new(cache.path());
    let verify = || installer.verify(&recipe, &mut |_| {});
    assert_eq!(verify(), Status::Ready(one.clone()));
    let site = one.folder.join("lib").read_dir().unwrap().next().unwrap().unwrap();
    let site = site.path().join("site-packages");
    let added = site.join("sitecustomize.py");
    fs::write(&added, "print('mine')\n").unwrap();
    // Whoever is about to start it finds it out as well.
    let broken = |what: &str| {
        match verify() {
            Status::Broken { reason, .. } => assert!(reason.contains(what), "{reason}"),
            other => panic!("{what}: {other:?}"),
        }
        let error = installer.ensure(&recipe, &mut |_| {}).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("--force"), "{error}");
    };
    broken("sitecustomize.py");
    fs::remove_file(added).unwrap();
    let pip = site.join("pip/__init__.py");
    fs::write(&pip, "print('mine')\n").unwrap();
    broken("pip/__init__.py");

    let again = installer
        .replace(&recipe, &mut |_| {})
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(again, one, "the same packages are the same agent");
    assert_eq!(verify(), Status::Ready(again));
    // Python takes what is compiled for what it was compiled from, and asks nobody.
    let cached = site.join("pip/__pycache__").read_dir().unwrap();
    let compiled = cached.map(|entry| entry.unwrap().path());
    let compiled = compiled.filter(|path| path.to_string_lossy().contains("/__init__."));
    let compiled: Vec<_> = compiled.collect();
    let [compiled] = compiled.as_slice() else {
        panic!("{compiled:?}")
    };
    for (path, name) in [
        (compiled, "pip/__pycache__/__init__."),
        (&one.folder.join("pyvenv.cfg"), "pyvenv.cfg"),
    ] {
        let before = fs::read(path).unwrap();
        let mut changed = before.clone();
        *changed.last_mut().unwrap() ^= 1;
        fs::write(path, changed).unwrap();
        broken(name);
        fs::write(path, before).unwrap();
        assert_eq!(verify(), Status::Ready(one.clone()));
    }

    // An installation that was made before its files were noted is taken as it is, once.
    fs::remove_file(one.folder.join(".files")).unwrap();
    assert_eq!(installer.ensure(&recipe, &mut |_| {}).unwrap(), one);
    fs::write(compiled, "mine").unwrap();
    broken("pip/__pycache__/__init__.");
}

#[test]
fn an_agent_that_is_being_installed_is_neither_missing_nor_broken() {
    let cache = tempfile::tempdir().unwrap();
    let installer = Installer::new(cache.path());
    let recipe = recipe(str::to_owned);
    let folder = cache.path().join("agents/aider");
    fake(&folder.join("0.82.1-py3.11"), "0.82.1", false);
    let lock = fs::File::create(folder.join(".0.82.1.lock")).unwrap();
    assert!(matches!(installer.status(&recipe), Status::Broken { .. }));
    lock.lock().unwrap();
    assert!(matches!(installer.status(&recipe), Status::Installing { .. }));
}
