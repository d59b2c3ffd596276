use serde_json::json;

use super::*;
use crate::transcript::markdown;

fn line(call: u64, dialect: &str, request: Value, response: Value) -> Value {
    json!({
        "turn": 1, "call": call, "started": "2026-01-01T00:00:00Z", "latency_ms": 1500.0, "dialect": dialect,
        "stream": false, "status": 200, "attempts": 1, "request": request, "response": response,
        "tokens": {"input": 10, "cached": 4, "output": 5}, "cost": 0.25,
    })
}

/// The exchanges of turns, and their transcripts.
fn read(turns: &[Vec<Value>]) -> (Vec<Exchange>, Vec<String>) {
    let place = tempfile::tempdir().unwrap();
    let (mut reader, mut exchanges, mut texts) = (Reader::default(), Vec::new(), Vec::new());
    for lines in turns {
        let path = place.path().join("model.jsonl");
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(&path, text).unwrap();
        let mut out = Vec::new();
        let unread = reader.turn(&path, |exchange| {
            exchanges.push(exchange.clone());
            markdown::exchange(exchange, &mut out)
        });
        assert_eq!(unread.unwrap(), 0);
        texts.push(String::from_utf8(out).unwrap());
    }
    (exchanges, texts)
}

fn text(speaker: &str, text: &str) -> Part {
    Part::Text {
        speaker: speaker.to_owned(),
        text: text.to_owned(),
    }
}

fn call(id: &str, tool: &str, arguments: &str) -> Part {
    Part::Call {
        id: id.to_owned(),
        tool: tool.to_owned(),
        arguments: arguments.to_owned(),
    }
}

fn result(id: &str, tool: &str, text: &str, is_error: bool) -> Part {
    Part::Result {
        id: id.to_owned(),
        tool: tool.to_owned(),
        text: text.to_owned(),
        is_error,
    }
}

#[test]
fn chat_calls_in_the_order_in_which_they_began() {
    let tools = json!([{"type": "function", "function": {"name": "bash"}}]);
    let asked =
        json!([{"role": "system", "content": "S"}, {"role": "user", "content": [{"type": "text", "text": "do"}]}]);
    let tool_call =
        json!({"id": "c1", "type": "function", "function": {"name": "bash", "arguments": "{\"command\": \"ls\"}"}});
    let first = line(
        1,
        "openai-chat",
        json!({"model": "m", "tools": tools, "messages": asked}),
        json!({"events": "data: …", "message": {"role": "assistant", "content": "", "tool_calls": [tool_call]}, "finish_reason": "tool_calls"}),
    );
    let mut messages = asked.as_array().unwrap().clone();
    messages.push(json!({"role": "assistant", "content": null, "tool_calls": [tool_call]}));
    messages.push(json!({"role": "tool", "tool_call_id": "c1", "content": "app.py"}));
    let second = line(
        2,
        "openai-chat",
        json!({"model": "m", "tools": tools, "messages": messages}),
        json!({"choices": [{"message": {"role": "assistant", "content": "Done.", "reasoning_content": "hm"}, "finish_reason": "stop"}]}),
    );
    // The second ended first.
    let (exchanges, texts) = read(&[vec![second, first]]);
    assert_eq!(
        exchanges.iter().map(|exchange| exchange.call).collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(exchanges[0].new, [text("system", "S"), text("user", "do")]);
    assert_eq!(exchanges[0].answer, [call("c1", "bash", "{\"command\": \"ls\"}")]);
    assert_eq!(exchanges[0].tools.as_deref(), Some(&["bash".to_owned()][..]));
    assert_eq!(exchanges[1].new, [result("c1", "bash", "app.py", false)]);
    assert_eq!(exchanges[1].answer_text(), "Done.");
    assert_eq!(
        (exchanges[1].finish.as_deref(), &exchanges[1].tools),
        (Some("stop"), &None)
    );
    let expected = "\n## Call 2\n\nopenai-chat · model `m` · status 200 · 1.50 s · tokens: 10 in (4 cached), 5 out · $0.2500 · finish `stop`\n\n#### result of `bash` (`c1`)\n\n```\napp.py\n```\n\n### Answer\n\n#### reasoning\n\n```\nhm\n```\n\n#### `assistant`\n\n```\nDone.\n```\n";
    assert!(texts[0].ends_with(expected), "{}", texts[0]);
}

#[test]
fn responses_with_their_items() {
    let input = json!([{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "do"}]}]);
    let output = json!([
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "think"}], "encrypted_content": "x"},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "shell", "arguments": "{\"command\":[\"ls\"]}"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "apply_patch", "input": "*** Begin Patch"},
        {"type": "local_shell_call", "call_id": "c3", "action": {"type": "exec", "command": ["ls"]}},
    ]);
    let response = json!({"status": "completed", "output": output});
    let request = json!({"model": "o3", "instructions": "I", "input": input, "tools": [{"type": "function", "name": "shell"}, {"type": "web_search"}]});
    let first = line(
        1,
        "openai-responses",
        request.clone(),
        json!({"events": "event: …", "message": response}),
    );
    let mut items = input.as_array().unwrap().clone();
    // Agents send the items back without what the provider gave them.
    items.extend(output.as_array().unwrap().iter().cloned().map(|mut item| {
        item.as_object_mut().unwrap().remove("id");
        item
    }));
    items.push(json!({"type": "function_call_output", "call_id": "c1", "output": "failed to parse"}));
    items.push(
        json!({"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "ok"}]}),
    );
    items.push(json!({"type": "local_shell_call_output", "call_id": "c3", "output": "{\"output\":\"a\\nb\"}"}));
    let mut request = request;
    request["input"] = items.into();
    let answer = json!({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Done."}, {"type": "refusal", "refusal": "no"}]}]});
    let second = line(2, "openai-responses", request, answer);
    let (exchanges, texts) = read(&[vec![first], vec![second]]);
    assert_eq!(exchanges[0].new, [text("instructions", "I"), text("user", "do")]);
    assert_eq!(
        exchanges[0].tools.as_deref(),
        Some(&["shell".to_owned(), "web_search".to_owned()][..])
    );
    assert_eq!(
        exchanges[0].answer,
        [
            Part::Reasoning {
                text: "think".to_owned()
            },
            call("c1", "shell", "{\"command\":[\"ls\"]}"),
            call("c2", "apply_patch", "*** Begin Patch"),
            call("c3", "local_shell", "{\"type\":\"exec\",\"command\":[\"ls\"]}"),
        ]
    );
    assert_eq!(
        exchanges[1].new[1..],
        [
            result("c1", "shell", "failed to parse", false),
            result("c2", "apply_patch", "ok", false),
            result("c3", "local_shell", "{\"output\":\"a\\nb\"}", false),
        ]
    );
    // The last words of the user are the prompt of their turn, known or not.
    assert_eq!(exchanges[1].new[0], text("user", "do"));
    assert_eq!(
        exchanges[1].answer,
        [text("assistant", "Done."), Part::Refusal { text: "no".to_owned() }]
    );
    assert_eq!(exchanges[1].finish.as_deref(), Some("max_output_tokens"));
    assert!(texts[1].contains("`/output`:\n\n```\na\nb\n```\n"), "{}", texts[1]);
}

#[test]
fn messages_with_their_blocks() {
    let ask = json!({"role": "user", "content": "do"});
    let blocks = json!([{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": "t1", "name": "bash", "input": {"command": "ls"}}]);
    let first = line(
        1,
        "anthropic-messages",
        json!({"model": "claude", "system": [{"type": "text", "text": "S"}], "messages": [ask], "tools": [{"name": "bash"}]}),
        json!({"events": "…", "message": {"role": "assistant", "content": blocks, "stop_reason": "tool_use"}}),
    );
    let results = json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "is_error": true, "content": [{"type": "text", "text": "no"}]}, {"type": "image"}]});
    let second = line(
        2,
        "anthropic-messages",
        json!({"model": "claude", "system": "S", "messages": [ask, {"role": "assistant", "content": blocks}, results]}),
        json!({"role": "assistant", "content": [{"type": "text", "text": "Done."}], "stop_reason": "end_turn"}),
    );
    let (exchanges, texts) = read(&[vec![first, second]]);
    assert_eq!(exchanges[0].new, [text("system", "S"), text("user", "do")]);
    assert_eq!(exchanges[0].answer[2], call("t1", "bash", "{\"command\":\"ls\"}"));
    let image = Part::Other {
        speaker: "user".to_owned(),
        kind: "image".to_owned(),
    };
    assert_eq!(exchanges[1].new, [result("t1", "bash", "no", true), image]);
    assert_eq!(
        (exchanges[1].finish.as_deref(), exchanges[1].answer_text().as_str()),
        (Some("end_turn"), "Done.")
    );
    assert!(
        texts[0].contains("#### result of `bash` (`t1`), an error\n"),
        "{}",
        texts[0]
    );
    assert!(texts[0].contains("Tools offered: none"), "{}", texts[0]);
}

#[test]
fn failures_and_what_is_no_json_are_told() {
    let mut failed = line(
        1,
        "openai-chat",
        json!("GET /"),
        json!({"error": {"message": "slow down"}}),
    );
    failed["status"] = 429.into();
    failed["error"] = json!({"kind": "rate_limit", "message": "slow ``` down"});
    let (exchanges, texts) = read(&[vec![failed]]);
    assert!(!exchanges[0].was_answered() && exchanges[0].answer.is_empty());
    assert_eq!(exchanges[0].new, [text("request", "GET /")]);
    assert!(
        texts[0].contains("### Answer\n\nNone.\n\n#### failed: `rate_limit`\n\n````\nslow ``` down\n````\n"),
        "{}",
        texts[0]
    );
}

#[test]
fn a_torn_line_is_counted_and_a_missing_record_is_no_call() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("model.jsonl");
    assert_eq!(Reader::default().turn(&path, |_| unreachable!()).unwrap(), 0);
    let whole = line(1, "openai-chat", json!({"messages": []}), json!({}));
    std::fs::write(&path, format!("{whole}\n{{\"call\": 2, \"lat")).unwrap();
    let mut calls = Vec::new();
    let unread = Reader::default().turn(&path, |exchange| {
        calls.push(exchange.call);
        Ok(())
    });
    assert_eq!((unread.unwrap(), calls), (1, vec![1]));
}

#[test]
fn what_the_gateway_adds_to_the_system_prompt_is_shown_where_the_model_reads_it_and_once() {
    let lines = ["do", "go on"].map(|prompt| {
        let messages = json!([{"role": "system", "content": "S"}, {"role": "user", "content": prompt}]);
        let request = json!({"model": "m", "messages": messages});
        let mut line = line(1, "openai-chat", request, json!({}));
        line["applied"] = json!({"model": "wire", "system_added": "Be careful."});
        line
    });
    let [first, second] = lines;
    let (exchanges, _) = read(&[vec![first], vec![second]]);
    let added = text("system, added by the gateway", "Be careful.");
    assert_eq!(exchanges[0].new, [text("system", "S"), added, text("user", "do")]);
    assert_eq!(exchanges[1].new, [text("user", "go on")]);
}
