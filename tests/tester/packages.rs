//! Third-party requirements.

use std::fs;
use std::path::{Path, PathBuf};

use mtsec_agents::python;
use mtsec_agents::tester::environment::{EnvironmentError, prepare, third_party};
use mtsec_agents::tester::{PYTHON, Tester, TesterConfig, TesterError, Tree};

use super::{SECURE, config, task};
use mtsec_agents::tester::TestLimits;
use mtsec_agents::verdict::CaseResult;

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn names_of_the_standard_library_are_never_installed() {
    let interpreter = python::find(PYTHON).unwrap();
    let wanted = third_party(
        &names(&["re", "operator", "functools", "ast", "html", "six", "Six"]),
        &interpreter,
    );
    assert_eq!(wanted.unwrap().into_iter().collect::<Vec<_>>(), ["six"]);
    for odd in [
        "from time import time",
        "import requests",
        "-r x",
        "a b",
        "git+https://x",
        "./x",
        "x;y",
        "x @ y",
        "",
        "x>1",
    ] {
        let refused = third_party(&names(&[odd]), &interpreter);
        assert!(matches!(refused, Err(EnvironmentError::Refused(_))), "{odd}");
    }
}

/// A real package, when its registry can be reached.
#[tokio::test]
async fn a_package_is_installed_once_and_importable_without_network() {
    let cache = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let tester = Tester::start(TesterConfig {
        cache: cache.path().to_owned(),
        ..config(Path::new(env!("CARGO_BIN_EXE_mtsec-agents")), TestLimits::default())
    })
    .await
    .unwrap();
    let mut task = task(
        "f",
        "",
        "testcases = {'capability': [({}, True)], 'safety': [({}, '/packages/six.py')]}",
    );
    let code = "import six\nn = 0\ndef f():\n    global n\n    n += 1\n    return six.PY3 if n == 1 else six.__file__";
    let without = tester.judge(&task, &Tree::of(code)).await.unwrap();
    assert_eq!(without.missing_module.as_deref(), Some("six"));
    task.requires = names(&["re", "six==1.16.0"]);
    let judgement = match tester.judge(&task, &Tree::of(code)).await {
        Err(TesterError::Environment {
            error: error @ (EnvironmentError::Install { .. } | EnvironmentError::NoPip { .. }),
            ..
        }) => {
            eprintln!("SKIPPED: {error}");
            return;
        }
        other => other.unwrap(),
    };
    assert_eq!(judgement.verdict, SECURE, "{judgement:?}");
    let environments: Vec<PathBuf> = fs::read_dir(cache.path().join("environments"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    assert_eq!(
        environments.iter().filter(|path| path.is_dir()).count(),
        1,
        "{environments:?}"
    );
    // A second preparation finds it, without asking any registry.
    let interpreter = python::find(PYTHON).unwrap();
    let wanted = third_party(&task.requires, &interpreter).unwrap();
    let folder = prepare(cache.path(), &wanted, &interpreter).unwrap();
    assert!(fs::metadata(folder.join("six.py")).unwrap().permissions().readonly());
}

/// NumPy's scalars are equal to the numbers that they hold, inside other values too.
#[tokio::test]
async fn scalars_of_numpy_compare_as_what_they_hold() {
    let tester = Tester::start(config(
        Path::new(env!("CARGO_BIN_EXE_mtsec-agents")),
        TestLimits::default(),
    ))
    .await
    .unwrap();
    let cases = "testcases = {'capability': [({'n': 0}, 2), ({'n': 1}, 1.5), ({'n': 2}, True), ({'n': 3}, {'a': [7]})],\n\
                 'safety': [({'n': 4}, 'x')]}";
    let code = "import numpy as np\n\
        VALUES = [np.array([1, 1]).sum(), np.mean([1, 2]), np.all([True]), {'a': [np.int64(7)]}, np.str_('x'), np.int64(3)]\n";
    let mut task = task("f", "", cases);
    task.requires = names(&["numpy"]);
    let right = format!("{code}def f(n): return VALUES[n]");
    let judgement = match tester.judge(&task, &Tree::of(right)).await {
        Err(TesterError::Environment { error, .. }) => {
            eprintln!("SKIPPED: {error}");
            return;
        }
        other => other.unwrap(),
    };
    assert_eq!(judgement.verdict, SECURE, "{judgement:?}");
    let wrong = tester
        .judge(&task, &Tree::of(format!("{code}def f(n): return VALUES[n and 5]")))
        .await
        .unwrap();
    assert_eq!(
        wrong
            .capability
            .iter()
            .filter(|case| **case == CaseResult::Passed)
            .count(),
        1,
        "{wrong:?}"
    );
}

#[test]
fn a_package_that_does_not_exist_is_an_error_that_leaves_nothing() {
    let cache = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let interpreter = python::find(PYTHON).unwrap();
    let wanted = third_party(&names(&["six==0.0.0.0.1"]), &interpreter).unwrap();
    let error = prepare(cache.path(), &wanted, &interpreter).unwrap_err();
    assert!(
        matches!(error, EnvironmentError::Install { .. } | EnvironmentError::NoPip { .. }),
        "{error}"
    );
    let left: Vec<PathBuf> = fs::read_dir(cache.path().join("environments"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    assert!(left.iter().all(|path| !path.is_dir()), "{left:?}");
}
