//! What a session's agent wrote about itself, kept with the trial.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use crate::store::{StoreError, TrialFolder};

/// What the driver, and not the agent, writes for each turn.
const RECORDINGS: [&str; 2] = ["session.cast", "agent.log"];

/// Largest file of an agent's logs that is kept, in bytes.
const MAX_LOG: u64 = 64 << 20;

/// How deep folders of an agent's logs are kept.
const MAX_DEPTH: usize = 32;

/// Keeps the session's recordings in the folders of its turns, and all else under `agent/`.
///
/// The agent could write there: only regular files are taken, no link is followed, and nothing of ours is overwritten.
///
/// # Errors
/// The trial's folder cannot be written.
pub fn keep_logs(logs: &Path, folder: &TrialFolder) -> Result<(), StoreError> {
    if !std::fs::symlink_metadata(logs).is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(());
    }
    let entries = walkdir::WalkDir::new(logs).follow_links(false).max_depth(MAX_DEPTH);
    for entry in entries.into_iter().flatten() {
        let Ok(relative) = entry.path().strip_prefix(logs) else {
            continue;
        };
        let too_large = entry.metadata().is_ok_and(|metadata| metadata.len() > MAX_LOG);
        if !entry.file_type().is_file() || too_large {
            continue;
        }
        let is_recording = relative.starts_with("turns") && RECORDINGS.iter().any(|name| relative.ends_with(name));
        let target = if is_recording || relative.starts_with("agent") {
            relative.to_owned()
        } else {
            Path::new("agent").join(relative)
        };
        let target = folder.path().join(target);
        if target.exists() {
            continue;
        }
        // What cannot be read is the agent's doing, as is a name that is too long beside ours.
        if File::open(entry.path()).is_err() {
            continue;
        }
        let copied = target.parent().map_or(Ok(()), std::fs::create_dir_all);
        let copied = copied.and_then(|()| std::fs::copy(entry.path(), &target).map(drop));
        match copied {
            Err(error) if error.kind() != ErrorKind::InvalidFilename => {
                return Err(StoreError::Write {
                    path: target,
                    source: error,
                });
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conversation::Interaction;
    use crate::plan::TrialKey;
    use crate::store::RunFolder;

    #[test]
    fn an_agent_cannot_overwrite_the_record_or_bring_in_other_files() {
        let place = tempfile::tempdir().unwrap();
        let run = RunFolder::create(place.path(), "run").unwrap();
        let key = TrialKey {
            task: "t".into(),
            interaction: Interaction::Single,
            cell: "c".into(),
            attempt: 1,
        };
        let folder = run.trial(&key);
        folder.begin().unwrap();
        folder.write("turns/1/model.jsonl", b"ours").unwrap();
        let logs = place.path().join("logs");
        std::fs::create_dir_all(logs.join("turns/1")).unwrap();
        std::fs::write(logs.join("turns/1/model.jsonl"), "forged").unwrap();
        std::fs::write(logs.join("turns/1/session.cast"), "cast").unwrap();
        std::fs::write(place.path().join("private"), "private").unwrap();
        std::os::unix::fs::symlink("../private", logs.join("link")).unwrap();
        keep_logs(&logs, &folder).unwrap();
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).ok();
        assert_eq!(read("turns/1/model.jsonl").as_deref(), Some("ours"));
        assert_eq!(read("agent/turns/1/model.jsonl").as_deref(), Some("forged"));
        assert_eq!(read("turns/1/session.cast").as_deref(), Some("cast"));
        assert_eq!(read("agent/link"), None);

        // As long as a path can be, and longer where it is kept.
        let mut long = logs.join("agent");
        while long.as_os_str().len() < 4090 - 250 {
            long.push("n".repeat(250));
        }
        let last = (4090 - long.as_os_str().len()).max(1);
        std::fs::create_dir_all(&long).unwrap();
        std::fs::write(long.join("n".repeat(last)), "x").unwrap();
        std::fs::write(logs.join("kept.log"), "kept").unwrap();
        keep_logs(&logs, &folder).unwrap();
        assert_eq!(read("agent/kept.log").as_deref(), Some("kept"));

        std::fs::remove_dir_all(&logs).unwrap();
        std::os::unix::fs::symlink(place.path(), &logs).unwrap();
        keep_logs(&logs, &folder).unwrap();
        assert_eq!(read("agent/private"), None);
    }
}
