//! Tasks of every format, and their prompts.

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use common::program;
use mtsec_agents::conversation::Interaction;
use mtsec_agents::dataset::{self, DatasetError, prompt};
use serde_json::{Value, json};

fn mtsec_row(id: &str) -> Value {
    json!({
        "id": id,
        "CWE_ID": "CWE-502: Deserialization",
        "task_description": {
            "function_name": "load", "description": "Loads a value.", "security_policy": "Be careful.",
            "context": "", "arguments": "- text: str", "return": "a value", "raise": "",
        },
        "generated_multi_turns": ["First.", "Second.", "Third."],
        "unittest": { "setup": "", "testcases": "testcases = {'capability': [({'text': '1'}, 1)], 'safety': [({'text': 'x'}, ValueError)]}" },
        "install_requires": null,
    })
}

fn write(folder: &Path, name: &str, rows: &[Value]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, rows.iter().map(|row| format!("{row}\n")).collect::<String>()).unwrap();
    path
}

#[test]
fn the_built_in_tasks_cover_the_paper() {
    let dataset = dataset::builtin().unwrap();
    let weaknesses: BTreeSet<&str> = dataset.tasks.iter().map(|task| task.cwe.as_str()).collect();
    assert!(dataset.tasks.len() >= 12 && weaknesses.len() >= 10, "{weaknesses:?}");
    for task in &dataset.tasks {
        assert!(task.references.is_some(), "{}", task.id);
        for interaction in [Interaction::Expansion, Interaction::Editing, Interaction::Refactor] {
            let conversation = prompt::conversation(task, interaction).unwrap();
            assert_eq!(conversation.turns.len(), 3, "{} {interaction}", task.id);
            assert_eq!(task.drafts[&interaction].len(), 2, "{} {interaction}", task.id);
            let said = conversation.turns.join("\n");
            assert!(
                said.contains(&task.function),
                "{} {interaction} never names the function",
                task.id
            );
        }
        let first = &task.conversations[&Interaction::Expansion][0];
        assert!(
            !first.contains(&task.function),
            "{}: expansion names the function in turn 1",
            task.id
        );
    }
}

#[test]
fn the_splits_of_mtsec_join_to_one_seed() {
    let place = tempfile::tempdir().unwrap();
    let expansion = write(place.path(), "mtsec-expansion.jsonl", &[mtsec_row("CWE-502/9")]);
    let editing = write(place.path(), "mtsec_editing.jsonl", &[mtsec_row("CWE-502/9")]);
    let mut refactor = mtsec_row("CWE-502/9");
    refactor["interaction"] = "refactor".into();
    let refactor = write(place.path(), "third.jsonl", &[refactor]);
    let dataset = dataset::load(&[expansion.clone(), editing, refactor], None).unwrap();
    assert_eq!(dataset.tasks.len(), 1);
    assert_eq!(dataset.tasks[0].cwe, "CWE-502");
    assert_eq!(dataset.tasks[0].interactions(), Interaction::USUAL);
    assert!(matches!(
        dataset::load(&[expansion.clone(), expansion], None),
        Err(DatasetError::Duplicate { .. })
    ));
}

#[test]
fn turns_of_unknown_kind_are_refused_unless_the_user_says_what_they_are() {
    let place = tempfile::tempdir().unwrap();
    let rows = write(place.path(), "rows.jsonl", &[mtsec_row("a")]);
    assert!(matches!(
        dataset::load(std::slice::from_ref(&rows), None),
        Err(DatasetError::UnknownInteraction { .. })
    ));
    let dataset = dataset::load(&[rows], Some(Interaction::Editing)).unwrap();
    assert_eq!(
        dataset.tasks[0].interactions(),
        [Interaction::Single, Interaction::Editing]
    );
}

#[test]
fn rows_join_in_any_order_and_only_when_they_are_about_one_seed() {
    let place = tempfile::tempdir().unwrap();
    let mut seed = mtsec_row("one");
    seed.as_object_mut().unwrap().remove("generated_multi_turns");
    seed["ground_truth"] = json!({ "vulnerable_code": "v", "patched_code": "p" });
    seed["install_requires"] = json!(["six"]);
    let mut turns = mtsec_row("one");
    turns["ground_truth"] = seed["ground_truth"].clone();
    let seed_rows = write(place.path(), "seed.jsonl", &[seed]);
    let turn_rows = write(place.path(), "editing.jsonl", &[turns.clone()]);
    for order in [[&seed_rows, &turn_rows], [&turn_rows, &seed_rows]] {
        let dataset = dataset::load(&order.map(PathBuf::clone), None).unwrap();
        assert_eq!(dataset.tasks.len(), 1);
        assert_eq!(
            dataset.tasks[0].interactions(),
            [Interaction::Single, Interaction::Editing]
        );
        assert_eq!(dataset.tasks[0].requires, ["six"]);
    }
    turns["task_description"]["description"] = "Something else.".into();
    let other = write(place.path(), "other-editing.jsonl", &[turns]);
    let error = dataset::load(&[seed_rows, other], None).unwrap_err().to_string();
    assert!(
        error.contains("other-editing.jsonl:1") && error.contains("description differs"),
        "{error}"
    );
}

#[test]
fn a_value_of_the_wrong_type_names_its_task() {
    let place = tempfile::tempdir().unwrap();
    let mut bad = mtsec_row("bad");
    bad["task_description"]["function_name"] = 5.into();
    let rows = write(place.path(), "rows-editing.jsonl", &[mtsec_row("good"), bad.clone()]);
    let error = dataset::load(&[rows], None).unwrap_err().to_string();
    assert!(
        error.contains("rows-editing.jsonl:2: task `bad`: invalid type: integer"),
        "{error}"
    );
    let array = place.path().join("editing.json");
    std::fs::write(&array, format!("\u{feff}[{}, {bad}]", mtsec_row("good"))).unwrap();
    let error = dataset::load(&[array], None).unwrap_err().to_string();
    assert!(error.contains("editing.json[1]: task `bad`"), "{error}");
}

#[test]
fn conversations_may_have_any_number_of_turns() {
    let place = tempfile::tempdir().unwrap();
    let mut row = mtsec_row("long");
    row["generated_multi_turns"] = json!(["1", "2", "3", "4", "5", "6", "7"]);
    let rows = write(place.path(), "long-expansion.jsonl", &[row]);
    let dataset = dataset::load(&[rows], None).unwrap();
    assert_eq!(
        prompt::conversation(&dataset.tasks[0], Interaction::Expansion)
            .unwrap()
            .turns
            .len(),
        7
    );
}

#[test]
fn an_import_reads_back_as_the_same_tasks() {
    let place = tempfile::tempdir().unwrap();
    let rows = write(
        place.path(),
        "mtsec-expansion.jsonl",
        &[mtsec_row("one"), mtsec_row("two")],
    );
    let ours = place.path().join("ours.jsonl");
    program()
        .args(["tasks", "import"])
        .arg(&rows)
        .arg("-o")
        .arg(&ours)
        .assert()
        .success();
    let (read, imported) = (
        dataset::load(&[rows], None).unwrap(),
        dataset::load(std::slice::from_ref(&ours), None).unwrap(),
    );
    assert_eq!(read.tasks.len(), 2);
    for (mut before, mut after) in read.tasks.into_iter().zip(imported.tasks) {
        (before.origin, after.origin) = Default::default();
        assert_eq!(before, after);
    }
    program()
        .args(["tasks", "import"])
        .arg(&ours)
        .arg("-o")
        .arg(&ours)
        .assert()
        .code(2);
}

#[test]
fn the_single_prompt_is_rendered_from_the_description() {
    let dataset = dataset::builtin().unwrap();
    let task = dataset
        .tasks
        .iter()
        .find(|task| task.id == "cwe-601-login-redirect")
        .unwrap();
    insta::assert_snapshot!(prompt::conversation(task, Interaction::Single).unwrap().turns[0]);
}

#[test]
fn a_prompt_keeps_what_looks_like_markup() {
    let place = tempfile::tempdir().unwrap();
    let odd = "/etc/passwd {{ x }} {% raw %} <b> & \"quoted\"\n```python\n{\n}\n```";
    let mut row = mtsec_row("odd");
    row["generated_multi_turns"] = json!([odd]);
    let rows = write(place.path(), "odd-editing.jsonl", &[row]);
    let dataset = dataset::load(&[rows], None).unwrap();
    assert!(
        prompt::conversation(&dataset.tasks[0], Interaction::Editing)
            .unwrap()
            .turns[0]
            .starts_with(odd)
    );
}

#[cfg(feature = "parquet")]
mod parquet_tables {
    use super::*;
    use std::sync::Arc;

    use parquet::data_type::{ByteArray, ByteArrayType};
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    /// A table as MT-Sec's are: nested groups, lists of text.
    #[test]
    fn a_table_reads_like_json_lines() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("expansion.parquet");
        let schema = parse_message_type(
            "message row {
               required binary id (UTF8);
               required binary CWE_ID (UTF8);
               required group task_description {
                 required binary function_name (UTF8);
                 required binary description (UTF8);
               }
               required group generated_multi_turns (LIST) { repeated group list { required binary element (UTF8); } }
               required group unittest { required binary setup (UTF8); required binary testcases (UTF8); }
             }",
        )
        .unwrap();
        let file = std::fs::File::create(&path).unwrap();
        let mut writer = SerializedFileWriter::new(file, Arc::new(schema), Default::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let row = mtsec_row("x");
        let turns = ["First.", "Second.", "Third."];
        let columns: [Vec<&str>; 7] = [
            vec!["CWE-502/9"],
            vec!["502"],
            vec!["load"],
            vec!["Loads a value."],
            turns.to_vec(),
            vec![""],
            vec![row["unittest"]["testcases"].as_str().unwrap()],
        ];
        for values in columns {
            let mut column = group.next_column().unwrap().unwrap();
            let bytes: Vec<ByteArray> = values.iter().map(|value| ByteArray::from(*value)).collect();
            let is_list = values.len() > 1;
            let (definition, repetition) = (vec![1; values.len()], vec![0, 1, 1]);
            let levels = is_list.then_some((definition.as_slice(), repetition.as_slice()));
            column
                .typed::<ByteArrayType>()
                .write_batch(&bytes, levels.map(|levels| levels.0), levels.map(|levels| levels.1))
                .unwrap();
            column.close().unwrap();
        }
        group.close().unwrap();
        writer.close().unwrap();

        let dataset = dataset::load(&[path], None).unwrap();
        assert_eq!(dataset.tasks[0].id, "CWE-502/9");
        assert_eq!(dataset.tasks[0].function, "load");
        assert_eq!(dataset.tasks[0].conversations[&Interaction::Expansion], turns);
    }
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_table_needs_the_feature_and_says_so() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("expansion.parquet"), "PAR1").unwrap();
    let list = program()
        .args(["tasks", "list", "--tasks"])
        .arg(place.path().join("expansion.parquet"))
        .assert();
    list.code(2).stderr(predicates::str::contains("--features parquet"));
}
