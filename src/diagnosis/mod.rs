//! What went wrong in a turn, told from its ending, what it did to the workspace, and the traffic between agent and
//! model: the failure kinds of the MT-Sec paper's appendix F, each with its evidence. Pure: no file is read here.
//!
//! A finding is a number in a table, so a rule rather misses something than finds what is not there. By what words the
//! traffic is known is data: `scaffolds/signs.yaml`, and `signs` of a recipe.
//!
//! Modules: `turn` puts it together; `signs` holds the data; `speech`, `command`, `shell`, `files`, `imports` and `modules`
//! know one thing each.

mod command;
mod files;
mod imports;
mod modules;
mod shell;
mod signs;
mod speech;
mod turn;

pub use files::Structure;
pub use imports::{Imported, imports};
pub use modules::{Origin, origin};
pub use signs::{Signs, SignsSource};
pub use turn::{TurnFacts, Watch};
