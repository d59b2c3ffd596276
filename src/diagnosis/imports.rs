//! The modules that a Python file imports. Text only: Python is scanned for strings, comments and brackets, and never
//! run.

/// An absolute import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// As it is written, such as `os.path`.
    pub module: String,
    /// From 1.
    pub line: usize,
    /// Whether it is reached whenever the file is run: not below a condition, a `try` or a function.
    pub always: bool,
}

impl Imported {
    /// The package that the module is in.
    pub fn top(&self) -> &str {
        self.module.split('.').next().unwrap_or(&self.module)
    }
}

/// Every absolute import of a file, in its order.
pub fn imports(source: &str) -> Vec<Imported> {
    let mut found = Vec::new();
    for logical in logical_lines(source) {
        let always = !logical.text.starts_with([' ', '\t', '\x0c']);
        for statement in logical.text.split(';') {
            for module in modules(statement.trim()) {
                found.push(Imported {
                    module,
                    line: logical.line,
                    always,
                });
            }
        }
    }
    found
}

fn modules(statement: &str) -> Vec<String> {
    let is_name = |name: &&str| {
        let mut characters = name.chars();
        characters.next().is_some_and(|c| c.is_alphabetic() || c == '_')
            && characters.all(|c| c.is_alphanumeric() || c == '_' || c == '.')
    };
    let first = |text: &str| text.split_whitespace().next().map(str::to_owned);
    // Else it is a line of prose: a model may have answered in words, which were taken for the code.
    let is_import = |part: &str| {
        let words: Vec<&str> = part.split_whitespace().collect();
        matches!(words.as_slice(), [_] | [_, "as", _])
    };
    let named: Vec<String> = if let Some(rest) = after_word(statement, "import")
        && rest.split(',').all(is_import)
    {
        rest.split(',').filter_map(first).collect()
    } else if let Some(rest) = after_word(statement, "from")
        && rest
            .split_whitespace()
            .nth(1)
            .is_some_and(|word| word == "import" || word.starts_with("import("))
    {
        first(rest).into_iter().collect()
    } else {
        Vec::new()
    };
    named.into_iter().filter(|name| is_name(&name.as_str())).collect()
}

/// What stands behind a word that a statement begins with.
fn after_word<'a>(statement: &'a str, word: &str) -> Option<&'a str> {
    let rest = statement.strip_prefix(word)?;
    rest.starts_with(char::is_whitespace).then(|| rest.trim_start())
}

struct Logical {
    text: String,
    line: usize,
}

/// The lines of a file as Python takes them: without comments and the content of strings, what is in brackets on one line.
fn logical_lines(source: &str) -> Vec<Logical> {
    let characters: Vec<char> = source.replace("\r\n", "\n").replace('\r', "\n").chars().collect();
    let (mut lines, mut text, mut depth) = (Vec::new(), String::new(), 0usize);
    let (mut line, mut start, mut at) = (1, 1, 0);
    while let Some(&character) = characters.get(at) {
        match character {
            '#' => {
                while characters.get(at).is_some_and(|next| *next != '\n') {
                    at += 1;
                }
                continue;
            }
            '"' | '\'' => {
                let (end, ends) = string_end(&characters, at);
                at = end;
                line += ends;
                // Something that is no name, so that nothing grows together.
                text.push('"');
                continue;
            }
            '\\' if characters.get(at + 1) == Some(&'\n') => {
                text.push(' ');
                line += 1;
                at += 1;
            }
            '\n' => {
                line += 1;
                if depth == 0 {
                    lines.push(Logical {
                        text: std::mem::take(&mut text),
                        line: start,
                    });
                    start = line;
                } else {
                    text.push(' ');
                }
            }
            other => {
                match other {
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' => depth = depth.saturating_sub(1),
                    _ => {}
                }
                text.push(other);
            }
        }
        at += 1;
    }
    lines.push(Logical { text, line: start });
    lines
}

/// Where a string ends that begins at a quote, and how many lines end in it.
fn string_end(characters: &[char], start: usize) -> (usize, usize) {
    let quote = characters[start];
    let is_triple = characters.get(start + 1) == Some(&quote) && characters.get(start + 2) == Some(&quote);
    let (mut at, mut lines) = (start + if is_triple { 3 } else { 1 }, 0);
    while let Some(&character) = characters.get(at) {
        match character {
            '\\' => {
                lines += usize::from(characters.get(at + 1) == Some(&'\n'));
                at += 2;
                continue;
            }
            // A string of one line that does not end is an error of the file: what follows is read again.
            '\n' if !is_triple => return (at, lines),
            '\n' => lines += 1,
            found if found == quote => {
                if !is_triple {
                    return (at + 1, lines);
                }
                if characters.get(at + 1) == Some(&quote) && characters.get(at + 2) == Some(&quote) {
                    return (at + 3, lines);
                }
            }
            _ => {}
        }
        at += 1;
    }
    (at.min(characters.len()), lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn always(source: &str) -> Vec<String> {
        let found = imports(source).into_iter().filter(|imported| imported.always);
        found
            .map(|imported| format!("{}:{}", imported.line, imported.module))
            .collect()
    }

    #[test]
    fn imports_that_always_run_are_found_with_their_lines() {
        let source = "\"\"\"Doc.\n\nimport not_this\n\"\"\"\nimport os, json as j\nfrom a.b import (\n    c,\n    d,\n)\nimport x; import y.z\nfrom flask import\\\n    Flask\nimport\\\n  q\n";
        assert_eq!(
            always(source),
            ["5:os", "5:json", "6:a.b", "10:x", "10:y.z", "11:flask", "13:q"]
        );
    }

    #[test]
    fn what_may_not_run_is_not_always() {
        let source = "try:\n    import ujson as json\nexcept ImportError:\n    import json\nif TYPE_CHECKING:\n    from t import T\ndef f():\n    import lazy\n";
        assert_eq!(always(source), Vec::<String>::new());
        let all: Vec<String> = imports(source).into_iter().map(|imported| imported.module).collect();
        assert_eq!(all, ["ujson", "json", "t", "lazy"]);
    }

    #[test]
    fn strings_comments_relatives_and_other_words_are_no_imports() {
        for source in [
            "# import a\n",
            "x = '''\nimport a\nfrom b import c\n'''\n",
            "x = f\"\"\"\n\\\"\"\"\nimport a\n\"\"\"\n",
            "from . import a\nfrom .b import c\nfrom ..d import e\n",
            "importlib = 1\nfrom_ = 2\nimport_ = 3\n",
            "yield_from = (\nimport a\n)\n",
            "text = 'it\\'s'; y = \"import a\"\n",
            "print('a',\n'import b')\n",
            "from here to there\n",
            "import the module first, then call it\n",
            "import 1\nimport \"a\"\n",
        ] {
            assert_eq!(always(source), Vec::<String>::new(), "{source}");
        }
        // A string that does not end hides one line only.
        assert_eq!(always("x = 'oops\nimport a\n"), ["2:a"]);
    }

    #[test]
    fn nothing_makes_the_scan_fail() {
        for source in [
            "'",
            "'''",
            "\"\\",
            "\\",
            "(",
            ")",
            "import",
            "from",
            "from x",
            "\u{feff}import a",
        ] {
            imports(source);
        }
    }
}
