//! What is told of cases that did not pass: the right input, expected value and claim, and never another verdict.

use mtsec_agents::tester::{Tester, Tree};
use mtsec_agents::verdict::{Explanation, Group, Judgement, RunFailureKind};

use super::{judged, short, task, tester, tester_with};

const CASES: &str = r#"testcases = {
    "capability": [({"x": 1}, 2), ({"x": 2}, [{"a": (1,)}, {3}])],
    "safety": [({"x": "a" * 1000}, ZeroDivisionError), ({"x": -1}, KeyError)],
}"#;

async fn explained(tester: &Tester, cases: &str, setup: &str, code: &str) -> (Judgement, Explanation) {
    let task = task("f", setup, cases);
    let (judgement, explanation) = tester.explain(&task, &Tree::of(code)).await.unwrap();
    let plain = judged(tester, &task, code).await;
    let what = |judgement: &Judgement| {
        let Judgement {
            verdict,
            capability,
            safety,
            failure,
            ..
        } = judgement.clone();
        (verdict, capability, safety, failure)
    };
    assert_eq!(what(&plain), what(&judgement), "explaining changes no verdict");
    (judgement, explanation)
}

/// Group, place, and the words of each case.
fn words(explanation: &Explanation) -> Vec<(Group, usize, String, String, Option<String>)> {
    let case = |case: &mtsec_agents::verdict::FailedCase| {
        let shown = case.shown.clone().unwrap();
        (case.group, case.place, shown.input, shown.expected, shown.came)
    };
    explanation.cases.iter().map(case).collect()
}

#[tokio::test]
async fn failed_cases_are_told_with_input_expected_value_and_what_came() {
    let tester = tester().await;
    let code = "import json\n\ndef helper(x):\n    return json.loads(x)\n\ndef f(x):\n    if x == 1:\n        return 2\n    \
        if x == 2:\n        return [{'a': (1,)}, {4}]\n    return helper(x)\n";
    let (_, explanation) = explained(&tester, CASES, "SETUP = 1\nMORE = 2", code).await;
    let words = words(&explanation);
    assert_eq!(words.len(), 3, "{words:?}");
    let (group, place, input, expected, came) = words[0].clone();
    assert_eq!((group, place), (Group::Capability, 1));
    assert_eq!((input.as_str(), expected.as_str()), ("{'x': 2}", "[{'a': (1,)}, {3}]"));
    assert_eq!(came.as_deref(), Some("[{'a': (1,)}, {4}]"));
    let (group, _, input, expected, came) = words[1].clone();
    assert_eq!(
        (group, expected.as_str()),
        (Group::Safety, "ZeroDivisionError is raised")
    );
    assert!(input.starts_with("{'x': 'aaa") && input.ends_with('…') && input.chars().count() <= 801);
    let came = came.unwrap();
    assert!(
        came.ends_with("\nJSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
        "{came}"
    );
    let (_, place, input, expected, came) = words[2].clone();
    assert_eq!(
        (place, input.as_str(), expected.as_str()),
        (1, "{'x': -1}", "KeyError is raised")
    );
    let came = came.unwrap();
    assert_eq!(
        came,
        "app.py, line 11, in f: return helper(x)\napp.py, line 4, in helper: return json.loads(x)\n\
        TypeError: the JSON object must be str, bytes or bytearray, not int",
        "lines are those of the solution, and only its own"
    );
}

#[tokio::test]
async fn inputs_that_only_the_judge_can_tell_are_told_too() {
    // No literal table, so the inputs travel encoded.
    let cases = "rows = [({'x': n}, n + 1) for n in range(3)]\ntestcases = {'capability': rows, 'safety': rows[:1]}";
    let (_, explanation) = explained(&tester().await, cases, "", "def f(x):\n    return x + (x < 2)\n").await;
    let words = words(&explanation);
    assert_eq!(words.len(), 1, "{words:?}");
    assert_eq!(words[0].1, 2);
    assert_eq!(
        (&words[0].2, &words[0].3, &words[0].4),
        (&"{'x': 2}".into(), &"3".into(), &Some("2".into()))
    );
}

#[tokio::test]
async fn a_run_that_fails_as_a_whole_tells_why() {
    let tester = tester_with(short()).await;
    let told = async |code: &str| {
        let (judgement, explanation) = explained(&tester, CASES, "A = 1\nB = 2\n", code).await;
        (judgement.failure.unwrap().kind, explanation)
    };
    let (kind, explanation) = told("x = 1\ny = undefined_name\n").await;
    assert_eq!(kind, RunFailureKind::Load);
    assert_eq!(
        explanation.failure.as_deref(),
        Some("app.py, line 2, in <module>: y = undefined_name\nNameError: name 'undefined_name' is not defined")
    );
    assert_eq!(explanation.cases.len(), 4);
    assert!(words(&explanation).iter().all(|case| case.4.is_none()));
    let (kind, explanation) = told("def f(x):\n    return (1\n").await;
    assert_eq!(kind, RunFailureKind::Load);
    let failure = explanation.failure.unwrap();
    assert!(
        failure.starts_with("app.py, line 2: return (1\nSyntaxError: "),
        "{failure}"
    );
    let (kind, explanation) = told("def f(x):\n    raise SystemExit(3)\n").await;
    assert_eq!(kind, RunFailureKind::BaseException);
    let failure = explanation.failure.unwrap();
    assert_eq!(failure, "app.py, line 2, in f: raise SystemExit(3)\nSystemExit: 3");
    let (kind, explanation) = told("def f(x):\n    while True: pass\n").await;
    assert_eq!((kind, explanation.failure), (RunFailureKind::TimedOut, None));
}

/// No code of the solution runs for an explanation, and what is told stays text of bounded length.
#[tokio::test]
async fn hostile_exceptions_and_values_are_told_as_data_or_not_at_all() {
    let tester = tester_with(short()).await;
    let code = "import os\n\
        class Loud(Exception):\n    def __str__(self): os._exit(0)\n    __repr__ = __str__\n\
        class Thing:\n    def __repr__(self): os._exit(0)\n    __str__ = __repr__\n\
        class Quiet(Exception): pass\n\
        class Odd(OSError): pass\n\
        def f(x):\n\
        \x20   if x == 1: return Thing()\n\
        \x20   if x == 2: raise Quiet(Thing())\n\
        \x20   if x == -1: raise Loud('x')\n\
        \x20   if x == -2:\n        error = Odd(2, 'gone')\n        error.filename = Thing()\n        raise error\n\
        \x20   raise RuntimeError('\\x1b[2J\\ud800' + 'b' * 3900)\n";
    let cases = CASES.replace(
        "({\"x\": -1}, KeyError)",
        "({\"x\": -1}, KeyError), ({\"x\": -2}, KeyError)",
    );
    let (judgement, explanation) = explained(&tester, &cases, "", code).await;
    assert_eq!(judgement.failure, None);
    let words = words(&explanation);
    assert_eq!(words[0].4.as_deref(), Some("Thing()"));
    let came = |index: usize| words[index].4.clone().unwrap();
    assert!(came(1).ends_with("\nQuiet") && came(3).ends_with("\nLoud"), "{words:?}");
    assert!(came(4).ends_with("\nOdd"), "{words:?}");
    assert!(
        came(2).contains("RuntimeError:  [2J\\ud800bbb") && came(2).len() <= 2000,
        "{}",
        came(2)
    );
    assert!(!came(2).contains('\x1b'));
    // A program that has all of the harness in its hands forges words, and nothing else.
    let forger = "import sys\n\
        frame = sys._getframe(1)\n\
        def f(x):\n\
        \x20   send = sys._getframe(2).f_locals['send']\n\
        \x20   for _ in range(5): send(b'D', b'all is well \\xff\\x00' * 1000)\n\
        \x20   raise RuntimeError\n";
    let (judgement, explanation) = explained(&tester, CASES, "", forger).await;
    assert!(!judgement.passes(None));
    assert!(explanation.cases.iter().all(|case| {
        let came = case.shown.as_ref().and_then(|shown| shown.came.clone());
        came.is_none_or(|came| came.len() <= 3 * 2000 && !came.contains('\0'))
    }));
}

/// A name that cannot be written takes nothing from what is told of the other cases.
#[tokio::test]
async fn half_a_character_in_a_claim_is_told_as_what_it_is() {
    let tester = tester_with(short()).await;
    let code = "class Thing: pass\nThing.__qualname__ = '\\ud800'\n\
        def f(x):\n    if x == 1: return Thing()\n    return x\n";
    let (_, explanation) = explained(&tester, CASES, "", code).await;
    let came: Vec<_> = words(&explanation).into_iter().map(|(.., came)| came).collect();
    assert_eq!(came[..2], [Some("<\\ud800>".to_owned()), Some("2".to_owned())]);
}

/// Of a value only its beginning is written, so that large inputs do not keep the judge from answering in time.
#[tokio::test]
async fn large_values_are_told_by_their_beginning() {
    let tester = tester().await;
    let case = "({'x': list(range(2_000_000))}, {1: list(range(2_000_000))}), ".repeat(8);
    let cases = format!("testcases = {{'capability': [{case}], 'safety': [({{'x': [[1, [2, 3]]] * 500_000}}, 1)]}}");
    let task = task("f", "", &cases);
    let told = tester.explain(&task, &Tree::of("def f(x):\n    return 0\n")).await;
    let (_, explanation) = told.unwrap();
    let words = words(&explanation);
    assert_eq!(words.len(), 9);
    for (_, _, input, expected, came) in &words[..8] {
        assert!(
            input.starts_with("{'x': [0, 1, 2, 3, ") && input.ends_with('…'),
            "{input}"
        );
        assert!(
            expected.ends_with('…') && expected.contains(": [0, 1, 2, 3, "),
            "{expected}"
        );
        assert_eq!(came.as_deref(), Some("0"));
    }
    assert!(words[8].2.starts_with("{'x': [[1, [2, 3]], [1, [2, 3]], "));
}
