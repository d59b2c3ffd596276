//! `doctor` says what is there, what is missing, and what to do about it.

mod common;

use std::os::unix::fs::PermissionsExt;

use common::program;
use serde_json::Value;

/// The checks by name, and the exit code.
fn checks(variables: &[(&str, &str)]) -> (Vec<Value>, i32) {
    let place = tempfile::tempdir().unwrap();
    let mut command = program();
    command.current_dir(place.path()).args(["doctor", "--json"]);
    let output = command.envs(variables.iter().copied()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let left = std::fs::read_dir(place.path()).unwrap().count();
    assert_eq!(left, 0, "doctor has made something");
    (
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
        output.status.code().unwrap(),
    )
}

fn check(checks: &[Value], name: &str) -> Value {
    let found = checks.iter().find(|check| check["name"] == name);
    found.unwrap_or_else(|| panic!("no `{name}` in {checks:?}")).clone()
}

#[test]
fn a_machine_on_which_the_tests_pass_lacks_nothing_that_is_needed() {
    let (checks, code) = checks(&[("MTSEC_API_KEY", "sk-canary-77d1")]);
    assert_eq!(code, 0, "{checks:#?}");
    for name in [
        "sandbox",
        "interpreter of the tester",
        "temporary folder",
        "cache",
        "jobs folder",
        "open files",
    ] {
        assert_ne!(check(&checks, name)["state"], "missing");
    }
    check(&checks, "agent aider");
    check(&checks, "Docker");
    // Only an agent that is there can try its own sandbox.
    let sandbox = checks.iter().find(|check| check["name"] == "sandbox of codex");
    let is_there = check(&checks, "agent codex")["state"] == "ok";
    assert_eq!(
        sandbox.map(|check| &check["state"]),
        is_there.then_some(&Value::from("ok")),
        "{checks:#?}"
    );
    let keys = check(&checks, "keys of providers");
    assert_eq!(keys["state"], "ok");
    assert!(
        keys["found"]
            .as_str()
            .unwrap()
            .starts_with("MTSEC_API_KEY set; not set: ANTHROPIC_API_KEY"),
        "{keys}"
    );
    assert!(!format!("{checks:?}").contains("canary"), "a key's value is shown");
    for check in &checks {
        // What is not well has its remedy.
        let told = check["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty());
        assert_eq!(told, check["state"] != "ok", "{check}");
    }
}

#[test]
fn what_is_missing_has_its_remedy_and_the_exit_code_three() {
    let (checks, code) = checks(&[
        ("MTSEC_PYTHON", "/bin/false"),
        ("TMPDIR", "/nonexistent"),
        ("MTSEC_CACHE", "/dev/null/cache"),
        ("DOCKER_HOST", "unix:///nonexistent.sock"),
    ]);
    assert_eq!(code, 3);
    let python = check(&checks, "interpreter of the tester");
    assert_eq!(python["state"], "missing");
    assert!(python["remedy"].as_str().unwrap().contains("CPython"), "{python}");
    for (name, remedy) in [("temporary folder", "TMPDIR"), ("cache", "MTSEC_CACHE")] {
        let check = check(&checks, name);
        assert_eq!(check["state"], "missing", "{check}");
        assert!(check["remedy"].as_str().unwrap().contains(remedy), "{check}");
    }
    let docker = check(&checks, "Docker");
    assert_eq!(docker["state"], "warning", "{docker}");
    assert!(
        docker["found"].as_str().unwrap().contains("/nonexistent.sock"),
        "{docker}"
    );
}

#[test]
fn an_agent_that_was_changed_or_lost_its_program_is_told_with_the_command_that_mends_it() {
    let cache = tempfile::tempdir().unwrap();
    let recipe = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/scaffolds/codex.yaml")).unwrap();
    // The pinned program's digest stands below its architecture's name.
    let own = recipe.split(&format!("{}:\n", std::env::consts::ARCH)).nth(1).unwrap();
    let digest = own.split("sha256: ").nth(1).unwrap().lines().next().unwrap();
    let version = recipe.split("\nversion: ").nth(1).unwrap().lines().next().unwrap();
    let version = version.trim_matches('"');
    let folder = cache
        .path()
        .join(format!("agents/codex/{version}-{}", std::env::consts::ARCH));
    let binary = folder.join("bin/codex");
    std::fs::create_dir_all(folder.join("bin")).unwrap();
    std::fs::write(&binary, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
    let marker = serde_json::json!({ "version": version, "digest": digest });
    std::fs::write(folder.join(".complete"), marker.to_string()).unwrap();
    let cache = cache.path().to_str().unwrap();
    let told = |what: &str| {
        let (checks, _) = checks(&[("MTSEC_CACHE", cache)]);
        let agent = check(&checks, "agent codex");
        assert_eq!(agent["state"], "warning", "{agent}");
        assert!(agent["found"].as_str().unwrap().contains(what), "{agent}");
        assert_eq!(
            agent["remedy"], "`mtsec-agents agents install codex --force` installs it again.",
            "{agent}"
        );
        let verify = program()
            .env("MTSEC_CACHE", cache)
            .args(["agents", "verify", "codex"])
            .assert();
        let said = String::from_utf8_lossy(&verify.code(3).get_output().stderr).into_owned();
        let whole = format!("codex {version}");
        for part in [what, &whole, "`mtsec-agents agents install codex --force`"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    };
    told("bin/codex changed");
    std::fs::remove_dir_all(folder.join("bin")).unwrap();
    told("bin/codex is missing");
}
