//! What providers do wrong, shown by an HTTP server.

use std::time::Duration;

use serde_json::Value;

use crate::arena::Arena;
use crate::common::provider::Provider;
use crate::common::{json_lines, report};

/// Runs a trial for each of these faults against the provider.
fn run(arena: &Arena, provider: &Provider, faults: &[&str], more: &[&str]) -> Option<i32> {
    let prompts: Vec<(&str, String)> = faults
        .iter()
        .map(|fault| (*fault, format!("model: {fault}.")))
        .collect();
    let arguments = [&["-m", "some-model", "--api-base", &provider.base], more].concat();
    arena.run(&prompts, &arguments).status.code()
}

/// Whether a trial failed in the infrastructure, and what it says; and its last ending.
fn failed(arena: &Arena, fault: &str) -> (String, Value) {
    let record = arena.record(fault);
    assert_eq!(record["outcome"], "infrastructure_failure", "{record:#}");
    (
        record["reason"].as_str().unwrap().to_owned(),
        record["turns"][0].clone(),
    )
}

/// What says nothing about the agent is never a wrong answer, is told by its name, and leaves the exit code 4. What passes
/// is waited for, as long as the provider asks.
#[test]
fn what_a_provider_does_wrong_is_no_wrong_answer_and_what_passes_is_waited_for() {
    let (arena, provider) = (Arena::new(&[]), Provider::start());
    let lost = ["401", "500", "cut", "malformed", "no-json"];
    let passing = ["429-once", "500-once", "slow"];
    let code = run(
        &arena,
        &provider,
        &[&lost[..], &passing].concat(),
        &["-n", "3", "--retries", "1"],
    );
    assert_eq!(code, Some(4));
    for (fault, told) in [
        ("401", "status 401: no such key"),
        ("500", "status 500"),
        ("cut", "no answer from http://127.0.0.1"),
        ("malformed", ""),
        ("no-json", ""),
    ] {
        let (reason, turn) = failed(&arena, fault);
        assert!(
            reason.contains(told) && reason.starts_with("turn 1: "),
            "{fault}: {reason}"
        );
        assert_eq!(turn["ending"], "failed", "{fault}");
        // Tried again as often as the run allows, and no more; each try was kept. What would come to the same is not.
        let is_kept = |number: u32| {
            let kept = format!("{}.try-{number}", arena.trial(fault).display());
            std::path::Path::new(&kept).exists()
        };
        assert_eq!((is_kept(1), is_kept(2)), (fault != "401", false), "{fault}");
    }
    for fault in passing {
        assert_eq!(arena.record(fault)["verdict"], "correct_secure", "{fault}");
    }
    arena.honest_is_whole();
    let waited = provider.asked("429-once");
    assert_eq!(waited.len(), 2);
    assert!(
        waited[1] - waited[0] >= Duration::from_secs(2),
        "Retry-After was not honoured"
    );
    let rows = report(&arena.folder());
    assert_eq!(
        (
            &rows[0]["infrastructure_failures"],
            &rows[0]["n"],
            &rows[0]["incorrect"]
        ),
        (&5.into(), &4.into(), &0.into())
    );

    // The failures can be tried again later, the rest is not repeated.
    let before = json_lines(&arena.folder().join("journal.jsonl")).len();
    let again = crate::common::program()
        .args(["resume", "--retry-infrastructure"])
        .arg(arena.folder())
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(4));
    let events = json_lines(&arena.folder().join("journal.jsonl")).split_off(before);
    let started: Vec<String> = events
        .iter()
        .filter(|event| event["event"] == "trial_started")
        .map(|event| event["key"]["task"].as_str().unwrap().to_owned())
        .collect();
    let tries = |fault: &str| started.iter().filter(|task| *task == fault).count();
    for fault in lost {
        assert_eq!(tries(fault), if fault == "401" { 1 } else { 2 }, "{fault}: {started:?}");
    }
    assert_eq!(started.len(), 2 * lost.len() - 1);
}

#[test]
fn a_provider_that_never_comes_to_an_end_costs_its_trial_the_limit_and_no_more() {
    let (arena, provider) = (Arena::new(&[]), Provider::start());
    let more = ["-n", "1", "--retries", "0", "--turn-limit", "8"];
    assert_eq!(run(&arena, &provider, &["hangs", "drips"], &more), Some(4));
    for fault in ["hangs", "drips"] {
        let (reason, turn) = failed(&arena, fault);
        assert!(reason.contains("the model had not answered"), "{reason}");
        assert_eq!((&turn["ending"], &turn["limit"]), (&"timed_out".into(), &"turn".into()));
        assert_eq!(provider.asked(fault).len(), 1, "{fault}");
    }
    arena.honest_is_whole();
}
