//! Published tables as CSV: a line for each model and setting, or a column for each setting.

use super::published::{Number, PublishedCell, PublishedLine, setting};

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct ImportError {
    pub file: String,
    /// From 1, as is the column, which counts fields.
    pub line: u64,
    pub column: usize,
    pub message: String,
}

/// What a field of a record is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    Name,
    Setting,
    /// Of the record's own setting, or of that in the heading.
    Part(Option<String>, Part),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    N,
    Secure(Of),
    Insecure(Of),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Percent,
    Error,
    Marker,
}

const PARTS: [(&str, Part); 7] = [
    ("cs", Part::Secure(Of::Percent)),
    ("ci", Part::Insecure(Of::Percent)),
    ("cs_se", Part::Secure(Of::Error)),
    ("ci_se", Part::Insecure(Of::Error)),
    ("cs_marker", Part::Secure(Of::Marker)),
    ("ci_marker", Part::Insecure(Of::Marker)),
    ("n", Part::N),
];

/// Adds the lines of a file to what was read before; `renamed` gives a setting another name.
///
/// # Errors
/// A heading is not known, a value is none, or a setting of a line was there before.
pub fn read_published(
    file: &str,
    text: &str,
    renamed: &dyn Fn(&str) -> Option<String>,
    lines: &mut Vec<PublishedLine>,
) -> Result<(), ImportError> {
    let wrong = |line: u64, column: usize, message: String| ImportError {
        file: file.to_owned(),
        line,
        column,
        message,
    };
    let broken = |error: &csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        wrong(line, 1, error.to_string())
    };
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let headings = reader.headers().map_err(|error| broken(&error))?.clone();
    let fields = fields(&headings).map_err(|(column, message)| wrong(1, column, message))?;
    let name_at = fields.iter().position(|field| *field == Field::Name).unwrap_or(0);
    let setting_at = fields.iter().position(|field| *field == Field::Setting);
    for record in reader.records() {
        let record = record.map_err(|error| broken(&error))?;
        let at = record.position().map_or(0, csv::Position::line);
        let name = &record[name_at];
        if name.is_empty() {
            return Err(wrong(at, name_at + 1, "the line has no name".into()));
        }
        let mut cells: Vec<PublishedCell> = Vec::new();
        for (index, (field, text)) in fields.iter().zip(&record).enumerate() {
            let Field::Part(of, part) = field else { continue };
            let named = of.as_deref().or(setting_at.map(|at| &record[at])).unwrap_or_default();
            if named.is_empty() {
                return Err(wrong(at, setting_at.unwrap_or(0) + 1, "the setting has no name".into()));
            }
            let named = renamed(named).unwrap_or_else(|| setting(named));
            let known = cells.iter().position(|cell| cell.setting == named);
            let position = known.unwrap_or_else(|| {
                cells.push(PublishedCell {
                    setting: named,
                    n: None,
                    correct_secure: Number::default(),
                    correct_insecure: Number::default(),
                });
                cells.len() - 1
            });
            let told = set(&mut cells[position], *part, text);
            told.map_err(|message| wrong(at, index + 1, format!("`{}`: {message}", &headings[index])))?;
        }
        let known = lines.iter().position(|line| line.name == name);
        let position = known.unwrap_or_else(|| {
            lines.push(PublishedLine {
                name: name.to_owned(),
                cells: Vec::new(),
            });
            lines.len() - 1
        });
        let line = &mut lines[position];
        for cell in cells {
            if line.cells.iter().any(|other| other.is_of(&cell.setting)) {
                let message = format!(
                    "`{name}` has `{}` already: give each table a folder of its own (`--name`)",
                    cell.setting
                );
                return Err(wrong(at, name_at + 1, message));
            }
            line.cells.push(cell);
        }
    }
    match lines.is_empty() {
        true => Err(wrong(1, 1, "there is no line in it".into())),
        false => Ok(()),
    }
}

/// What each heading is of; on failure its place, from 1.
fn fields(headings: &csv::StringRecord) -> Result<Vec<Field>, (usize, String)> {
    let long = headings.iter().any(|heading| heading == "setting");
    let mut fields = Vec::new();
    for (index, heading) in headings.iter().enumerate() {
        let part = PARTS.iter().find(|(known, _)| *known == heading).map(|(_, part)| *part);
        let field = match (heading, part) {
            ("", _) => return Err((index + 1, "a column has no heading".into())),
            ("model" | "row", _) => Field::Name,
            ("setting", _) => Field::Setting,
            (_, Some(part)) if long => Field::Part(None, part),
            (_, Some(_)) => {
                let message = format!("`{heading}` is of no setting: there is no column `setting`");
                return Err((index + 1, message));
            }
            (_, None) if long => {
                let known: Vec<&str> = PARTS.iter().map(|(known, _)| *known).collect();
                let message = format!(
                    "unknown column `{heading}`: expected model (or row), setting, {}",
                    known.join(", ")
                );
                return Err((index + 1, message));
            }
            // A setting, and what of it: C&S where it is not said.
            (heading, None) => {
                let mut parts: Vec<&(&str, Part)> = PARTS.iter().collect();
                parts.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
                let found = parts.iter().find_map(|(name, part)| {
                    let setting = heading.strip_suffix(name)?.strip_suffix('_')?;
                    (!setting.is_empty()).then(|| (setting.to_owned(), *part))
                });
                let (setting, part) = found.unwrap_or_else(|| (heading.to_owned(), Part::Secure(Of::Percent)));
                Field::Part(Some(setting), part)
            }
        };
        if fields.contains(&field) {
            return Err((index + 1, format!("`{heading}` is there twice")));
        }
        fields.push(field);
    }
    match fields.contains(&Field::Name) {
        true => Ok(fields),
        false => Err((1, "there is no column `model` (or `row`)".into())),
    }
}

fn set(cell: &mut PublishedCell, part: Part, text: &str) -> Result<(), String> {
    let (number, of) = match part {
        Part::N if text.is_empty() => return Ok(()),
        Part::N => {
            let n = text.parse().ok().filter(|n| *n > 0);
            cell.n = Some(n.ok_or_else(|| format!("`{text}` is no number of trials"))?);
            return Ok(());
        }
        Part::Secure(of) => (&mut cell.correct_secure, of),
        Part::Insecure(of) => (&mut cell.correct_insecure, of),
    };
    if text.is_empty() {
        return Ok(());
    }
    match of {
        Of::Marker => match text {
            "*" | "**" | "***" => number.marker = text.to_owned(),
            _ => return Err(format!("`{text}` is no marker: expected *, ** or ***")),
        },
        Of::Percent | Of::Error => {
            let value = text.parse().ok().filter(|value: &f64| (0.0..=100.0).contains(value));
            let value = value.ok_or_else(|| format!("`{text}` is no percentage between 0 and 100"))?;
            match of {
                Of::Error => number.standard_error = Some(value),
                _ => number.percent = Some(value),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<PublishedLine>, String> {
        let mut lines = Vec::new();
        let renamed = |setting: &str| (setting == "mt").then(|| "MT".to_owned());
        read_published("t.csv", text, &renamed, &mut lines).map_err(|error| error.to_string())?;
        Ok(lines)
    }

    #[test]
    fn long_and_wide_tables_are_read() {
        let long =
            read("model,setting,cs,cs_se,ci,cs_marker,n\nA,ST,53.0,1.8,14.8,,792\nA,expansion,25.7,,,***,\n").unwrap();
        assert_eq!((long.len(), long[0].cells.len()), (1, 2));
        let [single, expansion] = [&long[0].cells[0], &long[0].cells[1]];
        assert_eq!((single.setting.as_str(), single.n), ("single", Some(792)));
        assert_eq!(single.correct_secure.standard_error, Some(1.8));
        assert_eq!(expansion.correct_secure.marker, "***");
        assert_eq!(expansion.correct_insecure.percent, None);
        let wide = read("model,st,mt_cs,mt_ci,mt_n\nA,53.0,25.7,14.8,400\n").unwrap();
        let settings: Vec<&str> = wide[0].cells.iter().map(|cell| cell.setting.as_str()).collect();
        assert_eq!(settings, ["single", "MT"]);
        assert_eq!(wide[0].cells[1].correct_insecure.percent, Some(14.8));
        assert_eq!(wide[0].cells[1].n, Some(400));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let wrong = [
            ("model,setting,cs\nA,ST,5x\n", "t.csv:2:3: `cs`: `5x` is no percentage"),
            (
                "model,setting,cs\nA,ST,130\n",
                "t.csv:2:3: `cs`: `130` is no percentage",
            ),
            (
                "model,setting,cs,cs_marker\nA,ST,1,+\n",
                "t.csv:2:4: `cs_marker`: `+` is no marker",
            ),
            ("model,setting,css\nA,ST,1\n", "t.csv:1:3: unknown column `css`"),
            ("model,cs\nA,1\n", "t.csv:1:2: `cs` is of no setting"),
            ("setting,cs\nST,1\n", "t.csv:1:1: there is no column `model`"),
            (
                "model,setting,cs\nA,ST,1\nA,single,2\n",
                "t.csv:3:1: `A` has `single` already",
            ),
            ("model,setting,cs\nA,ST\n", "t.csv:2:1: "),
            (
                "model,setting,cs,n\nA,ST,1,0\n",
                "t.csv:2:4: `n`: `0` is no number of trials",
            ),
            ("model,setting,cs\n", "t.csv:1:1: there is no line"),
            ("model,setting,cs\n,ST,1\n", "t.csv:2:1: the line has no name"),
        ];
        for (text, expected) in wrong {
            let found = read(text).unwrap_err();
            assert!(found.starts_with(expected), "{text:?}: {found}");
        }
    }
}
