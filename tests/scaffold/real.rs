//! The real Aider 0.82.1.

use std::time::{Duration, Instant};

use mtsec_agents::plan::EditFormat;
use mtsec_agents::process::Bare;
use mtsec_agents::scaffold::{Exit, Refusal, driver};
use mtsec_agents::trial::{Ending, Failure, Limit};
use std::sync::Arc;

use crate::bench::{Bench, GUARD, aider, appears, edit, killed, processes, program};
use crate::model::{Model, Reply, text};

const EMPTY: &[(&str, &str)] = &[("app.py", "")];

fn failure(ending: &Ending) -> Option<Failure> {
    match ending {
        Ending::Failed { failure, .. } => Some(*failure),
        _ => None,
    }
}

async fn three_turns(format: EditFormat) {
    let steps = [
        "def f():\n    return 1\n",
        "def f():\n    return 2\n",
        "def g():\n    return 3\n",
    ];
    let mut old = "";
    let mut replies = Vec::new();
    for new in steps {
        replies.push(text(edit(format, "app.py", old, new)));
        old = new;
    }
    let model = Model::start(replies).await;
    let bench = Bench::new(&model.base, EMPTY).format(format);
    let mut session = bench.aider().await;
    for (index, step) in steps.iter().enumerate() {
        let prompt = format!("Step {index}:\n```python\ndef f():\n\treturn {{}}\n```\n");
        let end = session.say(index + 1, &prompt, &bench.limits).await;
        assert_eq!(
            (end.ending, end.answers.as_slice()),
            (Ending::Answered, &[][..]),
            "{:?}",
            end.warnings
        );
        assert_eq!(bench.read("app.py"), *step, "{format}, turn {index}");
        assert!(
            model.last_user_message().starts_with(&prompt),
            "{}",
            model.last_user_message()
        );
        assert_eq!(session.settle().await, killed(0));
    }
    assert_eq!(model.requests().len(), 3);
    assert_eq!(model.requests()[2]["temperature"], 0.0);
    assert_eq!(session.close().await, (Exit::Code(0), killed(0)));
    let files: Vec<_> = std::fs::read_dir(&bench.stage.workspace)
        .unwrap()
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert_eq!(files, ["app.py"], "nothing but the agent's edits");
    for turn in 0..=3 {
        let cast = std::fs::read_to_string(bench.stage.logs.join(format!("turns/{turn}/session.cast"))).unwrap();
        assert!(
            cast.starts_with("{\"version\":2,") && cast.lines().count() > 1,
            "{cast}"
        );
    }
    assert!(processes(&bench.folder.path().display().to_string()).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_turns_in_one_process_with_diff() {
    three_turns(EditFormat::Diff).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_turns_in_one_process_with_udiff() {
    three_turns(EditFormat::Udiff).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_turns_in_one_process_with_whole() {
    three_turns(EditFormat::Whole).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prompts_arrive_byte_for_byte() {
    let long = "x".repeat(5000);
    let controls: String = (1..32u8)
        .chain([127])
        .map(|byte| format!("a{}b", char::from(byte)))
        .collect();
    let prompts = [
        "plain".to_owned(),
        "/etc/passwd is read by this function\nsecond line".into(),
        "!important: do not run `touch ran`".into(),
        "/exit".into(),
        "!touch ran".into(),
        "\n\n  leading blank lines\n\n".into(),
        "\n/exit\n".into(),
        " /exit".into(),
        "\t!touch ran\n".into(),
        format!("{long}\n{long}{long}\nend"),
        "```python\nx = {\n    'a': 1,\n}\n```\n".into(),
        "{\n}\n{TAG\nTAG}\n{ABC\nABC}\n}".into(),
        "{".into(),
        "{A".into(),
        "carriage\r\nreturns\rinside\r".into(),
        format!("controls {controls} end"),
        "separators \u{2028} \u{2029} \u{85} \u{a0} \u{feff} inside".into(),
        "unicode: é 漢字 🦀 \u{200b}\u{202e}abc".into(),
        "\u{feff}first is a byte order mark".into(),
        "quotes \" \\ \\n ' ` $HOME %s {{ jinja }} {% if %} &lt; </script>".into(),
        "see https://example.com/x and app.py".into(),
        "   \n".into(),
        "\u{3}\u{4}\u{1a}\u{1c}".into(),
        "many\nlines\n".repeat(2000),
    ];
    let model = Model::start([]).await;
    model.guard(GUARD);
    let bench = Bench::new(&model.base, EMPTY).format(EditFormat::Udiff);
    let mut session = bench.aider().await;
    for (index, prompt) in prompts.iter().enumerate() {
        let end = session.say(index + 1, prompt, &bench.limits).await;
        assert_eq!(end.ending, Ending::Answered, "{prompt:?}");
        assert_eq!(model.requests().len(), index + 1, "one request for {prompt:?}");
        let arrived = model.last_user_message();
        let line_end = if prompt.ends_with('\n') { "" } else { "\n" };
        let expected = format!("{prompt}{line_end}");
        let rest = arrived.strip_prefix(&expected);
        assert!(
            rest.is_some(),
            "{prompt:?} arrived as {:?}",
            arrived.chars().take(200).collect::<String>()
        );
        assert!(
            rest.unwrap().starts_with("\n\n#"),
            "only the agent's reminder follows: {rest:?}"
        );
    }
    assert!(!bench.exists("ran"));
    let (recipe, installed) = aider();
    let scaffold = driver(recipe, installed, program(), Arc::new(Bare));
    assert_eq!(scaffold.carries(""), Err(Refusal::Empty));
    assert_eq!(scaffold.carries("a\0b"), Err(Refusal::Nul));
    assert_eq!(session.close().await, (Exit::Code(0), killed(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_are_answered_as_the_recipe_says() {
    let format = EditFormat::Diff;
    let shell = |command: &str| text(format!("Run:\n\n```bash\n{command}\n```\n"));
    let model = Model::start([
        // 1: a command; its output joins the chat. It ends late: what Aider has not read when a command ends, it drops.
        shell("echo hello > ran.txt; echo seen; sleep 1"),
        // 2 to 5: files outside, by three ways, and one inside.
        text(edit(format, "../escape.py", "", "x = 1\n")),
        text(edit(format, "/tmp/mtsec-escape-test.py", "", "x = 1\n")),
        text(edit(format, "link/escape.py", "", "x = 1\n")),
        text(edit(format, "sub/inside.py", "", "x = 1\n")),
        // 6: an undefined name is found by the linter, and mended.
        text(edit(format, "app.py", "", "def f():\n    return undefined_name\n")),
        text(edit(format, "app.py", "    return undefined_name\n", "    return 1\n")),
        // 7: a daemon in a session of its own.
        shell("setsid sleep 987654 >/dev/null 2>&1 < /dev/null & sleep 0.1"),
        // 8: a command that waits for input.
        shell("read line; echo got $line > got.txt"),
    ])
    .await;
    let bench = Bench::new(&model.base, EMPTY).format(format);
    std::os::unix::fs::symlink(bench.folder.path(), bench.stage.workspace.join("link")).unwrap();
    let (recipe, installed) = aider();
    let recipe = mtsec_agents::recipe::Recipe::parse(
        "test.yaml",
        &include_str!("../../scaffolds/aider.yaml").replace("\n      seconds: 60\n", "\n      seconds: 5\n"),
    )
    .map(|quick| {
        (quick.source.version == recipe.source.version)
            .then_some(quick)
            .unwrap()
    })
    .unwrap();
    let scaffold = driver(recipe.into(), installed, program(), Arc::new(Bare));
    let mut session = scaffold.open(&bench.stage, &bench.limits).await.unwrap();
    let mut turn = 0;
    macro_rules! say {
        () => {{
            turn += 1;
            let end = session.say(turn, "go on\n", &bench.limits).await;
            assert!(end.warnings.is_empty(), "{:?}", end.warnings);
            let told: Vec<_> = end
                .answers
                .iter()
                .map(|a| (a.rule.clone().unwrap(), a.subject.clone(), a.answer.clone()))
                .collect();
            (end.ending, told)
        }};
    }
    let (ending, told) = say!();
    assert_eq!(ending, Ending::Answered);
    assert_eq!(
        told[0],
        (
            "shell command".into(),
            "echo hello > ran.txt; echo seen; sleep 1".into(),
            "y".into()
        )
    );
    assert!(told.len() > 1, "{}", bench.log(1));
    assert_eq!(told[1].0, "command output");
    assert_eq!(bench.read("ran.txt"), "hello\n");

    for path in ["../escape.py", "/tmp/mtsec-escape-test.py", "link/escape.py"] {
        let (ending, told) = say!();
        assert_eq!(
            told,
            [("new file".to_owned(), path.to_owned(), "n".to_owned())],
            "{ending:?}"
        );
        assert!(!bench.exists(path), "{path}");
    }
    let messages = model.requests()[1].to_string();
    assert!(messages.contains("seen"), "the command's output is in the next request");
    let (_, told) = say!();
    assert_eq!(
        told,
        [("new file".to_owned(), "sub/inside.py".to_owned(), "y".to_owned())]
    );
    assert!(bench.exists("sub/inside.py"));

    let (ending, told) = say!();
    assert_eq!((ending, told[0].0.as_str()), (Ending::Answered, "fix errors"));
    assert!(bench.read("app.py").contains("return 1"));

    let (_, told) = say!();
    assert_eq!(told[0].2, "y");
    appears("sleep 987654").await;
    assert_eq!(session.settle().await, killed(1), "the daemon is killed and counted");
    assert!(processes("sleep 987654").is_empty());

    let before = Instant::now();
    let (ending, told) = say!();
    assert_eq!((ending, told[0].0.as_str()), (Ending::Answered, "shell command"));
    assert!(before.elapsed() < Duration::from_secs(40));
    assert!(!bench.exists("got.txt"));
    assert_eq!(session.close().await.0, Exit::Code(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shell_commands_and_linting_can_be_switched_off() {
    let broken = edit(EditFormat::Diff, "app.py", "", "def f():\n    return undefined_name\n");
    let model = Model::start([text(format!("{broken}\n```bash\ntouch ran\n```\n"))]).await;
    let mut bench = Bench::new(&model.base, EMPTY);
    bench.stage.options.no_shell_commands = true;
    bench.stage.options.no_lint = true;
    let mut session = bench.aider().await;
    let end = session.say(1, "go", &bench.limits).await;
    assert_eq!((end.ending, end.answers), (Ending::Answered, vec![]));
    assert!(bench.read("app.py").contains("undefined_name") && !bench.exists("ran"));

    for status in [500, 500, 500] {
        model.then(Reply::Status(status));
    }
    let end = session.say(2, "go", &bench.limits).await;
    assert_eq!(failure(&end.ending), Some(Failure::ProviderError), "{}", bench.log(2));
    assert_eq!(
        model.requests().len(),
        4,
        "the HTTP client inside does not retry by itself"
    );
    session.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_of_the_model_are_told_apart() {
    let bad = || text("app.py\n```python\n<<<<<<< SEARCH\nnot there\n=======\nx\n>>>>>>> REPLACE\n```\n");
    let model = Model::start([bad(), bad(), bad(), bad()]).await;
    let bench = Bench::new(&model.base, &[("app.py", "def f():\n    return 1\n")]);
    let mut session = bench.aider().await;
    let end = session.say(1, "go", &bench.limits).await;
    assert_eq!(
        failure(&end.ending),
        Some(Failure::ReflectionsExhausted),
        "{}",
        bench.log(1)
    );
    assert_eq!(model.requests().len(), 4);

    model.then(bad());
    model.then(text(edit(
        EditFormat::Diff,
        "app.py",
        "    return 1\n",
        "    return 2\n",
    )));
    let end = session.say(2, "go", &bench.limits).await;
    assert_eq!(end.ending, Ending::Answered, "a mended reply is a good one");

    model.then(Reply::Cut("app.py\n```python\n<<<<<<< SEARCH\n".into()));
    let end = session.say(3, "go", &bench.limits).await;
    assert_eq!(failure(&end.ending), Some(Failure::TokenLimit), "{}", bench.log(3));
    assert!(
        end.warnings.is_empty() && end.answers.iter().all(|answer| answer.answer == "n"),
        "{:?}",
        end.answers
    );

    model.then(text(""));
    let end = session.say(4, "go", &bench.limits).await;
    assert_eq!(failure(&end.ending), Some(Failure::EmptyAnswer), "{}", bench.log(4));

    // A model that only talks of failures has none.
    let talk = "litellm.AuthenticationError: no\nThe LLM did not conform to the edit format.\n\n> \nRetrying in 0.2 seconds...\n";
    model.then(text(format!(
        "{talk}{talk}{talk}{talk}\nCreate new file? (Y)es/(N)o [Yes]: "
    )));
    let end = session.say(5, "go", &bench.limits).await;
    assert_eq!((end.ending, end.answers), (Ending::Answered, vec![]));

    model.then(Reply::Status(401));
    let end = session.say(6, "go", &bench.limits).await;
    assert_eq!(failure(&end.ending), Some(Failure::Authentication), "{}", bench.log(6));

    for _ in 0..3 {
        model.then(Reply::Status(429));
    }
    let before = Instant::now();
    let end = session.say(7, "go", &bench.limits).await;
    assert_eq!(failure(&end.ending), Some(Failure::RateLimit), "{}", bench.log(7));
    assert!(before.elapsed() < Duration::from_secs(30), "{:?}", before.elapsed());
    let end = session.say(8, "go", &bench.limits).await;
    assert_eq!(end.ending, Ending::Answered, "the session goes on");

    // Aider does not expect its own history to be a folder: it catches that, and goes on as if nothing had happened.
    let history = bench.stage.logs.join("agent/llm.txt");
    std::fs::remove_file(&history).unwrap();
    std::fs::create_dir(&history).unwrap();
    let end = session.say(9, "go", &bench.limits).await;
    assert_eq!(failure(&end.ending), Some(Failure::AgentCrashed), "{}", bench.log(9));
    let exit = session.close().await;
    assert_eq!(exit, (Exit::Code(0), killed(0)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_in_folders_keep_their_paths() {
    let files = [("pkg/main.py", "import db\n"), ("pkg/db.py", "x = 1\n")];
    let model = Model::start([text(edit(EditFormat::Diff, "pkg/db.py", "x = 1\n", "x = 2\n"))]).await;
    let mut bench = Bench::new(&model.base, &files);
    bench.stage.model.temperature = None;
    bench.stage.model.accepts_reasoning_effort = true;
    bench.stage.options.reasoning_effort = Some("low".into());
    let mut session = bench.aider().await;
    let end = session.say(1, "change pkg/db.py", &bench.limits).await;
    assert_eq!(
        (end.ending, end.answers),
        (Ending::Answered, vec![]),
        "{}",
        bench.log(1)
    );
    let request = &model.requests()[0];
    assert_eq!(
        (&request["reasoning_effort"], request.get("temperature")),
        (&"low".into(), None)
    );
    assert_eq!(request["model"], "scripted");
    assert_eq!(bench.read("pkg/db.py"), "x = 2\n");
    assert!(!bench.exists("pkg/pkg"));
    // Not its status: after one turn a thread of Aider's may still import, and how Python ends around that is a matter of time.
    assert_eq!(session.close().await.1, killed(0));
    let mut top: Vec<_> = std::fs::read_dir(&bench.stage.workspace)
        .unwrap()
        .flatten()
        .map(|e| e.file_name())
        .collect();
    top.sort();
    assert_eq!(top, [".git", "pkg"]);
    assert!(bench.stage.workspace.join(".git").is_file(), "only a pointer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_model_ends_in_a_limit_or_by_the_user_and_nothing_is_left() {
    let model = Model::start([Reply::Hang(600.0), Reply::Hang(600.0)]).await;
    let mut bench = Bench::new(&model.base, EMPTY);
    let mut session = bench.aider().await;
    bench.limits.turn_seconds = 2.0;
    let end = session.say(1, "go", &bench.limits).await;
    assert_eq!(end.ending, Ending::TimedOut { limit: Limit::Turn });
    assert!(
        processes(&bench.folder.path().display().to_string()).is_empty(),
        "dead when the turn is over"
    );
    assert_eq!(session.say(2, "go", &bench.limits).await.ending, Ending::NotReached);
    assert_eq!(session.close().await, (Exit::Killed, killed(0)));

    let mut bench = Bench::new(&model.base, EMPTY);
    bench.stage.options.repo_map = 1024;
    let mut session = bench.aider().await;
    let cancel = bench.stage.cancel.clone();
    let calls = model.requests().len();
    let watched = model.clone();
    tokio::spawn(async move {
        while watched.requests().len() == calls {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cancel.cancel();
    });
    let end = session.say(1, "go", &bench.limits).await;
    assert_eq!(end.ending, Ending::Cancelled);
    assert_eq!(session.close().await.0, Exit::Killed);
    assert!(processes(&bench.folder.path().display().to_string()).is_empty());
    let start = std::fs::read_to_string(bench.stage.logs.join("turns/0/agent.log")).unwrap();
    assert!(start.contains("Repo-map: using 1024 tokens"), "{start}");
}
