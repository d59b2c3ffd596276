//! Whether an installation is what was installed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::inventory::{Compared, Inventory, Look};
use super::{InstallError, Installed, Progress, Way, remedy};
use crate::recipe::Recipe;

/// Whether every file of an installation is as it was installed.
///
/// # Errors
/// One is not, or cannot be read.
pub(super) fn check(
    recipe: &Recipe,
    way: &dyn Way,
    installed: &Installed,
    how: Look,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), InstallError> {
    let folder = &installed.folder;
    let mut compare = || -> std::io::Result<Vec<PathBuf>> {
        let noted = Inventory::read(folder)?;
        let is_first = noted.is_none();
        if is_first || how == Look::Whole {
            progress(Progress::Step("reading every file"));
        }
        let (inventory, compared) = match noted {
            Some(mut inventory) => {
                let compared = inventory.compare(folder, how)?;
                (inventory, compared)
            }
            // Installed by an earlier version of this program: from now on it is as it is now.
            None => (Inventory::take(folder)?, Compared::default()),
        };
        let mut changed = compared.changed;
        if is_first || how == Look::Whole {
            changed.extend(way.changed(installed)?);
        }
        if changed.is_empty() && (is_first || compared.renewed) {
            // In a cache that cannot be written it is read again the next time.
            let _ = inventory.write(folder);
        }
        Ok(changed)
    };
    let remedy = remedy(recipe);
    let changed = match compare() {
        Ok(changed) => changed,
        Err(source) => {
            let folder = folder.clone();
            return Err(InstallError::Unchecked { folder, source, remedy });
        }
    };
    if changed.is_empty() {
        return Ok(());
    }
    let names = changed.iter().map(|path| path.strip_prefix(folder).unwrap_or(path));
    let names: BTreeSet<String> = names.map(|name| name.display().to_string()).collect();
    let shown: Vec<&str> = names.iter().take(5).map(String::as_str).collect();
    let more = match names.len().saturating_sub(shown.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Err(InstallError::Changed {
        name: installed.name.clone(),
        version: installed.version.clone(),
        what: format!("{}{more}", shown.join(", ")),
        remedy,
    })
}
