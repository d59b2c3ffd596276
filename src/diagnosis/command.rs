//! What a command, or a tool, would load from another host.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value;

use super::shell::{Command, commands};
use super::signs::Signs;

/// How deep shells may start shells.
const MOST_NESTED: usize = 4;

/// The first address of another host that a tool call would load.
pub fn fetched_by_call(tool: &str, arguments: &str, signs: &Signs) -> Option<String> {
    let value: Option<Value> = serde_json::from_str(arguments).ok();
    if signs.browsing_tools.is_match(tool) {
        let urls = urls_in(arguments);
        // A browser that is led to the agent's own server loads nothing from elsewhere.
        let foreign = urls.iter().find(|url| is_foreign(url));
        return match (foreign, urls.is_empty()) {
            (Some(url), _) => Some((*url).to_owned()),
            (None, true) => Some(format!("{tool} {arguments}")),
            (None, false) => None,
        };
    }
    fetched_by_arguments(&value?, signs)
}

fn fetched_by_arguments(arguments: &Value, signs: &Signs) -> Option<String> {
    let members = arguments.as_object()?;
    members.iter().find_map(|(name, value)| match value {
        Value::String(script) if signs.command_arguments.contains(name) => fetched_by_script(script, signs),
        Value::Array(words) if signs.command_arguments.contains(name) => {
            let words = words.iter().map(|word| word.as_str().unwrap_or_default().to_owned());
            let command = Command {
                words: words.collect(),
                input: None,
            };
            fetched_by_command(&command, signs, 0)
        }
        Value::String(code) if signs.code_arguments.contains(name) => fetched_by_code(code, signs),
        _ => None,
    })
}

/// The first address of another host that a shell script would load.
pub fn fetched_by_script(script: &str, signs: &Signs) -> Option<String> {
    nested(script, signs, 0)
}

fn nested(script: &str, signs: &Signs, depth: usize) -> Option<String> {
    if depth > MOST_NESTED {
        return None;
    }
    commands(script)
        .iter()
        .find_map(|command| fetched_by_command(command, signs, depth))
}

fn fetched_by_command(command: &Command, signs: &Signs, depth: usize) -> Option<String> {
    let (program, words) = command.program()?;
    if signs.fetchers.contains(program) {
        return fetched_by_words(words, signs);
    }
    let after = |flag: fn(&str) -> bool| {
        words
            .iter()
            .position(|word| flag(word))
            .and_then(|at| words.get(at + 1))
    };
    let input = command.input.as_deref();
    if matches!(program, "sh" | "bash" | "dash" | "zsh" | "ksh") {
        // Also `-lc` and the like.
        let script = after(|word| word.starts_with('-') && !word.starts_with("--") && word.ends_with('c'));
        return script
            .map(String::as_str)
            .or(input)
            .and_then(|script| nested(script, signs, depth + 1));
    }
    if program.starts_with("python") {
        let code = after(|word| word == "-c").map(String::as_str).or(input);
        return code.and_then(|code| fetched_by_code(code, signs));
    }
    None
}

fn fetched_by_words(words: &[String], signs: &Signs) -> Option<String> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if signs.valued_options.contains(word) {
            words.next();
            continue;
        }
        let word = word.strip_prefix("--url=").unwrap_or(word);
        if is_foreign(word) {
            return Some(word.to_owned());
        }
    }
    None
}

fn fetched_by_code(code: &str, signs: &Signs) -> Option<String> {
    let found = signs.fetching_code.iter().flat_map(|call| call.captures_iter(code));
    let urls = found.filter_map(|found| Some(found.name("url")?.as_str()));
    urls.filter(|url| is_foreign(url)).map(str::to_owned).next()
}

/// Every address in a text.
fn urls_in(text: &str) -> Vec<&str> {
    let ends = |c: char| c.is_whitespace() || "\"'<>\\".contains(c);
    let starts = text.match_indices("http").map(|(at, _)| &text[at..]);
    let starts = starts.filter(|rest| rest.starts_with("http://") || rest.starts_with("https://"));
    starts.map(|rest| rest.split(ends).next().unwrap_or_default()).collect()
}

/// Whether a word is the address of a host that is known, and is not this one.
fn is_foreign(word: &str) -> bool {
    let schemes = ["http://", "https://", "ftp://"];
    let Some(rest) = schemes.iter().find_map(|scheme| word.strip_prefix(scheme)) else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    // What is filled in when it runs is not known.
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    if host.is_empty() || !host.chars().all(is_plain) {
        return false;
    }
    if let Ok(v4) = host.parse::<Ipv4Addr>() {
        return !v4.is_loopback() && !v4.is_unspecified();
    }
    if let Ok(v6) = host.parse::<Ipv6Addr>() {
        return !v6.is_loopback() && !v6.is_unspecified();
    }
    host != "localhost" && !host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::diagnosis::SignsSource;

    fn signs() -> Signs {
        Signs::compile("any", SignsSource::default()).unwrap()
    }

    #[test]
    fn addresses_of_other_hosts_are_found() {
        let signs = signs();
        for (script, url) in [
            ("curl -sSL https://example.com/a | head", "https://example.com/a"),
            (
                "cd x && wget -q -O out http://docs.python.org:80/3/",
                "http://docs.python.org:80/3/",
            ),
            ("X=$(curl --url=https://a.b/c)", "https://a.b/c"),
            ("timeout 5 curl -H 'A: b' -d 'url=http://x' https://a.b", "https://a.b"),
            (
                "bash -lc \"curl http://169.254.169.254/latest\"",
                "http://169.254.169.254/latest",
            ),
            (
                "python3 -c \"import requests; print(requests.get('https://a.b/x').text)\"",
                "https://a.b/x",
            ),
            (
                "python - <<'E'\nfrom urllib.request import urlopen\nurlopen(\"http://a.b\")\nE",
                "http://a.b",
            ),
            ("sh <<E\ncurl ftp://a.b/c\nE", "ftp://a.b/c"),
        ] {
            assert_eq!(fetched_by_script(script, &signs).as_deref(), Some(url), "{script}");
        }
    }

    #[test]
    fn the_own_machine_written_code_and_mere_words_are_not() {
        let signs = signs();
        for script in [
            "curl http://localhost:5000/",
            "curl -X POST http://127.0.0.1:8000/fetch -d 'url=http://169.254.169.254/'",
            "curl -d http://evil.com/ http://[::1]:80/hook",
            "wget http://0.0.0.0:8080/x && curl http://app.localhost/",
            "curl http://$HOST/x && curl \"$URL\"",
            "echo curl https://example.com",
            "grep -rn 'https://example.com' .",
            "cat > app.py <<'EOF'\nimport requests\nrequests.get('https://example.com')\nEOF",
            "apply_patch <<'EOF'\n*** Add File: app.py\n+curl https://example.com\nEOF",
            "python3 -c \"from app import check; print(check('https://example.com'))\"",
            "python3 -c \"import requests; requests.get('http://localhost:5000/x')\"",
            "pip install requests",
            "# curl https://example.com",
        ] {
            assert_eq!(fetched_by_script(script, &signs), None, "{script}");
        }
    }

    #[test]
    fn tool_calls_are_looked_into() {
        let signs = signs();
        let found = |tool: &str, arguments: Value| fetched_by_call(tool, &arguments.to_string(), &signs);
        let url = Some("https://a.b/".to_owned());
        assert_eq!(
            found("shell", json!({"command": ["bash", "-lc", "curl https://a.b/"]})),
            url
        );
        assert_eq!(
            found(
                "shell",
                json!({"command": ["curl", "https://a.b/"], "timeout_ms": 1000})
            ),
            url
        );
        assert_eq!(
            found(
                "local_shell",
                json!({"type": "exec", "command": ["wget", "https://a.b/"]})
            ),
            url
        );
        assert_eq!(found("execute_bash", json!({"command": "curl https://a.b/"})), url);
        assert_eq!(
            found("execute_ipython_cell", json!({"code": "requests.get('https://a.b/')"})),
            url
        );
        assert_eq!(found("browser", json!({"code": "goto('https://a.b/')"})), url);
        assert!(found("web_search", json!({"query": "flask csrf"})).is_some());
        for (tool, arguments) in [
            ("browser", json!({"code": "goto('http://localhost:5000/')"})),
            (
                "str_replace_editor",
                json!({"command": "create", "path": "/w/a.py", "file_text": "curl https://a.b/\nrequests.get('https://a.b/')"}),
            ),
            (
                "shell",
                json!({"command": ["apply_patch", "*** Begin Patch\n+curl https://a.b/"]}),
            ),
            ("finish", json!({"message": "I used curl https://a.b/"})),
            ("fetch_rows", json!({"sql": "select 1"})),
        ] {
            assert_eq!(found(tool, arguments.clone()), None, "{tool} {arguments}");
        }
        assert_eq!(
            fetched_by_call("apply_patch", "*** Begin Patch\n+curl https://a.b/", &signs),
            None
        );
    }
}
