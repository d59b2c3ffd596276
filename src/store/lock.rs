//! The lock of a run: one process works on it. The kernel drops it when that process ends, however it ends.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::run_folder::StoreError;

/// How long a lock may outlive its process: a child that was just being started has its descriptors for a moment.
const FREED: Duration = Duration::from_secs(2);

/// Takes the lock of a run for this process.
pub(super) fn take_lock(run: &Path) -> Result<File, StoreError> {
    lock_within(run, FREED)
}

/// The same, waiting no longer than this for its holder to go.
pub(super) fn lock_within(run: &Path, patience: Duration) -> Result<File, StoreError> {
    let path = run.join(".lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|source| StoreError::Write {
        path: path.clone(),
        source,
    })?;
    let end = Instant::now() + patience;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < end => std::thread::sleep(Duration::from_millis(10)),
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(StoreError::InUse(run.into())),
            Err(error) => {
                let source = error.into();
                return Err(StoreError::Write { path, source });
            }
        }
    }
}
