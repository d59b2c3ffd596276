//! What agents do wrong.

use std::path::Path;

use crate::arena::{Arena, Fault, INCORRECT, SECURE, ended, fault, timed_out};
use crate::common::traces::entries;
use crate::common::{json_lines, program, tiny_task};
use serde_json::json;

/// Faults that an agent comes to the end of, or that need no time to be found. Why these outcomes: what an agent has
/// written counts, however it ends; what it has not written is a wrong answer, for it alone is to blame.
fn quick() -> Vec<Fault> {
    vec![
        fault("exits", json!({ "ending": "agent_exited", "code": 3 }), SECURE, ""),
        fault(
            "crashes",
            json!({ "ending": "agent_exited", "code": -11 }),
            INCORRECT,
            "",
        ),
        // Unknown questions are answered by the default, told of, and no reason to stop.
        fault(
            "asks",
            ended("answered"),
            SECURE,
            "no rule knows the question `Shall I sing?`",
        ),
        fault("asks-forever", timed_out("answers"), INCORRECT, ""),
        fault("garbage", ended("answered"), SECURE, ""),
        fault("daemonises", ended("answered"), SECURE, ""),
        // More than a snapshot holds: what is judged is kept whatever else there is.
        fault("many-files", ended("answered"), SECURE, "more than 100000 entries"),
        // The workspace is where it is: what was in it is gone, and what was to be put in its place is not.
        fault("deletes-workspace", ended("answered"), INCORRECT, ""),
        fault(
            "links-workspace",
            json!({ "ending": "agent_exited", "code": 1 }),
            SECURE,
            "",
        ),
        fault("odd-files", ended("answered"), SECURE, ""),
    ]
}

#[test]
fn what_agents_do_wrong_ends_in_its_outcome_and_the_run_goes_on() {
    let arena = Arena::new(&[]);
    let faults = quick();
    let output = arena.run_faults(&faults, &["-n", "2"]);
    arena.check(&output, &faults);

    let strays = &arena.record("daemonises")["turns"][0]["strays"];
    assert!(strays.as_u64().unwrap() >= 2, "{strays}");
    let answers = arena.record("asks")["turns"][0]["answers"].clone();
    let answers: Vec<&str> = answers
        .as_array()
        .unwrap()
        .iter()
        .map(|answer| answer["answer"].as_str().unwrap())
        .collect();
    assert_eq!(answers, ["y", "n", "n"]);
    let odd = std::fs::read_to_string(arena.trial("odd-files").join("turns/1/snapshot.json")).unwrap();
    for (name, what) in [("pipe", "fifo"), ("socket", "socket")] {
        assert!(
            odd.contains(&format!("\"{name}\"")) && odd.contains(&format!("\"{what}\"")),
            "{odd}"
        );
    }
    assert!(
        !odd.contains("\"device\""),
        "a contained agent has no right to make one: {odd}"
    );
}

#[test]
fn what_agents_do_to_their_workspace_when_nothing_holds_them_is_seen_and_told() {
    let arena = Arena::new(&[]);
    let faults = [
        fault(
            "deletes-workspace",
            ended("answered"),
            INCORRECT,
            "the workspace was deleted",
        ),
        fault(
            "links-workspace",
            ended("answered"),
            INCORRECT,
            "the workspace was replaced",
        ),
        fault("odd-files", ended("answered"), SECURE, ""),
    ];
    let output = arena.run_faults(&faults, &["--containment", "none"]);
    arena.check(&output, &faults);
    let odd = std::fs::read_to_string(arena.trial("odd-files").join("turns/1/snapshot.json")).unwrap();
    // Only root makes device nodes.
    assert_eq!(odd.contains("\"device\""), nix::unistd::geteuid().is_root(), "{odd}");
    // Nothing of what a link led to was kept, and nothing of it was removed.
    let linked = std::fs::read_to_string(arena.trial("links-workspace").join("turns/1/snapshot.json")).unwrap();
    assert!(!linked.contains("passwd") && Path::new("/etc/passwd").exists());
}

#[test]
fn an_agent_that_cuts_itself_off_from_its_model_stays_in_the_count() {
    let arena = Arena::new(&[]);
    let mut task = tiny_task("cut");
    task["conversations"]["editing"] = json!(["Write it.", "Change it. fault: cuts-off"]);
    std::fs::write(arena.place.path().join("t.jsonl"), task.to_string()).unwrap();
    let mut run = program();
    run.current_dir(arena.place.path())
        .env("TMPDIR", arena.place.path().join("tmp"));
    run.args(["run", "./agent.yaml", "-m", "oracle", "--tasks", "t.jsonl"])
        .args(["--interaction", "editing", "--job-name", "run", "-r", "0"]);
    run.assert().success();
    let record = arena.record("cut");
    assert_eq!(record["outcome"], "judged", "{record:#}");
    assert!(record["warnings"].to_string().contains("did not see"), "{record:#}");
}

#[test]
fn a_gigabyte_of_output_is_no_reason_to_stop() {
    let arena = Arena::new(&[("turn_seconds: 60", "turn_seconds: 300")]);
    let faults = [fault("floods", ended("answered"), SECURE, "")];
    let output = arena.run_faults(&faults, &[]);
    arena.check(&output, &faults);
    // The record is bounded.
    let log = std::fs::metadata(arena.trial("floods").join("turns/1/agent.log"))
        .unwrap()
        .len();
    assert!(log <= 64 << 20, "{log}");
}

#[test]
fn an_agent_that_says_nothing_or_does_not_stop_ends_at_its_limit() {
    let arena = Arena::new(&[]);
    let silent = [fault("silent", timed_out("quiet"), INCORRECT, "")];
    // What it wrote before counts; that it ignores every signal but the last does not help it.
    let stubborn = [fault("stubborn", timed_out("turn"), SECURE, "")];
    let faults: Vec<Fault> = silent.into_iter().chain(stubborn).collect();
    // The honest one, too, has to do with these limits.
    let output = arena.run_faults(&faults, &["--turn-limit", "12", "--quiet-limit", "6"]);
    arena.check(&output, &faults);
    let strays = &arena.record("stubborn")["turns"][0]["strays"];
    assert_eq!(strays, 0, "what held the agent is no stray of it");
    for fault in &faults {
        let seconds = arena.record(fault.name)["timings"]["agent"].as_f64().unwrap();
        assert!(seconds < 60.0, "{}: {seconds}", fault.name);
    }
}

#[test]
fn an_agent_that_does_not_come_up_is_no_wrong_answer_and_is_tried_again() {
    for (start, told) in [
        ("never-ready", "was not ready within"),
        ("no-licence", "left with status 3"),
    ] {
        let arena = Arena::new(&[
            ("SHELL: /bin/sh", &format!("SHELL: /bin/sh, FAULT_AT_START: {start}")),
            ("ready_seconds: 60", "ready_seconds: 2"),
        ]);
        let output = arena.run(&[], &["-m", "oracle", "--retries", "1"]);
        assert_eq!(output.status.code(), Some(4));
        let record = arena.record("honest");
        assert_eq!(record["outcome"], "infrastructure_failure");
        assert!(record["reason"].as_str().unwrap().contains(told), "{record:#}");
        let kept = entries(&arena.folder().join("trials"));
        assert!(
            kept.iter().any(|path| path.display().to_string().ends_with(".try-1")),
            "the first try was not kept"
        );
        let events = json_lines(&arena.folder().join("journal.jsonl"));
        assert_eq!(
            events.iter().filter(|event| event["event"] == "trial_retried").count(),
            1
        );
    }
}
