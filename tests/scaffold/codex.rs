//! The real Codex CLI, one process per turn, with a scripted model that speaks the Responses API.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use mtsec_agents::scaffold::Exit;
use mtsec_agents::trial::{Ending, Failure, Limit};

use crate::bench::{Bench, killed, processes};
use crate::responses::{Model, Reply, bash, patch, say, shell, text, user_texts};

fn failure(ending: &Ending) -> Option<Failure> {
    match ending {
        Ending::Failed { failure, .. } => Some(*failure),
        _ => None,
    }
}

/// The files of the agent's sessions.
fn rollouts(bench: &Bench) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(bench.stage.logs.join("agent/codex/sessions"));
    let files = files.into_iter().flatten().filter(|entry| entry.file_type().is_file());
    files.map(|entry| entry.into_path()).collect()
}

fn nothing_runs(bench: &Bench) {
    assert_eq!(processes(&bench.folder.path().display().to_string()), Vec::<i32>::new());
}

#[tokio::test]
async fn three_turns_are_one_session_and_every_edit_is_done() {
    let model = Model::start([
        patch("*** Add File: app.py\n+def add(a, b):\n+    return a + b\n"),
        text("Done with one."),
        bash("printf 'x = 1\\n' > other.py && python3 -c 'print(6 * 7)'"),
        text("Done with two."),
        patch("*** Update File: app.py\n@@\n-def add(a, b):\n+def plus(a, b):\n     return a + b\n*** Delete File: other.py\n"),
        text("Done with three."),
    ])
    .await;
    let mut bench = Bench::new(&model.base, &[]);
    let mut session = bench.codex().await;
    let says = ["TURN 1: write add.", "TURN 2: try it.", "TURN 3: call it plus."];
    for (index, said) in says.iter().enumerate() {
        let end = session.say(index + 1, said, &bench.limits).await;
        assert_eq!(end.ending, Ending::Answered, "{}", bench.log(index + 1));
        assert_eq!(end.warnings, Vec::<String>::new());
        assert_eq!(session.settle().await, killed(0));
        nothing_runs(&bench);
    }
    assert_eq!(session.close().await, (Exit::Code(0), killed(0)));
    assert_eq!(bench.read("app.py"), "def plus(a, b):\n    return a + b\n");
    assert!(!bench.exists("other.py"));

    let requests = model.requests();
    assert_eq!(requests.len(), 6);
    assert_eq!(
        user_texts(&requests[5]),
        says,
        "the last request holds all that was said"
    );
    assert!(requests[5].to_string().contains("Done with one."));
    assert!(requests[3].to_string().contains("42"), "a command ran: {}", requests[3]);
    for request in &requests {
        assert_eq!(request["model"], "scripted");
        assert_eq!(request["prompt_cache_key"], requests[0]["prompt_cache_key"]);
        assert_eq!(request.get("temperature"), None);
        let tools: Vec<_> = request["tools"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tool| &tool["name"])
            .collect();
        assert_eq!(tools, ["shell", "view_image"], "no search of the web");
    }
    assert_eq!(rollouts(&bench).len(), 1, "{:?}", rollouts(&bench));
}

#[tokio::test]
async fn the_effort_is_the_papers_or_the_one_asked_for() {
    for (asked, sent) in [(None, "low"), (Some("high"), "high")] {
        let model = Model::start([]).await;
        let mut bench = Bench::new(&model.base, &[]);
        bench.stage.model.accepts_reasoning_effort = true;
        bench.stage.options.reasoning_effort = asked.map(str::to_owned);
        let mut session = bench.codex().await;
        let end = session.say(1, "Say ok.", &bench.limits).await;
        assert_eq!(end.ending, Ending::Answered, "{}", bench.log(1));
        session.close().await;
        let expected = serde_json::json!({"effort": sent, "summary": "auto"});
        assert_eq!(model.requests()[0]["reasoning"], expected);
    }
}

#[tokio::test]
async fn prompts_arrive_as_they_are() {
    let long = "ä long line — 日本\n".repeat(20_000);
    let prompts = [
        "--help",
        "/quit",
        "-",
        "$(touch x) `id` 'q' \"\\\r\n\t\u{1b}[0m\n\n",
        &long,
    ];
    let model = Model::start([]).await;
    let mut bench = Bench::new(&model.base, &[]);
    let mut session = bench.codex().await;
    for (index, prompt) in prompts.iter().enumerate() {
        let end = session.say(index + 1, prompt, &bench.limits).await;
        assert_eq!(end.ending, Ending::Answered, "{}", bench.log(index + 1));
    }
    session.close().await;
    assert_eq!(user_texts(model.requests().last().unwrap()), prompts);
    assert!(!bench.exists("x"));
}

#[tokio::test]
async fn every_failure_is_told_although_codex_leaves_with_status_0() {
    let cut = || Reply::Cut(vec![say("half")]);
    let cases = [
        (Reply::Status(401), Failure::Authentication),
        (Reply::Status(429), Failure::RateLimit),
        (Reply::Status(400), Failure::ProviderError),
        (Reply::Status(500), Failure::ProviderError),
        (cut(), Failure::ProviderError),
        (Reply::Failed("server_error"), Failure::ProviderError),
        (Reply::Failed("context_length_exceeded"), Failure::TokenLimit),
        (Reply::Items(Vec::new()), Failure::EmptyAnswer),
    ];
    for (reply, expected) in cases {
        let told = format!("{reply:?}");
        let model = Model::start([reply]).await;
        let mut bench = Bench::new(&model.base, &[]);
        let mut session = bench.codex().await;
        let end = session.say(1, "Do it.", &bench.limits).await;
        assert_eq!(
            failure(&end.ending),
            Some(expected),
            "{told}: {:?} {}",
            end.ending,
            bench.log(1)
        );
        assert_eq!(model.requests().len(), 1, "{told}: the gateway retries, not the agent");
        if end.ending.allows_next_turn() {
            let end = session.say(2, "Go on.", &bench.limits).await;
            assert_eq!(end.ending, Ending::Answered, "{told}: {}", bench.log(2));
            assert_eq!(user_texts(model.requests().last().unwrap()), ["Do it.", "Go on."]);
        }
        assert_eq!(session.close().await, (Exit::Code(0), killed(0)));
    }
    // Nobody there at all.
    let mut bench = Bench::new("http://127.0.0.1:9/v1", &[]);
    let mut session = bench.codex().await;
    let end = session.say(1, "Do it.", &bench.limits).await;
    assert_eq!(failure(&end.ending), Some(Failure::ProviderError), "{:?}", end.ending);
}

#[tokio::test]
async fn a_session_that_is_lost_is_not_taken_for_the_conversation() {
    let model = Model::start([]).await;
    let mut bench = Bench::new(&model.base, &[]);
    let mut session = bench.codex().await;
    let end = session.say(1, "One.", &bench.limits).await;
    assert_eq!(end.ending, Ending::Answered, "{}", bench.log(1));
    let [rollout] = rollouts(&bench).try_into().unwrap();
    std::fs::remove_file(rollout).unwrap();
    // Codex finds no session of the name, begins another one and leaves with status 0.
    let end = session.say(2, "Two.", &bench.limits).await;
    assert_eq!(user_texts(model.requests().last().unwrap()), ["Two."]);
    assert_eq!(failure(&end.ending), Some(Failure::SessionLost), "{:?}", end.ending);
    assert!(!end.ending.allows_next_turn());
    let end = session.say(3, "Three.", &bench.limits).await;
    assert_eq!(end.ending, Ending::NotReached);
    assert_eq!(model.requests().len(), 2);
}

#[tokio::test]
async fn a_child_that_holds_the_output_ends_the_turn_by_its_limit() {
    let model = Model::start([bash("sleep 4711 & echo started")]).await;
    let mut bench = Bench::new(&model.base, &[]);
    bench.limits.quiet_seconds = 3.0;
    let mut session = bench.codex().await;
    let began = Instant::now();
    let end = session.say(1, "Start a server.", &bench.limits).await;
    assert_eq!(end.ending, Ending::TimedOut { limit: Limit::Quiet }, "{}", bench.log(1));
    assert!(began.elapsed() < Duration::from_secs(30));
    assert_eq!(session.settle().await.left, 0);
    assert_eq!(processes("sleep 4711"), Vec::<i32>::new());
    nothing_runs(&bench);
    let end = session.say(2, "Go on.", &bench.limits).await;
    assert_eq!(end.ending, Ending::NotReached);
    assert_eq!(session.close().await.0, Exit::Killed);
}

#[tokio::test]
async fn what_a_turn_leaves_running_is_killed_before_the_snapshot_and_counted() {
    let model = Model::start([
        bash("sleep 4712 >/dev/null 2>&1 &"),
        text("It runs."),
        bash("setsid sleep 4713 >/dev/null 2>&1 &"),
        text("It runs elsewhere."),
    ])
    .await;
    let mut bench = Bench::new(&model.base, &[]);
    let mut session = bench.codex().await;
    for (turn, name) in [(1, "sleep 4712"), (2, "sleep 4713")] {
        let end = session.say(turn, "Start a server.", &bench.limits).await;
        assert_eq!(end.ending, Ending::Answered, "{}", bench.log(turn));
        assert_eq!(session.settle().await, killed(1), "{name}");
        assert_eq!(processes(name), Vec::<i32>::new());
        nothing_runs(&bench);
    }
    assert_eq!(session.close().await, (Exit::Code(0), killed(0)));
}

#[tokio::test]
async fn a_patch_that_does_not_fit_is_the_models_to_mend() {
    let model = Model::start([
        patch("*** Update File: app.py\n@@\n-no such line\n+y = 2\n"),
        text("It did not work."),
    ])
    .await;
    let mut bench = Bench::new(&model.base, &[("app.py", "x = 1\n")]);
    let mut session = bench.codex().await;
    let end = session.say(1, "Change it.", &bench.limits).await;
    assert_eq!(end.ending, Ending::Answered, "{}", bench.log(1));
    assert!(
        model.last_output().contains("Failed to find expected lines"),
        "{}",
        model.last_output()
    );
    assert_eq!(bench.read("app.py"), "x = 1\n");
}

#[tokio::test]
async fn commands_write_to_the_workspace_and_nowhere_else() {
    let outside = tempfile::tempdir().unwrap();
    let file = outside.path().join("file").display().to_string();
    let code = format!("import tempfile; open('in.txt', 'w').write(tempfile.gettempdir()); open('{file}', 'w')");
    let model = Model::start([Reply::Items(vec![shell(&["python3", "-c", &code])])]).await;
    let mut bench = Bench::new(&model.base, &[]);
    let mut session = bench.codex().await;
    let end = session.say(1, "Write.", &bench.limits).await;
    assert_eq!(end.ending, Ending::Answered, "{}", bench.log(1));
    assert!(
        model.last_output().contains("PermissionError"),
        "{}",
        model.last_output()
    );
    let tmp = bench.stage.tmp.canonicalize().unwrap();
    assert_eq!(bench.read("in.txt"), tmp.display().to_string());
    assert!(!PathBuf::from(file).exists());
}

#[tokio::test]
async fn a_turn_that_is_interrupted_leaves_nothing_running() {
    let model = Model::start([Reply::Hang(600.0)]).await;
    let mut bench = Bench::new(&model.base, &[]);
    let mut session = bench.codex().await;
    let cancel = bench.stage.cancel.clone();
    let asked = model.clone();
    tokio::spawn(async move {
        while asked.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        cancel.cancel();
    });
    let end = session.say(1, "Wait.", &bench.limits).await;
    assert_eq!(end.ending, Ending::Cancelled);
    assert_eq!(session.settle().await, killed(0));
    nothing_runs(&bench);
    assert_eq!(session.close().await.0, Exit::Killed);
}
