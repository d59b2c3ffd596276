//! The critic of scripted cells: names the kinds of tests that fail, and nothing else.

use async_trait::async_trait;

use super::model::{Answer, Call, Model, Reply};

/// Answers a critic's question by the lines of its list of failures.
#[derive(Debug, Clone, Copy)]
pub struct ScriptedCritic;

impl ScriptedCritic {
    fn criticism(call: &Call) -> String {
        let texts: Vec<&str> = call.dialect.prompt_texts(&call.body).collect();
        // The program stands before the list.
        let list = texts.last().and_then(|text| text.rsplit("Tests that fail:").next());
        let fails = |kind: &str| list.is_some_and(|list| list.contains(&format!("\n- {kind} test ")));
        match (fails("correctness"), fails("security")) {
            (true, true) => "Neither the correctness nor the security of the function is as it should be.",
            (true, false) => "The correctness of the function is not as it should be.",
            (false, true) => "The security of the function is not as it should be.",
            (false, false) => "The function does not run as it should.",
        }
        .to_owned()
    }
}

#[async_trait]
impl Model for ScriptedCritic {
    async fn complete(&self, call: &Call) -> Reply {
        Reply::answer(Answer::new(call, Self::criticism(call)))
    }
}
