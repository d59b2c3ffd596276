//! `diff.patch`: what a turn changed, for people. The snapshots are the record.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use similar::TextDiff;

use super::manifest::{Kind, Manifest};
use crate::blob::BlobStore;

/// How long the best diff of one file is looked for; after that a longer one will do. The texts are the agent's, and
/// may be made to take very long.
const PATIENCE: Duration = Duration::from_millis(200);

/// Texts longer than this are named but not shown, in bytes.
const MAX_SHOWN: usize = 1 << 20;

/// The unified diff of two snapshots' regular files; files that are not text are only named.
///
/// # Errors
/// A blob is missing or damaged.
pub fn diff(before: &Manifest, after: &Manifest, blobs: &BlobStore) -> io::Result<String> {
    let mut patch = String::new();
    let paths: BTreeSet<&str> = before.files().chain(after.files()).map(|(path, _, _)| path).collect();
    for path in paths {
        let (old, new) = (content_of(before, path), content_of(after, path));
        if old.map(|(digest, _)| digest) == new.map(|(digest, _)| digest) && old.map(|o| o.1) == new.map(|n| n.1) {
            continue;
        }
        patch.push_str(&format!("diff --git a/{path} b/{path}\n"));
        match (old, new) {
            (None, Some((_, mode))) => patch.push_str(&format!("new file mode {:o}\n", git_mode(mode))),
            (Some((_, mode)), None) => patch.push_str(&format!("deleted file mode {:o}\n", git_mode(mode))),
            (Some((_, old)), Some((_, new))) if git_mode(old) != git_mode(new) => {
                patch.push_str(&format!("old mode {:o}\nnew mode {:o}\n", git_mode(old), git_mode(new)));
            }
            _ => {}
        }
        let read = |side: Option<(&str, u32)>| side.map_or(Ok(Vec::new()), |(digest, _)| blobs.get(digest));
        let (old_text, new_text) = (read(old)?, read(new)?);
        if old_text == new_text {
            continue;
        }
        match (std::str::from_utf8(&old_text), std::str::from_utf8(&new_text)) {
            (Ok(old_text), Ok(new_text)) if old_text.len().max(new_text.len()) <= MAX_SHOWN => {
                let from = if old.is_some() {
                    format!("a/{path}")
                } else {
                    "/dev/null".into()
                };
                let to = if new.is_some() {
                    format!("b/{path}")
                } else {
                    "/dev/null".into()
                };
                // Lines end at line feeds only: a carriage return is part of its line.
                let (old_lines, new_lines) = (lines(old_text), lines(new_text));
                let text = TextDiff::configure()
                    .timeout(PATIENCE)
                    .newline_terminated(true)
                    .diff_slices(&old_lines, &new_lines);
                patch.push_str(&text.unified_diff().header(&from, &to).to_string());
            }
            _ => patch.push_str("Binary files differ\n"),
        }
    }
    Ok(patch)
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Permission bits as git has them: executable or not.
fn git_mode(mode: u32) -> u32 {
    if mode & 0o100 == 0 { 0o100_644 } else { 0o100_755 }
}

fn content_of<'a>(manifest: &'a Manifest, path: &str) -> Option<(&'a str, u32)> {
    let entry = manifest.entries.get(path)?;
    match &entry.kind {
        Kind::File { digest, .. } => Some((digest, entry.mode)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::workspace::Entry;

    #[test]
    fn texts_made_to_take_long_do_not() {
        let place = tempfile::tempdir().unwrap();
        let blobs = BlobStore::new(place.path());
        let manifest = |text: &str| {
            let (digest, size) = blobs.put(&mut text.as_bytes(), u64::MAX).unwrap();
            let entry = Entry {
                mode: 0o644,
                kind: Kind::File { digest, size },
            };
            Manifest {
                entries: [("app.py".to_owned(), entry)].into(),
                incomplete: None,
            }
        };
        let text = |seed: usize| {
            (0..60_000)
                .map(|line| format!("{}\n", line * seed % 9_973))
                .collect::<String>()
        };
        let (before, after) = (text(7_919), text(5_003));
        let began = Instant::now();
        let patch = diff(&manifest(&before), &manifest(&after), &blobs).unwrap();
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        assert!(
            patch
                .lines()
                .any(|line| line.starts_with('+') && !line.starts_with("+++"))
        );
    }
}
