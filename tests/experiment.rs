//! Experiment files: what they ask for, and what is wrong with them.

use std::path::Path;

use mtsec_agents::experiment::{Experiment, ExperimentError, Overrides, WantedCell};

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

/// What is wrong, without the folder.
fn wrong(text: &str) -> String {
    let message = read(text).unwrap_err().to_string();
    let at = message.find("file.yaml").unwrap();
    message[at..].to_owned()
}

/// Each cell in a line: scaffold, model, options, interactions.
fn shown(cells: &[WantedCell]) -> Vec<String> {
    let line = |cell: &WantedCell| {
        let interactions: Vec<&str> = cell.interactions.iter().map(|interaction| interaction.name()).collect();
        let name = cell.name.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        let CellParts {
            scaffold,
            model,
            options,
        } = parts(cell);
        format!("{name}{scaffold} {model} [{options}] {}", interactions.join(","))
    };
    cells.iter().map(line).collect()
}

struct CellParts {
    scaffold: String,
    model: String,
    options: String,
}

fn parts(cell: &WantedCell) -> CellParts {
    CellParts {
        scaffold: cell.asked.scaffold.clone(),
        model: cell.asked.model.clone(),
        options: cell.asked.options.to_string(),
    }
}

#[test]
fn a_matrix_is_the_product_of_its_values() {
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
fn errors() {
    for text in [
        "matrix: {scaffold: aider, modl: o3}",
        "matrix: {scaffold: aider}",
        "matrix:\n  scaffold: aider\n  model: [o3, o3]\n",
        "matrix: {scaffold: aider, model: o3}\nmatrix: 1",
        "matrix: {scaffold: aider, model: 1.5}",
        "turn_limit: -1\nmatrix: {scaffold: aider, model: o3}",
        "matrix: {scaffold: aider, model: o3}\nfoo: 1",
        "matrix: {scaffold: aider, model: o3, scaffold: llm}",
        "matrix: {scaffold: aider, model: o3}\ntable:\n  columns:\n    - {title: a, where: {policy: first}}",
        "matrix: {scaffold: aider, model: o3}\ntable:\n  columns:\n    - {title: a, where: [{policy: none}], baseline: b}",
        "matrix: {scaffold: aider, model: o3}\ntable:\n  columns:\n    - {title: a, where: [{policy: }]}",
        "",
    ] {
        println!("{}\n", wrong(text));
    }
    let _ = Path::new("");
}
