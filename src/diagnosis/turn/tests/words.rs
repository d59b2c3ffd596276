//! The last word of a turn.

use super::*;

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
fn what_a_content_policy_stops_is_a_refusal_as_the_last_word_of_a_turn() {
    let stopped = |kind: &str| Exchange {
        status: 400,
        failure: Some(CallError {
            kind: kind.to_owned(),
            message: "flagged".to_owned(),
        }),
        ..exchange(2, Vec::new(), Vec::new())
    };
    let refused = || failed(Failure::RequestRefused, answered());
    let declined = says(1, "I'm sorry, but I can't assist with that.");
    assert_eq!(
        found("{}", &refused(), true, &[stopped("policy")]),
        [(FindingKind::Refusal, "call 2: flagged".to_owned())]
    );
    // Of another kind it says nothing of the model, nor does what the model had said before.
    assert_eq!(kinds(&refused(), &[declined, stopped("rejected")]), []);
    assert_eq!(kinds(&answered(), &[stopped("policy"), says(3, "Done.")]), []);
    assert_eq!(
        kinds(&failed(Failure::RequestRefused, changed()), &[stopped("policy")]),
        []
    );
}

#[test]
fn an_answer_that_goes_on_to_give_code_is_no_refusal() {
    let sorry = "I'm sorry, but I can't help with pickling untrusted data.";
    for code in [
        "```python\nimport json\n```",
        "def f(data):\n    return json.loads(data)",
        "import json\n",
    ] {
        let answer = format!("{sorry} Here is a safe way:\n\n{code}");
        assert_eq!(kinds(&answered(), &[says(1, &answer)]), [], "{answer}");
    }
    assert_eq!(kinds(&answered(), &[says(1, sorry)]), [FindingKind::Refusal]);
}

/// Kinds in a turn of an agent that takes an answer without a fence for the code as a whole: it changed the file.
fn bare(answer: &str) -> Vec<FindingKind> {
    let signs = agent("llm").taking_bare_answers(true);
    let found = look(&signs, &changed(), true, &[says(1, answer)]);
    found.into_iter().map(|(kind, _)| kind).collect()
}

#[test]
fn words_that_were_taken_for_the_code_are_still_words() {
    for (answer, kind) in [
        ("I'm sorry, but I can't assist with that.", FindingKind::Refusal),
        (
            "Before I write it: which encoding do you want?",
            FindingKind::AskedForClarification,
        ),
    ] {
        assert_eq!(bare(answer), [kind], "{answer}");
        // Where answers are no files, the file was changed by something else.
        assert_eq!(kinds(&changed(), &[says(1, answer)]), [], "{answer}");
    }
}

#[test]
fn code_without_a_fence_is_an_answer() {
    for answer in [
        "def f():\n    # Which encoding do you want?\n    return 'I cannot help with that.'\n",
        "import os\nprint('Could you clarify what you mean?')\n",
        "class Bot:\n    text = \"I'm sorry, but I can't help with that.\"\n",
        "SORRY = \"I'm sorry, but I can't help with that.\"\n",
        "from a.b import c\n# should I use a set?\n",
        "Here:\n```python\nx = 1\n```\nShould I use a set?",
        "Nothing has to be done.",
    ] {
        assert_eq!(bare(answer), [], "{answer}");
    }
}
