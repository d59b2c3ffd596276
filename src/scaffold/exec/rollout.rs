//! The file in which an agent keeps its session.
//!
//! An agent that is given the name of a session that it does not find begins another one and says nothing: only the files
//! show it. They lie where the agent may write: no link is followed, and nothing is read without a bound.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde_json::Value;

use crate::recipe::ExecRules;

/// Files that are looked at, and how deep.
const MAX_ENTRIES: usize = 10_000;
const MAX_DEPTH: usize = 8;
/// The longest first line.
const MAX_LINE: u64 = 4 << 20;

/// The name of the one session below a folder, which has no link on its way.
///
/// # Errors
/// Why there is not exactly one, in words.
pub(super) fn session(folder: &Path, rules: &ExecRules) -> Result<String, String> {
    if !folder.canonicalize().is_ok_and(|real| real == folder) {
        return Err("the agent has written no session".to_owned());
    }
    let mut found: Vec<PathBuf> = Vec::new();
    let entries = walkdir::WalkDir::new(folder).follow_links(false).max_depth(MAX_DEPTH);
    for (index, entry) in entries.into_iter().enumerate() {
        if index >= MAX_ENTRIES {
            return Err(format!(
                "there are more than {MAX_ENTRIES} files among the agent's sessions"
            ));
        }
        let Ok(entry) = entry else { continue };
        let named = entry.file_name().to_str().is_some_and(|name| rules.name.is_match(name));
        if named && entry.file_type().is_file() {
            found.push(entry.into_path());
        }
    }
    match found.as_slice() {
        [] => Err("the agent has written no session".to_owned()),
        [one] => name(one, rules),
        several => Err(format!("the agent has {} sessions instead of one", several.len())),
    }
}

/// The session's name, in the first line of its file.
fn name(path: &Path, rules: &ExecRules) -> Result<String, String> {
    let unreadable = |why: &str| format!("the agent's session cannot be read: {why}");
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| unreadable(&error.to_string()))?;
    let mut line = Vec::new();
    BufReader::new(File::from(file).take(MAX_LINE))
        .read_until(b'\n', &mut line)
        .map_err(|error| unreadable(&error.to_string()))?;
    let line: Value = serde_json::from_slice(&line).map_err(|_| unreadable("its first line is no JSON"))?;
    match line.pointer(&rules.source.session.id).and_then(Value::as_str) {
        Some(id) if rules.form.is_match(id) => Ok(id.to_owned()),
        _ => Err(unreadable("its first line does not name it")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::recipe::{Driven, Recipe};

    const ID: &str = "0199f0e2-0000-7000-8000-000000000001";

    fn line(id: &str) -> String {
        format!("{{\"type\":\"session_meta\",\"payload\":{{\"id\":\"{id}\"}}}}\nno JSON\n")
    }

    #[test]
    fn there_is_one_session_or_it_is_told_why_not() {
        let recipe = Recipe::builtin("codex").unwrap();
        let Driven::Exec(rules) = recipe.driven else {
            panic!("{:?}", recipe.driven)
        };
        let place = tempfile::tempdir().unwrap();
        let home = place.path().canonicalize().unwrap();
        let folder = home.join("sessions");
        let why = |folder: &Path| session(folder, &rules).unwrap_err();
        assert!(why(&folder).contains("no session"));
        let day = folder.join("2026/11/24");
        fs::create_dir_all(&day).unwrap();
        assert!(why(&folder).contains("no session"));

        let path = day.join(format!("rollout-2026-11-24T10-00-00-{ID}.jsonl"));
        fs::write(&path, line(ID)).unwrap();
        fs::write(day.join("other.jsonl"), "x").unwrap();
        assert_eq!(session(&folder, &rules).as_deref(), Ok(ID));

        // What would be an option of the next turn's command line is no name.
        for bad in ["--dangerously", "", "0199f0e2"] {
            fs::write(&path, line(bad)).unwrap();
            assert!(why(&folder).contains("does not name it"), "{bad}");
        }
        fs::write(&path, line(ID)).unwrap();
        fs::write(day.join("rollout-b.jsonl"), line(ID)).unwrap();
        assert!(why(&folder).contains("2 sessions"));

        // Neither a link to a session nor a link above it is followed.
        fs::remove_file(day.join("rollout-b.jsonl")).unwrap();
        let elsewhere = home.join("elsewhere.jsonl");
        fs::rename(&path, &elsewhere).unwrap();
        symlink(&elsewhere, &path).unwrap();
        assert!(why(&folder).contains("no session"));
        fs::remove_file(&path).unwrap();
        fs::rename(&elsewhere, &path).unwrap();
        fs::rename(&folder, home.join("real")).unwrap();
        symlink(home.join("real"), &folder).unwrap();
        assert!(why(&folder).contains("no session"));
    }
}
