//! Models of one run behind servers of their own.

use std::path::Path;

use axum::routing::post;
use serde_json::{Value, json};

use super::common::program;
use super::common::server::{KEY, Provider, chat, serve};
use super::{files, lock, place, run, started, write};

const CELLS: &str =
    "matrix: {scaffold: llm, model: [gpt-4o, qwen3-8b, qwen3-8b-thinking, mine, oracle], interaction: single}\n";

/// Three servers, each with an address in the file: of a provider's models, of one model and of an unlisted one.
struct Servers {
    bases: Vec<String>,
    providers: Vec<Provider>,
}

impl Servers {
    fn start() -> Self {
        let (bases, providers) = (0..3).map(|_| serve("/v1/chat/completions", post(chat), false)).unzip();
        Self { bases, providers }
    }

    fn experiment(&self, cells: &str) -> String {
        let [local, openai, mine] = [0, 1, 2].map(|index| self.bases[index].as_str());
        format!("api_base:\n  local: {local}\n  openai: {openai}\n  mine: {mine}\n{cells}")
    }

    /// The models that each was asked for since the last time, in order of their names.
    fn asked(&self) -> Vec<Vec<String>> {
        let of_one = |provider: &Provider| {
            let bodies = std::mem::take(&mut *provider.bodies.lock().unwrap());
            let model = |body: &Value| body["model"].as_str().unwrap().to_owned();
            let mut models: Vec<String> = bodies.iter().map(model).collect();
            models.sort();
            models
        };
        self.providers.iter().map(of_one).collect()
    }
}

fn carried_out(place: &Path, arguments: &[&str], code: i32) -> (String, String) {
    let output = program()
        .current_dir(place)
        .env("MTSEC_API_KEY", KEY)
        .env("OPENAI_API_KEY", "sk-of-somebody-else")
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{out}\n{err}");
    (out, err)
}

#[test]
fn each_model_is_asked_at_its_own_server_also_when_the_run_goes_on_or_grows() {
    let servers = Servers::start();
    let place = place(&servers.experiment(CELLS));
    let sweep = ["sweep", "e.yaml", "-r", "0"];
    let (planned, _) = carried_out(place.path(), &[&sweep[..], &["--dry-run"]].concat(), 0);
    let line = |model: &str| planned.lines().find(|line| line.contains(&format!("model {model} ")));
    for (model, base) in [("qwen3-8b", 0), ("qwen3-8b-thinking", 0), ("gpt-4o", 1), ("mine", 2)] {
        let at = format!("at {}", servers.bases[base]);
        assert!(line(model).is_some_and(|line| line.contains(&at)), "{model}: {planned}");
    }
    assert!(line("oracle").is_some_and(|line| !line.contains(" at ")), "{planned}");

    carried_out(place.path(), &sweep, 0);
    let qwen = |count: usize| vec!["Qwen/Qwen3-8B".to_owned(); count];
    let named = |name: &str| vec![name.to_owned(); 2];
    assert_eq!(servers.asked(), [qwen(4), named("gpt-4o"), named("mine")]);
    let run = run(place.path());
    let [local, openai, own] = [0, 1, 2].map(|index| servers.bases[index].as_str());
    let recorded = json!({ "local": local, "openai": openai, "mine": own });
    assert_eq!(lock(&run)["settings"]["api_base"], recorded);

    // What was lost is asked for at the same servers.
    let trial = |entry: std::fs::DirEntry| entry.path().join("trial.json");
    for record in std::fs::read_dir(run.join("trials"))
        .unwrap()
        .map(|entry| trial(entry.unwrap()))
    {
        std::fs::remove_file(record).unwrap();
    }
    carried_out(place.path(), &["resume", "jobs/e"], 0);
    assert_eq!(servers.asked(), [qwen(4), named("gpt-4o"), named("mine")]);

    // Another server is refused where a model was asked at one before, and for others it is none of the run's business.
    let before = files(&run);
    let elsewhere = servers.experiment(CELLS).replace(local, "http://127.0.0.1:9/v1");
    write(place.path(), &elsewhere);
    let (_, said) = carried_out(place.path(), &sweep, 2);
    assert!(
        said.contains(&format!(
            "`api_base` {local} of `qwen3-8b`, and now it is http://127.0.0.1:9/v1"
        )),
        "{said}"
    );
    assert_eq!(files(&run), before);
    let count = started(&run).len();
    let more = CELLS.replace("oracle]", "oracle, other]");
    let more = servers
        .experiment(&more)
        .replace("  mine:", &format!("  other: {openai}\n  mine:"));
    write(place.path(), &more);
    carried_out(place.path(), &sweep, 0);
    assert_eq!(servers.asked(), [qwen(0), named("other"), Vec::new()]);
    assert_eq!(started(&run).len(), count + 2);
}

#[test]
fn scripted_models_have_nothing_to_do_with_endpoints_and_names_that_nobody_has_are_refused() {
    let mapping = "api_base: {local: 'http://127.0.0.1:9/v1', mine: 'http://127.0.0.1:9/v1'}\n";
    let cells = "matrix: {scaffold: llm, model: [qwen3-8b, mine], interaction: single}\n";
    let one = "api_base: http://127.0.0.1:9/v1\n";
    for head in [mapping, one] {
        let place = place(&format!("{head}{cells}"));
        super::sweep(place.path(), &["-m", "oracle"]);
        assert_eq!(lock(&run(place.path()))["scripted"], true);
    }
    let place = place(cells);
    let unknown = ["--api-base", "locl=http://127.0.0.1:9/v1"];
    let twice = [
        "--api-base",
        "http://127.0.0.1:9/v1",
        "--api-base",
        "local=http://127.0.0.1:9/v1",
    ];
    for command in [
        &["sweep", "e.yaml", "--dry-run"][..],
        &["run", "llm", "-m", "qwen3-8b", "--tasks", "t.jsonl", "--dry-run"],
    ] {
        for (more, told) in [(&unknown[..], "`locl` is neither a model"), (&twice, "NAME=URL")] {
            let (_, said) = carried_out(place.path(), &[command, more].concat(), 2);
            assert!(said.contains(told), "{said}");
        }
        let known = [
            "--api-base",
            "local=http://127.0.0.1:9/v1",
            "--api-base",
            "mine=http://127.0.0.1:9/v1",
        ];
        let known = if command[0] == "run" { &known[..2] } else { &known[..] };
        let (out, _) = carried_out(place.path(), &[command, known].concat(), 0);
        assert!(
            out.contains("model qwen3-8b in openai-chat at http://127.0.0.1:9/v1"),
            "{out}"
        );
    }
}
