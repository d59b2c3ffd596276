//! What the traffic shows, by signs of any agent.

use super::*;

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
