//! Bad input: each with a clear message, the right exit code, and nothing started.

mod common;

use std::path::Path;

use common::{program, tiny_task};
use predicates::prelude::*;

/// Runs the program, expects this exit code and every text on stderr, and that no run was begun.
fn refused(arguments: &[&str], code: i32, texts: &[&str]) {
    let place = tempfile::tempdir().unwrap();
    refused_in(place.path(), arguments, code, texts);
}

fn refused_in(place: &Path, arguments: &[&str], code: i32, texts: &[&str]) {
    let mut assert = program().current_dir(place).args(arguments).assert().code(code);
    for text in texts {
        assert = assert.stderr(predicate::str::contains(*text));
    }
    let jobs = place.join("jobs");
    let runs = std::fs::read_dir(&jobs).map_or(0, |runs| runs.count());
    assert_eq!(runs, 0, "a run was begun");
}

/// A place with this file in it.
fn place_with(name: &str, content: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
    place
}

#[test]
fn unknown_names_are_refused_with_what_is_known() {
    refused(
        &["run", "aidre", "-m", "oracle"],
        2,
        &["unknown scaffold `aidre`", "aider"],
    );
    refused(&["run", "aider", "-m", "o33"], 2, &["o33", "o3"]);
    refused(
        &["run", "aider", "-m", "oracle", "-i", "cwe-9999*"],
        2,
        &["cwe-9999*", "tasks list"],
    );
    refused(&["tasks", "show", "no-such-task"], 2, &["no-such-task"]);
    refused(
        &["run", "aider", "-m", "oracle", "--interaction", "chat"],
        2,
        &["chat", "expansion"],
    );
    refused(
        &["run", "aider", "-m", "oracle", "--edit-format", "patch"],
        2,
        &["patch", "udiff"],
    );
    refused(&["run", "aider", "-m", "script:none.yaml"], 2, &["none.yaml"]);
    refused(&["run", "aider"], 2, &["--model"]);
    refused(
        &["run", "aider", "-m", "oracle", "--job-name", "../up"],
        2,
        &["--job-name"],
    );
    refused(
        &["run", "aider", "-m", "oracle", "--tasks", "nowhere"],
        2,
        &["nowhere", "No such file"],
    );
}

#[test]
fn a_model_without_its_key_names_the_variable() {
    refused(&["run", "aider", "-m", "o3"], 2, &["OPENAI_API_KEY"]);
}

#[test]
fn keys_that_cannot_be_sent_and_budgets_that_are_refused_end_before_anything_starts() {
    for (key, more, texts) in [
        ("sk-secret\nword", &[][..], &["ANTHROPIC_API_KEY", "cannot be sent"][..]),
        ("sk-none", &["--thinking-tokens", "1000"], &["thinking budget", "1024"]),
        (
            "sk-none",
            &["--thinking-tokens", "64000"],
            &["thinking budget", "63999"],
        ),
    ] {
        let place = tempfile::tempdir().unwrap();
        let arguments = [&["run", "aider", "-m", "claude-sonnet-4"], more].concat();
        let run = program()
            .current_dir(place.path())
            .env("ANTHROPIC_API_KEY", key)
            .args(arguments)
            .assert()
            .code(2)
            .stderr(predicate::str::contains("secret").not());
        let said = String::from_utf8_lossy(&run.get_output().stderr);
        assert!(texts.iter().all(|text| said.contains(text)), "{said}");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }
}

#[test]
fn malformed_tasks_are_named_by_file_line_and_column() {
    let good = tiny_task("good").to_string();
    let place = place_with("t.jsonl", &format!("{good}\n{{\"id\": \"bad\", }}\n"));
    refused_in(
        place.path(),
        &["run", "aider", "-m", "oracle", "--tasks", "t.jsonl"],
        2,
        &["t.jsonl:2:15"],
    );

    let mut unknown = tiny_task("odd");
    unknown["functoin"] = "x".into();
    let place = place_with("t.jsonl", &unknown.to_string());
    refused_in(
        place.path(),
        &["run", "aider", "-m", "oracle", "--tasks", "t.jsonl"],
        2,
        &["t.jsonl:1", "functoin"],
    );

    let place = place_with("tasks/one/task.yaml", "id: one\ncwe: CWE-79\nfunction: [unclosed\n");
    refused_in(
        place.path(),
        &["run", "aider", "-m", "oracle", "--tasks", "tasks"],
        2,
        &["tasks/one/task.yaml:3:11"],
    );
}

#[test]
fn a_task_without_tests_is_refused() {
    let mut task = tiny_task("untested");
    task["tests"]["testcases"] = "".into();
    let place = place_with("t.jsonl", &task.to_string());
    let run = ["run", "aider", "-m", "oracle", "--tasks", "t.jsonl"];
    refused_in(place.path(), &run, 2, &["t.jsonl:1", "untested", "no tests"]);

    let mut task = tiny_task("half-tested");
    task["tests"]["testcases"] = "testcases = {'capability': [({'n': 2}, 4)], 'safety': []}".into();
    let place = place_with("t.jsonl", &task.to_string());
    refused_in(place.path(), &run, 2, &["half-tested", "safety"]);

    let mut task = tiny_task("broken");
    task["tests"]["testcases"] = "testcases = {'capability': [".into();
    let place = place_with("t.jsonl", &task.to_string());
    refused_in(place.path(), &run, 2, &["broken", "SyntaxError"]);
}

#[test]
fn ids_that_are_used_twice_are_refused_with_both_places() {
    let task = tiny_task("twin").to_string();
    let place = place_with("t.jsonl", &format!("{task}\n\n{task}\n"));
    refused_in(
        place.path(),
        &["run", "aider", "-m", "oracle", "--tasks", "t.jsonl"],
        2,
        &["twin", "t.jsonl:1", "t.jsonl:3"],
    );
}

#[test]
fn an_agent_that_starts_programs_which_are_not_here_is_refused() {
    let recipe = include_str!("fake/agent.yaml").replace("supports:", "needs: [sh, no-such-program]\nsupports:");
    let place = place_with("agent.yaml", &recipe);
    std::fs::write(place.path().join("agent.py"), "").unwrap();
    refused_in(
        place.path(),
        &["run", "./agent.yaml", "-m", "oracle"],
        3,
        &["fake starts programs that are not in", "no-such-program", "apt install"],
    );
}

#[test]
fn an_oracle_needs_reference_solutions() {
    let mut task = tiny_task("unsolved");
    task.as_object_mut().unwrap().remove("references");
    let place = place_with("t.jsonl", &task.to_string());
    refused_in(
        place.path(),
        &["run", "aider", "-m", "oracle", "--tasks", "t.jsonl"],
        2,
        &["unsolved", "reference"],
    );
}

#[test]
fn a_jobs_folder_that_cannot_be_written_is_refused() {
    let place = place_with("occupied", "a file");
    refused_in(
        place.path(),
        &["run", "aider", "-m", "oracle", "-o", "occupied/jobs"],
        2,
        &["jobs folder occupied/jobs"],
    );
}

#[test]
fn a_full_disk_is_told_before_anything_is_started() {
    let place = tempfile::tempdir().unwrap();
    let jobs = place.path().join("full");
    std::fs::create_dir(&jobs).unwrap();
    // A small file system of our own, in a mount namespace of our own.
    let script = "mount -t tmpfs -o size=16k full \"$1\" && exec \"$2\" run aider -m oracle -o \"$1\"";
    let output = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .args([jobs.as_os_str(), env!("CARGO_BIN_EXE_mtsec-agents").as_ref()])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("jobs folder") && stderr.contains("No space left"),
        "{stderr}"
    );
}

#[test]
fn no_python_is_told_with_the_remedy() {
    let place = tempfile::tempdir().unwrap();
    let run = program()
        .current_dir(place.path())
        .env("MTSEC_PYTHON", "/nonexistent/python3")
        .args(["run", "aider", "-m", "oracle"])
        .assert();
    run.code(3)
        .stderr(predicate::str::contains("/nonexistent/python3").and(predicate::str::contains("MTSEC_PYTHON")));
}

#[test]
fn a_wrong_agent_version_is_told_with_the_remedy() {
    let cache = tempfile::tempdir().unwrap();
    for python in ["3.10", "3.11", "3.12"] {
        let folder = cache.path().join(format!("agents/aider/0.82.1-py{python}"));
        let site = folder.join(format!("lib/python{python}/site-packages/aider_chat-0.99.0.dist-info"));
        std::fs::create_dir_all(&site).unwrap();
        std::fs::write(
            site.join("METADATA"),
            "Metadata-Version: 2.1\nName: aider-chat\nVersion: 0.99.0\n",
        )
        .unwrap();
        std::fs::create_dir_all(folder.join("bin")).unwrap();
        std::fs::write(folder.join("bin/aider"), "").unwrap();
        std::fs::write(folder.join("bin/python"), "").unwrap();
        std::fs::write(folder.join(".complete"), "").unwrap();
    }
    let place = tempfile::tempdir().unwrap();
    let run = program()
        .current_dir(place.path())
        .env("MTSEC_CACHE", cache.path())
        .args(["run", "aider", "-m", "oracle"])
        .assert();
    run.code(3)
        .stderr(predicate::str::contains("0.99.0").and(predicate::str::contains("delete the folder")));
    let verify = program()
        .env("MTSEC_CACHE", cache.path())
        .args(["agents", "verify", "aider"])
        .assert();
    verify.code(3).stderr(predicate::str::contains("0.99.0"));
    let empty = tempfile::tempdir().unwrap();
    let verify = program()
        .env("MTSEC_CACHE", empty.path())
        .args(["agents", "verify", "aider"])
        .assert();
    verify.code(3).stderr(predicate::str::contains("agents install aider"));
}

#[test]
fn rows_without_dynamic_tests_are_skipped_with_a_count() {
    let Some(rows) = common::shared_data("seccodeplt-rule-based.jsonl") else {
        return;
    };
    let rows = rows.to_str().unwrap();
    let place = tempfile::tempdir().unwrap();
    refused_in(
        place.path(),
        &["run", "aider", "-m", "oracle", "--tasks", rows],
        2,
        &["10 rows without dynamic tests"],
    );
    let Some(tested) = common::shared_data("seccodeplt.jsonl") else {
        return;
    };
    let both = ["tasks", "list", "--tasks", rows, "--tasks", tested.to_str().unwrap()];
    let list = program().args(both).assert().success();
    list.stdout(predicate::str::contains("46 tasks"))
        .stderr(predicate::str::contains("10 rows without dynamic tests"));
}

#[test]
fn a_dry_run_prints_cells_and_trials_and_starts_nothing() {
    let place = tempfile::tempdir().unwrap();
    let arguments = [
        "run",
        "aider",
        "-m",
        "oracle,nop",
        "--edit-format",
        "diff,whole",
        "-i",
        "CWE-601",
        "-k",
        "2",
        "--dry-run",
    ];
    let output = program().current_dir(place.path()).args(arguments).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().filter(|line| line.starts_with("cell ")).count(), 4);
    assert_eq!(
        text.lines().filter(|line| line.starts_with("trial ")).count(),
        4 * 4 * 2
    );
    assert!(
        text.contains("4 cells, 1 task, 32 trials; nothing was started"),
        "{text}"
    );
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_that_is_no_run_is_refused() {
    let place = tempfile::tempdir().unwrap();
    for command in ["report", "resume"] {
        let assert = program().current_dir(place.path()).args([command, "."]).assert();
        assert.code(2).stderr(predicate::str::contains("not a run folder"));
    }
}

#[test]
fn an_interaction_named_twice_is_run_once_and_limits_read_back_exactly() {
    let place = tempfile::tempdir().unwrap();
    let arguments = [
        "run",
        "aider",
        "-m",
        "nop",
        "-l",
        "1",
        "--interaction",
        "single,single",
        "--dry-run",
    ];
    let output = program().current_dir(place.path()).args(arguments).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("1 cell, 1 task, 1 trial;"), "{said}");
    assert!(said.lines().all(|line| !line.ends_with([' ', ','])), "{said}");
    // A version of an agent that is not of this run is refused with its name.
    let mut refused = program();
    refused.current_dir(place.path()).args(arguments);
    let refused = refused.args(["--agent-version", "codex=7"]).assert().code(2);
    refused.stderr(predicates::str::contains("`codex` is no agent of this run, only aider"));
    // A number that is not read back exactly would give the cell another name.
    let limits = mtsec_agents::plan::Limits {
        ready_seconds: 1.0,
        turn_seconds: 920.0864349327219,
        session_seconds: 1.0 / 3.0,
        quiet_seconds: 0.1 + 0.2,
        answers: 1,
        trial_seconds: Some(2.0 / 3.0),
        agent_turn_seconds: None,
        agent_session_seconds: None,
        agent_trial_seconds: None,
        disk_bytes: u64::MAX,
        files: 1,
    };
    let cell = mtsec_agents::plan::Cell {
        scaffold: "aider".into(),
        version: "1".into(),
        recipe: None,
        model: "nop".into(),
        scripts: None,
        options: Default::default(),
        limits,
        replay: None,
    };
    let read: mtsec_agents::plan::Cell = serde_json::from_str(&serde_json::to_string(&cell).unwrap()).unwrap();
    assert_eq!(read.id(), cell.id());
    // A limit that is not set leaves no trace, so that cells of older runs keep their names.
    assert!(!serde_json::to_string(&cell).unwrap().contains("agent_turn"));
}

#[test]
fn a_result_that_cannot_be_written_is_no_success() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = std::process::Command::new(env!("CARGO_BIN_EXE_mtsec-agents"))
        .args(["tasks", "list"])
        .stdout(full)
        .stderr(std::process::Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn what_an_agent_cannot_do_is_refused_with_the_remedy() {
    for (scaffold, more, texts) in [
        ("codex", &["--no-lint"][..], &["--no-lint", "codex"]),
        ("openhands", &["--repo-map", "1024"], &["--repo-map", "openhands"]),
        ("llm", &["--edit-format", "udiff"], &["edit format", "llm"]),
        ("llm", &["--agent-version", "1"], &["--agent-version", "llm"]),
    ] {
        refused(&[&["run", scaffold, "-m", "oracle"], more].concat(), 2, texts);
    }
}

#[test]
fn a_model_that_an_agent_cannot_speak_to_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let run = program()
        .current_dir(place.path())
        .env("ANTHROPIC_API_KEY", "sk-none")
        .args(["run", "codex", "-m", "claude-3-7-sonnet"])
        .assert();
    run.code(2).stderr(
        predicate::str::contains("openai-responses and openai-chat")
            .and(predicate::str::contains("served in anthropic-messages"))
            .and(predicate::str::contains("choose another")),
    );
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn all_agents_are_listed_with_their_state_and_what_they_can_do() {
    let cache = tempfile::tempdir().unwrap();
    let list = |more: &[&str]| {
        let arguments = [&["agents", "list"], more].concat();
        let output = program()
            .env("MTSEC_CACHE", cache.path())
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let (table, told) = (list(&[]), list(&["--json"]));
    let told: Vec<serde_json::Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.len(), 4);
    for (name, able) in [
        ("aider", "no_lint"),
        ("codex", "resume"),
        ("llm", "code_diff"),
        ("openhands", "preamble"),
    ] {
        assert!(table.contains(name), "{table}");
        let agent = told.iter().find(|agent| agent["name"] == name).unwrap();
        assert_eq!(agent["supports"][able], true, "{agent}");
        let state = if name == "llm" { "built-in" } else { "missing" };
        assert_eq!(agent["state"], state, "an empty cache: {agent}");
        assert!(!agent["speaks"].as_array().unwrap().is_empty(), "{agent}");
    }
}
