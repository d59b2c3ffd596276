//! Tables of experiment files.

use mtsec_agents::experiment::Table;
use mtsec_agents::plan::Key;

use super::{read, wrong};

#[test]
fn columns_are_written_as_one_mapping_or_a_list_and_read_the_same_from_the_file_alone() {
    let text = "
matrix: {scaffold: [aider, llm], model: o3, no_lint: [false, true], repo_map: [0, 1024], feedback: 2}
exclude: [{scaffold: llm, no_lint: true}, {scaffold: llm, repo_map: 1024}]
defaults: {interaction: [single, editing]}
table:
  lines: [repo_map]
  columns:
    - {title: A, where: {scaffold: aider, no_lint: true, interaction: single}}
    - title: B
      where:
        - {scaffold: aider, no_lint: false, repo_map: 1024, interaction: editing}
        - {scaffold: llm, interaction: editing}
      after_retries: 1
      baseline: A
";
    let table = read(text).unwrap_or_else(|error| panic!("{error}")).table;
    #[derive(serde::Deserialize)]
    struct OfExperiment {
        table: Table,
    }
    let alone: OfExperiment = mtsec_agents::yaml::read("file", text).unwrap();
    assert_eq!(alone.table, table);
    let written = mtsec_agents::yaml::write(&table).unwrap();
    assert_eq!(mtsec_agents::yaml::read::<Table>("table", &written).unwrap(), table);
    let pairs = |pairs: &[(Key, &str)]| pairs.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
    assert_eq!(
        table.columns[1].alternatives,
        [
            pairs(&[
                (Key::Scaffold, "aider"),
                (Key::NoLint, "false"),
                (Key::RepoMap, "1024"),
                (Key::Interaction, "editing")
            ]),
            pairs(&[(Key::Scaffold, "llm"), (Key::Interaction, "editing")]),
        ]
    );
    assert_eq!(table.columns[1].after_retries, Some(1));
}

#[test]
fn a_column_after_retries_is_of_the_rows_that_have_as_many() {
    // Debugging has two turns of feedback where nobody says how many.
    let debugging = |after: u32| {
        format!(
            "matrix: {{scaffold: llm, model: o3, interaction: debugging-tests, held_out: true}}
table:
  columns:
    - {{title: A, after_retries: {after}}}"
        )
    };
    assert_eq!(read(&debugging(2)).unwrap().table.columns[0].after_retries, Some(2));
    assert!(wrong(&debugging(3)).contains("the most is 2"));
    // The cell with one retry stands in no column after two, so that there is one row in each place.
    let text = "matrix: {scaffold: llm, model: o3, interaction: single, feedback: [1, 2]}
table:
  lines: [model]
  columns:
    - {title: A, where: {feedback: 1}, after_retries: 1}
    - {title: B, after_retries: 2}";
    read(text).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn a_format_that_is_left_to_the_recipe_is_not_taken_for_another_one() {
    let text = "matrix: {scaffold: aider, model: o3, edit_format: [null, whole], interaction: single}
table:
  lines: [model]
  columns:
    - {title: A, where: {edit_format: diff}}
    - {title: B, where: {edit_format: whole}, baseline: A}";
    read(text).unwrap_or_else(|error| panic!("{error}"));
}
