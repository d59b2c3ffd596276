//! What is refused, before anything is started or changed.

use mtsec_agents::store::RunFolder;

use super::common::{finished, tiny_task};
use super::{files, lock, place, run, sweep, write};

const ONE: &str = "matrix: {scaffold: llm, model: oracle, interaction: single}\n";

#[test]
fn what_decides_a_trial_and_is_in_no_cell_must_stay_and_the_run_is_left_as_it_is() {
    let place = place(ONE);
    let run = run(place.path());
    sweep(place.path(), &[]);
    let before = files(&run);
    let refused = |what: &str, more: &[&str], told: &[&str]| {
        let (_, said) = finished(place.path(), &[&["sweep", "e.yaml"], more].concat(), 2);
        assert!(told.iter().all(|told| said.contains(told)), "{what}: {said}");
        assert_eq!(files(&run), before, "{what}");
    };
    for (setting, told) in [
        ("test_turns: all", "`test_turns` last, and now it is all"),
        ("containment: none", "`containment` namespaces, and now it is none"),
        ("sandbox: docker", "`sandbox` namespaces, and now it is docker"),
        (
            "trial_budget: {tokens: 5}",
            "`trial_budget` none, and now it is 5 tokens",
        ),
    ] {
        write(place.path(), &format!("{setting}\n{ONE}"));
        refused(setting, &[], &[told, "--job-name"]);
    }
    write(
        place.path(),
        "matrix: {scaffold: llm, model: o3, interaction: single}\n",
    );
    refused(
        "kind",
        &["--dry-run"],
        &["was run with scripted models, and now real ones", "--job-name"],
    );

    write(place.path(), ONE);
    for (member, value, what) in [
        ("function", "triple", "another function"),
        ("cwe", "CWE-79", "another cwe"),
        ("tests", "", "another set of tests"),
    ] {
        let mut task = tiny_task("two");
        match member {
            "tests" => {
                task["tests"]["testcases"] =
                    "testcases = {'capability': [({'n': 3}, 6)], 'safety': [({'n': -1}, ValueError)]}".into()
            }
            _ => task[member] = value.into(),
        }
        std::fs::write(place.path().join("t.jsonl"), format!("{}\n{task}", tiny_task("one"))).unwrap();
        refused(member, &[], &["task `two`", what, "--job-name"]);
    }
    // What may change.
    super::tasks(place.path(), &["one", "two"]);
    sweep(place.path(), &["-r", "3", "-n", "1", "--run-budget-tokens", "1000000"]);
    let settings = &lock(&run)["settings"];
    assert_eq!(
        (&settings["retries"], &settings["run_budget"]["tokens"]),
        (&3.into(), &1_000_000.into())
    );
}

#[test]
fn another_tester_or_agent_is_refused() {
    let place = place(ONE);
    let run = run(place.path());
    sweep(place.path(), &[]);
    let text = std::fs::read_to_string(run.join("lock.json")).unwrap();
    for (was, is, told) in [
        ("\"tester\": \"", "\"tester\": \"Another ", "the tester Another "),
        ("\"digest\": null", "\"digest\": \"00\"", "installed with other files"),
    ] {
        assert!(text.contains(was), "{text}");
        std::fs::write(run.join("lock.json"), text.replace(was, is)).unwrap();
        let before = files(&run);
        let (_, said) = finished(place.path(), &["sweep", "e.yaml"], 2);
        assert!(said.contains(told), "{said}");
        assert_eq!(files(&run), before);
    }
}

#[test]
fn what_a_scaffold_or_a_model_refuses_is_told_at_its_place() {
    let place = place("");
    for (experiment, told) in [
        (
            "cells:\n  a: {scaffold: llm, model: oracle, interaction: single}\n  b: {scaffold: llm, model: oracle, edit_format: whole, interaction: single}\n",
            "has no edit formats",
        ),
        (
            "matrix: {scaffold: llm, model: o3, interaction: single}\n",
            "OPENAI_API_KEY",
        ),
        (
            "matrix: {scaffold: llm, model: gpt-99, interaction: single}\n",
            "gpt-99",
        ),
        (
            "matrix: {scaffold: llm, model: oracle, interaction: debugging-tests}\n",
            "hold tests out with --held-out",
        ),
        // Aider's own format is diff.
        (
            "defaults: {scaffold: aider, model: oracle, interaction: single}\ncells:\n  a: {}\n  b: {edit_format: diff}\n",
            "cell `b` is the same as `a` (5:",
        ),
    ] {
        write(place.path(), experiment);
        let (_, said) = finished(place.path(), &["sweep", "e.yaml"], 2);
        let line = said.find("e.yaml:").map(|start| &said[start..]).unwrap_or(&said);
        let mut place = line.split(':').skip(1);
        let numbers = [place.next(), place.next()].map(|part| part.unwrap().parse::<u32>());
        assert!(numbers.iter().all(Result::is_ok) && said.contains(told), "{said}");
    }
    assert!(!place.path().join("jobs").exists());
}

#[test]
fn a_run_that_another_process_holds_or_that_no_experiment_made_is_refused() {
    let place = place(ONE);
    sweep(place.path(), &[]);
    let held = RunFolder::open_exclusive(&run(place.path())).unwrap();
    let (_, said) = finished(place.path(), &["sweep", "e.yaml"], 2);
    assert!(said.contains("in use by another process"), "{said}");
    // To look is allowed.
    let (said, _) = finished(place.path(), &["sweep", "e.yaml", "--dry-run"], 0);
    assert!(said.contains("2 were run before"), "{said}");
    drop(held);

    let arguments = [
        "run",
        "llm",
        "-m",
        "oracle",
        "--tasks",
        "t.jsonl",
        "--interaction",
        "single",
        "--job-name",
        "other",
    ];
    finished(place.path(), &arguments, 0);
    let (_, said) = finished(place.path(), &["sweep", "e.yaml", "--job-name", "other"], 2);
    assert!(said.contains("jobs/other was not made by `sweep`"), "{said}");
}

#[test]
fn who_has_nothing_to_do_in_a_cell_needs_no_key_of_its_model() {
    let place = place(ONE);
    let run = run(place.path());
    sweep(place.path(), &[]);
    let mut lock = lock(&run);
    let mut cell = lock["cells"][0].clone();
    cell["model"] = "o3".into();
    lock["cells"].as_array_mut().unwrap().push(cell);
    std::fs::write(run.join("lock.json"), lock.to_string()).unwrap();
    finished(place.path(), &["resume", "jobs/e"], 0);
    sweep(place.path(), &[]);
}
