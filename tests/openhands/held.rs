//! What holds it, and what ends it.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use super::common::probe::{PROBE, is_held};
use super::common::traces::{self, until};
use super::common::{kept_file, processes, report, tiny_task};
use super::{ALONE, call, finished, is_wanted, record, run, scripted_place, trials};

#[test]
fn a_killed_preparing_process_costs_time_only_and_a_killed_program_leaves_nothing() {
    if !is_wanted() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let place = scripted_place(&json!([
        {"turn": 1, "text": "done", "delay_seconds": 1.0},
        call(2, "execute_bash", json!({"command": "sleep 9.8764"})),
        {"turn": 2, "text": "done"},
    ]));
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
    // Another one was waited for, which is time of no trial.
    let text = std::fs::read_to_string(&journal).unwrap();
    assert_eq!(happened("warning"), 0, "{text}");
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
        // On a loaded machine OpenHands takes the prompt of before for the end of a command; a second one waits for both.
        call(1, "execute_bash", json!({"command": "wc -c found.json", "timeout": 60})),
        {"turn": 1, "text": "done"},
        {"turn": 2, "text": "done"},
    ]);
    let trial = run(place.path(), &tiny_task("tiny"), &replies);
    let run = place.path().join("jobs/r");
    let said = kept_file(&run, 1, "probe.log").unwrap_or_default();
    let found =
        kept_file(&run, 1, "found.json").unwrap_or_else(|| panic!("{} {trial:#}", String::from_utf8_lossy(&said)));
    let found: Value = serde_json::from_slice(&found).unwrap();
    is_held(&found);
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

#[test]
fn a_driver_that_is_started_inside_does_the_same() {
    if !is_wanted() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let place = scripted_place(&json!([
        call(1, "execute_bash", json!({"command": "sleep 9.8765 & echo on > on.txt"})),
        {"turn": 1, "text": "done"},
        {"turn": 2, "text": "done"},
    ]));
    let arguments = [
        "run",
        "openhands",
        "-m",
        "script:script.yaml",
        "--tasks",
        "t.jsonl",
        "-r",
        "0",
    ];
    let more = ["--interaction", "editing", "--job-name", "r", "--containment", "none"];
    // Where OpenHands itself would leave the address of a server: in a place that all trials share.
    let shared = || {
        std::fs::metadata("/tmp/oh-server-url")
            .and_then(|file| file.modified())
            .ok()
    };
    let before = shared();
    finished(place.path(), &[&arguments[..], &more[..]].concat(), 0);
    assert_eq!(shared(), before, "/tmp/oh-server-url was written");
    let run = place.path().join("jobs/r");
    assert_eq!(kept_file(&run, 1, "on.txt").as_deref(), Some(&b"on\n"[..]));
    let trial = record(&trials(&run)[0]);
    let turns = trial["turns"].as_array().unwrap();
    let ends: Vec<(&Value, &Value)> = turns.iter().map(|turn| (&turn["ending"], &turn["strays"])).collect();
    assert_eq!(
        ends,
        [(&json!("answered"), &json!(1)), (&json!("answered"), &json!(0))],
        "{trial:#}"
    );
}
