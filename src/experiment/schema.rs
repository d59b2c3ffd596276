//! The JSON Schema of experiment files, for editors. Made from the words themselves, so that none is missing; tests hold it
//! to the reader.

use serde_json::{Map, Value, json};

use crate::conversation::{Interaction, Policy};
use crate::plan::{Concat, ContainmentKind, EFFORTS, EditFormat, Key, Reveal};

/// The schema (draft 7: what editors know best).
pub fn schema() -> Value {
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "mtsec-agents experiment",
        "description": "What `mtsec-agents sweep FILE` runs: a matrix of cells, the tasks, and the table that they make",
        "type": "object",
        "additionalProperties": false,
        "properties": members(),
        "anyOf": [{"required": ["matrix"]}, {"required": ["include"]}, {"required": ["cells"]}],
        "definitions": {
            "values": mapping("Keys with one value or a list: every combination of the values", &|key| one_or_more(value(key))),
            "cell": mapping("Keys of one cell, each with one value; `interaction` may be a list", &|key| match key {
                Key::Interaction => one_or_more(value(key)),
                _ => value(key),
            }),
            "budget": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "usd": {"type": ["number", "null"], "exclusiveMinimum": 0, "description": "US dollars"},
                    "tokens": {"type": ["integer", "null"], "minimum": 1, "description": "Input and output together"},
                },
            },
            "tasks": tasks(),
            "table": table(),
        },
    })
}

/// As it is printed and kept.
pub fn text() -> String {
    format!("{:#}\n", schema())
}

fn members() -> Value {
    let seconds =
        |what: &str| json!({"type": "number", "exclusiveMinimum": 0, "description": format!("{what}, in seconds")});
    let texts = |what: &str| json!({"type": "array", "items": {"type": "string"}, "description": what});
    let reference =
        |name: &str, what: &str| json!({"allOf": [{"$ref": format!("#/definitions/{name}")}], "description": what});
    let list = |name: &str, what: &str| {
        let items = json!({"$ref": format!("#/definitions/{name}")});
        json!({"type": "array", "items": items, "description": what})
    };
    json!({
        "name": {
            "type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$",
            "description": "The default name of the run folder; without it the file's own",
        },
        "about": {"type": "string", "description": "What this is, in a sentence or two"},
        "tasks": reference("tasks", "The tasks; without it the built-in ones"),
        "attempts": {
            "type": "integer", "minimum": 1, "maximum": 1000, "default": 1,
            "description": "Attempts at each task, interaction and cell",
        },
        "retries": {
            "type": "integer", "minimum": 0, "default": 1,
            "description": "How often an infrastructure failure is tried again",
        },
        "test_turns": {"enum": ["last", "all"], "default": "last", "description": "Which snapshots are judged"},
        "agent_versions": texts("Other versions than the pinned ones: SCAFFOLD=VERSION"),
        "api_base": {
            "anyOf": [
                {"type": "string", "description": "For all models"},
                {
                    "type": "object", "additionalProperties": {"type": "string"},
                    "description": "By the name of a model or of a provider (`local`: open weights); other models are called at their providers",
                },
                {"type": "null"},
            ],
            "description": "Another endpoint, or more of them",
        },
        "dialects": texts("What the models' server speaks, where it is not all that is known of it"),
        "turn_limit": seconds("Longest turn"),
        "session_limit": seconds("Longest session"),
        "quiet_limit": seconds("Longest silence of an agent within a turn"),
        "trial_limit": seconds("Longest trial"),
        "agent_turn_limit": seconds("Most agent time of a turn"),
        "agent_session_limit": seconds("Most agent time of a session"),
        "agent_trial_limit": seconds("Most agent time of a trial"),
        "trial_budget": reference("budget", "The most that every try of a trial may use of its models"),
        "run_budget": reference("budget", "The most that the whole run may use"),
        "sandbox": {
            "enum": ["namespaces", "docker"], "default": "namespaces",
            "description": "What is around the code that is judged",
        },
        "containment": {
            "enum": ContainmentKind::ALL.map(ContainmentKind::name), "default": "namespaces",
            "description": "What holds the agents",
        },
        "matrix": reference("values", "Every combination of these values is a cell; `interaction` is what the cell is run with"),
        "exclude": list("values", "Taken out of the matrix: the combinations that have one of the values of every key that is named"),
        "include": list("values", "Added to the matrix: each is a small matrix of its own"),
        "cells": {
            "type": "object", "additionalProperties": {"$ref": "#/definitions/cell"},
            "description": "Cells that have a name",
        },
        "defaults": reference("values", "What the matrix, an include or a cell has where it does not name the key"),
        "table": reference("table", "How the results are laid out"),
    })
}

fn tasks() -> Value {
    let globs = |what: &str| json!({"type": "array", "items": {"type": "string"}, "description": what});
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "paths": {
                "type": "array", "items": {"type": "string"},
                "description": "Folders and files of rows, from the folder of this file; none: the built-in tasks",
            },
            "rows_are": {
                "enum": [null, Interaction::Expansion.name(), Interaction::Editing.name(), Interaction::Refactor.name()],
                "description": "What the turns of MT-Sec rows are, where neither row nor file name says it",
            },
            "include": globs("Only tasks whose id or CWE matches one of these globs"),
            "exclude": globs("No task whose id or CWE matches one of these globs"),
            "sample": {
                "type": "object",
                "additionalProperties": false,
                "required": ["count"],
                "properties": {
                    "count": {"type": "integer", "minimum": 1, "description": "At most so many tasks"},
                    "seed": {"type": "integer", "minimum": 0, "default": 0},
                },
                "description": "Tasks chosen by chance, the same for every cell; whichever other tasks there are",
            },
            "limit": {"type": "integer", "minimum": 1, "description": "At most so many tasks, the first ones"},
        },
    })
}

fn table() -> Value {
    let keys = Key::ALL.map(Key::name);
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "caption": {"type": "string"},
            "lines": {
                "type": "array", "uniqueItems": true, "items": {"enum": keys},
                "description": "A line for each combination of these keys' values; without it all in which cells differ and no column selects",
            },
            "columns": {
                "type": "array",
                "description": "Without it one for each interaction, conversations tested against the single turn",
                "items": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["title"],
                    "properties": {
                        "title": {"type": "string"},
                        "where": {
                            "anyOf": [
                                {"$ref": "#/definitions/values"},
                                {"type": "array", "items": {"$ref": "#/definitions/values"}},
                            ],
                            "description": "The trials that have one of the values of every key; of a list those of any; without it all",
                        },
                        "after_retries": {
                            "type": "integer", "minimum": 0,
                            "description": "The verdict after at most so many retries with feedback; without it the last",
                        },
                        "baseline": {
                            "type": "string",
                            "description": "The title of the column that this one is tested against",
                        },
                    },
                },
            },
            "shares": {
                "type": "array", "items": {"enum": ["correct_secure", "correct_insecure"]},
                "description": "Without it both",
            },
        },
    })
}

/// An object with every key.
fn mapping(what: &str, of: &dyn Fn(Key) -> Value) -> Value {
    let properties: Map<String, Value> = Key::ALL
        .into_iter()
        .map(|key| (key.name().to_owned(), of(key)))
        .collect();
    json!({"type": "object", "additionalProperties": false, "properties": properties, "description": what})
}

fn one_or_more(value: Value) -> Value {
    let description = value.get("description").cloned();
    json!({
        "anyOf": [value, {"type": "array", "items": value, "minItems": 1, "uniqueItems": true}],
        "description": description,
    })
}

/// A value of a key.
fn value(key: Key) -> Value {
    let whole = |least: u64, most: u64, what: &str| json!({"type": "integer", "minimum": least, "maximum": most, "description": what});
    let text = |examples: &[&str], what: &str| json!({"type": "string", "minLength": 1, "examples": examples, "description": what});
    let truth = |what: &str| json!({"type": "boolean", "description": what});
    let words = |words: Vec<&str>, what: &str| json!({"enum": words, "description": what});
    let or_null = |mut value: Value| {
        if let Some(words) = value.get_mut("enum").and_then(Value::as_array_mut) {
            words.push(Value::Null);
        } else if let Some(kind) = value.get_mut("type") {
            *kind = json!([kind.clone(), "null"]);
        }
        value
    };
    match key {
        Key::Scaffold => {
            let examples = ["aider", "codex", "openhands", "llm"];
            text(
                &examples,
                "A scaffold's name, or the path of a recipe from the folder of this file",
            )
        }
        Key::Model => {
            let what = "A model (`mtsec-agents models`), provider/model, or script:FILE from the folder of this file";
            text(&["gpt-5", "oracle", "oracle:insecure"], what)
        }
        Key::Interaction => words(
            Interaction::ALL.map(Interaction::name).to_vec(),
            "How a task becomes turns",
        ),
        Key::EditFormat => or_null(words(
            EditFormat::ALL.map(EditFormat::name).to_vec(),
            "How the model writes edits; null: the recipe's default",
        )),
        Key::NoLint => truth("The agent does not lint its edits"),
        Key::NoShellCommands => truth("The agent neither suggests nor runs shell commands"),
        Key::RepoMap => whole(0, u32::MAX.into(), "Tokens of the map of the repository; 0: none"),
        Key::ReasoningEffort => or_null(words(EFFORTS.to_vec(), "Reasoning effort; null: the model's default")),
        Key::ThinkingTokens => or_null(whole(0, u32::MAX.into(), "Thinking budget; null: the model's default")),
        Key::Concat => words(
            Concat::ALL.map(Concat::name).to_vec(),
            "For llm: in which interactions the code of all turns so far counts",
        ),
        Key::CodeDiff => truth("For llm: after the first turn, ask for differences instead of whole programs"),
        Key::NoPreamble => truth("The agent is not told beforehand in how many steps the work will come"),
        Key::Policy => words(
            Policy::ALL.map(Policy::name).to_vec(),
            "Where the task's security policy is said",
        ),
        Key::Turns => or_null(whole(
            1,
            100,
            "The conversations of so many turns; null: each task's own",
        )),
        Key::Seed => {
            let what = "Decides what is chosen by chance: the first turns of random, and the tests that are held out";
            whole(0, u64::MAX, what)
        }
        Key::Feedback => whole(
            0,
            100,
            "After the last turn the agent is told which tests fail, at most so often",
        ),
        Key::Reveal => words(
            Reveal::ALL.map(Reveal::name).to_vec(),
            "What the agent is told of a failed test",
        ),
        Key::HeldOut => truth("The agent is told of one half of a task's tests, and judged by the other"),
        Key::Critic => or_null(text(
            &["gpt-4o"],
            "The model that puts failures in words for debugging-natural; null: the cell's own",
        )),
    }
}
