//! The options that say how a table is printed.

use clap::Args;

use crate::report::Format;

/// How a table is printed.
#[derive(Debug, Args)]
pub struct Printed {
    /// table, md, latex (of `report`, but not of counts), csv or json
    #[arg(long, default_value = "table")]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

impl Printed {
    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}
