//! What a user may ask for of a model: efforts, budgets of thinking, dialects. It is refused, or it reaches the provider.

mod common;

use axum::routing::post;
use common::server::{chat, converse, conversed, counted_and_kept, message, record, serve};
use common::{finished, program, report};
use predicates::prelude::*;
use serde_json::{Value, json};

#[test]
fn thinking_budgets_reach_the_provider_as_they_are_asked_for() {
    let mut scaffolds = vec!["aider", "llm"];
    match std::env::var_os("MTSEC_TEST_AGENTS").is_some_and(|agents| agents == "all") {
        true => scaffolds.push("openhands"),
        false => eprintln!("skipped: OpenHands (1.6 GB) is tested with MTSEC_TEST_AGENTS=all only"),
    }
    for scaffold in scaffolds {
        let more: &[&str] = if scaffold == "aider" {
            &["--edit-format", "whole"]
        } else {
            &[]
        };
        for (asked, budget) in [
            (None, json!(4000)),
            (Some("2048"), json!(2048)),
            (Some("0"), Value::Null),
        ] {
            let place = tempfile::tempdir().unwrap();
            let (base, provider) = serve("/v1/messages", post(message), false);
            let asked: Vec<&str> = asked.iter().flat_map(|tokens| ["--thinking-tokens", tokens]).collect();
            let more = [more, &asked].concat();
            let folder = converse(place.path(), &base, scaffold, "claude-3-7-sonnet-thinking", &more);
            // OpenHands takes no code out of what its model says.
            if scaffold != "openhands" {
                counted_and_kept(place.path(), &folder);
            }
            let bodies = provider.bodies.lock().unwrap();
            assert_eq!(bodies.len(), 3, "{scaffold} {asked:?}");
            for body in bodies.iter() {
                assert_eq!(body["thinking"]["budget_tokens"], budget, "{scaffold} {asked:?}");
                let temperature = if budget.is_null() { json!(0.0) } else { Value::Null };
                assert_eq!(body["temperature"], temperature, "{scaffold} {asked:?}");
                assert!(body["max_tokens"].as_u64().unwrap() > 4096, "{body:#}");
            }
        }
    }
}

#[test]
fn an_effort_reaches_the_provider_of_the_bare_model() {
    let place = tempfile::tempdir().unwrap();
    let (base, provider) = serve("/v1/chat/completions", post(chat), false);
    let more = ["--reasoning-effort", "high"];
    converse(place.path(), &base, "llm", "gpt-5", &more);
    let bodies = provider.bodies.lock().unwrap();
    assert_eq!(bodies.len(), 3);
    assert!(
        bodies.iter().all(|body| body["reasoning_effort"] == "high"),
        "{bodies:?}"
    );
}

#[test]
fn a_server_that_speaks_chat_only_is_named_as_such() {
    let place = tempfile::tempdir().unwrap();
    let (base, provider) = serve("/v1/chat/completions", post(chat), false);
    let (_, folder) = conversed(place.path(), &base, "codex", "my-model", &[], 4);
    let failed = record(&folder);
    let reason = failed["reason"].as_str().unwrap();
    assert!(
        reason.contains("does not speak openai-responses") && reason.contains("--dialect openai-chat"),
        "{reason}"
    );
    std::fs::remove_dir_all(&folder).unwrap();

    let more = ["--dialect", "openai-chat"];
    let folder = converse(place.path(), &base, "codex", "my-model", &more);
    let record = record(&folder);
    for turn in record["turns"].as_array().unwrap() {
        assert_eq!(turn["ending"], "answered", "{turn}");
    }
    assert_eq!(provider.bodies.lock().unwrap().len(), 3);
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let lock: Value = serde_json::from_str(&read("lock.json")).unwrap();
    assert_eq!(lock["cells"][0]["options"]["dialects"], json!(["openai-chat"]));
    assert!(read("run.yaml").contains("openai-chat"));
    assert_eq!(report(&folder)[0]["options"], "dialect=openai-chat");
}

#[test]
fn a_dialect_that_nobody_speaks_is_refused_and_one_that_is_asked_for_is_shown() {
    let place = tempfile::tempdir().unwrap();
    let run = ["run", "codex", "-m", "oracle", "--dialect"];
    let (_, told) = finished(place.path(), &[&run[..], &["openai-chta"]].concat(), 2);
    assert!(told.contains("openai-chta") && told.contains("openai-chat"), "{told}");
    let (_, told) = finished(place.path(), &[&run[..], &["anthropic-messages"]].concat(), 2);
    assert!(
        told.contains("codex cannot speak to `oracle`") && told.contains("served in anthropic-messages"),
        "{told}"
    );
    let run = program()
        .current_dir(place.path())
        .env("OPENAI_API_KEY", "sk-none")
        .args(["run", "aider", "-m", "gpt-4o", "--dialect", "anthropic-messages"])
        .assert();
    run.code(2).stderr(predicate::str::contains(
        "--dialect anthropic-messages: `gpt-4o` is served in openai-chat and openai-responses",
    ));
    let cells = |more: &[&str]| {
        let arguments = ["run", "codex", "-m", "mine", "-l", "1", "--dry-run"];
        let base = ["--api-base", "http://127.0.0.1:9/v1"];
        let arguments = [&arguments[..], &base, more].concat();
        let output = program().current_dir(place.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find(|line| line.starts_with("cell ")).unwrap().to_owned()
    };
    let plain = cells(&[]);
    assert!(plain.contains("model mine in openai-responses"), "{plain}");
    let chat = cells(&["--dialect", "anthropic-messages,openai-chat"]);
    assert!(
        chat.contains("model mine in openai-chat") && chat.contains("dialect=openai-chat,anthropic-messages"),
        "{chat}"
    );
    assert_ne!(plain[..13], chat[..13], "another cell");
    // What is said twice, or the other way round, is no other cell.
    let again = cells(&[
        "--dialect",
        "openai-chat",
        "--dialect",
        "anthropic-messages,openai-chat",
    ]);
    assert_eq!(chat, again);
    assert_eq!(
        std::fs::read_dir(place.path()).unwrap().count(),
        0,
        "nothing was started"
    );
}

#[test]
fn codex_runs_a_thinking_claude_with_its_thinking() {
    let place = tempfile::tempdir().unwrap();
    let (base, provider) = serve("/v1/chat/completions", post(chat), false);
    converse(place.path(), &base, "codex", "claude-sonnet-4", &[]);
    let bodies = provider.bodies.lock().unwrap();
    let budgets: Vec<&Value> = bodies.iter().map(|body| &body["thinking"]["budget_tokens"]).collect();
    assert_eq!(budgets, [4000; 3]);
}

#[test]
fn a_model_is_run_in_a_dialect_with_words_for_its_settings_or_not_at_all() {
    let place = tempfile::tempdir().unwrap();
    let run = |scaffold: &str, model: &str, more: &[&str]| {
        let arguments = [
            "run",
            scaffold,
            "-m",
            model,
            "--api-base",
            "http://127.0.0.1:9/v1",
            "-l",
            "1",
        ];
        let output = program()
            .current_dir(place.path())
            .args(arguments)
            .args(more)
            .output()
            .unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(told).unwrap())
    };
    for (model, dialect) in [
        ("claude-sonnet-4", "openai-chat"),
        ("gemini-2.5-pro", "openai-chat"),
        ("claude-3-5-sonnet", "openai-responses"),
    ] {
        let (code, told) = run("codex", model, &["--dry-run"]);
        assert!(
            code == Some(0) && told.contains(&format!("model {model} in {dialect}")),
            "{told}"
        );
    }
    for (scaffold, model, dialect, words) in [
        ("codex", "claude-sonnet-4", "openai-responses", &["thinking budget"][..]),
        ("codex", "gemini-2.5-pro", "openai-responses", &["thinking budget"]),
        (
            "llm",
            "claude-sonnet-4",
            "openai-responses",
            &["thinking budget", "--thinking-tokens 0"],
        ),
        ("llm", "gpt-5", "anthropic-messages", &["reasoning effort"]),
    ] {
        let (code, told) = run(scaffold, model, &["--dialect", dialect]);
        let says_all = words
            .iter()
            .chain(&[dialect, "--dialect openai-chat"])
            .all(|word| told.contains(word));
        assert!(code == Some(2) && says_all, "{scaffold} {model}: {told}");
        assert_eq!(told.contains("--thinking-tokens"), words.len() > 1, "{told}");
    }
    let off = ["--dialect", "openai-responses", "--thinking-tokens", "0", "--dry-run"];
    let (code, told) = run("llm", "claude-sonnet-4", &off);
    assert!(
        code == Some(0) && told.contains("model claude-sonnet-4 in openai-responses"),
        "{told}"
    );
    assert_eq!(
        std::fs::read_dir(place.path()).unwrap().count(),
        0,
        "nothing was started"
    );
}

#[test]
fn an_effort_that_nobody_knows_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let arguments = ["run", "codex", "-m", "oracle", "--reasoning-effort", "lowish"];
    let (_, told) = finished(place.path(), &arguments, 2);
    assert!(
        told.contains("lowish") && told.contains("minimal, low, medium, high"),
        "{told}"
    );
}
