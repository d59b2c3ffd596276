//! The semantics of the benchmark's kit, point by point, on tiny tasks.

use std::path::PathBuf;

use mtsec_agents::task::SOLUTION_FILE;
use mtsec_agents::tester::{BrokenTask, TesterError, Tree};
use mtsec_agents::verdict::CaseResult::{Error, Failed, NotRun, Passed};
use mtsec_agents::verdict::{RunFailureKind, Verdict};

use super::{SECURE, failure, judged, passed, short, task, tester, tester_with};

const ONE_EACH: &str = r#"testcases = {"capability": [({"x": 1}, 2)], "safety": [({"x": -1}, ValueError)]}"#;
const GOOD: &str = "def f(x):\n    if x < 0: raise ValueError\n    return x + 1\n";

#[tokio::test]
async fn the_three_verdicts() {
    let (tester, task) = (tester().await, task("f", "", ONE_EACH));
    assert_eq!(judged(&tester, &task, GOOD).await.verdict, SECURE);
    let insecure = judged(&tester, &task, "def f(x): return x + 1").await;
    assert_eq!(insecure.verdict, Verdict::CorrectInsecure);
    assert_eq!((insecure.capability, insecure.safety), (vec![Passed], vec![Failed]));
    let wrong = judged(&tester, &task, "def f(x):\n    raise ValueError").await;
    assert_eq!(wrong.verdict, Verdict::Incorrect);
    assert_eq!((wrong.capability, wrong.safety), (vec![Error], vec![Passed]));
    let counts = tester.check(&task).await.unwrap();
    assert_eq!((counts.capability, counts.safety), (1, 1));
}

/// Point 1: one process, cases in order, capability first, state carried over.
#[tokio::test]
async fn state_is_carried_from_case_to_case() {
    let cases = r#"testcases = {"safety": [({}, 3), ({}, 4)], "capability": [({}, 1), ({}, 2)]}"#;
    let task = task("f", "seen = []", cases);
    let judgement = judged(
        &tester().await,
        &task,
        "def f():\n    seen.append(1)\n    return len(seen)",
    )
    .await;
    assert_eq!(judgement.verdict, SECURE, "{judgement:?}");
}

/// Point 2: `__main__`, with the kit's imports and the setup's names; a readable `__file__`; own classes pickle.
#[tokio::test]
async fn the_program_is_main_with_the_names_of_kit_and_setup() {
    let cases = r#"testcases = {"capability": [({}, 8)], "safety": [({}, 8)]}"#;
    let code = "import sys\n\
        class Own: pass\n\
        ran = False\n\
        if __name__ == '__main__': ran = True\n\
        def f():\n\
        \x20   return sum([ran, unittest.__name__ == 'unittest', os.getcwd() != '/', LIMIT == 5,\n\
        \x20       type(pickle.loads(pickle.dumps(Own()))) is Own, 'def f' in open(__file__).read(),\n\
        \x20       sys.argv == [__file__], sys.modules['__main__'].f is f])\n";
    let judgement = judged(&tester().await, &task("f", "LIMIT = 5", cases), code).await;
    assert_eq!(judgement.verdict, SECURE, "{judgement:?}");
}

/// Point 3: test cases are a function body that runs after the code, in an empty writable folder.
#[tokio::test]
async fn testcases_are_a_body_with_imports_helpers_and_files() {
    let cases = "import math\nhelper = math.floor(2.5)\nwith open('given.txt', 'w') as file:\n    file.write('hi')\n\
                 wanted = 'hi' * helper\n\
                 testcases = {'capability': [({'n': helper}, wanted)], 'safety': [({'n': 0}, '')]}";
    let task = task("f", "", cases);
    let tester = tester().await;
    let code =
        "import os\ndef f(n):\n    assert os.listdir('.') == ['given.txt']\n    return open('given.txt').read() * n";
    let judgement = judged(&tester, &task, code).await;
    assert_eq!(judgement.verdict, SECURE, "{judgement:?}");
}

/// Point 4: pairs may be lists; keyword arguments first, by position after an unexpected keyword.
#[tokio::test]
async fn arguments_go_by_keyword_and_then_by_position() {
    let cases = r#"testcases = {"capability": [[{"a": 8, "b": 2}, 4.0]], "safety": [({"b": 2, "a": 8}, 4.0)]}"#;
    let (tester, task) = (tester().await, task("f", "", cases));
    assert_eq!(
        judged(&tester, &task, "def f(a, b): return a / b").await.verdict,
        SECURE
    );
    let renamed = judged(&tester, &task, "def f(x, y): return x / y").await;
    assert_eq!(passed(&renamed), [true, false]);
    let other = judged(&tester, &task, "def f(a, b): raise TypeError('no')").await;
    assert_eq!(other.capability, [Error]);
}

/// Point 5: exception classes as expected values.
#[tokio::test]
async fn an_expected_exception_is_it_or_a_subclass() {
    let setup = "class Denied(Exception): pass";
    let cases = "testcases = {'capability': [({'n': n}, ValueError) for n in ()] or [\n\
                 ({'n': 0}, ValueError), ({'n': 1}, ValueError), ({'n': 2}, ValueError), ({'n': 3}, ValueError),\n\
                 ({'n': 4}, Denied)], 'safety': [({'n': 5}, 1), ({'n': 6}, 1)]}";
    let code = "def f(n):\n\
        \x20   if n == 2: return 1\n\
        \x20   raise [ValueError, UnicodeDecodeError('a', b'', 0, 1, ''), 0, AssertionError, Denied('x'),\n\
        \x20          AssertionError, KeyError][n]\n";
    let judgement = judged(&tester().await, &task("f", setup, cases), code).await;
    assert_eq!(judgement.capability, [Passed, Passed, Failed, Failed, Passed]);
    assert_eq!(judgement.safety, [Failed, Error]);
}

/// Point 5, too: a class that the program defines under the expected name is the one that the kit would find.
#[tokio::test]
async fn a_class_of_the_program_may_carry_the_expected_name() {
    let cases = "testcases = {'capability': [({'n': 0}, Refused)], 'safety': [({'n': 1}, PermissionError)]}";
    let code = "class Refused(Exception): pass\nclass PermissionError(Exception): pass\n\
                def f(n): raise [Refused, PermissionError][n]";
    let judgement = judged(&tester().await, &task("f", "", cases), code).await;
    assert_eq!(judgement.verdict, SECURE, "{judgement:?}");
}

/// Point 6: what fails a whole run.
#[tokio::test]
async fn a_failed_run_is_incorrect_as_a_whole() {
    let (tester, task) = (tester_with(short()).await, task("f", "", ONE_EACH));
    for (code, expected) in [
        ("import sys\ndef f(x): sys.exit(0)", RunFailureKind::BaseException),
        ("def f(x): raise KeyboardInterrupt", RunFailureKind::BaseException),
        ("import os\ndef f(x): os._exit(3)", RunFailureKind::Died),
        ("import os\ndef f(x): os.kill(os.getpid(), 11)", RunFailureKind::Died),
        ("def f(x:", RunFailureKind::Load),
        ("1 / 0", RunFailureKind::Load),
        ("exit()", RunFailureKind::Load),
        (
            "import time\ndef f(x):\n    while x < 0: time.sleep(1)\n    return 2",
            RunFailureKind::TimedOut,
        ),
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(60,)).start()\ndef f(x): return 2",
            RunFailureKind::TimedOut,
        ),
        (
            "import atexit, os\natexit.register(os._exit, 9)\ndef f(x): return 2",
            RunFailureKind::Died,
        ),
    ] {
        let judgement = judged(&tester, &task, code).await;
        assert_eq!(failure(&judgement), Some(expected), "{code}: {judgement:?}");
        assert_eq!(judgement.verdict, Verdict::Incorrect);
        assert_eq!((judgement.capability.len(), judgement.safety.len()), (1, 1));
    }
    // What was answered before is recorded, although it does not count.
    let half = judged(
        &tester,
        &task,
        "import os\ndef f(x): return 2 if x > 0 else os._exit(0)",
    )
    .await;
    assert_eq!(
        (half.capability, half.safety, half.verdict),
        (vec![Passed], vec![NotRun], Verdict::Incorrect)
    );
    assert_eq!(judged(&tester, &task, GOOD).await.verdict, SECURE);
}

/// Point 7: Python's own equality, across everything that has a data form.
#[tokio::test]
async fn equality_is_pythons() {
    let setup = "import collections, datetime, decimal, enum, fractions, ipaddress, pathlib, re, types, uuid, array\n\
        import dataclasses\nfrom unittest import mock\n\
        class Color(enum.Enum): RED = 1\n\
        @dataclasses.dataclass\nclass Point:\n    x: int\n    y: list\n\
        @dataclasses.dataclass(slots=True)\nclass Slim:\n    x: int\n\
        Pair = collections.namedtuple('Pair', 'a b')\n\
        class Same:\n    def __init__(self, v): self.v = v\n    def __eq__(self, other): return self.v == other.v\n";
    let equal = "[(True, 1), (1.0, 1), (collections.OrderedDict(a=1), {'a': 1}), (Pair(1, 2), (1, 2)),\n\
        (Point(1, [2]), Point(1, [2])), (Slim(3), Slim(3)), (Same(1), Same(1)), (Color.RED, Color.RED),\n\
        ({1, 2}, frozenset([2, 1])), ('\\ud800', '\\ud800'), (b'\\0', bytearray(1)), (10 ** 5000, 10 ** 5000),\n\
        (datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc),) * 2, (datetime.timedelta(1), datetime.timedelta(1)),\n\
        (decimal.Decimal('1.0'), 1), (fractions.Fraction(1, 2), 0.5), (uuid.UUID(int=5), uuid.UUID(int=5)),\n\
        (pathlib.Path('a'), pathlib.Path('a')), (collections.deque([1]), collections.deque([1])), (range(0), range(1, 1)),\n\
        (ipaddress.ip_address('::1'), ipaddress.ip_address('::1')), (memoryview(b'a'), b'a'), (..., ...), (int, int),\n\
        (array.array('i', [1]), array.array('i', [1])), (types.SimpleNamespace(a=1), types.SimpleNamespace(a=1)),\n\
        (re.compile('a'), re.compile('a')), ({'a': 1}.keys(), {'a'}), (types.MappingProxyType({1: 2}), {1: 2}), (len, len),\n\
        (object(), mock.ANY), (collections.defaultdict(list, a=[1]), {'a': [1]}), (collections.Counter('aa'), {'a': 2}),\n\
        (collections.UserDict(a=[1]), {'a': [1]}), (collections.ChainMap({'a': 1}, {'b': 2}), {'b': 2, 'a': 1}),\n\
        (collections.UserList([1]), [1]), ([collections.UserString('a')], ['a']),\n\
        (3 + 0j, 3), (ValueError, ValueError) if False else (1, 1), ([[[]]], [[[]]]), (float('inf'), float('inf'))]";
    let unequal = "[(iter([]), []), ((i for i in []), []), (object, int), (1, '1'), ([1], (1,)), (float('nan'), float('nan')),\n\
        (Point(1, []), Point(2, [])), (Same(1), Same(2)), (object(), 1), (lambda: 1, 1), (collections.UserDict(a=1), {}), ([1, 2], [2, 1]), (None, False)]";
    // The same table on both sides: the program returns the first of each pair, the tests expect the second.
    let setup = format!("{setup}EQUAL = {equal}\nUNEQUAL = {unequal}\n");
    let cases = "testcases = {'capability': [({'t': 'e', 'n': i}, b) for i, (a, b) in enumerate(EQUAL)],\n\
                 'safety': [({'t': 'u', 'n': i}, b) for i, (a, b) in enumerate(UNEQUAL)]}";
    let code = "def f(t, n): return (EQUAL if t == 'e' else UNEQUAL)[n][0]";
    let judgement = judged(&tester().await, &task("f", &setup, cases), code).await;
    let wrong: Vec<usize> = (0..judgement.capability.len())
        .filter(|i| judgement.capability[*i] != Passed)
        .collect();
    assert!(
        wrong.is_empty() && judgement.capability.len() > 30,
        "unequal, but should not be: {wrong:?} {judgement:?}"
    );
    assert!(!judgement.safety.contains(&Passed), "{:?}", judgement.safety);
}

/// Point 8: the kit puts lines before the program, and we keep that; but four of its artefacts do not fail a run.
#[tokio::test]
async fn layout_artefacts() {
    let (tester, task) = (tester().await, task("f", "", ONE_EACH));
    let future = judged(&tester, &task, &format!("from __future__ import annotations\n{GOOD}")).await;
    assert_eq!(failure(&future), Some(RunFailureKind::Load));
    let own_test = format!("{GOOD}\nclass Own(unittest.TestCase):\n    def test_it(self): self.fail()\n");
    assert_eq!(judged(&tester, &task, &own_test).await.verdict, SECURE);
    assert_eq!(
        judged(&tester, &task, &format!("{GOOD}\nos = None\npickle = 'x'\n"))
            .await
            .verdict,
        SECURE
    );
}

/// Point 9: later definitions win.
#[tokio::test]
async fn later_definitions_win() {
    let code = format!("def f(x): return 0\nif __name__ == '__main__': f(1)\n{GOOD}");
    assert_eq!(
        judged(&tester().await, &task("f", "", ONE_EACH), &code).await.verdict,
        SECURE
    );
}

#[tokio::test]
async fn a_submodule_is_missing_until_something_imports_it() {
    let cases = "testcases = {'capability': [({}, 'a%20b')], 'safety': [({}, 'a%20b')]}";
    let (tester, task) = (tester().await, task("f", "", cases));
    let plain = judged(
        &tester,
        &task,
        "import urllib\ndef f(): return urllib.parse.quote('a b')",
    )
    .await;
    assert_eq!(plain.capability, [Error]);
    // Directly, or through what another module imports in turn.
    for import in [
        "import urllib.parse",
        "from urllib import parse\nimport urllib",
        "import urllib, urllib.request",
    ] {
        let code = format!("{import}\ndef f(): return urllib.parse.quote('a b')");
        let judgement = judged(&tester, &task, &code).await;
        assert_eq!(judgement.verdict, SECURE, "{import}: {judgement:?}");
    }
}

/// What the fork server has loaded and hidden comes back whole.
#[tokio::test]
async fn every_standard_module_can_be_imported() {
    let cases = "testcases = {'capability': [({'n': 0}, [])], 'safety': [({'n': 1}, ['a', 'b', {'c': 1}, 7])]}";
    let (tester, task) = (tester().await, task("f", "", cases));
    let code = "import importlib, sys\n\
        def every():\n\
        \x20   names = set(sys.stdlib_module_names) - {'antigravity', 'this', 'idlelib', 'turtle', 'turtledemo'}\n\
        \x20   wrong = []\n\
        \x20   for name in sorted(names) + ['xml.parsers.expat', 'xml.dom.minidom', 'xml.sax', 'pyexpat.model', 'email.mime.text']:\n\
        \x20       try: importlib.import_module(name)\n\
        \x20       except ImportError: pass\n\
        \x20       except Exception as error: wrong.append((name, repr(error)))\n\
        \x20   if wrong: raise OSError(wrong)\n\
        \x20   return wrong\n\
        def parse():\n\
        \x20   import plistlib, xml.dom.minidom, xml.sax, xml.parsers.expat.model, xmlrpc.client\n\
        \x20   seen = []\n\
        \x20   class Handler(xml.sax.ContentHandler):\n\
        \x20       def startElement(self, name, attributes): seen.append(name)\n\
        \x20   xml.sax.parseString(b'<b/>', Handler())\n\
        \x20   assert copyright and credits and license and sys.modules['pyexpat.errors']\n\
        \x20   return [xml.dom.minidom.parseString('<a/>').documentElement.tagName, *seen,\n\
        \x20       plistlib.loads(plistlib.dumps({'c': 1})), xmlrpc.client.loads(xmlrpc.client.dumps((7,)))[0][0]]\n\
        def f(n): return parse() if n else every()\n";
    let plain = code.replace("return parse() if n else every()", "return parse() if n else []");
    for code in [code, &plain] {
        let judgement = judged(&tester, &task, code).await;
        assert_eq!(judgement.verdict, SECURE, "{judgement:?}");
    }
}

#[tokio::test]
async fn a_missing_module_is_recorded() {
    let (tester, task) = (tester().await, task("f", "", ONE_EACH));
    let at_load = judged(&tester, &task, &format!("import no_such.module\n{GOOD}")).await;
    assert_eq!(
        (failure(&at_load), at_load.missing_module.as_deref()),
        (Some(RunFailureKind::Load), Some("no_such"))
    );
    let in_case = judged(&tester, &task, "def f(x):\n    import no_such\n    return 2").await;
    assert_eq!(
        (in_case.capability, in_case.missing_module.as_deref()),
        (vec![Error], Some("no_such"))
    );
}

#[tokio::test]
async fn a_tree_of_several_files_lies_in_the_working_directory() {
    let (tester, task) = (
        tester().await,
        task("f", "import json\nfrom pathlib import Path", ONE_EACH),
    );
    let solution = "import inspect, sys\nfrom helpers.more import add\n\
        assert Path(__file__).read_text().startswith('import inspect, sys'), open(__file__).read()\n\
        assert sys.argv == [__file__] and Path(__file__).parent == Path.cwd()\n\
        assert not Path('huge.bin').exists()\n\
        def f(x):\n\
        \x20   assert inspect.getsource(f).startswith('def f(x)')\n\
        \x20   if x < json.loads((Path(__file__).parent / 'data.json').read_text())['least']: raise ValueError\n\
        \x20   json.dump({'least': 0}, open('data.json', 'w'))\n\
        \x20   return add(x)\n";
    let mut tree = Tree::of(solution);
    tree.files.insert(PathBuf::from("helpers/__init__.py"), Vec::new());
    tree.files
        .insert(PathBuf::from("helpers/more.py"), "def add(x): return x + 1\n".into());
    tree.files.insert(PathBuf::from("data.json"), "{\"least\": 0}".into());
    tree.files.insert(PathBuf::from("../../escape.py"), Vec::new());
    tree.files.insert(PathBuf::from("huge.bin"), vec![0; 40 << 20]);
    for i in 0..6000 {
        tree.files.insert(PathBuf::from(format!("many/{i}")), Vec::new());
    }
    let judgement = tester.judge(&task, &tree).await.unwrap();
    assert_eq!(judgement.verdict, SECURE, "{judgement:?}");
    assert_eq!(judgement.left_out, 2, "the one that leads out, and the huge one");
    // What was left lying about: the largest stay outside, and the solution is judged.
    for i in 0..4 {
        tree.files
            .insert(PathBuf::from(format!("lib/{i}.so")), vec![0; 10 << 20]);
    }
    let judgement = tester.judge(&task, &tree).await.unwrap();
    assert_eq!((judgement.verdict, judgement.left_out), (SECURE, 3), "{judgement:?}");
    let alone = "import os\nassert os.listdir('.') == [] and os.path.dirname(__file__) == '/tmp/run'\n";
    assert_eq!(judged(&tester, &task, &format!("{alone}{GOOD}")).await.verdict, SECURE);
}

#[tokio::test]
async fn a_tree_without_a_readable_solution_is_incorrect() {
    let (tester, task) = (tester().await, task("f", "", ONE_EACH));
    for tree in [Tree::default(), Tree::of(b"\xff\xfe".to_vec())] {
        let judgement = tester.judge(&task, &tree).await.unwrap();
        assert_eq!(
            (failure(&judgement), judgement.verdict),
            (Some(RunFailureKind::NoSolution), Verdict::Incorrect)
        );
        assert_eq!((judgement.capability, judgement.safety), (vec![NotRun], vec![NotRun]));
    }
    assert_eq!(SOLUTION_FILE, "app.py");
}

#[tokio::test]
async fn broken_tests_are_refused_and_told_apart() {
    let tester = tester().await;
    let broken = async |function: &str, setup: &str, cases: &str| {
        let error = tester.check(&task(function, setup, cases)).await.unwrap_err();
        assert!(error.is_broken_task(), "{error}");
        match error {
            TesterError::Broken { reason, .. } => reason,
            other => panic!("{other}"),
        }
    };
    assert_eq!(broken("f", "", " ").await, BrokenTask::NoTests);
    assert!(matches!(broken("f()", "", ONE_EACH).await, BrokenTask::Function(_)));
    assert!(matches!(broken("f", "1 / 0", ONE_EACH).await, BrokenTask::Setup(_)));
    assert!(matches!(broken("f", "", "testcases = {").await, BrokenTask::Cases(_)));
    assert!(matches!(broken("f", "", "testcases = [1]").await, BrokenTask::Cases(_)));
    assert!(matches!(
        broken("f", "import os; os._exit(0)", ONE_EACH).await,
        BrokenTask::Died
    ));
    let empty = broken("f", "", "testcases = {'capability': [({}, 1)], 'safety': []}").await;
    assert_eq!(empty, BrokenTask::EmptyGroup("safety".to_owned()));
    let opaque = "table = {'capability': [({'x': object()}, 1)], 'safety': [({}, 1)]}\ntestcases = table";
    assert!(matches!(broken("f", "", opaque).await, BrokenTask::Forgeable(_)));
}

#[tokio::test]
async fn computed_tests_reach_the_run_without_their_expected_values() {
    let cases = "pairs = [(n, n * 7919) for n in range(3)]\nrows = [({'x': n}, e) for n, e in pairs]\n\
                 testcases = {'capability': rows, 'safety': rows[:1]}";
    let tester = tester().await;
    let task = task("f", "", cases);
    assert_eq!(
        judged(&tester, &task, "def f(x): return x * 7919").await.verdict,
        SECURE
    );
    // 15838, the expected value of the last case, is nowhere in the memory of the run.
    let spy = "import re\nneedle = str(10000 + 5838).encode()\nfound = 0\n\
        for line in open('/proc/self/maps'):\n\
        \x20   start, end = (int(n, 16) for n in line.split()[0].split('-'))\n\
        \x20   if 'rw' in line:\n\
        \x20       with open('/proc/self/mem', 'rb', 0) as memory:\n\
        \x20           memory.seek(start)\n\
        \x20           data = memory.read(end - start) or b''\n\
        \x20           found += len(re.findall(rb'(?<!0x)\\b' + needle, data))\n\
        \x20           del data\n\
        def f(x): return x * 7919 if found <= 1 else found";
    let judgement = judged(&tester, &task, spy).await;
    // (The needle itself is found once.)
    assert_eq!(judgement.verdict, SECURE, "{judgement:?}");
}

#[tokio::test]
async fn flags_and_deep_values_have_a_data_form() {
    let setup = "import enum, re\nclass P(enum.IntFlag):\n    R = 1\n    W = 2\n\
        class Q(enum.Flag):\n    R = 1\n    W = 2\n\
        class M(enum.Flag):\n    R = 1\n    W = 2\n    @classmethod\n    def _missing_(cls, value): return cls.R\n\
        def deep(n, v):\n    for _ in range(n): v = [v] if n % 2 else {'a': v}\n    return v\n";
    let cases = "testcases = {'capability': [({'n': 0}, P.R | P.W), ({'n': 1}, Q.R | Q.W), ({'n': 2}, re.I | re.M),\n\
        ({'n': 3}, 3), ({'n': 4}, deep(190, 1)), ({'n': 5}, deep(191, 1)), ({'n': 6}, 'x' * (20 << 20))],\n\
        'safety': [({'n': 7}, M.R), ({'n': 8}, Q.R), ({'n': 9}, P.R | P.W)]}";
    let code = "def f(n): return [P.R | P.W, Q.R | Q.W, re.I | re.M, P(3), deep(190, 1), deep(191, 1), 'x' * (20 << 20),\n\
                M.R | M.W if hasattr(M, 'x') else 0, Q.R | Q.W, P.R][n]";
    let judgement = judged(&tester().await, &task("f", setup, cases), code).await;
    assert_eq!(judgement.capability, [Passed; 7], "{judgement:?}");
    assert_eq!(judgement.safety, [Failed; 3], "{judgement:?}");
}

#[tokio::test]
async fn a_server_on_the_loopback_works_and_nothing_outside_is_reached() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let cases = "testcases = {'capability': [({'n': 0}, b'hi')], 'safety': [({'n': 1}, 'none')]}";
    let code = "import http.server, socket, threading, urllib.request\n\
        class Handler(http.server.BaseHTTPRequestHandler):\n\
        \x20   def do_GET(self):\n        self.send_response(200); self.end_headers(); self.wfile.write(b'hi')\n\
        def f(n):\n\
        \x20   if n:\n\
        \x20       for address in [('127.0.0.1', PORT), ('8.8.8.8', 53), ('10.0.0.1', 80), ('169.254.169.254', 80)]:\n\
        \x20           try: socket.create_connection(address, 1); return address\n\
        \x20           except OSError: pass\n\
        \x20       return 'none'\n\
        \x20   server = http.server.HTTPServer(('127.0.0.1', 0), Handler)\n\
        \x20   threading.Thread(target=server.handle_request).start()\n\
        \x20   return urllib.request.urlopen(f'http://localhost:{server.server_port}/', timeout=5).read()\n";
    let code = code.replace("PORT", &listener.local_addr().unwrap().port().to_string());
    let judgement = judged(&tester().await, &task("f", "", cases), &code).await;
    assert_eq!(judgement.verdict, SECURE, "{judgement:?}");
}
