//! The layers of DESIGN.md hold: no module uses one of a layer above its own.

use std::path::Path;

const LAYERS: [&[&str]; 5] = [
    &[
        "budget",
        "canary",
        "conversation",
        "event",
        "finding",
        "plan",
        "retest",
        "task",
        "trial",
        "verdict",
    ],
    &[
        "blob",
        "dataset",
        "diagnosis",
        "docker",
        "experiment",
        "gateway",
        "keys",
        "process",
        "pty",
        "python",
        "recipe",
        "stats",
        "store",
        "transcript",
        "workspace",
        "yaml",
    ],
    &["containment", "sandbox", "scaffold", "tester"],
    &["report", "runner"],
    &["cli", "console", "exit_code", "main"],
];

/// Edges within a layer that would tie together what must meet only in `runner`.
const FORBIDDEN: [(&str, &[&str]); 6] = [
    ("scaffold", &["containment", "gateway", "store", "sandbox", "tester"]),
    ("containment", &["gateway", "scaffold", "tester"]),
    ("gateway", &["recipe", "workspace", "store", "dataset"]),
    ("report", &["runner"]),
    ("tester", &["scaffold"]),
    ("sandbox", &["scaffold", "tester"]),
];

fn layer(module: &str) -> usize {
    let found = LAYERS.iter().position(|layer| layer.contains(&module));
    found.unwrap_or_else(|| panic!("module `{module}` is in no layer: add it to tests/layers.rs and DESIGN.md"))
}

#[test]
fn dependencies_point_one_way() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mention = regex::Regex::new(r"crate::\{?([a-z_]+)").unwrap();
    let mut wrong = Vec::new();
    let mut edges = 0;
    for entry in walkdir::WalkDir::new(&source).into_iter().map(Result::unwrap) {
        if entry.path().extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let relative = entry.path().strip_prefix(&source).unwrap();
        let module = relative
            .iter()
            .next()
            .unwrap()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs")
            .to_owned();
        if module == "lib" {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap();
        for found in mention.captures_iter(&text) {
            let used = &found[1];
            edges += 1;
            let forbidden = FORBIDDEN.iter().any(|(from, to)| *from == module && to.contains(&used));
            if used != module && (layer(used) > layer(&module) || forbidden) {
                wrong.push(format!("{} uses {used}", relative.display()));
            }
        }
    }
    assert!(
        edges > 50,
        "the scan found only {edges} edges: it no longer reads the code"
    );
    assert!(wrong.is_empty(), "upward edges:\n{}", wrong.join("\n"));
}
