//! Experiment files: what they ask for, what is wrong with them, and those that come with the program.

#[path = "experiment/files.rs"]
mod files;
#[path = "experiment/layout.rs"]
mod layout;
#[path = "experiment/schema.rs"]
mod schema;

use mtsec_agents::dataset;
use mtsec_agents::experiment::{Experiment, ExperimentError, Overrides, Sample, WantedCell};
use mtsec_agents::plan::Key;

fn read(text: &str) -> Result<Experiment, ExperimentError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.yaml");
    std::fs::write(&path, text).unwrap();
    Experiment::read(&path)
}

fn cells(text: &str) -> Vec<WantedCell> {
    read(text)
        .unwrap_or_else(|error| panic!("{error}"))
        .cells(&Overrides::default())
}

/// What is wrong, without the folder of the file.
fn wrong(text: &str) -> String {
    let message = match read(text) {
        Ok(experiment) => panic!("{text}\nis taken for {experiment:?}"),
        Err(error) => error.to_string(),
    };
    let folder = message.split("file.yaml").next().unwrap().to_owned();
    message.replace(&folder, "")
}

/// Each cell in a line: name, scaffold, model, options, interactions.
fn shown(cells: &[WantedCell]) -> Vec<String> {
    let line = |cell: &WantedCell| {
        let interactions: Vec<&str> = cell.interactions.iter().map(|kind| kind.name()).collect();
        let name = cell.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        let asked = &cell.asked;
        let (scaffold, model, options) = (&asked.scaffold, &asked.model, &asked.options);
        format!("{name}{scaffold} {model} [{options}] {}", interactions.join(","))
    };
    cells.iter().map(line).collect()
}

#[test]
fn a_matrix_is_every_combination_of_its_values_and_interactions_are_no_cells() {
    let cells = cells(
        "matrix:\n  scaffold: [aider, llm]\n  model: o3\n  interaction: [single, expansion]\n  policy: [none, system]\n",
    );
    assert_eq!(
        shown(&cells),
        [
            "aider o3 [] single,expansion",
            "aider o3 [policy=system] single,expansion",
            "llm o3 [] single,expansion",
            "llm o3 [policy=system] single,expansion",
        ]
    );
}

#[test]
fn without_an_interaction_it_is_those_of_the_main_tables() {
    assert_eq!(
        shown(&cells("matrix: {scaffold: llm, model: o3}")),
        ["llm o3 [] single,expansion,editing,refactor"]
    );
}

#[test]
fn what_is_excluded_is_out_and_what_is_included_is_added_to_the_cell_that_is_there() {
    let cells = cells(
        "matrix:
  scaffold: llm
  model: [o3, gpt-4o]
  interaction: [single, expansion]
  policy: [none, system, last]
exclude:
  - {interaction: single, policy: [system, last]}
  - {model: gpt-4o, policy: last}
include:
  - {scaffold: llm, model: o3, policy: last, interaction: [expansion, editing]}
  - {scaffold: aider, model: [o3, gpt-4o], edit_format: [null, whole], interaction: single}
",
    );
    assert_eq!(
        shown(&cells),
        [
            "llm o3 [] single,expansion",
            "llm o3 [policy=system] expansion",
            "llm o3 [policy=last] expansion,editing",
            "llm gpt-4o [] single,expansion",
            "llm gpt-4o [policy=system] expansion",
            "aider o3 [] single",
            "aider o3 [whole] single",
            "aider gpt-4o [] single",
            "aider gpt-4o [whole] single",
        ]
    );
}

#[test]
fn named_cells_have_the_defaults_where_they_say_nothing_else() {
    let cells = cells(
        "cells:
  plain: {}
  mapped: {repo_map: 1024, interaction: [single, editing]}
  bare: {scaffold: llm, reasoning_effort: high, turns: 5, seed: 18446744073709551615, reveal: names, feedback: 2}
defaults: {scaffold: aider, model: o3, interaction: editing}
dialects: [openai-chat]
",
    );
    assert_eq!(
        shown(&cells),
        [
            "plain: aider o3 [dialect=openai-chat] editing",
            "mapped: aider o3 [repo-map=1024 dialect=openai-chat] single,editing",
            "bare: llm o3 [effort=high turns=5 seed=18446744073709551615 feedback=2 reveal=names dialect=openai-chat] editing",
        ]
    );
    assert_eq!(
        cells.iter().map(|cell| cell.place).collect::<Vec<_>>(),
        [(2, 10), (3, 11), (4, 9)]
    );
}

#[test]
fn anchors_of_yaml_spare_repetition() {
    let cells = cells(
        "matrix: {scaffold: llm, model: &two [o3, o1], interaction: single}
include:
  - {scaffold: aider, model: *two, interaction: single}
cells:
  base: &base {scaffold: codex, model: o3, interaction: editing}
  seeded: {<<: *base, seed: 2}
",
    );
    assert_eq!(
        shown(&cells),
        [
            "llm o3 [] single",
            "llm o1 [] single",
            "aider o3 [] single",
            "aider o1 [] single",
            "base: codex o3 [] editing",
            "seeded: codex o3 [seed=2] editing",
        ]
    );
}

#[test]
fn every_key_reaches_the_cell() {
    for key in Key::ALL {
        let value = match key {
            Key::Scaffold | Key::Model | Key::Critic => "some",
            Key::Interaction => "random",
            Key::EditFormat => "udiff",
            Key::NoLint | Key::NoShellCommands | Key::CodeDiff | Key::NoPreamble | Key::HeldOut => "true",
            Key::RepoMap | Key::ThinkingTokens | Key::Turns | Key::Seed | Key::Feedback => "7",
            Key::ReasoningEffort => "high",
            Key::Concat => "never",
            Key::Policy => "every",
            Key::Reveal => "traceback",
        };
        let text = format!("defaults: {{scaffold: llm, model: o3}}\ncells:\n  one: {{{key}: {value}}}\n");
        // Without feedback nothing is revealed.
        let text = text.replace("reveal:", "feedback: 1, reveal:");
        let cells = cells(&text);
        assert_eq!(key.asked(&cells[0].asked, cells[0].interactions[0]), value, "{key}");
    }
}

#[test]
fn paths_start_at_the_folder_of_the_file() {
    let experiment = read(
        "tasks: {paths: [rows.jsonl]}\nmatrix: {scaffold: agents/mine.yaml, model: 'script:answers.yaml', critic: 'script:c'}",
    )
    .unwrap();
    let folder = experiment.file.parent().unwrap();
    let cells = experiment.cells(&Overrides::default());
    assert_eq!(experiment.tasks.paths, [folder.join("rows.jsonl")]);
    let asked = &cells[0].asked;
    assert_eq!(asked.scaffold, folder.join("agents/mine.yaml").display().to_string());
    assert_eq!(asked.model, format!("script:{}", folder.join("answers.yaml").display()));
    assert_eq!(
        asked.options.critic,
        Some(format!("script:{}", folder.join("c").display()))
    );
}

#[test]
fn a_try_with_a_scripted_model_has_each_cell_once_and_calls_no_critic() {
    let experiment = read(
        "matrix: {scaffold: [aider, llm], model: [o3, gpt-4o], interaction: single}
include:
  - {scaffold: llm, model: o1, critic: gpt-4o, thinking_tokens: 0, interaction: debugging-natural}
cells:
  first: {scaffold: aider, model: o3, edit_format: whole, interaction: single}
  second: {scaffold: aider, model: gpt-4o, edit_format: whole, interaction: editing}
",
    )
    .unwrap();
    let with = |models: &[&str], scaffolds: &[&str]| {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let (models, scaffolds) = (owned(models), owned(scaffolds));
        shown(&experiment.cells(&Overrides { models, scaffolds }))
    };
    assert_eq!(
        with(&["oracle"], &[]),
        [
            "aider oracle [] single",
            "llm oracle [] single,debugging-natural",
            "first: aider oracle [whole] single,editing",
        ]
    );
    // Another real model does not make it another experiment.
    assert_eq!(
        with(&["gpt-5"], &[])[2],
        "llm gpt-5 [thinking=0 critic=gpt-4o] debugging-natural"
    );
    assert_eq!(
        with(&["oracle", "nop"], &["llm"]),
        [
            "llm oracle [] single,debugging-natural",
            "llm nop [] single,debugging-natural",
            "first, oracle: llm oracle [whole] single,editing",
            "first, nop: llm nop [whole] single,editing",
        ]
    );
}

#[test]
fn the_order_of_a_file_changes_no_cell() {
    let one =
        cells("matrix: {scaffold: [aider, llm], model: [o3, o1], policy: [none, last], interaction: [single, random]}");
    let other = cells(
        "include:\n  - {policy: last, scaffold: llm, model: [o1, o3], interaction: [random, single]}
matrix: {interaction: [random, single], policy: [last, none], model: [o1, o3], scaffold: [llm, aider]}",
    );
    assert_eq!(one.len(), 8);
    assert_eq!(other.len(), 8);
    for cell in &one {
        assert!(other.iter().any(|same| same.asked == cell.asked), "{cell:?}");
    }
}

#[test]
fn where_nothing_is_told_nothing_is_revealed() {
    let cells = cells(
        "matrix: {scaffold: llm, model: o3, interaction: [single, editing], feedback: [0, 1], reveal: [names, cases]}",
    );
    assert_eq!(
        shown(&cells),
        [
            "llm o3 [] single,editing",
            "llm o3 [feedback=1 reveal=names] single,editing",
            "llm o3 [feedback=1] single,editing",
        ]
    );
}

#[test]
fn a_sample_depends_on_its_seed_and_on_nothing_else() {
    let all = dataset::builtin().unwrap().tasks;
    let chosen = |tasks: &[mtsec_agents::task::Task], count, seed| {
        let mut tasks = tasks.to_vec();
        Sample { count, seed }.choose(&mut tasks);
        let mut ids: Vec<String> = tasks.into_iter().map(|task| task.id).collect();
        ids.sort();
        ids
    };
    let four = chosen(&all, 4, 1);
    // Written down: a sample of another version would be another experiment under the same name.
    assert_eq!(
        four,
        [
            "cwe-1333-name-filter",
            "cwe-352-address-form",
            "cwe-601-login-redirect",
            "cwe-862-move-card"
        ]
    );
    let mut backwards = all.clone();
    backwards.reverse();
    assert_eq!(chosen(&backwards, 4, 1), four);
    let others: Vec<_> = all.iter().filter(|task| !four.contains(&task.id)).cloned().collect();
    let without = [
        &all.iter()
            .filter(|task| four.contains(&task.id))
            .cloned()
            .collect::<Vec<_>>()[..],
        &others[..3],
    ]
    .concat();
    assert_eq!(chosen(&without, 4, 1), four);
    let five = chosen(&all, 5, 1);
    assert!(five.len() == 5 && four.iter().all(|id| five.contains(id)));
    assert_ne!(chosen(&all, 4, 2), four);
    assert_eq!(chosen(&all, 1000, 1).len(), all.len());
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_a_remedy() {
    const GOOD: &str = "matrix: {scaffold: aider, model: o3}\n";
    let with = |more: &str| format!("{GOOD}{more}");
    let texts = [
        // The form.
        String::new(),
        with("matrix: {}"),
        with("coffee: true"),
        "name: a/b\nmatrix: {scaffold: aider, model: o3}".into(),
        "attempts: 0\nmatrix: {scaffold: aider, model: o3}".into(),
        with("turn_limit: -1"),
        with("run_budget: {usd: 0}"),
        with("tasks: {sample: {count: 0}}"),
        with("api_base: [http://a/v1]"),
        with("api_base:\n  local: http://127.0.0.1:8000/v1\n  locl: http://127.0.0.1:8001/v1"),
        // Keys and values.
        "matrix: {scaffold: aider, modle: o3}".into(),
        "matrix: {scaffold: aider}".into(),
        "matrix: {scaffold: aider, model: []}".into(),
        "matrix: {scaffold: aider, model: [o3, o1, o3]}".into(),
        "matrix: {scaffold: aider, model: 1.5}".into(),
        "matrix: {scaffold: aider, model: [[o3]]}".into(),
        "matrix: {scaffold: aider, model: ''}".into(),
        with("defaults: {edit_format: [diff, hole]}"),
        with("defaults: {no_lint: off-ish}"),
        with("defaults: {turns: 0}"),
        with("defaults: {policy: null}"),
        with("defaults: {interaction: double}"),
        with("defaults: {reasoning_effort: huge}"),
        // Combinations.
        with("exclude:\n  - {model: o1}"),
        with("exclude:\n  - {model: o3}"),
        with("exclude:\n  - {}"),
        "exclude: [{model: o3}]\ninclude: [{scaffold: aider, model: o3}]".into(),
        with("include:\n  - {scaffold: llm}"),
        with("cells:\n  again: {scaffold: aider, model: o3, edit_format: null}"),
        with("cells:\n  one: {scaffold: llm, model: o3}\n  other: {model: o3, scaffold: llm, interaction: editing}"),
        with("cells:\n  two: {scaffold: llm, model: [o1, o3]}"),
        // The table.
        with("table: {lines: [model, size]}"),
        with("table: {lines: [model, model]}"),
        with("table: {shares: [wrong]}"),
        with("table:\n  columns:\n    - {title: A, where: {model: o1}}"),
        with("table:\n  columns:\n    - {title: A, where: [{model: o3}, {interaction: random}]}"),
        with("table:\n  columns:\n    - {title: A, baseline: B}\n    - {title: C}"),
        with("table:\n  columns:\n    - {title: A, baseline: A}"),
        with("table:\n  columns:\n    - {title: A}\n    - {title: A}"),
        with("table:\n  columns:\n    - {title: A, after_retries: 1}"),
        with("table:\n  columns:\n    - {where: {model: o3}}"),
        "matrix: {scaffold: llm, model: o3, policy: [none, last]}\ntable:\n  lines: [model]".into(),
        "matrix: {scaffold: llm, model: o3, policy: [none, last]}\ntable:\n  columns:\n    - {title: A, where: {policy: [none, last], interaction: single}}".into(),
    ];
    let told: Vec<String> = texts
        .iter()
        .map(|text| format!("{}\n=> {}\n", text.trim_end(), wrong(text)))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn what_is_found_wrong_later_is_told_at_the_cell() {
    let experiment = read("matrix:\n  scaffold: aider\n  model: [o3, o5]\n").unwrap();
    let cells = experiment.cells(&Overrides::default());
    let message = experiment.wrong(&cells[1], "there is no such model").to_string();
    assert!(message.ends_with("file.yaml:3:15: there is no such model"), "{message}");
}

#[test]
fn the_example_of_the_readme_is_one() {
    let readme = include_str!("../README.md");
    let start = readme.find("# yaml-language-server").unwrap();
    let text = &readme[start..start + readme[start..].find("```").unwrap()];
    let experiment = read(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        shown(&experiment.cells(&Overrides::default())),
        [
            "aider o3 [] single,expansion",
            "aider o3 [policy=system] expansion",
            "aider o3 [policy=last] expansion",
            "llm o3 [] single,expansion",
            "llm o3 [policy=system] expansion",
            "llm o3 [policy=last] expansion",
            "aider o3 [whole] expansion",
            "aider o3 [udiff] expansion",
            "mapped: aider o3 [repo-map=1024] single,expansion",
        ]
    );
}
