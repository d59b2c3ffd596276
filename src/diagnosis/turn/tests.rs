use super::*;
use crate::diagnosis::SignsSource;
use crate::gateway::dialect::Dialect;
use crate::transcript::CallError;
use crate::trial::{Answer, Drift};

fn exchange(call: u64, new: Vec<Part>, answer: Vec<Part>) -> Exchange {
    Exchange {
        call,
        dialect: Dialect::OpenaiChat,
        model: "m".to_owned(),
        status: 200,
        seconds: 1.0,
        tokens: None,
        cost: None,
        tools: None,
        new,
        answer,
        finish: Some("stop".to_owned()),
        failure: None,
    }
}

fn text(speaker: &str, text: &str) -> Part {
    Part::Text {
        speaker: speaker.to_owned(),
        text: text.to_owned(),
    }
}

fn says(call: u64, answer: &str) -> Exchange {
    exchange(call, Vec::new(), vec![text("assistant", answer)])
}

fn calls(call: u64, tool: &str, arguments: &str) -> Exchange {
    let part = Part::Call {
        id: "c".to_owned(),
        tool: tool.to_owned(),
        arguments: arguments.to_owned(),
    };
    exchange(call, Vec::new(), vec![part])
}

fn told(call: u64, result: &str, is_error: bool) -> Exchange {
    let part = Part::Result {
        id: "c".to_owned(),
        tool: "shell".to_owned(),
        text: result.to_owned(),
        is_error,
    };
    exchange(call, vec![part], vec![text("assistant", "Done.")])
}

fn answered() -> TurnRecord {
    TurnRecord {
        ending: Ending::Answered,
        ..TurnRecord::not_reached(1)
    }
}

fn changed() -> TurnRecord {
    TurnRecord {
        drift: Drift {
            modified: vec!["app.py".to_owned()],
            ..Drift::default()
        },
        ..answered()
    }
}

fn ended(ending: Ending) -> TurnRecord {
    TurnRecord { ending, ..changed() }
}

fn failed(failure: Failure, record: TurnRecord) -> TurnRecord {
    let detail = "as it said".to_owned();
    let ending = Ending::Failed { failure, detail };
    TurnRecord { ending, ..record }
}

/// The signs that come with the program for an agent.
fn agent(name: &str) -> Signs {
    Signs::compile(name, SignsSource::default()).unwrap()
}

/// Kinds and their evidence. `own`: signs of a recipe.
fn found(own: &str, record: &TurnRecord, more: bool, traffic: &[Exchange]) -> Vec<(FindingKind, String)> {
    let own: SignsSource = crate::yaml::read("own", own).unwrap();
    look(&Signs::compile("any", own).unwrap(), record, more, traffic)
}

fn look(signs: &Signs, record: &TurnRecord, more_to_come: bool, traffic: &[Exchange]) -> Vec<(FindingKind, String)> {
    let mut watch = Watch::new(signs);
    traffic.iter().for_each(|exchange| watch.exchange(exchange));
    let structure = Structure {
        files: ["app.py".to_owned()].into(),
    };
    let findings = watch.finish(&TurnFacts {
        record,
        more_to_come,
        structure: &structure,
        empty: &[],
    });
    let each = |finding: Finding| finding.evidence.into_iter().map(move |text| (finding.kind, text));
    findings.into_iter().flat_map(each).collect()
}

fn kinds(record: &TurnRecord, traffic: &[Exchange]) -> Vec<FindingKind> {
    found("{}", record, true, traffic)
        .into_iter()
        .map(|(kind, _)| kind)
        .collect()
}

#[test]
fn an_ordinary_turn_has_no_findings() {
    assert_eq!(
        kinds(
            &changed(),
            &[calls(1, "shell", "{\"command\":[\"ls\"]}"), told(2, "app.py", false)]
        ),
        []
    );
    assert_eq!(kinds(&answered(), &[says(1, "Nothing had to be done.")]), []);
}

#[test]
fn an_early_end_is_one_only_where_turns_follow() {
    let early = TurnRecord {
        finished_early: true,
        ..changed()
    };
    assert_eq!(kinds(&early, &[]), [FindingKind::EarlyTermination]);
    assert_eq!(found("{}", &early, false, &[]), []);
    let left = ended(Ending::AgentExited { code: 0 });
    assert_eq!(kinds(&left, &[]), [FindingKind::EarlyTermination]);
    assert_eq!(found("{}", &left, false, &[]), []);
    assert_eq!(kinds(&ended(Ending::AgentExited { code: -9 }), &[]), []);
}

#[test]
fn limits_of_time_are_timeouts_and_others_are_not() {
    for limit in [
        Limit::Turn,
        Limit::Session,
        Limit::Quiet,
        Limit::Trial,
        Limit::AgentTurn,
    ] {
        assert_eq!(kinds(&ended(Ending::TimedOut { limit }), &[]), [FindingKind::Timeout]);
    }
    for limit in [Limit::Disk, Limit::Answers] {
        assert_eq!(kinds(&ended(Ending::TimedOut { limit }), &[]), []);
    }
}

#[test]
fn a_question_counts_only_as_the_last_word_of_a_turn_that_changed_nothing() {
    let question = "Which of the two do you want?";
    assert_eq!(
        found("{}", &answered(), true, &[says(3, question)]),
        [(FindingKind::AskedForClarification, format!("call 3: {question}"))]
    );
    assert_eq!(kinds(&changed(), &[says(1, question)]), []);
    assert_eq!(
        kinds(&answered(), &[says(1, question), says(2, "I take the first.")]),
        []
    );
    assert_eq!(
        kinds(&ended(Ending::TimedOut { limit: Limit::Disk }), &[says(1, question)]),
        []
    );
    // It asks, and goes on by itself.
    let mut goes_on = calls(1, "shell", "{}");
    goes_on.answer.insert(0, text("assistant", question));
    assert_eq!(kinds(&answered(), &[goes_on]), []);
    // A call that failed said nothing.
    let mut cut = says(1, question);
    cut.failure = Some(CallError {
        kind: "cut".to_owned(),
        message: String::new(),
    });
    assert_eq!(kinds(&answered(), &[cut]), []);
}

#[test]
fn the_last_word_may_be_that_of_a_closing_tool() {
    let finish = calls(1, "finish", "{\"message\": \"Should I use Flask?\"}");
    let own = "{closing_tools: {finish: message}}";
    assert_eq!(
        found(own, &answered(), true, std::slice::from_ref(&finish))[0].0,
        FindingKind::AskedForClarification
    );
    assert_eq!(found("{}", &answered(), true, &[finish]), []);
}

#[test]
fn refusals_are_told_from_words_or_by_the_dialect() {
    let words = "I'm sorry, but I can't help with that. Would you like me to write a safe version?";
    assert_eq!(
        found("{}", &answered(), true, &[says(2, words)]),
        [(FindingKind::Refusal, "call 2: I'm sorry, but I can't".to_owned())]
    );
    let part = Part::Refusal { text: "No.".to_owned() };
    let declined = exchange(1, Vec::new(), vec![part]);
    assert_eq!(
        kinds(&answered(), std::slice::from_ref(&declined)),
        [FindingKind::Refusal]
    );
    assert_eq!(kinds(&changed(), &[declined]), []);
    let mut filtered = exchange(1, Vec::new(), Vec::new());
    filtered.finish = Some("content_filter".to_owned());
    assert_eq!(
        kinds(&failed(Failure::EmptyAnswer, answered()), &[filtered]),
        [FindingKind::Refusal]
    );
    assert_eq!(kinds(&changed(), &[says(1, words)]), []);
}

#[test]
fn edits_that_failed_are_told_from_the_end_and_from_the_traffic() {
    let malformed = "app.py\n```python\n<<<<<<< SEARCH\nx\n```\nShould I go on?";
    assert_eq!(
        kinds(&failed(Failure::EditFormat, answered()), &[says(1, malformed)]),
        [FindingKind::EditFailedToApply]
    );
    // An answer without any edit is no edit that failed.
    let refusal = "I cannot help with that.";
    assert_eq!(
        kinds(&failed(Failure::EditFormat, answered()), &[says(1, refusal)]),
        [FindingKind::Refusal]
    );
    assert_eq!(
        kinds(&failed(Failure::ReflectionsExhausted, changed()), &[]),
        [FindingKind::ReflectionsExhausted]
    );
    assert_eq!(kinds(&failed(Failure::TokenLimit, changed()), &[]), []);
}

#[test]
fn aider_tells_its_model_of_edits_that_failed() {
    let signs = &agent("aider");
    let reflected = |message: &str| {
        let exchange = exchange(2, vec![text("user", message)], vec![text("assistant", "ok")]);
        look(signs, &changed(), true, &[exchange])
    };
    for message in [
        "# 1 SEARCH/REPLACE block failed to match!\n\n## SearchReplaceNoExactMatch: …",
        "UnifiedDiffNoMatch: hunk failed to apply!\n\napp.py does not contain…",
        "app.py\n```\n<<<<<<< SEARCH\n^^^ Expected `>>>>>>> REPLACE` or `=======`",
    ] {
        assert_eq!(reflected(message)[0].0, FindingKind::EditFailedToApply, "{message}");
    }
    for message in [
        "Write `f`: it tells that 1 SEARCH/REPLACE block failed to match!",
        "# Fix any errors below, if possible.",
    ] {
        assert_eq!(reflected(message), [], "{message}");
    }
    // What the model says itself is nothing that it was told.
    let own = says(1, "# 1 SEARCH/REPLACE block failed to match!");
    assert_eq!(look(signs, &changed(), true, &[own]), []);
}

#[test]
fn tool_errors_are_told_by_the_dialect_or_by_a_recipe() {
    let own = "{tool_errors: [{in: result, text: '^unsupported call: '}, {in: message, text: 'is not registered'}]}";
    let error = (
        FindingKind::ToolError,
        "call 2: unsupported call: frobnicate".to_owned(),
    );
    assert_eq!(
        found(
            own,
            &changed(),
            true,
            &[told(2, "unsupported call: frobnicate\nmore", false)]
        ),
        [error]
    );
    assert_eq!(
        found(own, &changed(), true, &[told(2, "cat log: unsupported call: x", false)]),
        []
    );
    assert_eq!(
        found(own, &changed(), true, &[told(2, "Tool x is not registered", false)]),
        []
    );
    let message = exchange(1, vec![text("user", "Tool x is not registered.")], Vec::new());
    assert_eq!(found(own, &changed(), true, &[message])[0].0, FindingKind::ToolError);
    let by_dialect = (FindingKind::ToolError, "call 1: shell: no".to_owned());
    assert_eq!(found("{}", &changed(), true, &[told(1, "no", true)]), [by_dialect]);
    assert_eq!(
        kinds(
            &changed(),
            &[told(1, "{\"output\":\"Error\",\"metadata\":{\"exit_code\":1}}", false)]
        ),
        []
    );
}

#[test]
fn addresses_are_told_from_calls_and_from_the_agents_questions() {
    let call = calls(4, "shell", "{\"command\":[\"bash\",\"-lc\",\"curl https://a.b/c\"]}");
    let url = (FindingKind::UrlScrapingAttempted, "call 4: https://a.b/c".to_owned());
    assert_eq!(found("{}", &changed(), true, &[call]), [url]);
    let asked = |question: &str, subject: &str| {
        let answer = Answer {
            question: question.to_owned(),
            subject: subject.to_owned(),
            answer: "n".to_owned(),
            rule: None,
        };
        let record = TurnRecord {
            answers: vec![answer],
            ..changed()
        };
        let signs = &agent("aider");
        look(signs, &record, true, &[])
            .into_iter()
            .map(|(kind, _)| kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        asked("Add URL to the chat?", "https://a.b"),
        [FindingKind::UrlScrapingAttempted]
    );
    assert_eq!(
        asked("Run shell commands?", "ls\nwget https://a.b"),
        [FindingKind::UrlScrapingAttempted]
    );
    assert_eq!(asked("Run shell command?", "curl localhost:5000"), []);
    assert_eq!(asked("Open URL for more info?", "https://aider.chat/docs"), []);
}

#[test]
fn files_are_told_from_the_drift_and_the_tree() {
    let signs = Signs::compile("any", SignsSource::default()).unwrap();
    let mut record = answered();
    record.drift.created = vec!["test.py".to_owned()];
    let structure = Structure {
        files: ["app.py".to_owned()].into(),
    };
    let findings = Watch::new(&signs).finish(&TurnFacts {
        record: &record,
        more_to_come: false,
        structure: &structure,
        empty: &["app.py".to_owned(), "other.py".to_owned()],
    });
    let shown: Vec<_> = findings
        .iter()
        .map(|finding| (finding.kind, finding.evidence[0].as_str()))
        .collect();
    assert_eq!(
        shown,
        [
            (FindingKind::UnauthorisedFileOperation, "created test.py"),
            (FindingKind::ExpectedFileLeftEmpty, "app.py"),
        ]
    );
}

/// Kinds that a result, or a message of the user, shows to an agent's signs.
fn shown(name: &str, place: Where, words: &str) -> Vec<FindingKind> {
    let exchange = match place {
        Where::Result => told(2, words, false),
        Where::Message => exchange(2, vec![text("user", words)], vec![text("assistant", "ok")]),
    };
    look(&agent(name), &changed(), true, &[exchange])
        .into_iter()
        .map(|(kind, _)| kind)
        .collect()
}

#[test]
fn codex_tells_its_model_of_errors() {
    use FindingKind::{EditFailedToApply, ToolError};
    for (words, kinds) in [
        (
            "failed to parse function arguments: EOF while parsing a list at line 1 column 17",
            &[ToolError][..],
        ),
        ("unsupported call: frobnicate", &[ToolError]),
        ("execution error: Argument list too long (os error 7)", &[ToolError]),
        (
            "error: Failed to find expected lines in /w/app.py:\nno such line",
            &[ToolError, EditFailedToApply],
        ),
        (
            "{\"output\":\"Failed to find expected lines in app.py\",\"metadata\":{\"exit_code\":1}}",
            &[ToolError, EditFailedToApply],
        ),
        (
            "patch rejected: writing outside of the project; rejected by user approval settings",
            &[ToolError, EditFailedToApply],
        ),
    ] {
        assert_eq!(shown("codex", Where::Result, words), kinds, "{words}");
    }
    for words in [
        "{\"output\":\"Success. Updated the following files:\\nA app.py\\n\",\"metadata\":{\"exit_code\":0,\"duration_seconds\":0.0}}",
        "{\"output\":\"AssertionError\\n\",\"metadata\":{\"exit_code\":1,\"duration_seconds\":0.1}}",
        "failed in sandbox LinuxSeccomp with execution error: sandbox denied exec error, exit code: 1, stdout: , stderr: 1 failed",
        "{\"output\":\"# tests: Failed to find expected lines\",\"metadata\":{\"exit_code\":0}}",
    ] {
        assert_eq!(shown("codex", Where::Result, words), [], "{words}");
    }
}

#[test]
fn openhands_tells_its_model_of_errors() {
    use FindingKind::{EditFailedToApply, ToolError};
    let result = |words: &str| shown("openhands", Where::Result, words);
    assert_eq!(
        result("ERROR:\nParameter `file_text` is required for command: create."),
        [ToolError]
    );
    assert_eq!(
        result("ERROR:\nNo replacement was performed, old_str `x` did not appear verbatim in /w/app.py."),
        [ToolError, EditFailedToApply]
    );
    assert_eq!(
        result("ERROR: Could not find a version that satisfies the requirement x\n"),
        []
    );
    assert_eq!(result("2 failed\nERROR:\nsomething"), []);
    assert_eq!(result("The file /w/app.py has been edited."), []);
    let message = |words: &str| shown("openhands", Where::Message, words);
    for words in [
        "Failed to parse tool call arguments: {\"command\": \n[Error occurred in processing last action]",
        "Tool frobnicate is not registered. (arguments: {}). Please check the tool name and retry with an existing tool.\n[Error occurred in processing last action]",
    ] {
        assert_eq!(message(words), [ToolError], "{words}");
    }
    assert_eq!(
        message("Write a function that tells whether a user is not registered."),
        []
    );
}
