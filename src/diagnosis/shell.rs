//! Splits shell scripts into their simple commands, as far as it takes to see which programs are run with which words.
//! Nothing is expanded or run; what is only written somewhere, such as a here-document for `cat`, is no command.

/// How deep scripts may be nested.
const MOST_NESTED: usize = 8;
/// Longest script that is looked at, in bytes.
const LONGEST: usize = 256 << 10;

/// A program and its words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Command {
    pub words: Vec<String>,
    /// A here-document that it reads.
    pub input: Option<String>,
}

impl Command {
    /// The program's name without its folders, and the words after it. Assignments and programs that run others are
    /// passed over.
    pub fn program(&self) -> Option<(&str, &[String])> {
        const WRAPPERS: &[&str] = &[
            "!", "{", "(", "if", "then", "elif", "else", "while", "until", "do", "time", "sudo", "env", "nohup",
            "exec", "command", "timeout", "nice", "xargs", "stdbuf", "builtin",
        ];
        let mut wrapped = false;
        for (index, word) in self.words.iter().enumerate() {
            let name = word.rsplit('/').next().unwrap_or(word);
            let is_assignment = word.split_once('=').is_some_and(|(name, _)| {
                !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            });
            let is_wrappers = wrapped && word.starts_with(|c: char| c == '-' || c.is_ascii_digit());
            if WRAPPERS.contains(&name) {
                wrapped = true;
            } else if !(is_assignment || is_wrappers) {
                return Some((name, &self.words[index + 1..]));
            }
        }
        None
    }
}

/// The simple commands of a script, those inside `$(…)` and backticks included.
pub fn commands(script: &str) -> Vec<Command> {
    let mut scan = Scan::default();
    if script.len() <= LONGEST {
        scan.script(script, 0);
    }
    scan.found
}

#[derive(Default)]
struct Scan {
    found: Vec<Command>,
}

/// A command while it is read.
#[derive(Default)]
struct Current {
    command: Command,
    word: Option<String>,
}

impl Current {
    fn push(&mut self, character: char) {
        self.word.get_or_insert_default().push(character);
    }

    fn end_word(&mut self) {
        self.command.words.extend(self.word.take());
    }
}

impl Scan {
    fn script(&mut self, script: &str, depth: usize) {
        if depth > MOST_NESTED {
            return;
        }
        let characters: Vec<char> = script.chars().collect();
        let mut current = Current::default();
        // Here-documents whose bodies are to come: end, whether tabs are stripped, and the index of their command.
        let mut awaited: Vec<(String, bool, Option<usize>)> = Vec::new();
        let mut at = 0;
        while let Some(&character) = characters.get(at) {
            at += 1;
            match character {
                '\\' => {
                    match characters.get(at) {
                        Some('\n') | None => {}
                        Some(escaped) => current.push(*escaped),
                    }
                    at += 1;
                }
                '\'' => {
                    current.word.get_or_insert_default();
                    while let Some(&quoted) = characters.get(at) {
                        at += 1;
                        if quoted == '\'' {
                            break;
                        }
                        current.push(quoted);
                    }
                }
                '"' => at = self.quoted(&characters, at, &mut current, depth),
                '`' => at = self.backticks(&characters, at, &mut current, depth),
                '$' if characters.get(at) == Some(&'(') => {
                    at = self.substituted(&characters, at + 1, &mut current, depth)
                }
                '#' if current.word.is_none() => {
                    while characters.get(at).is_some_and(|next| *next != '\n') {
                        at += 1;
                    }
                }
                '<' if characters.get(at) == Some(&'<') && characters.get(at + 1) != Some(&'<') => {
                    current.end_word();
                    let (end, strips, next) = delimiter(&characters, at + 1);
                    at = next;
                    awaited.push((end, strips, None));
                }
                // A here-string: its word is an input like any other.
                '<' if characters.get(at) == Some(&'<') => {
                    current.end_word();
                    at += 2;
                }
                '<' | '>' => current.end_word(),
                ' ' | '\t' | '\r' => current.end_word(),
                '\n' | ';' | '&' | '|' | '(' | ')' => {
                    self.end(&mut current, &mut awaited);
                    if character == '\n' {
                        for (end, strips, command) in awaited.drain(..) {
                            let (body, next) = body(&characters, at, &end, strips);
                            at = next;
                            if let Some(command) = command.and_then(|index: usize| self.found.get_mut(index)) {
                                command.input = Some(body);
                            }
                        }
                    }
                }
                other => current.push(other),
            }
        }
        self.end(&mut current, &mut awaited);
    }

    fn end(&mut self, current: &mut Current, awaited: &mut [(String, bool, Option<usize>)]) {
        current.end_word();
        if current.command.words.is_empty() {
            return;
        }
        let index = self.found.len();
        // Those of earlier commands have theirs.
        let open = awaited.iter_mut().rev().take_while(|(_, _, command)| command.is_none());
        open.for_each(|(_, _, command)| *command = Some(index));
        self.found.push(std::mem::take(&mut current.command));
    }

    /// Double quotes; `at` is behind the opening one.
    fn quoted(&mut self, characters: &[char], mut at: usize, current: &mut Current, depth: usize) -> usize {
        current.word.get_or_insert_default();
        while let Some(&character) = characters.get(at) {
            at += 1;
            match character {
                '"' => break,
                '\\' => {
                    match characters.get(at) {
                        Some('\n') | None => {}
                        Some(escaped @ ('"' | '\\' | '$' | '`')) => current.push(*escaped),
                        Some(other) => {
                            current.push('\\');
                            current.push(*other);
                        }
                    }
                    at += 1;
                }
                '`' => at = self.backticks(characters, at, current, depth),
                '$' if characters.get(at) == Some(&'(') => at = self.substituted(characters, at + 1, current, depth),
                other => current.push(other),
            }
        }
        at
    }

    fn backticks(&mut self, characters: &[char], at: usize, current: &mut Current, depth: usize) -> usize {
        let end = characters[at..].iter().position(|next| *next == '`');
        let end = end.map_or(characters.len(), |length| at + length);
        let inner: String = characters[at..end].iter().collect();
        self.script(&inner, depth + 1);
        current.push('$');
        end + 1
    }

    /// `$(…)`; `at` is behind the opening parenthesis. Parentheses in quotes are counted as well, which ends it too late
    /// at worst.
    fn substituted(&mut self, characters: &[char], at: usize, current: &mut Current, depth: usize) -> usize {
        let (mut open, mut end) = (1, at);
        while let Some(character) = characters.get(end) {
            match character {
                '(' => open += 1,
                ')' => open -= 1,
                _ => {}
            }
            if open == 0 {
                break;
            }
            end += 1;
        }
        let inner: String = characters[at.min(end)..end].iter().collect();
        self.script(&inner, depth + 1);
        current.push('$');
        end + 1
    }
}

/// The word that ends a here-document, whether its tabs are stripped, and where the scan goes on.
fn delimiter(characters: &[char], mut at: usize) -> (String, bool, usize) {
    let strips = characters.get(at) == Some(&'-');
    at += usize::from(strips);
    while matches!(characters.get(at), Some(' ' | '\t')) {
        at += 1;
    }
    let mut word = String::new();
    while let Some(&character) = characters.get(at) {
        match character {
            '\'' | '"' | '\\' => {}
            ' ' | '\t' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' => break,
            other => word.push(other),
        }
        at += 1;
    }
    (word, strips, at)
}

/// The lines up to the end of a here-document; without an end, all that is left.
fn body(characters: &[char], at: usize, end: &str, strips: bool) -> (String, usize) {
    let mut body = String::new();
    let mut at = at;
    while at < characters.len() {
        let length = characters[at..].iter().position(|next| *next == '\n');
        let next = length.map_or(characters.len(), |length| at + length);
        let line: String = characters[at..next].iter().collect();
        at = (next + 1).min(characters.len());
        let line = if strips { line.trim_start_matches('\t') } else { &line };
        if line.trim_end_matches('\r') == end {
            break;
        }
        body.push_str(line);
        body.push('\n');
    }
    (body, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(script: &str) -> Vec<Vec<String>> {
        commands(script).into_iter().map(|command| command.words).collect()
    }

    #[test]
    fn commands_are_told_apart_and_quotes_kept_together() {
        assert_eq!(
            words("cd a && FOO='b c' python3 -c \"print(\\\"x;y\\\")\" | head; # curl x\necho 'it''s' \\\n on"),
            [
                vec!["cd", "a"],
                vec!["FOO=b c", "python3", "-c", "print(\"x;y\")"],
                vec!["head"],
                vec!["echo", "its", "on"],
            ]
        );
        assert_eq!(
            words("echo \"$(curl u | sh)\" `wget v`"),
            [vec!["curl", "u"], vec!["sh"], vec!["wget", "v"], vec!["echo", "$", "$"]]
        );
    }

    #[test]
    fn here_documents_belong_to_their_command() {
        let found = commands(
            "cat > app.py <<'EOF'\nimport requests\ncurl http://x\nEOF\npython3 - <<-E && ls\n\tprint(1)\n\tE\necho done",
        );
        let shown: Vec<_> = found
            .iter()
            .map(|command| (command.words[0].as_str(), command.input.as_deref()))
            .collect();
        assert_eq!(
            shown,
            [
                ("cat", Some("import requests\ncurl http://x\n")),
                ("python3", Some("print(1)\n")),
                ("ls", None),
                ("echo", None)
            ]
        );
        assert_eq!(commands("cat <<E\nnever ended").len(), 1);
    }

    #[test]
    fn what_runs_another_program_is_passed_over() {
        let program = |script: &str| {
            let command = commands(script).remove(0);
            command.program().map(|(name, rest)| (name.to_owned(), rest.len()))
        };
        assert_eq!(
            program("A=1 sudo -n timeout 5 /usr/bin/curl x y"),
            Some(("curl".to_owned(), 2))
        );
        assert_eq!(program("then wget x"), Some(("wget".to_owned(), 1)));
        assert_eq!(program("A=1"), None);
        assert_eq!(program("echo curl x"), Some(("echo".to_owned(), 2)));
    }

    #[test]
    fn nothing_makes_the_scan_fail() {
        for script in [
            "'",
            "\"",
            "$(",
            "`",
            "\\",
            "<<",
            "<<<",
            "a <<E",
            "((((",
            "$($($($($($($($($($(x",
        ] {
            commands(script);
        }
        commands(&"$(".repeat(50_000));
        commands(&"\"$(`".repeat(20_000));
        commands(&"a<<A;".repeat(50_000));
    }
}
