//! What a session's agent wrote about itself, kept with the trial.

use std::path::Path;

use crate::store::{StoreError, TrialFolder};

/// Where a session keeps a git repository outside the workspace: no log.
const REPOSITORY: &str = "repository";

/// Largest file of an agent's logs that is kept, in bytes.
const MAX_LOG: u64 = 64 << 20;

/// Keeps the session's recordings and logs: `turns/` as they are named, all else under `agent/`. The agent could write
/// there, so only regular files are taken, and no link is followed.
pub fn keep_logs(logs: &Path, folder: &TrialFolder) -> Result<(), StoreError> {
    for entry in walkdir::WalkDir::new(logs).follow_links(false).into_iter().flatten() {
        let Ok(relative) = entry.path().strip_prefix(logs) else {
            continue;
        };
        let is_repository = relative.starts_with(REPOSITORY);
        if !entry.file_type().is_file() || is_repository || entry.metadata().is_ok_and(|data| data.len() > MAX_LOG) {
            continue;
        }
        let target = if relative.starts_with("turns") {
            relative.to_owned()
        } else {
            Path::new("agent").join(relative)
        };
        let target = folder.path().join(target);
        let copied = target.parent().map_or(Ok(()), std::fs::create_dir_all);
        copied
            .and_then(|()| std::fs::copy(entry.path(), &target).map(drop))
            .map_err(|source| StoreError::Write { path: target, source })?;
    }
    Ok(())
}
