//! The agent's own shell: it lives from turn to turn, and nothing that a turn left running in it does.

use serde_json::{Value, json};

use super::common::{kept_file, tiny_task};
use super::{ALONE, call, is_wanted, run};

#[test]
fn what_a_turn_leaves_running_in_the_shell_is_ended_and_the_shell_lives_on() {
    if !is_wanted() {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let place = tempfile::tempdir().unwrap();
    let mut task = tiny_task("tiny");
    task["conversations"]["editing"] = json!(["Write `double(n)`.", "Go on.", "Go on.", "Done?"]);
    let bash = |turn: usize, command: &str| call(turn, "execute_bash", json!({ "command": command }));
    let done = |turn: usize| json!({"turn": turn, "text": "done"});
    let grows = |name: &str| format!("wc -c < {name} > {name}-1; sleep 1; wc -c < {name} > {name}-2; pwd > {name}-pwd");
    let trial = run(
        place.path(),
        &task,
        &json!([
            bash(1, "mkdir sub && cd sub"),
            bash(1, "while :; do echo x >> behind; sleep 0.1; done &"),
            done(1),
            bash(2, &grows("behind")),
            // No child that could be ended: the shell itself goes round, until OpenHands waits no longer.
            bash(2, "while :; do echo x >> before; read -t 0.1 < /dev/zero; done"),
            done(2),
            bash(3, &grows("before")),
            // Takes no interrupt.
            bash(
                3,
                "python3 -c 'import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(600)'"
            ),
            done(3),
            bash(4, "pwd > last-pwd"),
            done(4),
        ]),
    );
    let file = |turn: usize, name: &str| {
        let kept = kept_file(&place.path().join("jobs/r"), turn, &format!("sub/{name}"));
        let kept = kept.unwrap_or_else(|| panic!("no {name} after turn {turn}: {trial:#}"));
        String::from_utf8(kept).unwrap().trim().to_owned()
    };
    for (turn, name) in [(2, "behind"), (3, "before")] {
        let first: u64 = file(turn, &format!("{name}-1")).parse().unwrap();
        assert!(first > 0, "{name} was never written to");
        assert_eq!(file(turn, &format!("{name}-2")), first.to_string(), "{name} grows");
        assert!(
            file(turn, &format!("{name}-pwd")).ends_with("/sub"),
            "{name}: another shell"
        );
    }
    assert!(file(4, "last-pwd").ends_with("/sub"), "another shell");
    let strays: Vec<u64> = trial["turns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|turn| turn["strays"].as_u64().unwrap_or(0))
        .collect();
    // The first loop may be asleep, in a process of its own.
    assert!((1..=2).contains(&strays[0]), "{strays:?}");
    assert_eq!(strays[1..], [1, 1, 0], "{trial:#}");
    assert_eq!(
        trial.get("warnings").unwrap_or(&Value::from(Vec::<Value>::new())),
        &json!([])
    );
}
