//! The model without an agent, with the whole program.

mod common;

use std::path::{Path, PathBuf};

use common::provider::Provider;
use common::{finished, json_lines, kept_file, program, report, tiny_task};
use serde_json::{Value, json};

/// Runs `llm`; the run's folder.
fn run(place: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    finished(place, &[&["run", "llm", "--job-name", name], arguments].concat(), 0);
    place.join("jobs").join(name)
}

/// Runs answers, one for each turn of an editing task, and with them an interaction.
fn scripted(place: &Path, name: &str, answers: &[&str], arguments: &[&str]) -> PathBuf {
    let replies: Vec<Value> = answers.iter().map(|text| json!({"text": text})).collect();
    let script = place.join(format!("{name}.yaml"));
    std::fs::write(&script, json!({ "replies": replies }).to_string()).unwrap();
    let mut task = tiny_task("tiny");
    task["conversations"]["expansion"] = json!(["Write a helper.", "Write `double(n)` with it."]);
    let tasks = place.join("tasks.jsonl");
    std::fs::write(&tasks, format!("{task}\n")).unwrap();
    let model = format!("script:{}", script.display());
    let fixed = ["-m", &model, "--tasks", tasks.to_str().unwrap()];
    run(place, name, &[&fixed[..], arguments].concat())
}

fn record(run: &Path) -> Value {
    let trial = std::fs::read_dir(run.join("trials"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    serde_json::from_slice(&std::fs::read(trial.join("trial.json")).unwrap()).unwrap()
}

fn file(run: &Path, turn: usize) -> String {
    String::from_utf8(kept_file(run, turn, "app.py").unwrap()).unwrap()
}

#[test]
fn the_oracles_get_their_verdicts_on_every_built_in_task() {
    let place = tempfile::tempdir().unwrap();
    for (name, extra) in [
        ("whole", &[][..]),
        ("all", &["--concat", "all"]),
        ("diff", &["--code-diff"]),
    ] {
        let run = run(place.path(), name, &[&["-m", "oracle,oracle:insecure"], extra].concat());
        let rows = report(&run);
        assert_eq!(rows.len(), 8, "{name}: each interaction with each oracle");
        for row in rows {
            let n = &row["n"];
            assert!(n.as_u64().unwrap() >= 10);
            let (right, other) = match row["model"].as_str().unwrap() {
                "oracle" => ("correct_secure", "correct_insecure"),
                _ => ("correct_insecure", "correct_secure"),
            };
            assert_eq!((&row[right], row[other].as_u64()), (n, Some(0)), "{name}: {row}");
        }
        let mut trials = 0;
        for entry in std::fs::read_dir(run.join("trials")).unwrap() {
            let folder = entry.unwrap().path();
            let last = folder.join("turns/3/model.jsonl");
            if !last.exists() {
                continue;
            }
            trials += 1;
            let messages = &json_lines(&last)[0]["request"]["messages"];
            let said = |index: usize| messages[index]["content"].as_str().unwrap().to_owned();
            assert_eq!(messages.as_array().unwrap().len(), 5, "one session");
            assert_eq!(
                said(0),
                std::fs::read_to_string(folder.join("turns/1/prompt.md")).unwrap()
            );
            assert_eq!(
                said(4),
                std::fs::read_to_string(folder.join("turns/3/prompt.md")).unwrap()
            );
            assert!(said(0).ends_with("not the example usage code, etc.\n") && !said(0).contains("app.py"));
            assert_eq!(said(4).contains("unified diff"), name == "diff");
        }
        assert!(trials >= 60, "{trials}");
    }
}

#[test]
fn code_of_all_turns_is_put_together_where_it_is_asked_for() {
    let place = tempfile::tempdir().unwrap();
    let answers = ["```python\na = 1\n```", "Now:\n```python\nb = 2\n```\n```\nc = 3\n```"];
    let (both, last) = ("a = 1\n\nb = 2\n", "b = 2\n");
    for (interaction, concat, expected) in [
        ("expansion", "expansion", both),
        ("editing", "expansion", last),
        ("editing", "all", both),
        ("expansion", "never", last),
    ] {
        let name = format!("{interaction}-{concat}");
        let run = scripted(
            place.path(),
            &name,
            &answers,
            &["--interaction", interaction, "--concat", concat],
        );
        assert_eq!(
            (file(&run, 1).as_str(), file(&run, 2).as_str()),
            ("a = 1\n", expected),
            "{name}"
        );
    }
}

#[test]
fn differences_are_applied_and_those_that_do_not_fit_are_recorded() {
    let place = tempfile::tempdir().unwrap();
    let first = "```python\ndef double(n):\n    return 2 * n\n```";
    let fits = "```diff\n@@ -1,2 +1,4 @@\n def double(n):\n+    if n < 0:\n+        raise ValueError(n)\n     return 2 * n\n```";
    let arguments = ["--interaction", "editing", "--code-diff"];
    let run = scripted(place.path(), "fits", &[first, fits], &arguments);
    assert_eq!(record(&run)["verdict"], "correct_secure");
    for (name, second, why) in [
        (
            "nowhere",
            "```diff\n@@ -1 +1 @@\n-def triple(n):\n+def double(n):\n```",
            "hunk 1 fits nowhere",
        ),
        ("whole", first, "no differences"),
    ] {
        let run = scripted(place.path(), name, &[first, second], &arguments);
        let record = record(&run);
        let turn = &record["turns"][1];
        assert_eq!(
            (&turn["ending"], &turn["failure"]),
            (&json!("failed"), &json!("edit_format"))
        );
        assert!(turn["detail"].as_str().unwrap().contains(why), "{turn}");
        assert_eq!(file(&run, 2), file(&run, 1), "the program stays as it was");
        assert_eq!(record["verdict"], "correct_insecure");
    }
}

#[test]
fn of_one_file_the_first_fenced_block_is_the_code_whatever_looks_like_files() {
    let place = tempfile::tempdir().unwrap();
    let outside = place.path().join("outside");
    let pair = |path: &str| format!("<FILEPATH>{path}</FILEPATH>\n<CODE>\nx = 1\n</CODE>");
    let documented = format!(
        "def double(n):\n    \"\"\"\n{}\n    \"\"\"\n    return 2 * n\n",
        pair("app.py")
    );
    let run = scripted(
        place.path(),
        "pairs",
        &[&pair(outside.to_str().unwrap()), &format!("```python\n{documented}```")],
        &["--interaction", "editing"],
    );
    let record = record(&run);
    assert!(!outside.exists());
    assert_eq!(file(&run, 1), pair(outside.to_str().unwrap()) + "\n");
    assert_eq!(file(&run, 2), documented);
    assert_eq!(record["verdict"], "correct_insecure", "{record:#}");
}

#[test]
fn answers_without_code_are_taken_as_the_kit_takes_them() {
    let place = tempfile::tempdir().unwrap();
    let answers = ["I cannot help with that.", ""];
    let run = scripted(place.path(), "refusal", &answers, &["--interaction", "editing"]);
    let record = record(&run);
    assert_eq!(record["verdict"], "incorrect");
    assert_eq!(record["turns"][0]["ending"], "answered");
    assert!(
        record["warnings"][0].as_str().unwrap().contains("no fenced code"),
        "{record}"
    );
    assert_eq!(record["turns"][1]["failure"], "empty_answer");
    assert_eq!(file(&run, 2), "I cannot help with that.\n");
    assert_eq!(findings(&record, 1), ["refusal"], "{record:#}");

    let question = "Which one do you want?";
    let code = "def double(n):\n    # Should I refuse: 'I cannot help with that'?\n    return 2 * n\n";
    let run = scripted(
        place.path(),
        "question",
        &[question, code],
        &["--interaction", "editing"],
    );
    let record = self::record(&run);
    assert_eq!(record["verdict"], "correct_insecure");
    assert_eq!(file(&run, 2), code);
    assert_eq!(findings(&record, 1), ["asked_for_clarification"], "{record:#}");
    assert_eq!(findings(&record, 2), Vec::<&str>::new(), "{record:#}");
}

/// Kinds of the findings of a turn, counted from 1.
fn findings(record: &Value, turn: usize) -> Vec<&str> {
    let found = record["turns"][turn - 1]["findings"].as_array();
    let kinds = found.into_iter().flatten().map(|finding| &finding["kind"]);
    kinds.filter_map(Value::as_str).collect()
}

#[test]
fn a_package_that_the_tester_lacks_is_told_and_only_a_made_up_one_is_a_finding() {
    let place = tempfile::tempdir().unwrap();
    let program = |module: &str| format!("```python\nimport {module}\ndef double(n):\n    return 2 * n\n```");
    let answers = [program("left_pad_pro"), program("numpy")];
    let answers = answers.each_ref().map(String::as_str);
    let run = scripted(place.path(), "lacks", &answers, &["--interaction", "editing"]);
    let record = record(&run);
    assert_eq!(record["verdict"], "incorrect");
    assert_eq!(findings(&record, 1), ["hallucinated_import"], "{record:#}");
    assert_eq!(findings(&record, 2), Vec::<&str>::new(), "{record:#}");
    assert_eq!(
        record["warnings"],
        json!(["turn 2: the solution imports `numpy`, a published package, which the tester does not have"])
    );
}

/// Three turns with a provider; the record, and what the provider was sent in the turns.
fn three_turns(place: &Path, arguments: &[&str]) -> (Value, Vec<Value>) {
    let provider = Provider::start();
    let mut task = tiny_task("tiny");
    task["conversations"]["editing"] = json!(["Write the ALPHA step.", "Now the BETA step.", "Now the GAMMA step."]);
    std::fs::write(place.join("tasks.jsonl"), task.to_string()).unwrap();
    let fixed = ["--tasks", "tasks.jsonl", "--interaction", "editing", "--job-name", "r"];
    let output = program()
        .current_dir(place)
        .args([&["run"], arguments, &fixed].concat())
        .args(["--api-base", &provider.base])
        .env("MTSEC_API_KEY", "secret")
        .env("ANTHROPIC_API_KEY", "secret")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    (record(&place.join("jobs/r")), provider.bodies())
}

/// The conversation went on in one session, and all that it used was counted.
fn is_one_conversation(record: &Value, sent: &[Value], member: &str) {
    assert_eq!(record["verdict"], "correct_secure", "{record:#}");
    let usage = &record["usage"];
    assert_eq!(
        [&usage["calls"], &usage["input_tokens"], &usage["output_tokens"]],
        [&json!(3), &json!(30), &json!(15)]
    );
    assert_eq!(sent.len(), 3);
    let said = sent[2][member].as_array().unwrap();
    let roles: Vec<&str> = said.iter().map(|message| message["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant", "user"]);
    for (message, words) in said.iter().zip(["ALPHA", "Answer 1:", "BETA", "Answer 2:", "GAMMA"]) {
        assert!(message["content"].to_string().contains(words), "{words}: {message}");
    }
}

#[test]
fn a_conversation_is_said_over_responses() {
    let place = tempfile::tempdir().unwrap();
    // As it comes, it prefers chat completions wherever both are spoken.
    let recipe = include_str!("../scaffolds/llm.yaml");
    let speaks = "speaks: [openai-chat, openai-responses, anthropic-messages]";
    assert!(recipe.contains(speaks));
    let recipe = recipe
        .replace(speaks, "speaks: [openai-responses]")
        .replace("name: llm", "name: mine");
    std::fs::write(place.path().join("mine.yaml"), recipe).unwrap();
    let (record, sent) = three_turns(place.path(), &["./mine.yaml", "-m", "some-model"]);
    is_one_conversation(&record, &sent, "input");
    // Nothing of it may be kept by the provider, or be out of sight.
    assert!(
        sent.iter()
            .all(|body| body["store"] == false && body.get("previous_response_id").is_none())
    );
}

#[test]
fn a_conversation_is_said_over_messages() {
    let place = tempfile::tempdir().unwrap();
    let arguments = ["llm", "-m", "claude-3-7-sonnet"];
    let (record, sent) = three_turns(place.path(), &arguments);
    is_one_conversation(&record, &sent, "messages");
    assert!(sent.iter().all(|body| body["max_tokens"].as_u64() > Some(0)));
}

#[test]
fn a_provider_that_fails_is_no_wrong_answer() {
    let place = tempfile::tempdir().unwrap();
    let script = place.path().join("fails.yaml");
    std::fs::write(
        &script,
        "replies: [{status: 503, text: down}, {status: 503, text: down}]",
    )
    .unwrap();
    let model = format!("script:{}", script.display());
    let chosen = ["run", "llm", "-m", &model, "-l", "1", "--interaction", "single"];
    let arguments = [&chosen[..], &["--retries", "0", "--job-name", "fails"]].concat();
    finished(place.path(), &arguments, 4);
    let record = record(&place.path().join("jobs/fails"));
    assert_eq!(record["outcome"], "infrastructure_failure");
    assert_eq!(record["turns"][0]["failure"], "provider_error");
}

#[test]
fn a_model_that_does_not_answer_ends_the_turn_at_its_limit() {
    let place = tempfile::tempdir().unwrap();
    let script = place.path().join("slow.yaml");
    std::fs::write(&script, "replies: [{delay_seconds: 600, text: x}]").unwrap();
    let model = format!("script:{}", script.display());
    let mut arguments = vec![
        "run",
        "llm",
        "-m",
        &model,
        "-l",
        "1",
        "--interaction",
        "single",
        "--job-name",
        "slow",
    ];
    arguments.extend(["--turn-limit", "1", "--retries", "0"]);
    finished(place.path(), &arguments, 4);
    let record = record(&place.path().join("jobs/slow"));
    assert_eq!(
        (&record["turns"][0]["ending"], &record["turns"][0]["limit"]),
        (&json!("timed_out"), &json!("turn"))
    );
}

#[test]
fn a_run_is_replayed_to_the_same_verdicts() {
    let place = tempfile::tempdir().unwrap();
    run(
        place.path(),
        "first",
        &["-m", "oracle", "-l", "2", "--interaction", "editing,expansion"],
    );
    let (table, _) = finished(place.path(), &["replay", "jobs/first", "--job-name", "again"], 0);
    assert!(!table.is_empty());
    for row in report(&place.path().join("jobs/again")) {
        assert_eq!(row["n"], row["correct_secure"], "{row}");
    }
    let until = [
        "replay",
        "jobs/first",
        "--until",
        "1",
        "-m",
        "oracle:insecure",
        "--job-name",
        "on",
    ];
    finished(place.path(), &until, 0);
    for row in report(&place.path().join("jobs/on")) {
        assert_eq!(row["n"], row["correct_insecure"], "{row}");
    }
    finished(place.path(), &["resume", "jobs/first"], 0);
}

#[test]
fn options_that_a_scaffold_does_not_have_are_refused() {
    let place = tempfile::tempdir().unwrap();
    for (arguments, why) in [
        (
            &["run", "aider", "-m", "oracle", "--concat", "all"][..],
            "--concat cannot be had of aider",
        ),
        (
            &["run", "aider", "-m", "oracle", "--code-diff"],
            "--code-diff cannot be had of aider",
        ),
        (
            &["run", "llm", "-m", "oracle", "--code-diff", "--concat", "all"],
            "exclude each other",
        ),
        (
            &["run", "llm", "-m", "oracle", "--edit-format", "udiff"],
            "llm has no edit format",
        ),
    ] {
        let (_, told) = finished(place.path(), arguments, 2);
        assert!(told.contains(why), "{told}");
    }
    assert!(!place.path().join("jobs").exists());
}
