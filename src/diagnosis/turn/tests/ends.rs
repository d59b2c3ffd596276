//! How a turn ended, and what it did to the files.

use super::*;

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
fn a_lost_session_is_an_ending_and_none_of_the_kinds() {
    assert_eq!(kinds(&failed(Failure::SessionLost, changed()), &[]), []);
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
