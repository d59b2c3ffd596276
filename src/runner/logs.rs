//! What a session's agent wrote about itself, kept with the trial.

use std::path::Path;

use crate::store::{StoreError, TrialFolder};

/// What the driver, and not the agent, writes for each turn.
const RECORDINGS: [&str; 3] = ["session.cast", "agent.log", "stderr.log"];

/// Largest file of an agent's logs that is kept, and the most of all of them, in bytes.
const MAX_LOG: u64 = 64 << 20;
const MAX_LOGS: u64 = 256 << 20;
/// Most files of them, and the deepest.
const MAX_FILES: usize = 10_000;
const MAX_DEPTH: usize = 12;

/// Keeps the session's recordings in the folders of its turns, and all else under `agent/`. Returns how many of the agent's
/// files are not kept: those that are too large, too many, too deep, or cannot be read.
///
/// The agent could write there: only regular files are taken, no link is followed, and nothing of ours is overwritten. What
/// it wrote never keeps the run from going on.
///
/// # Errors
/// The recordings cannot be written into the trial's folder.
pub fn keep_logs(logs: &Path, folder: &TrialFolder) -> Result<usize, StoreError> {
    if !std::fs::symlink_metadata(logs).is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(0);
    }
    let (mut bytes, mut files, mut left_out) = (0u64, 0, 0);
    let entries = walkdir::WalkDir::new(logs).follow_links(false).max_depth(MAX_DEPTH);
    for entry in entries {
        let Ok(entry) = entry else {
            left_out += 1;
            continue;
        };
        let Ok(relative) = entry.path().strip_prefix(logs) else {
            continue;
        };
        let is_recording = relative.starts_with("turns") && RECORDINGS.iter().any(|name| relative.ends_with(name));
        if entry.file_type().is_dir() && entry.depth() == MAX_DEPTH {
            left_out += 1;
        }
        if !entry.file_type().is_file() {
            continue;
        }
        let target = if is_recording || relative.starts_with("agent") {
            relative.to_owned()
        } else {
            Path::new("agent").join(relative)
        };
        let target = folder.path().join(target);
        if target.exists() {
            continue;
        }
        let copy = || {
            let made = target.parent().map_or(Ok(()), std::fs::create_dir_all);
            made.and_then(|()| std::fs::copy(entry.path(), &target).map(drop))
        };
        // Recordings are ours, and have a bound of their own.
        if is_recording {
            copy().map_err(|source| StoreError::Write {
                path: target.clone(),
                source,
            })?;
            continue;
        }
        // By its length, and not by what it takes: a copy has no holes.
        let size = entry.metadata().map_or(u64::MAX, |metadata| metadata.len());
        let fits = size <= MAX_LOG && bytes.saturating_add(size) <= MAX_LOGS && files < MAX_FILES;
        if fits && copy().is_ok() {
            bytes += size;
            files += 1;
        } else {
            left_out += 1;
        }
    }
    Ok(left_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Interaction;
    use crate::plan::TrialKey;
    use crate::store::RunFolder;

    /// The folder of a trial in a new run.
    fn trial(place: &Path) -> TrialFolder {
        let run = RunFolder::create(place, "run").unwrap();
        let folder = run.trial(&TrialKey {
            task: "t".into(),
            interaction: Interaction::Single,
            cell: "c".into(),
            attempt: 1,
        });
        folder.begin().unwrap();
        folder
    }

    #[test]
    fn an_agent_cannot_overwrite_the_record_or_bring_in_other_files() {
        let place = tempfile::tempdir().unwrap();
        let folder = trial(place.path());
        folder.write("turns/1/model.jsonl", b"ours").unwrap();
        let logs = place.path().join("logs");
        std::fs::create_dir_all(logs.join("turns/1")).unwrap();
        std::fs::write(logs.join("turns/1/model.jsonl"), "forged").unwrap();
        std::fs::write(logs.join("turns/1/session.cast"), "cast").unwrap();
        std::fs::write(place.path().join("private"), "private").unwrap();
        std::os::unix::fs::symlink("../private", logs.join("link")).unwrap();
        assert_eq!(keep_logs(&logs, &folder).unwrap(), 0);
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).ok();
        assert_eq!(read("turns/1/model.jsonl").as_deref(), Some("ours"));
        assert_eq!(read("agent/turns/1/model.jsonl").as_deref(), Some("forged"));
        assert_eq!(read("turns/1/session.cast").as_deref(), Some("cast"));
        assert_eq!(read("agent/link"), None);

        std::fs::remove_dir_all(&logs).unwrap();
        std::os::unix::fs::symlink(place.path(), &logs).unwrap();
        assert_eq!(keep_logs(&logs, &folder).unwrap(), 0);
        assert_eq!(read("agent/private"), None);
    }

    #[test]
    fn what_cannot_be_kept_is_counted_and_keeps_nothing_else_back() {
        let place = tempfile::tempdir().unwrap();
        let folder = trial(place.path());
        let logs = place.path().join("logs");
        let agent = logs.join("agent");
        // One below the deepest, one so long that its copy's name is too long, and files of holes.
        let deep = (0..MAX_DEPTH).fold(agent.clone(), |path, _| path.join("d"));
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("lost"), "x").unwrap();
        for number in 0..6 {
            let holes = std::fs::File::create(agent.join(format!("holes-{number}"))).unwrap();
            holes.set_len(MAX_LOG - (4 << 20)).unwrap();
        }
        std::fs::write(agent.join("zz"), "kept").unwrap();
        // A folder in the way of a copy stands for every copy that fails.
        std::fs::write(folder.path().join("agent"), "in the way").unwrap();
        let left_out = keep_logs(&logs, &folder).unwrap();
        assert_eq!(left_out, 8, "six of holes, one short, one folder too deep");
        std::fs::remove_file(folder.path().join("agent")).unwrap();
        let left_out = keep_logs(&logs, &folder).unwrap();
        assert_eq!(left_out, 3, "two that are too much, and what is too deep");
        assert_eq!(std::fs::read_to_string(folder.path().join("agent/zz")).unwrap(), "kept");
    }
}
