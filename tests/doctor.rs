//! `doctor` says what is there, what is missing, and what to do about it.

mod common;

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
