//! Edits in each format, applied by a reader of its own: places are found by text, as Aider finds them.

use mtsec_agents::gateway::edit::{Fence, normalize, write};
use mtsec_agents::plan::EditFormat;
use proptest::prelude::*;

/// Applies an answer to a file.
pub fn apply(format: EditFormat, file: &str, answer: &str) -> String {
    match format {
        EditFormat::Diff => apply_diff(file, answer),
        EditFormat::Udiff => apply_udiff(file, answer),
        EditFormat::Whole => {
            let (_, listing) = answer.split_once("\napp.py\n").expect("a listing");
            let (open, rest) = listing.split_once('\n').expect("a fence");
            let close = if open.starts_with('`') {
                open.to_owned()
            } else {
                open.replace('<', "</")
            };
            let end = rest
                .lines()
                .take_while(|line| !line.starts_with(open) && !line.starts_with(&close));
            end.map(|line| format!("{line}\n")).collect()
        }
    }
}

fn apply_diff(file: &str, answer: &str) -> String {
    let mut lines: Vec<String> = file.lines().map(str::to_owned).collect();
    let mut answer = answer.lines();
    while answer.by_ref().any(|line| line == "<<<<<<< SEARCH") {
        let search: Vec<String> = answer
            .by_ref()
            .take_while(|line| *line != "=======")
            .map(str::to_owned)
            .collect();
        let replace = answer
            .by_ref()
            .take_while(|line| *line != ">>>>>>> REPLACE")
            .map(str::to_owned);
        let at = match search.is_empty() {
            true => lines.len(),
            false => lines
                .windows(search.len())
                .position(|window| window == search)
                .expect("the lines"),
        };
        lines.splice(at..at + search.len(), replace);
    }
    lines.into_iter().map(|line| line + "\n").collect()
}

fn apply_udiff(file: &str, answer: &str) -> String {
    let (_, diff) = answer.split_once("```diff\n--- app.py\n+++ app.py\n").expect("a diff");
    let diff = &diff[..diff.rfind("```").expect("an end")];
    let mut file = file.to_owned();
    for hunk in diff.split("@@ ... @@\n").skip(1) {
        let side = |sign: char| -> String {
            let lines = hunk.split_inclusive('\n').filter(|line| !line.starts_with(sign));
            lines.map(|line| &line[1..]).collect()
        };
        let (search, replace) = (side('+'), side('-'));
        assert!(search.is_empty() == file.is_empty() && (search.is_empty() || file.matches(&search).count() == 1));
        file = if search.is_empty() {
            replace
        } else {
            file.replacen(&search, &replace, 1)
        };
    }
    file
}

/// Small programs with many equal lines, so that the place of an edit is hard to tell.
fn program() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "x = 1",
        "",
        "    return x",
        "def f():",
        "    # é →",
        "        pass",
        "-- y",
        "print('```')",
    ]);
    prop::collection::vec(line, 0..40).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #[test]
    fn every_format_leads_from_one_text_to_the_other(before in program(), after in program()) {
        for format in EditFormat::ALL {
            let (before, after) = (normalize(&before, format), normalize(&after, format));
            prop_assume!(!after.is_empty());
            let answer = write(format, "app.py", &before, &after, &Fence::for_content(&before)).expect("an edit");
            prop_assert_eq!(apply(format, &before, &format!("Prose.\n{}", answer)), after);
        }
    }

    #[test]
    fn whatever_the_texts_are_nothing_panics(before in any::<String>(), after in any::<String>()) {
        for format in EditFormat::ALL {
            let (before, after) = (normalize(&before, format), normalize(&after, format));
            let _ = write(format, "app.py", &before, &after, &Fence::for_content(&before));
        }
    }

    #[test]
    fn drafts_of_any_text_never_panic(text in any::<String>(), python in r#"(def f\(|:|"{1,3}|'|\n|\\|#|é| |async |\)|x){0,40}"#) {
        for text in [text, python] {
            prop_assert_eq!(mtsec_agents::gateway::drafts::derive_states(3, None, &text, "f").len(), 3);
        }
    }
}

#[test]
fn small_changes_make_small_hunks() {
    let before: String = (0..200).map(|number| format!("line_{number} = {number}\n")).collect();
    let after = before.replace("line_100 = 100\n", "line_100 = 'changed'\n");
    for format in [EditFormat::Diff, EditFormat::Udiff] {
        let answer = write(format, "app.py", &before, &after, &Fence::for_content(&before)).expect("an edit");
        assert!(answer.lines().count() < 30, "{answer}");
        assert_eq!(apply(format, &before, &answer), after);
    }
}

#[test]
fn a_first_line_that_looks_like_the_files_name_survives() {
    let after = "# app.py\nx = 1\n";
    let answer = write(EditFormat::Diff, "app.py", "", after, &Fence::for_content("")).expect("an edit");
    assert!(
        answer.contains("=======\napp.py\n# app.py\nx = 1\n>>>>>>> REPLACE"),
        "Aider drops one such line: {answer}"
    );
}
