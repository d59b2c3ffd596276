//! Exchanges as Markdown. Whatever agents, models and tools said stands in fences that it cannot close, or in code spans,
//! without control characters: it can neither forge a heading nor command a terminal.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::Value;

use super::{Exchange, Part};

/// Longest text that is shown whole, in bytes; the record holds the rest.
const MOST_SHOWN: usize = 64 << 10;
/// Longest name, in characters.
const LONGEST_NAME: usize = 120;

/// The title of a turn's transcript.
///
/// # Errors
/// It cannot be written.
pub fn title(turn: usize, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "# Turn {turn}")
}

/// One exchange: what was new in the request, and the answer.
///
/// # Errors
/// It cannot be written.
pub fn exchange(exchange: &Exchange, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\n## Call {}\n", exchange.call)?;
    writeln!(out, "{}", facts(exchange))?;
    if let Some(tools) = &exchange.tools {
        let names: Vec<String> = tools.iter().map(|tool| name(tool)).collect();
        let names = if names.is_empty() {
            "none".to_owned()
        } else {
            names.join(", ")
        };
        writeln!(out, "\nTools offered: {names}")?;
    }
    if exchange.new.is_empty() {
        writeln!(out, "\nNothing new in the request.")?;
    }
    for part in &exchange.new {
        self::part(part, out)?;
    }
    writeln!(out, "\n### Answer")?;
    for part in &exchange.answer {
        self::part(part, out)?;
    }
    if exchange.answer.is_empty() {
        writeln!(out, "\nNone.")?;
    }
    if let Some(failure) = &exchange.failure {
        writeln!(out, "\n#### failed: {}\n", name(&failure.kind))?;
        fence("", &failure.message, out)?;
    }
    Ok(())
}

fn facts(exchange: &Exchange) -> String {
    let mut facts = vec![exchange.dialect.to_string()];
    if !exchange.model.is_empty() {
        facts.push(format!("model {}", name(&exchange.model)));
    }
    facts.push(format!("status {}", exchange.status));
    facts.push(format!("{:.2} s", exchange.seconds));
    if let Some(tokens) = &exchange.tokens {
        let stored = tokens.stored.saturating_add(tokens.stored_1h);
        let parts = [(tokens.cached, "cached"), (stored, "stored")];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, what)| format!("{count} {what}")).collect();
        let of = if parts.is_empty() {
            String::new()
        } else {
            format!(" ({})", parts.join(", "))
        };
        facts.push(format!("tokens: {} in{of}, {} out", tokens.input, tokens.output));
    }
    if let Some(cost) = exchange.cost {
        facts.push(format!("${cost:.4}"));
    }
    if let Some(finish) = &exchange.finish {
        facts.push(format!("finish {}", name(finish)));
    }
    facts.join(" · ")
}

fn part(part: &Part, out: &mut impl Write) -> io::Result<()> {
    match part {
        Part::Text { speaker, text } => {
            writeln!(out, "\n#### {}\n", name(speaker))?;
            fence("", text, out)
        }
        Part::Reasoning { text } => {
            writeln!(out, "\n#### reasoning\n")?;
            fence("", text, out)
        }
        Part::Refusal { text } => {
            writeln!(out, "\n#### refusal\n")?;
            fence("", text, out)
        }
        Part::Call { id, tool, arguments } => {
            writeln!(out, "\n#### tool call {}{}\n", name(tool), of(id))?;
            json_or_text(arguments, out)
        }
        Part::Result {
            id,
            tool,
            text,
            is_error,
        } => {
            let error = if *is_error { ", an error" } else { "" };
            writeln!(out, "\n#### result of {}{}{error}\n", name(tool), of(id))?;
            json_or_text(text, out)
        }
        Part::Other { speaker, kind } => writeln!(out, "\n#### {}: {}", name(speaker), name(kind)),
    }
}

fn of(id: &str) -> String {
    match id {
        "" => String::new(),
        id => format!(" ({})", name(id)),
    }
}

/// An object or a list is printed as JSON, its texts of several lines below it, so that they can be read.
fn json_or_text(text: &str, out: &mut impl Write) -> io::Result<()> {
    let value = match serde_json::from_str::<Value>(text) {
        Ok(value @ (Value::Object(_) | Value::Array(_))) => value,
        _ => return fence("", text, out),
    };
    let (mut value, mut texts) = (value, Vec::new());
    take_out(&mut value, "", &mut texts);
    let json = serde_json::to_string_pretty(&value).unwrap_or_default();
    fence("json", &json, out)?;
    for (path, text) in texts {
        writeln!(out, "\n{}:\n", name(&path))?;
        fence("", &text, out)?;
    }
    Ok(())
}

fn take_out(value: &mut Value, path: &str, texts: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) if text.contains('\n') => {
            texts.push((path.to_owned(), std::mem::take(text)));
            *text = "(below)".to_owned();
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                take_out(item, &format!("{path}/{index}"), texts);
            }
        }
        Value::Object(members) => {
            for (member, value) in members.iter_mut() {
                take_out(value, &format!("{path}/{member}"), texts);
            }
        }
        _ => {}
    }
}

/// A text in a fence that is longer than any run of backticks in it.
fn fence(language: &str, text: &str, out: &mut impl Write) -> io::Result<()> {
    let end = (0..=MOST_SHOWN.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    let shown = visible(&text[..end.unwrap_or(0)], true);
    let fence = "`".repeat(longest_run(&shown).max(2) + 1);
    writeln!(out, "{fence}{language}")?;
    out.write_all(shown.as_bytes())?;
    if !shown.is_empty() && !shown.ends_with('\n') {
        writeln!(out)?;
    }
    writeln!(out, "{fence}")?;
    match text.len() - end.unwrap_or(0) {
        0 => Ok(()),
        left => writeln!(out, "\n… and {left} more bytes: `model.jsonl` holds them."),
    }
}

/// A name on one line, as a code span.
fn name(text: &str) -> String {
    let mut short: String = visible(text, false).chars().take(LONGEST_NAME).collect();
    if short.trim().is_empty() {
        short = "?".to_owned();
    }
    let marks = "`".repeat(longest_run(&short) + 1);
    match short.contains('`') {
        true => format!("{marks} {short} {marks}"),
        false => format!("{marks}{short}{marks}"),
    }
}

fn longest_run(text: &str) -> usize {
    let mut longest = 0;
    let mut run = 0;
    for character in text.chars() {
        run = if character == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    longest
}

/// Without what moves a cursor or turns a text's direction; `lines`: line ends and tabs stay.
fn visible(text: &str, lines: bool) -> Cow<'_, str> {
    let is_kept = |character: char| match character {
        '\n' | '\t' => lines,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        other => !other.is_control(),
    };
    if text.chars().all(is_kept) {
        return Cow::Borrowed(text);
    }
    let text = text.replace("\r\n", "\n");
    let shown = |character: char| match character {
        kept if is_kept(kept) => kept,
        // The pictures of the ASCII control characters.
        control @ '\0'..='\u{1f}' => char::from_u32(0x2400 + control as u32).unwrap_or('\u{fffd}'),
        _ => '\u{fffd}',
    };
    Cow::Owned(text.chars().map(shown).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fenced(text: &str) -> String {
        let mut out = Vec::new();
        fence("", text, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn no_text_can_leave_its_fence() {
        for text in [
            "```\n# forged\n```",
            "````\n",
            "`````",
            "plain",
            "",
            "~~~\n# x\n~~~",
            "a\r```\r# forged\r",
        ] {
            let out = fenced(text);
            let lines: Vec<&str> = out.lines().collect();
            let fence = lines[0];
            assert!(fence.len() >= 3 && fence.chars().all(|c| c == '`'), "{out}");
            let closing = |line: &&str| line.trim_start().starts_with(fence);
            assert_eq!(lines.iter().filter(|line| closing(line)).count(), 2, "{out}");
            assert!(closing(lines.last().unwrap()) && !out.contains('\r'), "{out}");
        }
        assert!(fenced("\u{1b}[2J\u{7}\u{202e}x").contains("␛[2J␇\u{fffd}x"));
    }

    #[test]
    fn long_texts_are_cut_and_say_so() {
        let out = fenced(&"é".repeat(MOST_SHOWN));
        assert!(
            out.len() < MOST_SHOWN + 200 && out.ends_with("model.jsonl` holds them.\n"),
            "{}",
            out.len()
        );
    }

    #[test]
    fn names_are_one_code_span_whatever_they_hold() {
        assert_eq!(name("shell"), "`shell`");
        assert_eq!(name("a\n# b `c``"), "``` a␊# b `c`` ```");
        assert_eq!(name("  "), "`?`");
    }

    #[test]
    fn arguments_are_pretty_and_their_long_texts_readable() {
        let mut out = Vec::new();
        let arguments = r#"{"command":["bash","-lc","cat <<'E'\nx\nE"],"n":1}"#;
        json_or_text(arguments, &mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let expected = "```json\n{\n  \"command\": [\n    \"bash\",\n    \"-lc\",\n    \"(below)\"\n  ],\n  \"n\": 1\n}\n```\n\n`/command/2`:\n\n```\ncat <<'E'\nx\nE\n```\n";
        assert_eq!(out, expected);
    }
}
