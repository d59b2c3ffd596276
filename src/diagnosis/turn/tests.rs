use super::*;
use crate::diagnosis::SignsSource;
use crate::gateway::dialect::Dialect;
use crate::transcript::CallError;
use crate::trial::Answer;

mod agents;
mod ends;
mod traffic;
mod words;

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
