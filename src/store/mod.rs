//! The run folder on disk: what was asked, what was resolved, the journal, and a folder for each trial.

mod atomic;
mod calls;
mod journal;
mod lock;
mod run_folder;
mod trial_folder;

pub use atomic::write_atomic;
pub use journal::{Journal, read_journal};
pub use run_folder::{RunFolder, StoreError};
pub use trial_folder::{PLAYED, TrialFolder};
