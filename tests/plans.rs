//! The command line of what is said: `tasks show` and `list`, what a plan leaves out or refuses, what a run keeps.

mod common;

use common::{finished, json_lines, tiny_task, write_rows};
use mtsec_agents::conversation::{Interaction, Manner, Policy};
use mtsec_agents::dataset::{self, prompt};
use mtsec_agents::task::Task;
use serde_json::{Value, json};

fn said(task: &Task, interaction: Interaction, manner: Manner) -> Vec<String> {
    prompt::conversation_for(task, interaction, manner).unwrap().turns
}

#[test]
fn tasks_show_prints_what_is_said() {
    let place = tempfile::tempdir().unwrap();
    let id = "cwe-79-highlight-matches";
    let show = |more: &[&str]| finished(place.path(), &[&["tasks", "show", id], more].concat(), 0).0;
    let mut dataset = dataset::builtin().unwrap();
    dataset::distract(&mut dataset.tasks, &[], 3).unwrap();
    let task = dataset.tasks.iter().find(|task| task.id == id).unwrap();
    let cases: [(&[&str], Interaction, Manner); 4] = [
        (
            &["--interaction", "random", "--seed", "3"],
            Interaction::Random,
            Manner {
                seed: 3,
                ..Manner::default()
            },
        ),
        (
            &["--interaction", "longer-single"],
            Interaction::LongerSingle,
            Manner::default(),
        ),
        (
            &["--turns", "5"],
            Interaction::Expansion,
            Manner {
                turns: Some(5),
                ..Manner::default()
            },
        ),
        (
            &["--policy", "last"],
            Interaction::Editing,
            Manner {
                policy: Policy::Last,
                ..Manner::default()
            },
        ),
    ];
    for (arguments, interaction, manner) in cases {
        let printed = show(arguments);
        let turns = said(task, interaction, manner);
        for (index, turn) in turns.iter().enumerate() {
            let block = format!("\n--- {interaction}, turn {} of {}\n{turn}\n", index + 1, turns.len());
            assert!(printed.contains(&block), "{printed}");
        }
    }
    assert!(show(&[]).contains("expansion has conversations of 3, 5, 7, 10 turns (--turns)"));
    assert!(show(&["--policy", "system"]).contains("added to the system prompt by the gateway\nSecurity policy:\n"));
    let (listed, _) = finished(place.path(), &["tasks", "list", "--json"], 0);
    let lines: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of_task = lines.iter().find(|line| line["id"] == id).unwrap();
    assert_eq!(
        of_task["turns"],
        json!({"expansion": [3, 5, 7, 10], "editing": [3], "refactor": [3]})
    );
    assert_eq!(of_task["has_policy"], true);
    let (_, told) = finished(
        place.path(),
        &["tasks", "show", id, "--turns", "6", "--interaction", "expansion"],
        2,
    );
    assert!(told.contains("no expansion conversation of 6 turns"), "{told}");
}

#[test]
fn a_plan_tells_what_is_left_out_and_refuses_what_would_do_nothing() {
    let place = tempfile::tempdir().unwrap();
    let mut without = tiny_task("without");
    without["cwe"] = json!("CWE-1");
    let mut with = tiny_task("with");
    with["description"]["security_policy"] = json!("Careful.");
    write_rows(place.path(), "t.jsonl", &[without, with]);
    let plan = |more: &[&str], code| {
        let plan = ["run", "llm", "-m", "oracle", "--tasks", "t.jsonl", "--dry-run"];
        finished(place.path(), &[&plan, more].concat(), code)
    };
    let (out, told) = plan(&["--policy", "last", "--interaction", "editing"], 0);
    assert!(
        told.contains("1 of 2 tasks have no security policy and are left out of editing"),
        "{told}"
    );
    assert!(
        out.contains("trial with__editing__") && out.contains("1 trial;"),
        "{out}"
    );
    let (_, told) = plan(&["--interaction", "random,single"], 0);
    assert!(
        told.contains("2 of 2 tasks have too few tasks of other weaknesses beside them"),
        "{told}"
    );
    let (_, told) = plan(&["--interaction", "editing,single", "--turns", "5"], 0);
    assert!(
        told.contains("2 of 2 tasks have no editing conversation of 5 turns"),
        "{told}"
    );
    let (_, told) = plan(&["--interaction", "random", "--turns", "5"], 2);
    assert!(told.contains("random has 3 turns"), "{told}");
    let (_, told) = plan(&["--seed", "3"], 2);
    assert!(told.contains("--seed 3 decides nothing here"), "{told}");
    let (_, told) = plan(&["--interaction", "single", "--turns", "5"], 2);
    assert!(told.contains("--turns 5 concerns none"), "{told}");
    let (_, told) = plan(&["--interaction", "random", "--policy", "every"], 2);
    assert!(told.contains("with the prompts of other tasks"), "{told}");
    // What nobody heeds would be another cell of the same meaning, and paid for twice.
    let (_, told) = plan(&["--reveal", "names"], 2);
    assert!(told.contains("--reveal names concerns nothing here"), "{told}");
    let debugging = ["--interaction", "single,debugging-tests", "--held-out"];
    let (_, told) = plan(&[&debugging[..], &["--critic", "oracle"]].concat(), 2);
    assert!(told.contains("--critic oracle is asked nothing here"), "{told}");
    plan(&[&debugging[..], &["--reveal", "names"]].concat(), 0);
}

#[test]
fn a_run_keeps_its_own_copy_of_the_first_turns_of_random() {
    let place = tempfile::tempdir().unwrap();
    let run = [
        "run",
        "llm",
        "-m",
        "oracle",
        "-i",
        "cwe-79-*",
        "--interaction",
        "random",
        "--seed",
        "7",
        "--job-name",
        "one",
    ];
    finished(place.path(), &run, 0);
    let tasks = json_lines(&place.path().join("jobs/one/tasks.jsonl"));
    assert_eq!(tasks.len(), 1);
    let kept = tasks[0]["distractions"]["7"].as_array().unwrap();
    let trial = std::fs::read_dir(place.path().join("jobs/one/trials"))
        .unwrap()
        .next()
        .unwrap();
    let trial = trial.unwrap().path();
    for (turn, text) in kept.iter().enumerate() {
        let prompt = std::fs::read_to_string(trial.join(format!("turns/{}/prompt.md", turn + 1))).unwrap();
        assert!(prompt.starts_with(text.as_str().unwrap()), "{prompt}");
    }
    // The copy is enough to say the same again.
    std::fs::copy(
        place.path().join("jobs/one/tasks.jsonl"),
        place.path().join("copy.jsonl"),
    )
    .unwrap();
    let show = [
        "tasks",
        "show",
        "cwe-79-highlight-matches",
        "--interaction",
        "random",
        "--seed",
        "7",
    ];
    let (from_copy, _) = finished(place.path(), &[&show[..], &["--tasks", "copy.jsonl"]].concat(), 0);
    let (from_all, _) = finished(place.path(), &show, 0);
    let turns = |text: &str| text.split_once("\n--- ").map(|(_, turns)| turns.to_owned());
    assert_eq!(turns(&from_copy), turns(&from_all));
}

#[test]
fn of_the_bare_models_answers_in_random_the_last_is_judged() {
    let place = tempfile::tempdir().unwrap();
    let tasks =
        [("own", "CWE-1", "double"), ("b", "CWE-2", "one"), ("c", "CWE-3", "two")].map(|(id, cwe, function)| {
            let mut task = tiny_task(id);
            task["cwe"] = json!(cwe);
            task["function"] = json!(function);
            task
        });
    write_rows(place.path(), "t.jsonl", &tasks);
    let secure = tasks[0]["references"]["secure"].as_str().unwrap();
    // What was said before is about something else, and would break everything.
    let answers =
        ["import nothing_like_this", "1 / 0", secure].map(|code| json!({"text": format!("```python\n{code}\n```")}));
    std::fs::write(place.path().join("s.yaml"), json!({"replies": answers}).to_string()).unwrap();
    let run = [
        "run",
        "llm",
        "-m",
        "script:s.yaml",
        "--tasks",
        "t.jsonl",
        "-i",
        "own",
        "--interaction",
        "random",
    ];
    finished(place.path(), &[&run[..], &["--job-name", "r"]].concat(), 0);
    let rows = common::report(&place.path().join("jobs/r"));
    assert_eq!(
        (&rows[0]["n"], &rows[0]["correct_secure"]),
        (&1.into(), &1.into()),
        "{rows:?}"
    );
}
