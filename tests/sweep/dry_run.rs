//! What `--dry-run` says, with no key of anybody.

use serde_json::Value;

use super::common::{self, finished};
use super::{files, place, sweep, write};

const REAL: &str = "cells:\n  full: {scaffold: llm, model: o3, interaction: [single, editing]}\n  mine: {scaffold: aider, model: gpt-4o, interaction: single}\n";

fn planned(place: &std::path::Path, more: &[&str]) -> Value {
    let (out, _) = finished(place, &[&["sweep", "e.yaml", "--dry-run", "--json"], more].concat(), 0);
    serde_json::from_str(&out).unwrap()
}

#[test]
fn cells_trials_tokens_and_cost_are_told_without_a_key() {
    let place = place(REAL);
    let plan = planned(place.path(), &["-k", "3"]);
    assert_eq!(
        (&plan["trials"], &plan["run_before"], &plan["tasks"]),
        (&18.into(), &0.into(), &2.into())
    );
    let cells = plan["cells"].as_array().unwrap();
    let names: Vec<&str> = cells.iter().map(|cell| cell["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["full", "mine"]);
    assert!(cells.iter().all(|cell| cell["id"].as_str().unwrap().len() == 8));
    let parts: Vec<&Value> = cells
        .iter()
        .flat_map(|cell| cell["interactions"].as_array().unwrap())
        .collect();
    assert_eq!(parts.len(), 3);
    let (mut input, mut output, mut cost) = (0, 0, 0.0);
    for part in &parts {
        assert_eq!(
            (&part["trials"], &part["basis"]),
            (&6.into(), &"recipe".into()),
            "{part}"
        );
        input += part["estimate"]["input_tokens"].as_u64().unwrap();
        output += part["estimate"]["output_tokens"].as_u64().unwrap();
        cost += part["estimate"]["cost"].as_f64().unwrap();
    }
    let sum = &plan["estimate"];
    assert_eq!(
        (sum["input_tokens"].as_u64(), sum["output_tokens"].as_u64()),
        (Some(input), Some(output))
    );
    assert!((sum["cost"].as_f64().unwrap() - cost).abs() < 1e-9 && cost > 0.0);
    assert_eq!(plan["known_cost"], sum["cost"]);
    // The price of o3: 2 and 8 dollars per million.
    let llm = &parts[0]["estimate"];
    let [input, output] = ["input_tokens", "output_tokens"].map(|name| llm[name].as_f64().unwrap());
    assert!(
        (llm["cost"].as_f64().unwrap() - (2.0 * input + 8.0 * output) / 1e6).abs() < 1e-9,
        "{llm}"
    );
    // An agent says more than its conversation: Aider's prompt comes with each of 6 calls.
    assert!(parts[2]["estimate"]["input_tokens"].as_u64().unwrap() > 6 * 2000);
    assert!(!place.path().join("jobs").exists());

    let (text, _) = finished(place.path(), &["sweep", "e.yaml", "--dry-run"], 0);
    for told in [
        "full: llm 2, model o3 in openai-chat",
        "6 trials, of which none was run before",
        "by its recipe",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    // A server of one's own has no price that is known.
    let plan = planned(place.path(), &["--api-base", "http://127.0.0.1:9/v1"]);
    assert!(plan["estimate"]["cost"].is_null());
    assert_eq!(plan["without_price"], serde_json::json!(["gpt-4o", "o3"]));
    assert_eq!(plan["known_cost"], 0.0);
}

#[test]
fn what_was_run_is_told_and_what_was_not_is_measured_by_it() {
    let place = place("matrix: {scaffold: llm, model: oracle, interaction: single}\n");
    sweep(place.path(), &["-l", "1"]);
    write(
        place.path(),
        "matrix: {scaffold: llm, model: [oracle, 'oracle:insecure'], interaction: [single, editing]}\n",
    );
    let before = files(&place.path().join("jobs"));
    let plan = planned(place.path(), &[]);
    assert_eq!(files(&place.path().join("jobs")), before);
    assert_eq!((&plan["trials"], &plan["run_before"]), (&8.into(), &1.into()));
    let bases = plan["cells"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|cell| cell["interactions"].as_array().unwrap());
    let bases: Vec<&str> = bases.map(|part| part["basis"].as_str().unwrap()).collect();
    assert_eq!(bases, ["cell", "recipe", "scaffold", "recipe"]);
    // One of the two has run: the other, whose prompt is the same, uses as much.
    let trial = std::fs::read_dir(place.path().join("jobs/e/trials"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    let record: Value = serde_json::from_slice(&std::fs::read(trial.path().join("trial.json")).unwrap()).unwrap();
    let part = &plan["cells"][0]["interactions"][0];
    assert_eq!(part["estimate"]["input_tokens"], record["usage"]["input_tokens"]);
    assert_eq!(part["estimate"]["output_tokens"], record["usage"]["output_tokens"]);
    // When all is run there is nothing to estimate.
    sweep(place.path(), &[]);
    let plan = planned(place.path(), &[]);
    assert_eq!(
        (&plan["run_before"], &plan["estimate"]["input_tokens"]),
        (&8.into(), &0.into())
    );
}

/// What is said beyond the conversation is in the estimate: turns of feedback, as many as a debugging interaction has, and the
/// policy in the system prompt of every call.
#[test]
fn feedback_and_a_policy_in_the_system_prompt_are_estimated_too() {
    let place = place(
        "defaults: {scaffold: llm, model: o3, interaction: single}\n\
        cells:\n  told: {feedback: 2}\n  debugged: {interaction: debugging-tests, held_out: true}\n  system: {policy: system}\n  plain: {}\n",
    );
    let mut task = common::tiny_task("one");
    task["description"]["security_policy"] = "Never trust a number. ".repeat(20).into();
    let cases = "testcases = {'capability': [({'n': 2}, 4), ({'n': 3}, 6)], \
        'safety': [({'n': -1}, ValueError), ({'n': -2}, ValueError)]}";
    task["tests"]["testcases"] = cases.into();
    std::fs::write(place.path().join("t.jsonl"), task.to_string()).unwrap();
    let plan = planned(place.path(), &[]);
    let input = |name: &str| {
        let cells = plan["cells"].as_array().unwrap();
        let cell = cells.iter().find(|cell| cell["name"] == name).unwrap();
        cell["interactions"][0]["estimate"]["input_tokens"].as_u64().unwrap()
    };
    assert_eq!(input("debugged"), input("told"));
    assert!(input("told") > 3 * input("plain"));
    assert!(input("system") > input("plain") + 80);
}

#[test]
fn a_dry_run_of_run_needs_no_key_either() {
    let place = place("");
    let arguments = [
        "run",
        "llm",
        "-m",
        "o3",
        "--tasks",
        "t.jsonl",
        "--interaction",
        "single",
    ];
    let (out, _) = finished(place.path(), &[&arguments[..], &["--dry-run"]].concat(), 0);
    assert!(out.contains("model o3 in openai-chat"), "{out}");
    let (_, said) = finished(place.path(), &arguments, 2);
    assert!(said.contains("OPENAI_API_KEY"), "{said}");
}
