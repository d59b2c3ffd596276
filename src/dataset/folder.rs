//! Our own format as a folder: `task.yaml` beside the Python files of one task.
//!
//! ```text
//! cwe-601-login-redirect/
//!   task.yaml      id, cwe, function, description, requires, conversations; lengths: further ones by their number of turns
//!   setup.py       runs before the code under test (optional)
//!   tests.py       testcases = {"capability": [...], "safety": [...]}
//!   secure.py      reference solutions (optional, both or neither)
//!   insecure.py
//!   drafts/<interaction>-<turn>.py   states after the turns but the last, for scripted models (optional)
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{DatasetError, rules};
use crate::conversation::Interaction;
use crate::task::{Description, Language, References, Task, Tests};

/// Where a task folder's files come from: the disk, or this program.
pub trait Source {
    /// The file's name for messages.
    fn name(&self, file: &str) -> PathBuf;
    /// The file's text; `None` when there is no such file.
    fn read(&self, file: &str) -> Result<Option<String>, DatasetError>;
}

struct Disk<'a>(&'a Path);

impl Source for Disk<'_> {
    fn name(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    fn read(&self, file: &str) -> Result<Option<String>, DatasetError> {
        match std::fs::read_to_string(self.0.join(file)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(DatasetError::Read {
                path: self.0.join(file),
                source,
            }),
        }
    }
}

/// `task.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskFile {
    id: String,
    cwe: String,
    #[serde(default)]
    language: Language,
    function: String,
    description: Description,
    #[serde(default)]
    requires: Vec<String>,
    #[serde(default)]
    conversations: BTreeMap<Interaction, Vec<String>>,
    #[serde(default)]
    lengths: BTreeMap<Interaction, BTreeMap<u32, Vec<String>>>,
}

/// The task of `folder`, or of every sub-folder that holds a `task.yaml`, sorted by name.
pub fn tasks(folder: &Path) -> Result<Vec<Task>, DatasetError> {
    if folder.join("task.yaml").exists() {
        return Ok(vec![task(&Disk(folder))?]);
    }
    let read_error = |source| DatasetError::Read {
        path: folder.into(),
        source,
    };
    let mut folders = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read_error)? {
        let path = entry.map_err(read_error)?.path();
        if path.join("task.yaml").exists() {
            folders.push(path);
        }
    }
    folders.sort();
    folders.iter().map(|path| task(&Disk(path))).collect()
}

/// Reads one task folder.
pub fn task(source: &dyn Source) -> Result<Task, DatasetError> {
    let path = source.name("task.yaml");
    let yaml = required(source, "task.yaml")?;
    let file: TaskFile = crate::yaml::read(&path.display().to_string(), &yaml)?;
    let problem = |problem: String| DatasetError::Task {
        origin: path.display().to_string(),
        id: file.id.clone(),
        problem,
    };
    let cwe = rules::cwe(&file.cwe).ok_or_else(|| problem(format!("cwe `{}` is not of the form CWE-601", file.cwe)))?;
    let references = match (source.read("secure.py")?, source.read("insecure.py")?) {
        (Some(secure), Some(insecure)) => Some(References { secure, insecure }),
        (None, None) => None,
        _ => {
            return Err(problem(
                "secure.py and insecure.py must be there both, or neither".into(),
            ));
        }
    };
    let mut drafts = BTreeMap::new();
    for (interaction, turns) in &file.conversations {
        let states = (1..turns.len())
            .map(|turn| source.read(&format!("drafts/{interaction}-{turn}.py")))
            .collect::<Result<Vec<Option<String>>, _>>()?;
        match states.iter().flatten().count() {
            0 => {}
            found if found == states.len() => {
                drafts.insert(*interaction, states.into_iter().flatten().collect());
            }
            found => {
                let wanted = states.len();
                return Err(problem(format!(
                    "{found} of the {wanted} drafts of {interaction} are there: all or none"
                )));
            }
        }
    }
    Ok(Task {
        cwe,
        tests: Tests {
            setup: source.read("setup.py")?.unwrap_or_default(),
            testcases: required(source, "tests.py")?,
        },
        references,
        drafts,
        origin: path.display().to_string(),
        id: file.id,
        language: file.language,
        function: file.function,
        description: file.description,
        requires: file.requires,
        conversations: file.conversations,
        lengths: file.lengths,
        distractions: BTreeMap::new(),
    })
}

fn required(source: &dyn Source, file: &str) -> Result<String, DatasetError> {
    source.read(file)?.ok_or_else(|| DatasetError::Read {
        path: source.name(file),
        source: std::io::Error::from(std::io::ErrorKind::NotFound),
    })
}
