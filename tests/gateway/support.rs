//! A gateway with one route, and a client that talks to it as an agent does.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mtsec_agents::gateway::{Gateway, GatewayConfig, Model, Pricing, Route, RouteBudget, RouteSpec};
use serde_json::{Value, json};

/// Dollars per million tokens in these tests.
pub const PRICING: Pricing = Pricing {
    input: Some(2.0),
    cached_input: Some(1.0),
    output: Some(10.0),
};

/// A gateway, an open route in its first turn, and a client.
pub struct Bench {
    pub gateway: Gateway,
    pub route: Route,
    pub folder: tempfile::TempDir,
    pub client: reqwest::Client,
}

pub fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().build().expect("a client")
}

pub fn spec(model: Arc<dyn Model>) -> RouteSpec {
    RouteSpec {
        model,
        wire_model: "wire-1".to_owned(),
        guard: Some("GUARD:".to_owned()),
        system: None,
        pricing: PRICING,
        budget: RouteBudget::default(),
        canaries: Arc::default(),
    }
}

impl Bench {
    pub async fn new(model: Arc<dyn Model>) -> Self {
        let config = GatewayConfig {
            max_request: 100_000,
            ..GatewayConfig::default()
        };
        Self::with(config, spec(model)).await
    }

    pub async fn with(config: GatewayConfig, spec: RouteSpec) -> Self {
        let gateway = Gateway::start(config).await.expect("a gateway");
        let route = gateway.open(spec);
        let folder = tempfile::tempdir().expect("a folder");
        let bench = Self {
            gateway,
            route,
            folder,
            client: client(),
        };
        bench.begin(1);
        bench
    }

    pub fn record_path(&self, turn: usize) -> PathBuf {
        self.folder.path().join(format!("{turn}.jsonl"))
    }

    pub fn begin(&self, turn: usize) {
        self.route.begin_turn(turn, self.record_path(turn)).expect("a turn");
    }

    pub fn request(&self) -> reqwest::RequestBuilder {
        let url = format!("{}/chat/completions", self.route.base_url());
        self.client.post(url).bearer_auth(self.route.key())
    }

    pub fn request_at(&self, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.post(format!("{}/{path}", self.route.base_url()));
        match path.contains("messages") {
            true => request
                .header("x-api-key", self.route.key())
                .header("anthropic-version", "2023-06-01"),
            false => request.bearer_auth(self.route.key()),
        }
    }

    /// Makes one call and returns status and body.
    pub async fn call(&self, body: &Value) -> (u16, Value) {
        self.call_at("chat/completions", body).await
    }

    /// The same at another path, with the key as clients of Anthropic show it where that is one of theirs.
    pub async fn call_at(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = self.request_at(path).json(body);
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let text = response.text().await.expect("a body");
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// The text that the model answers a prompt with.
    pub async fn say(&self, prompt: &str) -> String {
        let (status, body) = self.call(&prompt_body(prompt)).await;
        assert_eq!(status, 200, "{body}");
        body["choices"][0]["message"]["content"]
            .as_str()
            .expect("a text")
            .to_owned()
    }

    /// The recorded calls of a turn.
    pub fn records(&self, turn: usize) -> Vec<Value> {
        let text = std::fs::read_to_string(self.record_path(turn)).expect("a record");
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a JSON line"))
            .collect()
    }

    /// Waits until a turn has so many recorded calls.
    pub async fn wait_for_records(&self, turn: usize, count: usize) -> Vec<Value> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let records = self.records(turn);
            if records.len() >= count || Instant::now() > deadline {
                return records;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub fn prompt_body(prompt: &str) -> Value {
    json!({"model": "agent-name", "messages": [{"role": "user", "content": prompt}]})
}

/// The data of a stream of events that say their type twice.
pub fn typed_events(text: &Value) -> Vec<Value> {
    let text = text.as_str().expect("a text");
    let events = text.split("\n\n").filter(|event| !event.is_empty());
    let data = events.map(|event| {
        let (kind, data) = event.split_once('\n').expect("two lines");
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").expect("data")).expect("JSON");
        assert_eq!(kind.strip_prefix("event: "), data["type"].as_str());
        data
    });
    data.collect()
}

/// The events of a stream, each without its `data: `.
pub fn events(text: &str) -> Vec<&str> {
    text.split("\n\n")
        .filter(|event| !event.is_empty())
        .map(|event| event.strip_prefix("data: ").expect("data"))
        .collect()
}
