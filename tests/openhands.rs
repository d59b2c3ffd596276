//! The real OpenHands: driven, held and ended. It takes 1.6 GB, so only where all agents are asked for.

mod common;

use std::path::Path;

use common::{finished, json_lines, kept_file, processes, report, tiny_task};
use serde_json::{Value, json};

const PROBE: &str = include_str!("containment/probe.py");

/// Held by each test: one looks for what another's OpenHands would have running.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Whether the real OpenHands is to be tested; said aloud when not.
fn is_wanted() -> bool {
    let wanted = std::env::var_os("MTSEC_TEST_AGENTS").is_some_and(|agents| agents == "all");
    if !wanted {
        eprintln!("skipped: OpenHands (1.6 GB) is tested with MTSEC_TEST_AGENTS=all only");
    }
    wanted
}

fn call(turn: usize, name: &str, arguments: Value) -> Value {
    json!({"turn": turn, "calls": [{"name": name, "arguments": arguments}]})
}

/// Runs a script over the tiny task's two turns; the record of the only trial.
fn run(place: &Path, replies: Value, more: &[&str]) -> Value {
    std::fs::write(place.join("t.jsonl"), tiny_task("tiny").to_string()).unwrap();
    // JSON is YAML.
    std::fs::write(place.join("script.yaml"), json!({ "replies": replies }).to_string()).unwrap();
    let mut arguments = vec!["run", "openhands", "-m", "script:script.yaml", "--tasks", "t.jsonl"];
    arguments.extend(["--interaction", "editing", "--job-name", "r", "-r", "0"]);
    arguments.extend(more);
    finished(place, &arguments, 0);
    let trial = std::fs::read_dir(place.join("jobs/r/trials"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    serde_json::from_slice(&std::fs::read(trial.path().join("trial.json")).unwrap()).unwrap()
}

#[test]
fn an_early_end_is_counted_and_the_session_goes_on_with_its_history() {
    if !is_wanted() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let place = tempfile::tempdir().unwrap();
    let loops =
        "while true; do date +%N >> grows.txt; sleep 0.01; done & setsid nohup sleep 98765 > /dev/null 2>&1 & echo on";
    let trial = run(
        place.path(),
        json!([
            call(1, "execute_bash", json!({ "command": loops })),
            call(1, "finish", json!({"message": "all of it is done"})),
            call(2, "str_replace_editor", json!({"command": "view", "path": "/nope"})),
            call(2, "finish", json!({"message": "done"})),
        ]),
        &[],
    );
    let turns = trial["turns"].as_array().unwrap();
    assert_eq!(turns[0]["finished_early"], true, "{trial:#}");
    assert!(turns[0]["strays"].as_u64().unwrap() >= 2, "{trial:#}");
    assert!(
        turns[1].get("finished_early").is_none(),
        "the last turn ends no earlier than it should: {trial:#}"
    );
    let folder = std::fs::read_dir(place.path().join("jobs/r/trials"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let calls = json_lines(&folder.join("turns/2/model.jsonl"));
    let text = calls[0].to_string();
    for said in [
        "This work comes in 2 steps",
        "Write `double(n)`.",
        "all of it is done",
        "Change it: negative",
    ] {
        assert!(text.contains(said), "no `{said}` in {text}");
    }
    let prompt = std::fs::read_to_string(folder.join("turns/1/prompt.md")).unwrap();
    assert!(prompt.starts_with("This work comes in 2 steps"), "{prompt}");
    assert_eq!(processes("sleep 98765"), Vec::<i32>::new());
    assert_eq!(
        processes("openhands-agent-"),
        Vec::<i32>::new(),
        "a tmux server is left"
    );
}

#[test]
fn a_driver_that_enters_from_outside_is_held_like_one_that_was_started_inside() {
    if !is_wanted() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("secret.txt"), "the host's own secret").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let arguments = format!(
        "{} {} {} none {} /usr/bin/env 98766",
        place.path().join("secret.txt").display(),
        place.path().join("jobs/r").display(),
        listener.local_addr().unwrap().port(),
        std::process::id(),
    );
    // The probe calls the model by these; commands of OpenHands have no key in their environment.
    let look = format!(
        "export OPENAI_API_BASE=http://127.0.0.1:4000 OPENAI_API_KEY=none\n\
         python3 /tmp/probe.py {arguments} > probe.log 2>&1\n\
         grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp)' /proc/self/status > status.txt\n\
         for each in $(grep -l zygote.py /proc/[0-9]*/cmdline 2> /dev/null); do\n\
         each=${{each%/cmdline}}; head -c1 $each/mem; ls $each/fd; readlink $each/exe; cat $each/environ\n\
         done > reached.txt 2> /dev/null\n"
    );
    let create = |path: &str, text: &str| {
        call(
            1,
            "str_replace_editor",
            json!({"command": "create", "path": path, "file_text": text}),
        )
    };
    let replies = json!([
        create("/tmp/probe.py", PROBE),
        create("/tmp/look.sh", &look),
        call(1, "execute_bash", json!({"command": "sh /tmp/look.sh", "timeout": 60})),
        {"turn": 1, "text": "done"},
        {"turn": 2, "text": "done"},
    ]);
    let trial = run(place.path(), replies, &[]);
    let run = place.path().join("jobs/r");
    let said = kept_file(&run, 1, "probe.log").unwrap_or_default();
    let found =
        kept_file(&run, 1, "found.json").unwrap_or_else(|| panic!("{} {trial:#}", String::from_utf8_lossy(&said)));
    let found: Value = serde_json::from_slice(&found).unwrap();
    for (what, wanted) in [
        ("secret", &["ENOENT", "EACCES"][..]),
        ("run", &["ENOENT", "EACCES"]),
        ("environment of init", &["EACCES", "EPERM"]),
        ("memory of init", &["EACCES", "EPERM"]),
        ("files of init", &["EACCES", "EPERM"]),
        ("port of the host", &["ECONNREFUSED"]),
        ("address outside", &["ENETUNREACH"]),
        ("host of the machine", &["EAFNOSUPPORT"]),
        ("process of the host", &["ESRCH"]),
        ("limits of init", &["EPERM"]),
        ("processors of init", &["EPERM"]),
        ("program of the system", &["EROFS", "EACCES"]),
        ("file in the root", &["EROFS", "EACCES"]),
        ("namespaces", &["EPERM"]),
        ("mount", &["EPERM"]),
        ("ptrace", &["EPERM"]),
        ("device", &["EPERM"]),
    ] {
        let told = found[what].as_str().unwrap_or_default();
        assert!(wanted.contains(&told), "{what}: {told}, of {found:#}");
    }
    assert_eq!(
        (&found["capabilities"], &found["no_new_privs"]),
        (&json!(0), &json!("1")),
        "{found:#}"
    );
    assert_eq!(found["seen"], json!([]), "{found:#}");
    assert_eq!(
        kept_file(&run, 1, "reached.txt"),
        Some(Vec::new()),
        "the driver could be looked into"
    );
    let status = String::from_utf8(kept_file(&run, 1, "status.txt").unwrap()).unwrap();
    assert!(status.contains("Seccomp:\t2\nSeccomp_filters:\t1\n"), "{status}");
    let folder = std::fs::read_dir(run.join("trials"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    assert!(!folder.join("agent/cold.txt").exists(), "it was not started warm");
    assert_eq!(trial["turns"][0]["strays"], 2, "{trial:#}");
    assert_eq!(report(&run).len(), 1);
}
