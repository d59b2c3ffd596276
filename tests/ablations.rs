//! The conversations of the paper's ablations with the real agents: what the model receives is what was to be said.

mod common;

use std::path::{Path, PathBuf};

use axum::routing::post;
use common::server::{KEY, chat, serve};
use common::{agents, finished, holds, json_lines, program, replayed_as_recorded, report, times, tiny_task};
use mtsec_agents::conversation::{Interaction, Manner};
use mtsec_agents::dataset::{self, prompt};
use mtsec_agents::task::Task;
use serde_json::{Value, json};

/// The built-in task that is said here.
fn task() -> Task {
    let mut dataset = dataset::builtin().unwrap();
    dataset::distract(&mut dataset.tasks, &[], 3).unwrap();
    let of_id = |task: &Task| task.id == "cwe-601-login-redirect";
    dataset.tasks.into_iter().find(of_id).unwrap()
}

/// Runs all agents on it with the oracle, as the run `src` of a new place.
fn run(more: &[&str]) -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let agents = agents();
    let rest = ["-m", "oracle", "-i", "cwe-601-*", "-n", "2", "--job-name", "src"];
    finished(place.path(), &[&["run"], agents.as_slice(), &rest, more].concat(), 0);
    for row in report(&place.path().join("jobs/src")) {
        assert_eq!((&row["n"], &row["correct_secure"]), (&1.into(), &1.into()), "{row}");
    }
    place
}

/// The folders of a run's trials under an interaction: one of each agent.
fn trials(place: &Path, interaction: Interaction) -> Vec<PathBuf> {
    let all = std::fs::read_dir(place.join("jobs/src/trials")).unwrap();
    let all = all.map(|entry| entry.unwrap().path());
    let of_interaction = |trial: &PathBuf| trial.display().to_string().contains(&format!("__{interaction}__"));
    let trials: Vec<PathBuf> = all.filter(of_interaction).collect();
    assert_eq!(trials.len(), agents().len());
    trials
}

fn calls(trial: &Path, turn: usize) -> Vec<Value> {
    json_lines(&trial.join(format!("turns/{turn}/model.jsonl")))
}

/// That every trial has said these turns, to an agent or to the bare model, and the model heard them byte for byte.
fn said(place: &Path, interaction: Interaction, manner: Manner) {
    let conversation = prompt::conversation_for(&task(), interaction, manner).unwrap();
    for trial in trials(place, interaction) {
        assert!(!trial.join(format!("turns/{}", conversation.turns.len() + 1)).exists());
        for (index, wanted) in conversation.turns.iter().enumerate() {
            let turn = index + 1;
            let said = std::fs::read_to_string(trial.join(format!("turns/{turn}/prompt.md"))).unwrap();
            // Only in what form the code is wanted, and the preamble, depend on the agent.
            let asked = wanted.split("\n\nPut the code into").next().unwrap();
            assert!(said.contains(asked), "{said}");
            let calls = calls(&trial, turn);
            assert!(holds(&calls[0]["request"], said.trim_end()), "{}", trial.display());
        }
    }
}

#[test]
fn a_policy_in_the_system_prompt_is_added_to_every_call_and_replays() {
    let place = run(&["--interaction", "editing", "--policy", "system"]);
    said(place.path(), Interaction::Editing, Manner::default());
    let policy = task().description.security_policy;
    for trial in trials(place.path(), Interaction::Editing) {
        for turn in 1..=3 {
            for call in calls(&trial, turn) {
                assert!(!holds(&call["request"], &policy), "{}", trial.display());
                assert_eq!(
                    call["applied"]["system_added"],
                    json!(format!("Security policy:\n{policy}"))
                );
            }
        }
        let transcript = std::fs::read_to_string(trial.join("turns/1/transcript.md")).unwrap();
        let heading = "`system, added by the gateway`";
        assert_eq!(transcript.matches(heading).count(), 1, "{transcript}");
    }
    assert_eq!(replayed_as_recorded(place.path()).len(), agents().len());
}

#[test]
fn a_provider_receives_the_policy_once_in_every_call_and_in_what_the_system_says() {
    let place = tempfile::tempdir().unwrap();
    let (base, provider) = serve("/v1/chat/completions", post(chat), false);
    let policy = "Of negative numbers nothing is to be told.";
    let mut task = tiny_task("tiny");
    task["description"]["security_policy"] = json!(policy);
    std::fs::write(place.path().join("t.jsonl"), task.to_string()).unwrap();
    for agent in agents() {
        provider.bodies.lock().unwrap().clear();
        let run = [
            "run",
            agent,
            "-m",
            "my-model",
            "--api-base",
            &base,
            "--dialect",
            "openai-chat",
            "--tasks",
            "t.jsonl",
        ];
        let output = program()
            .current_dir(place.path())
            .env("MTSEC_API_KEY", KEY)
            .args(run)
            .args(["--interaction", "editing", "--policy", "system", "--job-name", agent])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let bodies = provider.bodies.lock().unwrap();
        assert!(bodies.len() >= 2, "{agent}");
        for body in bodies.iter() {
            let messages = body["messages"].as_array().unwrap();
            let system = messages
                .iter()
                .take_while(|message| message["role"] == "system" || message["role"] == "developer");
            let in_system: usize = system.map(|message| times(&message["content"], policy)).sum();
            assert_eq!((in_system, times(body, policy)), (1, 1), "{agent}: {body:#}");
        }
    }
}

#[test]
fn random_and_one_longer_turn_are_said_and_judged_by_the_last_word() {
    let place = run(&["--interaction", "random,longer-single", "--seed", "3"]);
    let manner = Manner {
        seed: 3,
        ..Manner::default()
    };
    said(place.path(), Interaction::Random, manner);
    said(place.path(), Interaction::LongerSingle, manner);
}

#[test]
fn a_conversation_of_ten_turns_is_one_session() {
    let place = run(&["--interaction", "expansion", "--turns", "10", "--policy", "every"]);
    let manner = Manner {
        turns: Some(10),
        policy: mtsec_agents::conversation::Policy::Every,
        ..Manner::default()
    };
    said(place.path(), Interaction::Expansion, manner);
    let first = &task().lengths[&Interaction::Expansion][&10][0];
    for trial in trials(place.path(), Interaction::Expansion) {
        let calls = calls(&trial, 10);
        assert!(holds(&calls[0]["request"], first.trim_end()), "{}", trial.display());
    }
}
