//! MT-Sec tables as Parquet: each row becomes the same JSON value as in JSON lines, and is read like one.

use std::path::Path;

use parquet::file::reader::{FileReader, SerializedFileReader};

use super::DatasetError;
use super::rows::{self, Row};
use crate::conversation::Interaction;

/// Reads all rows of a Parquet file.
pub fn read(path: &Path, interaction: Option<Interaction>) -> Result<Vec<Row>, DatasetError> {
    let parquet_error = |source| DatasetError::Parquet {
        path: path.into(),
        source,
    };
    let file = std::fs::File::open(path).map_err(|source| DatasetError::Read {
        path: path.into(),
        source,
    })?;
    let reader = SerializedFileReader::new(file).map_err(parquet_error)?;
    let mut found = Vec::new();
    for (index, record) in reader.get_row_iter(None).map_err(parquet_error)?.enumerate() {
        let value = record.map_err(parquet_error)?.to_json_value();
        let number = index + 1;
        found.push(rows::row(
            path,
            &format!("{}:row {number}", path.display()),
            number,
            value,
            interaction,
        )?);
    }
    Ok(found)
}
