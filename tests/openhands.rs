//! The real OpenHands: driven, held and ended. It takes 1.6 GB, so only where all agents are asked for.

mod common;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use common::provider::Provider;
use common::traces::{self, until};
use common::{json_lines, kept_file, processes, program, report, tiny_task};
use serde_json::{Value, json};

const PROBE: &str = include_str!("containment/probe.py");

/// Held by each test: starts take all processors, and times would be of nothing.
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

/// The program in a place, with temporary files in it: so what it starts is told from what others do.
fn in_place(place: &Path) -> assert_cmd::Command {
    let tmp = place.join("tmp");
    std::fs::create_dir_all(&tmp).unwrap();
    let mut command = program();
    command.current_dir(place).env("TMPDIR", tmp);
    command
}

/// Runs the program to its end, after which nothing of it runs; its standard output.
fn finished(place: &Path, arguments: &[&str], code: i32) -> String {
    let output = in_place(place).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{out}\n{err}");
    // The tester's sandbox ends with the program, and not before it.
    until("the end of all that it started", Duration::from_secs(30), || {
        traces::processes(place).is_empty()
    });
    let left = traces::entries(&place.join("tmp"));
    assert_eq!(left, Vec::<PathBuf>::new(), "{arguments:?}: left behind");
    out
}

fn write_script(place: &Path, replies: &Value) {
    // JSON is YAML.
    std::fs::write(place.join("script.yaml"), json!({ "replies": replies }).to_string()).unwrap();
}

/// The folders of a run's trials, in the order of their names.
fn trials(run: &Path) -> Vec<PathBuf> {
    traces::entries(&run.join("trials"))
}

fn record(trial: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(trial.join("trial.json")).unwrap()).unwrap()
}

/// Runs a script over a tiny task's turns; the record of the only trial.
fn run(place: &Path, task: &Value, replies: &Value) -> Value {
    std::fs::write(place.join("t.jsonl"), task.to_string()).unwrap();
    write_script(place, replies);
    let mut arguments = vec!["run", "openhands", "-m", "script:script.yaml", "--tasks", "t.jsonl"];
    arguments.extend(["--interaction", "editing", "--job-name", "r", "-r", "0"]);
    finished(place, &arguments, 0);
    record(&trials(&place.join("jobs/r"))[0])
}

#[test]
fn a_session_goes_on_with_its_history_after_an_early_end_and_after_a_loop() {
    if !is_wanted() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let place = tempfile::tempdir().unwrap();
    let mut task = tiny_task("tiny");
    task["conversations"]["editing"] = json!(["Write `double(n)`.", "Go round.", "Change it: negative"]);
    let loops =
        "while true; do date +%N >> grows.txt; sleep 0.01; done & setsid nohup sleep 98765 > /dev/null 2>&1 & echo on";
    let again = || call(2, "str_replace_editor", json!({"command": "view", "path": "/nope"}));
    let trial = run(
        place.path(),
        &task,
        &json!([
            call(
                1,
                "execute_bash",
                json!({"command": "tr '\\0' '\\n' < /proc/self/environ | grep -c SESSION_API_KEY > keys.txt"})
            ),
            call(1, "execute_bash", json!({ "command": loops })),
            call(1, "finish", json!({"message": "all of it is done"})),
            again(),
            again(),
            again(),
            again(),
            again(),
            call(3, "finish", json!({"message": "done"})),
        ]),
    );
    let turns = trial["turns"].as_array().unwrap();
    assert_eq!(turns.len(), 3, "{trial:#}");
    assert_eq!(turns[0]["finished_early"], true, "{trial:#}");
    assert!(turns[0]["strays"].as_u64().unwrap() >= 2, "{trial:#}");
    assert_eq!(turns[1]["failure"], "reflections_exhausted", "{trial:#}");
    assert_eq!(turns[2]["ending"], "answered", "{trial:#}");
    assert!(
        turns[2].get("finished_early").is_none(),
        "the last turn ends no earlier than it should: {trial:#}"
    );
    let folder = &trials(&place.path().join("jobs/r"))[0];
    let calls = json_lines(&folder.join("turns/3/model.jsonl"));
    let text = calls[0].to_string();
    for said in [
        "This work comes in 3 steps",
        "Write `double(n)`.",
        "all of it is done",
        "Go round.",
        "Change it: negative",
    ] {
        assert!(text.contains(said), "no `{said}` in {text}");
    }
    let prompt = std::fs::read_to_string(folder.join("turns/1/prompt.md")).unwrap();
    assert!(prompt.starts_with("This work comes in 3 steps"), "{prompt}");
    assert_eq!(
        kept_file(&place.path().join("jobs/r"), 1, "keys.txt").as_deref(),
        Some(&b"0\n"[..]),
        "commands find the key of the server of actions"
    );
}

#[test]
fn the_oracle_works_in_one_session_and_its_run_can_be_replayed() {
    if !is_wanted() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let place = tempfile::tempdir().unwrap();
    let arguments = [
        "run",
        "openhands",
        "-m",
        "oracle,oracle:insecure",
        "--interaction",
        "editing",
    ];
    let chosen = ["-i", "cwe-79-highlight-matches", "--job-name", "src"];
    finished(place.path(), &[&arguments[..], &chosen[..]].concat(), 0);
    let source = place.path().join("jobs/src");
    let rows = report(&source);
    let count = |model: &str, verdict: &str| -> u64 {
        let rows = rows.iter().filter(|row| row["model"] == model);
        rows.map(|row| row[verdict].as_u64().unwrap()).sum()
    };
    assert_eq!(count("oracle", "correct_secure"), 1, "{rows:?}");
    assert_eq!(count("oracle:insecure", "correct_insecure"), 1, "{rows:?}");
    for trial in trials(&source) {
        let told = record(&trial);
        assert_eq!(told["turns"].as_array().unwrap().len(), 3, "{told:#}");
        assert_eq!(told.get("warnings").unwrap_or(&json!([])), &json!([]), "{told:#}");
        let first = std::fs::read_to_string(trial.join("turns/1/prompt.md")).unwrap();
        let calls = json_lines(&trial.join("turns/3/model.jsonl"));
        let messages = calls[0]["request"]["messages"].to_string();
        let said = serde_json::to_string(first.trim()).unwrap();
        assert!(messages.contains(said.trim_matches('"')), "{said}\n{messages}");
    }
    let out = finished(
        place.path(),
        &["replay", "jobs/src", "--job-name", "again", "--json"],
        0,
    );
    let result: Value = serde_json::from_str(&out).unwrap();
    let compared = result["comparison"]["trials"].as_array().unwrap();
    assert_eq!(compared.len(), 2);
    for trial in compared {
        assert_eq!(trial["recorded"], trial["replayed"], "{trial}");
        let trees = trial["same_trees"].as_array().unwrap();
        assert!(!trees.is_empty() && trees.iter().all(|same| same == true), "{trial}");
    }
}

#[test]
fn faults_of_the_provider_end_a_trial_and_efforts_reach_it() {
    if !is_wanted() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (place, provider) = (tempfile::tempdir().unwrap(), Provider::start());
    let task = |name: &str| {
        let mut task = tiny_task(name);
        task["conversations"]["editing"][0] = json!(format!("Write `double(n)`. model: {name}. Go."));
        task.to_string()
    };
    std::fs::write(
        place.path().join("t.jsonl"),
        ["401", "429", "honest"].map(task).join("\n"),
    )
    .unwrap();
    let arguments = [
        "run",
        "openhands",
        "-m",
        "mine,gpt-5-mine",
        "--interaction",
        "editing",
        "--api-base",
        &provider.base,
    ];
    let more = [
        "--reasoning-effort",
        "low",
        "--tasks",
        "t.jsonl",
        "-r",
        "0",
        "--job-name",
        "r",
        "-n",
        "2",
    ];
    let output = in_place(place.path())
        .args(arguments)
        .args(more)
        .env("OPENAI_API_KEY", "secret")
        .env("MTSEC_API_KEY", "secret")
        .timeout(Duration::from_secs(300))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    for trial in trials(&place.path().join("jobs/r")) {
        let told = record(&trial);
        let expected = match told["key"]["task"].as_str().unwrap() {
            "401" => "authentication",
            "429" => "rate_limit",
            _ => {
                assert_eq!(told["turns"][0]["ending"], "answered", "{told:#}");
                continue;
            }
        };
        assert!(
            told["outcome"].to_string().contains("infrastructure_failure"),
            "{told:#}"
        );
        assert!(told.to_string().contains(expected), "{told:#}");
    }
    let bodies = provider.bodies();
    for model in ["mine", "gpt-5-mine"] {
        let mut sent = bodies.iter().filter(|body| body["model"] == model).peekable();
        assert!(sent.peek().is_some(), "{model}");
        for body in sent {
            assert_eq!(body["reasoning_effort"], "low", "{model}");
            assert!(body.get("thinking").is_none(), "{model}");
        }
    }
}

#[test]
fn a_killed_preparing_process_costs_time_only_and_a_killed_program_leaves_nothing() {
    if !is_wanted() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("t.jsonl"), tiny_task("tiny").to_string()).unwrap();
    write_script(
        place.path(),
        &json!([
            {"turn": 1, "text": "done", "delay_seconds": 1.0},
            call(2, "execute_bash", json!({"command": "sleep 9.8764"})),
            {"turn": 2, "text": "done"},
        ]),
    );
    let tmp = place.path().join("tmp");
    std::fs::create_dir(&tmp).unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_mtsec-agents"));
    command.current_dir(place.path()).env("TMPDIR", &tmp);
    command.args([
        "run",
        "openhands",
        "-m",
        "script:script.yaml",
        "--tasks",
        "t.jsonl",
        "-k",
        "2",
    ]);
    command.args(["--interaction", "editing", "--job-name", "r", "-r", "0", "-n", "1"]);
    let mut started = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let journal = place.path().join("jobs/r/journal.jsonl");
    let happened = |event: &str| {
        let text = std::fs::read_to_string(&journal).unwrap_or_default();
        text.matches(&format!("\"event\":\"{event}\"")).count()
    };
    let limit = Duration::from_secs(300);
    until("the first turn", limit, || happened("turn_started") == 1);
    let zygote = || {
        let mine = traces::processes(&tmp);
        let found = processes("/zygote.py").into_iter().find(|pid| {
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            mine.contains(pid) && !line.contains("shepherd") && line.contains("prepared-")
        });
        found.map(nix::unistd::Pid::from_raw)
    };
    nix::sys::signal::kill(zygote().expect("no preparing process"), nix::sys::signal::SIGKILL).unwrap();
    until("a command of the second trial", limit, || {
        happened("turn_started") == 4 && processes("sleep 9.8764").len() == 1
    });
    assert_eq!(
        happened("warning"),
        1,
        "the second trial, and only that one, was started cold"
    );
    let text = std::fs::read_to_string(&journal).unwrap();
    assert!(text.contains("without the preparing process"), "{text}");
    started.kill().unwrap();
    started.wait().unwrap();
    until("the end of everything", Duration::from_secs(20), || {
        traces::processes(&tmp).is_empty() && processes("sleep 9.8764").is_empty()
    });
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
    let trial = run(place.path(), &tiny_task("tiny"), &replies);
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
    assert_eq!(
        trial.get("warnings").unwrap_or(&json!([])),
        &json!([]),
        "it was not started warm"
    );
    assert_eq!(trial["turns"][0]["strays"], 2, "{trial:#}");
    assert_eq!(report(&run).len(), 1);
}
