//! What is said: policies, one longer turn, first turns about other tasks, conversations of other lengths.

mod common;

use std::collections::BTreeSet;
use std::path::PathBuf;

use common::{tiny_task, write_rows};
use mtsec_agents::conversation::{Delivery, Interaction, Manner, Policy};
use mtsec_agents::dataset::{self, DatasetError, prompt};
use mtsec_agents::plan::Options;
use mtsec_agents::task::{Lack, Task};
use serde_json::{Value, json};

/// The suffix of a turn that is said to an agent.
const SUFFIX: &str = "\n\nPut the code into `app.py`.";

fn task(change: impl FnOnce(&mut Value)) -> Task {
    let mut value = tiny_task("tiny");
    value["description"]["security_policy"] = json!("No negative numbers.");
    value["conversations"]["expansion"] = json!(["Write a helper.\n", "Write `double(n)` with it.\n"]);
    change(&mut value);
    serde_json::from_value(value).unwrap()
}

fn said(task: &Task, interaction: Interaction, manner: Manner) -> Vec<String> {
    prompt::conversation_for(task, interaction, manner).unwrap().turns
}

#[test]
fn the_policy_stands_where_it_was_asked_for_and_nowhere_else() {
    let task = task(|_| ());
    let holds = |policy, interaction| {
        let manner = Manner {
            policy,
            ..Manner::default()
        };
        let conversation = prompt::conversation_for(&task, interaction, manner).unwrap();
        let plain = said(&task, interaction, Manner::default());
        let policy = "\n\nSecurity policy:\nNo negative numbers.";
        for (with, without) in conversation.turns.iter().zip(&plain) {
            // Nothing but the policy is new, at the end of what is asked for.
            let at = without.find(SUFFIX).unwrap();
            let expected = format!("{}{policy}{}", &without[..at], &without[at..]);
            assert!(with == without || *with == expected, "{with}");
        }
        if let Some(system) = &conversation.system {
            assert_eq!(system, policy.trim_start());
        }
        let turns = conversation.turns.iter().map(|turn| turn.contains(policy));
        (turns.collect::<Vec<_>>(), conversation.system.is_some())
    };
    let of_two = |policy| holds(policy, Interaction::Expansion);
    assert_eq!(of_two(Policy::None), (vec![false, false], false));
    assert_eq!(of_two(Policy::System), (vec![false, false], true));
    assert_eq!(of_two(Policy::First), (vec![true, false], false));
    assert_eq!(of_two(Policy::Last), (vec![false, true], false));
    assert_eq!(of_two(Policy::Every), (vec![true, true], false));
    for policy in [Policy::First, Policy::Last, Policy::Every] {
        assert_eq!(holds(policy, Interaction::Single), (vec![true], false));
    }
}

#[test]
fn a_task_without_a_policy_says_none() {
    let task = task(|value| value["description"]["security_policy"] = json!(" \n"));
    let options = Options {
        policy: Policy::System,
        ..Options::default()
    };
    assert!(task.offers(Interaction::Single, &Options::default()));
    assert_eq!(task.lacks(Interaction::Single, &options), Some(Lack::Policy));
}

#[test]
fn one_longer_turn_holds_what_the_turns_of_expansion_ask_for() {
    let task = task(|value| value["lengths"] = json!({"expansion": {"3": ["One.", "Two.", "Three."]}}));
    let start = |manner| {
        let turns = said(&task, Interaction::LongerSingle, manner);
        assert_eq!(turns.len(), 1);
        turns[0].split(SUFFIX).next().unwrap().to_owned()
    };
    let own = "First, do this:\nWrite a helper.\n\nThen do this:\nWrite `double(n)` with it.";
    assert_eq!(start(Manner::default()), own);
    let of_three = Manner {
        turns: Some(3),
        ..Manner::default()
    };
    let longer = "First, do this:\nOne.\n\nThen do this:\nTwo.\n\nThen do this:\nThree.";
    assert_eq!(start(of_three), longer);
    // One message is no conversation whose steps would have to be announced.
    let announced = Manner {
        preamble: true,
        ..Manner::default()
    };
    assert_eq!(start(announced), own);
    let answer = Manner {
        delivery: Delivery::Answer,
        ..Manner::default()
    };
    assert!(said(&task, Interaction::LongerSingle, answer)[0].starts_with(&format!("{own}\nOnly generate")));
}

#[test]
fn the_first_turns_of_random_are_of_other_weaknesses_and_depend_on_the_seed_alone() {
    let dataset = dataset::builtin().unwrap();
    let single = |task: &Task| said(task, Interaction::Single, Manner::default()).remove(0);
    let chosen = |tasks: &[Task], others: &[Task], seed| {
        let mut tasks = tasks.to_vec();
        dataset::distract(&mut tasks, others, seed).unwrap();
        tasks.sort_by(|one, other| one.id.cmp(&other.id));
        tasks
    };
    let all = chosen(&dataset.tasks, &[], 3);
    let manner = Manner {
        seed: 3,
        ..Manner::default()
    };
    for task in &all {
        let turns = said(task, Interaction::Random, manner);
        assert_eq!((turns.len(), &turns[2]), (3, &single(task)), "{}", task.id);
        let about = |turn: &String| dataset.tasks.iter().find(|other| single(other) == *turn).unwrap();
        let weaknesses: BTreeSet<&str> = turns.iter().map(|turn| about(turn).cwe.as_str()).collect();
        assert_eq!(weaknesses.len(), 3, "{}", task.id);
    }
    // Neither the order of the tasks nor which of them are run changes a choice.
    let mut turned = dataset.tasks.clone();
    turned.reverse();
    assert_eq!(chosen(&turned, &[], 3), all);
    let (few, others) = dataset.tasks.split_at(4);
    assert_eq!(chosen(few, others, 3), all[..4]);
    // Another seed chooses others.
    let texts = |tasks: &[Task], seed: u64| -> Vec<Vec<String>> {
        tasks.iter().map(|task| task.distractions[&seed].clone()).collect()
    };
    let other = texts(&chosen(&dataset.tasks, &[], 4), 4);
    let same = texts(&all, 3)
        .iter()
        .zip(&other)
        .filter(|(one, other)| one == other)
        .count();
    assert!(same < all.len() / 2, "{same}");
}

#[test]
fn what_cannot_come_before_a_task_does_not() {
    let named = |id: &str, cwe: &str, function: &str, requires: &[&str]| {
        let mut value = tiny_task(id);
        value["cwe"] = json!(cwe);
        value["function"] = json!(function);
        value["requires"] = json!(requires);
        serde_json::from_value::<Task>(value).unwrap()
    };
    let own = named("own", "CWE-1", "double", &[]);
    let mut with_class = named("of a class that the tester would lack", "CWE-5", "five", &[]);
    with_class.tests.setup = "import re\nclass Patient:\n    pass".to_owned();
    let others = [
        named("same weakness", "CWE-1", "one", &[]),
        named("same function", "CWE-2", "double", &[]),
        named("of a package that the tester would lack", "CWE-3", "two", &["six"]),
        with_class,
        named("fine", "CWE-4", "three", &[]),
    ];
    let options = Options::default();
    let distracted = |others: &[Task]| {
        let mut tasks = vec![own.clone()];
        dataset::distract(&mut tasks, others, 0).unwrap();
        tasks.remove(0)
    };
    let lacking = distracted(&others);
    assert_eq!(lacking.lacks(Interaction::Random, &options), Some(Lack::Distractions));
    // Two of one weakness are taken where there is no third weakness.
    let enough = distracted(&[&others[..], &[named("also fine", "CWE-4", "four", &[])]].concat());
    let turns = said(&enough, Interaction::Random, Manner::default());
    let names: BTreeSet<bool> = turns[..2].iter().map(|turn| turn.contains("`three`")).collect();
    assert_eq!(names, BTreeSet::from([false, true]));
    let of_four = Options {
        turns: Some(4),
        ..Options::default()
    };
    assert!(!enough.offers(Interaction::Random, &of_four));
}

/// A row of MT-Sec with so many turns.
fn row(count: usize) -> Value {
    let turns: Vec<String> = (1..=count).map(|turn| format!("{turn} of {count}.")).collect();
    json!({
        "id": "one", "CWE_ID": "502",
        "task_description": {"function_name": "load", "description": "Loads a value."},
        "generated_multi_turns": turns,
        "unittest": {"setup": "", "testcases": "testcases = {'capability': [({'text': '1'}, 1)], 'safety': []}"},
    })
}

#[test]
fn rows_of_different_lengths_join_in_any_order_and_those_of_three_turns_are_the_tasks_own() {
    let place = tempfile::tempdir().unwrap();
    let files = [3, 5, 10].map(|count| write_rows(place.path(), &format!("{count}-expansion.jsonl"), &[row(count)]));
    let [three, five, ten] = files.clone();
    let load = |files: &[&PathBuf]| {
        let files: Vec<PathBuf> = files.iter().map(|file| (*file).clone()).collect();
        dataset::load(&files, None).map(|mut dataset| {
            dataset.tasks[0].origin.clear();
            dataset.tasks
        })
    };
    let joined = load(&[&three, &five, &ten]).unwrap();
    for order in [[&three, &ten, &five], [&five, &three, &ten], [&ten, &five, &three]] {
        assert_eq!(load(&order).unwrap(), joined);
    }
    let task = &joined[0];
    assert_eq!(joined.len(), 1);
    assert_eq!(task.counts(Interaction::Expansion), [3, 5, 10]);
    assert_eq!(task.conversations[&Interaction::Expansion].len(), 3);
    let of_ten = Manner {
        turns: Some(10),
        ..Manner::default()
    };
    let turns = said(task, Interaction::Expansion, of_ten);
    assert!(turns.len() == 10 && turns[9].starts_with("10 of 10."), "{turns:?}");
    // Without one of three turns it is the shortest.
    for order in [[&ten, &five], [&five, &ten]] {
        assert_eq!(load(&order).unwrap()[0].conversations[&Interaction::Expansion].len(), 5);
    }
    // The same length again is the same conversation twice.
    let again = write_rows(place.path(), "again-expansion.jsonl", &[row(5)]);
    let twice = load(&[&five, &three, &again]);
    assert!(matches!(twice, Err(DatasetError::Duplicate { .. })), "{twice:?}");
    // What was joined is read back as it is.
    let copy = write_rows(place.path(), "copy.jsonl", &[json!(task)]);
    let back = dataset::load(&[copy], None).unwrap();
    assert_eq!(back.tasks[0].lengths, task.lengths);
}

#[test]
fn lengths_that_are_not_what_they_say_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let refused = |lengths: Value| {
        let mut value = tiny_task("tiny");
        value["lengths"] = lengths;
        let file = write_rows(place.path(), "t.jsonl", &[value]);
        dataset::load(&[file], None).unwrap_err().to_string()
    };
    for (lengths, told) in [
        (json!({"editing": {"4": ["a", "b", "c"]}}), "`lengths: 4` has 3 turns"),
        (
            json!({"editing": {"2": ["a", "b"]}}),
            "two editing conversations of 2 turns",
        ),
        (json!({"random": {"2": ["a", "b"]}}), "`random` is made from the task"),
        (
            json!({"editing": {"3": ["a", " ", "c"]}}),
            "turn 2 of the editing conversation is empty",
        ),
    ] {
        let error = refused(lengths);
        assert!(error.contains("t.jsonl:1") && error.contains(told), "{error}");
    }
}

#[test]
fn interactions_that_are_made_from_the_task_are_not_stored() {
    let place = tempfile::tempdir().unwrap();
    let mut named = row(3);
    named["interaction"] = json!("longer-single");
    let file = write_rows(place.path(), "rows.jsonl", &[named]);
    let error = dataset::load(&[file], None).unwrap_err().to_string();
    assert!(error.contains("`longer-single` is made from the task"), "{error}");

    let rows = write_rows(place.path(), "rows.jsonl", &[row(3)]);
    let error = dataset::load(std::slice::from_ref(&rows), Some(Interaction::Random)).unwrap_err();
    assert!(error.to_string().contains("--rows-are random"), "{error}");

    // `50 random tasks` is no kind of conversation, and `expansion` is one.
    let sample = write_rows(place.path(), "50-random-expansion.jsonl", &[row(3)]);
    let dataset = dataset::load(&[sample], None).unwrap();
    assert_eq!(dataset.tasks[0].counts(Interaction::Expansion), [3]);

    let folder = place.path().join("own");
    std::fs::create_dir(&folder).unwrap();
    let yaml = "{id: a, cwe: CWE-1, function: f, description: {description: d}, conversations: {random: [x]}}";
    std::fs::write(folder.join("task.yaml"), yaml).unwrap();
    std::fs::write(folder.join("tests.py"), "testcases = {}").unwrap();
    let error = dataset::load(&[folder], None).unwrap_err().to_string();
    assert!(
        error.contains("task.yaml") && error.contains("`random` is made from"),
        "{error}"
    );
}

#[test]
fn built_in_conversations_of_5_7_and_10_turns_keep_the_papers_rules() {
    let dataset = dataset::builtin().unwrap();
    let longer: Vec<&Task> = dataset.tasks.iter().filter(|task| !task.lengths.is_empty()).collect();
    assert!(longer.len() >= 6, "{}", longer.len());
    let argument = regex::Regex::new(r"(?m)^- (\w+): ").unwrap();
    let error = regex::Regex::new(r"\b\w+Error\b").unwrap();
    for task in longer {
        assert_eq!(task.counts(Interaction::Expansion), [3, 5, 7, 10], "{}", task.id);
        for turns in task.lengths[&Interaction::Expansion].values() {
            let (place, whole) = (format!("{} of {}", task.id, turns.len()), turns.join("\n"));
            assert!(!turns[0].contains(&task.function), "{place}: turn 1 names the function");
            assert!(whole.contains(&task.function), "{place}");
            let arguments = argument
                .captures_iter(&task.description.arguments)
                .map(|found| found[1].to_owned());
            let raised = error
                .find_iter(&task.description.raises)
                .map(|found| found.as_str().to_owned());
            for name in arguments.chain(raised) {
                assert!(whole.contains(&name), "{place} does not name {name}");
            }
            let returned = task.description.returns.split(',').next().unwrap();
            assert!(whole.contains(returned), "{place} does not name {returned}");
        }
    }
}
