//! What a larger file adds, and what a smaller one leaves.

use super::common::{finished, json_lines, tiny_task};
use super::{files, lock, place, run, started, sweep, tasks, write};

const SMALL: &str = "matrix: {scaffold: llm, model: oracle, interaction: single}\n";
const LARGE: &str =
    "attempts: 2\nmatrix: {scaffold: llm, model: [oracle, 'oracle:insecure'], interaction: [single, editing]}\n";

#[test]
fn models_interactions_and_attempts_are_added_and_what_was_run_is_left_alone() {
    let place = place(SMALL);
    let run = run(place.path());
    sweep(place.path(), &[]);
    let before = files(&run.join("trials"));
    assert_eq!(started(&run).len(), 2);

    write(place.path(), LARGE);
    let (grown, said) = sweep(place.path(), &[]);
    assert!(
        said.contains("the file asks for 16 trials; 2 trials were run before, and not again"),
        "{said}"
    );
    let after = files(&run.join("trials"));
    for (path, content) in &before {
        assert_eq!(after.get(path), Some(content), "{}", path.display());
    }
    assert_eq!(started(&run).len(), 16, "each trial was played once");

    // The same as if it had been so from the beginning.
    let (fresh, _) = sweep(place.path(), &["--job-name", "fresh"]);
    assert_eq!(grown, fresh);
    let (grown, fresh) = (lock(&run), lock(&place.path().join("jobs/fresh")));
    for part in ["cells", "trials", "test_turns", "settings", "agents", "scripted"] {
        assert_eq!(grown[part], fresh[part], "{part}");
    }
    // Nothing is left to be done, by either command.
    let (_, said) = sweep(place.path(), &[]);
    assert!(said.contains("16 trials were run before, and not again"), "{said}");
    finished(place.path(), &["resume", "jobs/e"], 0);
    assert_eq!(started(&run).len(), 16);
}

#[test]
fn tasks_are_added_and_those_that_are_there_keep_their_canaries_and_may_gain_conversations() {
    let place = place(SMALL);
    let run = run(place.path());
    sweep(place.path(), &[]);
    let before = json_lines(&run.join("tasks.jsonl"));
    let mut more = tiny_task("two");
    more["conversations"]["refactor"] =
        serde_json::json!(["Write `double(n)`.", "Tidy it up, raising ValueError below 0."]);
    let lines = [tiny_task("three"), tiny_task("one"), more].map(|task| task.to_string());
    std::fs::write(place.path().join("t.jsonl"), lines.join("\n")).unwrap();
    write(
        place.path(),
        "matrix: {scaffold: llm, model: oracle, interaction: [single, refactor]}\n",
    );
    let (_, said) = sweep(place.path(), &[]);
    assert!(said.contains("2 of 3 tasks have no refactor conversation"), "{said}");
    let after = json_lines(&run.join("tasks.jsonl"));
    assert_eq!(after.len(), 3);
    assert_eq!(after[1], before[0]);
    assert_eq!(after[2]["tests"], before[1]["tests"]);
    assert!(
        after[0]["tests"]["testcases"]
            .as_str()
            .unwrap()
            .contains("mtsec-canary-")
    );
    assert_eq!(started(&run).len(), 4);
    assert!(!run.join("tasks.next.jsonl").exists());
}

#[test]
fn a_task_that_no_trial_has_seen_may_change_and_another_program_is_told() {
    let place = place(SMALL);
    let run = run(place.path());
    finished(
        place.path(),
        &["sweep", "e.yaml", "-n", "1", "--run-budget-tokens", "1"],
        6,
    );
    let is_judged = |path: &std::path::PathBuf| path.ends_with("trial.json");
    assert!(!files(&run.join("trials")).keys().any(is_judged));
    let mut changed = tiny_task("two");
    changed["cwe"] = "CWE-79".into();
    let lines = [tiny_task("one"), changed].map(|task| task.to_string());
    std::fs::write(place.path().join("t.jsonl"), lines.join("\n")).unwrap();
    let text = std::fs::read_to_string(run.join("lock.json")).unwrap();
    let version = concat!("\"version\": \"", env!("CARGO_PKG_VERSION"), "\"");
    assert!(text.contains(version), "{text}");
    std::fs::write(
        run.join("lock.json"),
        text.replacen(version, "\"version\": \"0.0.9\"", 1),
    )
    .unwrap();
    let (_, said) = sweep(place.path(), &[]);
    assert!(said.contains("the run was started with mtsec-agents 0.0.9"), "{said}");
    assert_eq!(json_lines(&run.join("tasks.jsonl"))[1]["cwe"], "CWE-79");
}

#[test]
fn a_script_that_has_changed_is_another_model() {
    let place = place("matrix: {scaffold: llm, model: 'script:s.yaml', interaction: single}\n");
    let script = |result: &str| {
        let text = format!("```python\\ndef double(n): return {result}\\n```");
        std::fs::write(
            place.path().join("s.yaml"),
            format!("replies: [{{turn: 1, text: \"{text}\"}}]\n"),
        )
        .unwrap();
    };
    let run = run(place.path());
    script("n * 2");
    sweep(place.path(), &["-l", "1"]);
    script("n + n");
    sweep(place.path(), &[]);
    assert_eq!(
        (started(&run).len(), lock(&run)["cells"].as_array().unwrap().len()),
        (3, 2)
    );
    // Nothing waits for it; and where something does, it is not the run's.
    script("0");
    finished(place.path(), &["resume", "jobs/e"], 0);
    std::fs::remove_dir_all(run.join("trials")).unwrap();
    std::fs::remove_file(run.join("journal.jsonl")).unwrap();
    let (_, said) = finished(place.path(), &["resume", "jobs/e"], 2);
    assert!(said.contains("s.yaml: the script that it answers from"), "{said}");
}

#[test]
fn a_scaffold_is_added_behind_those_that_are_there() {
    let place = place(SMALL);
    let recipe = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/scaffolds/llm.yaml")).unwrap();
    let own = |name: &str| {
        std::fs::write(
            place.path().join(format!("{name}.yaml")),
            recipe.replace("name: llm", &format!("name: {name}")),
        )
        .unwrap();
    };
    own("mine");
    own("other");
    write(
        place.path(),
        "matrix: {scaffold: ./other.yaml, model: oracle, interaction: single}\n",
    );
    sweep(place.path(), &[]);
    write(
        place.path(),
        "matrix: {scaffold: [./mine.yaml, llm, ./other.yaml], model: oracle, interaction: single}\n",
    );
    sweep(place.path(), &[]);
    let run = run(place.path());
    assert_eq!(started(&run).len(), 6);
    for (file, name) in [("recipe.yaml", "name: other"), ("recipe.2.yaml", "name: mine")] {
        assert!(
            std::fs::read_to_string(run.join(file)).unwrap().contains(name),
            "{file}"
        );
    }
    finished(place.path(), &["resume", "jobs/e"], 0);
    // A recipe that has changed is another agent.
    std::fs::write(
        place.path().join("mine.yaml"),
        recipe
            .replace("name: llm", "name: mine")
            .replace("turn_seconds: 900", "turn_seconds: 901"),
    )
    .unwrap();
    let (_, said) = finished(place.path(), &["sweep", "e.yaml"], 2);
    assert!(
        said.contains("mine.yaml: it is not the recipe that the run was started with"),
        "{said}"
    );
}

#[test]
fn what_the_file_asks_for_no_more_stays_if_it_was_run_and_goes_if_it_was_not() {
    let place = place(
        "cells:\n  a: {scaffold: llm, model: oracle, interaction: [single, editing]}\n  b: {scaffold: llm, model: nop, interaction: single}\n",
    );
    let run = run(place.path());
    // The budget ends the run after its first calls.
    let arguments = ["sweep", "e.yaml", "-n", "1", "--run-budget-tokens", "400"];
    let (_, said) = finished(place.path(), &arguments, 6);
    assert!(said.contains("Stopped by the run's budget"), "{said}");
    let ran = std::fs::read_dir(run.join("trials")).unwrap().count();
    assert!((1..6).contains(&ran), "{ran}");
    let (before, first) = (files(&run.join("trials")), started(&run));
    let first = first[0].clone();

    tasks(place.path(), &["two"]);
    write(
        place.path(),
        "cells:\n  b: {scaffold: llm, model: oracle, interaction: single, code_diff: true}\n",
    );
    let (table, said) = sweep(place.path(), &[]);
    assert!(
        said.contains("run before that the file does not ask for, and kept"),
        "{said}"
    );
    assert!(
        said.contains("planned that the file does not ask for any more, and left out"),
        "{said}"
    );
    let after = files(&run.join("trials"));
    for (path, content) in &before {
        assert_eq!(after.get(path), Some(content), "{}", path.display());
    }
    let lock = lock(&run);
    let trials = lock["trials"].as_array().unwrap();
    assert_eq!(
        (
            &trials[0]["task"],
            trials.iter().filter(|trial| **trial == first).count()
        ),
        (&"two".into(), 1)
    );
    // The old cell that stays has its name, unless another has it now.
    let names = lock["names"].as_object().unwrap();
    assert_eq!(names.values().filter(|name| *name == "b").count(), 1, "{names:?}");
    assert!(names.values().any(|name| name == "a"), "{names:?}");
    assert!(!table.contains("no outcome yet"), "{table}");
    finished(place.path(), &["report", "jobs/e"], 0);
    finished(place.path(), &["resume", "jobs/e"], 0);

    // It comes back, and is not run again.
    tasks(place.path(), &["one", "two"]);
    write(
        place.path(),
        "cells:\n  a: {scaffold: llm, model: oracle, interaction: [single, editing]}\n",
    );
    sweep(place.path(), &[]);
    let all = started(&run);
    assert_eq!(all.iter().filter(|trial| **trial == first).count(), 1);
}

#[test]
fn the_table_of_a_file_is_of_what_the_file_asks_for() {
    let head = "table: {lines: [model]}\nmatrix: {scaffold: llm, model: oracle, interaction: single, ";
    let place = place(&format!("{head}code_diff: false}}\n"));
    sweep(place.path(), &[]);
    // Another option is another cell: the old one stays, and is not in its way; nor is the old task.
    tasks(place.path(), &["two"]);
    write(place.path(), &format!("{head}code_diff: true}}\n"));
    let (ended, _) = sweep(place.path(), &[]);
    let told = "jobs/e: 2 trials of an earlier experiment file in no number";
    assert!(ended.contains(told), "{ended}");
    let table = |arguments: &[&str]| -> serde_json::Value {
        let (table, _) = finished(place.path(), &[&["report", "jobs/e", "--json"], arguments].concat(), 0);
        serde_json::from_str(&table).unwrap()
    };
    let (own, paper) = (table(&[]), table(&["--layout", "paper"]));
    let ns = |table: &serde_json::Value| -> Vec<i64> {
        let lines = table["lines"].as_array().unwrap();
        lines
            .iter()
            .map(|line| line["entries"][0]["n"].as_i64().unwrap())
            .collect()
    };
    assert_eq!((ns(&own), ns(&paper)), (vec![1], vec![1, 2]));
    // Of a cell that is asked for again with fewer tasks, too.
    write(place.path(), &format!("{head}code_diff: false}}\n"));
    sweep(place.path(), &[]);
    assert_eq!(ns(&table(&[])), [1]);
    tasks(place.path(), &["one", "two"]);
    sweep(place.path(), &[]);
    assert_eq!((ns(&table(&[])), started(&run(place.path())).len()), (vec![2], 3));
}

#[test]
fn what_chance_has_chosen_stays_chosen_whatever_tasks_are_added() {
    let task = |number: u32| {
        let mut task = tiny_task(&format!("t{number}"));
        let name = format!("double{number}");
        let text = task.to_string().replace("double", &name);
        task = serde_json::from_str(&text).unwrap();
        task["cwe"] = format!("CWE-{number}").into();
        task["description"]["description"] = format!("Doubles a number, in way {number}.").into();
        task
    };
    let write_tasks = |count: u32| {
        let lines: Vec<String> = (1..=count).map(|number| task(number).to_string()).collect();
        let (place, text) = (place(""), lines.join("\n"));
        (place, text)
    };
    let (place, text) = write_tasks(4);
    std::fs::write(place.path().join("t.jsonl"), text).unwrap();
    write(
        place.path(),
        "matrix: {scaffold: llm, model: nop, interaction: random, seed: 1}\n",
    );
    sweep(place.path(), &[]);
    std::fs::write(place.path().join("t.jsonl"), write_tasks(20).1).unwrap();
    write(
        place.path(),
        "attempts: 2\nmatrix: {scaffold: llm, model: nop, interaction: random, seed: [1, 2]}\n",
    );
    sweep(place.path(), &[]);
    let run = run(place.path());
    assert_eq!(started(&run).len(), 80);
    let lock = lock(&run);
    let cell = lock["trials"][0]["cell"].as_str().unwrap();
    for number in 1..=4 {
        let said = |attempt: u32| {
            let trial = format!("trials/t{number}__random__{cell}__{attempt}");
            [1, 2]
                .map(|turn| std::fs::read_to_string(run.join(&trial).join(format!("turns/{turn}/prompt.md"))).unwrap())
        };
        assert_eq!(said(1), said(2));
    }
}
