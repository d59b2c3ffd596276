//! What an agent may ask of its model: answers, and calls of the agent's own tools. Tools that a provider runs itself lead past the
//! containment to the network, cost what no budget sees, and would let a model look for the benchmark.

use serde_json::{Map, Value};

/// Kinds of tools that the agent runs itself.
const OWN: [&str; 3] = ["function", "custom", "local_shell"];
/// The same of Anthropic's, before their date.
const OWN_OF_A_DATE: [&str; 2] = ["bash_", "text_editor_"];
/// Members by which a provider is asked for tools of its own, or for another price.
const OTHERS: [&str; 4] = ["web_search_options", "mcp_servers", "plugins", "container"];
/// Tiers that cost what the table says.
const TIERS: [&str; 3] = ["auto", "default", "standard_only"];

/// Refuses a request for anything else; the error is for the agent.
pub(super) fn check(body: &Map<String, Value>) -> Result<(), String> {
    let told = |name: &&str| body.get(*name).is_some_and(|value| !value.is_null());
    if let Some(name) = OTHERS.into_iter().find(|name| told(name)) {
        return Err(format!("`{name}` is not passed on: only the agent's own tools are"));
    }
    if let Some(tier) = body.get("service_tier").filter(|tier| !tier.is_null())
        && !tier.as_str().is_some_and(|tier| TIERS.contains(&tier))
    {
        return Err("`service_tier` is not passed on: its price is not known".to_owned());
    }
    for tool in body.get("tools").and_then(Value::as_array).into_iter().flatten() {
        let own = match tool.get("type").and_then(Value::as_str) {
            Some(kind) => OWN.contains(&kind) || OWN_OF_A_DATE.iter().any(|start| kind.starts_with(start)),
            None => tool.get("input_schema").is_some(),
        };
        if !own {
            let kind = tool.get("type").cloned().unwrap_or_default();
            return Err(format!(
                "the tool {kind} is not passed on: only the agent's own tools are"
            ));
        }
    }
    let items = body.get("input").and_then(Value::as_array).into_iter().flatten();
    let mut kinds = items.filter_map(|item| item.get("type")?.as_str());
    match kinds.any(|kind| kind == "item_reference") {
        true => Err("`item_reference` is not passed on: `input` must hold the whole conversation".to_owned()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_agents_own_tools_are_passed_on() {
        let checked = |body: Value| check(body.as_object().expect("an object"));
        for body in [
            json!({"tools": [{"type": "function", "function": {"name": "f"}}]}),
            json!({"tools": [{"type": "custom", "name": "apply_patch"}, {"type": "local_shell"}]}),
            json!({"tools": [{"name": "f", "input_schema": {}}, {"type": "bash_20250124", "name": "bash"}]}),
            json!({"service_tier": "auto", "input": [{"type": "message"}], "tools": null}),
        ] {
            assert_eq!(checked(body.clone()), Ok(()), "{body}");
        }
        for body in [
            json!({"tools": [{"type": "function"}, {"type": "web_search"}]}),
            json!({"tools": [{"type": "mcp", "server_url": "http://evil"}]}),
            json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
            json!({"tools": [{"google_search": {}}]}),
            json!({"web_search_options": {}}),
            json!({"mcp_servers": []}),
            json!({"service_tier": "priority"}),
            json!({"input": [{"type": "item_reference", "id": "x"}]}),
        ] {
            assert!(checked(body.clone()).is_err(), "{body}");
        }
    }
}
