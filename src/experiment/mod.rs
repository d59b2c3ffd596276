//! Experiment files: a matrix of cells, the tasks that they are run on, and the table that they make.

mod assign;
mod bases;
mod error;
mod expand;
mod layout;
mod mapping;
mod schema;
mod settings;
mod table;
mod written;

use std::path::{Path, PathBuf};

use crate::conversation::Interaction;
use crate::plan::CellRequest;

use assign::Folder;
use error::Wrong;
use written::File;

pub use error::ExperimentError;
pub use schema::{schema, text as schema_text};
pub use settings::{Sample, Settings, Tasks};
pub use table::{Column, Share, Table};

/// An experiment file that was read: its form is right, and so is every value.
#[derive(Debug)]
pub struct Experiment {
    /// The file, as it was named.
    pub file: PathBuf,
    /// What stands in it.
    pub text: String,
    /// The default name of its run folder.
    pub name: String,
    pub about: String,
    pub tasks: Tasks,
    pub settings: Settings,
    pub table: Table,
    cells: Vec<WantedCell>,
}

/// A cell that an experiment asks for, and what it is run with.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedCell {
    /// Where the file names it.
    pub name: Option<String>,
    pub asked: CellRequest,
    pub interactions: Vec<Interaction>,
    /// Line and column of the file, from 1: for what is found wrong later. Where its model is named, or the cell itself.
    pub place: (u64, u64),
}

/// What is run instead of what the file says: for a try that costs nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Instead of every cell's model; none: the cells' own.
    pub models: Vec<String>,
    /// Instead of every cell's scaffold.
    pub scaffolds: Vec<String>,
}

impl Experiment {
    /// Reads a file. Paths in it start at its folder.
    ///
    /// # Errors
    /// It cannot be read, or something in it is wrong: the first such thing, with line and column.
    pub fn read(path: &Path) -> Result<Self, ExperimentError> {
        let text = std::fs::read_to_string(path).map_err(|source| ExperimentError::Read {
            path: path.into(),
            source,
        })?;
        let shown = path.display().to_string();
        let written: File = crate::yaml::read(&shown, &text)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::understand(path, text, folder, &written).map_err(|wrong| wrong.in_file(&shown))
    }

    fn understand(path: &Path, text: String, folder: &Path, written: &File) -> Result<Self, Wrong> {
        let name = name(path, written)?;
        let cells = expand::cells(written, &Folder(folder))?;
        written.api_base.check(&models(&cells).collect::<Vec<_>>())?;
        let table = match &written.table {
            Some(table) => layout::table(table, &cells, &Folder(folder))?,
            None => Table::default(),
        };
        let mut tasks = written.tasks.clone();
        for path in &mut tasks.paths {
            let whole = folder.join(&*path);
            *path = std::path::absolute(&whole).unwrap_or(whole);
        }
        Ok(Self {
            file: path.to_owned(),
            text,
            name,
            about: written.about.clone(),
            tasks,
            settings: written.settings(),
            table,
            cells,
        })
    }

    /// What is wrong with one of its cells, found later: as an error at the cell's place.
    pub fn wrong(&self, cell: &WantedCell, message: impl Into<String>) -> ExperimentError {
        Wrong::new(cell.place, message).in_file(&self.file.display().to_string())
    }

    /// Every model that its cells name, critics as well; one may be named more than once.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        models(&self.cells)
    }

    /// Its cells, each once, in the order of the file: those of the matrix, included ones, named ones.
    pub fn cells(&self, overrides: &Overrides) -> Vec<WantedCell> {
        expand::overridden(&self.cells, overrides)
    }
}

/// Every model that a cell names, critics as well.
fn models(cells: &[WantedCell]) -> impl Iterator<Item = &str> {
    cells.iter().flat_map(|cell| {
        let critic = cell.asked.options.critic.as_deref();
        std::iter::once(cell.asked.model.as_str()).chain(critic)
    })
}

/// The name that the file gives itself, or the file's own.
fn name(path: &Path, written: &File) -> Result<String, Wrong> {
    let (name, place) = match &written.name {
        Some(name) => (name.value.clone(), mapping::place(name)),
        None => {
            let stem = path.file_stem().unwrap_or_default();
            (stem.to_string_lossy().into_owned(), (1, 1))
        }
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.chars().all(plain) {
        true => Ok(name),
        false => Err(Wrong::new(
            place,
            format!("`{name}` is no name of a run folder: give a `name` of letters, digits, `-`, `_` and `.`"),
        )),
    }
}
