//! What one agent can take up: of the disk, of memory, of time. And what is still counted when it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use mtsec_agents::gateway::model::{Answer, Call, Reply};
use mtsec_agents::gateway::nop::Nop;
use mtsec_agents::gateway::{FailureKind, GatewayConfig, Model};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::support::{Bench, prompt_body, spec};

/// A model that counts how many calls it has at once.
#[derive(Default)]
struct Counting {
    now: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait::async_trait]
impl Model for Counting {
    async fn complete(&self, call: &Call) -> Reply {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        Reply::answer(Answer::new(call, "ok".to_owned()))
    }
}

/// A model that tells when it is asked, and never answers.
struct Silent(Arc<Notify>);

#[async_trait::async_trait]
impl Model for Silent {
    async fn complete(&self, call: &Call) -> Reply {
        call.asked();
        self.0.notify_one();
        std::future::pending().await
    }
}

#[tokio::test]
async fn of_a_long_body_that_is_refused_only_the_beginning_is_recorded() {
    let bench = Bench::new(Arc::new(Nop)).await;
    let many = json!({"messages": [], "n": 0, "filler": "y".repeat(50_000)}).to_string();
    for body in ["x".repeat(50_000), many] {
        let long = body.len();
        assert_eq!(
            bench.request().body(body).send().await.expect("an answer").status(),
            400
        );
        let record = bench.records(1).pop().expect("a record");
        let request = record["request"].as_str().expect("a text");
        assert!(request.len() < 5000, "{}", request.len());
        assert!(request.contains(&format!("({long} bytes, SHA-256 ")), "{request}");
    }
}

#[tokio::test]
async fn calls_that_are_too_many_for_the_record_are_refused_and_told() {
    let few_bytes = GatewayConfig {
        most_recorded: 20_000,
        ..GatewayConfig::default()
    };
    let few_calls = GatewayConfig {
        most_calls: 5,
        ..GatewayConfig::default()
    };
    for (config, told) in [(few_bytes, "bytes"), (few_calls, "5 calls")] {
        let bench = Bench::with(config, spec(Arc::new(Nop))).await;
        let mut refused = 0;
        for _ in 0..30 {
            let (status, body) = bench.call(&prompt_body(&"x".repeat(2000))).await;
            refused += usize::from(status == 400);
            assert_eq!(status == 400, bench.route.excess(1).is_some(), "{body}");
        }
        assert!((1..30).contains(&refused));
        assert!(bench.route.excess(1).expect("an excess").contains(told));
        assert!(std::fs::metadata(bench.record_path(1)).expect("a record").len() < 25_000);
        assert_eq!(bench.route.excess(2), None);
    }
}

#[tokio::test]
async fn more_calls_than_a_route_may_have_at_once_wait_for_a_place() {
    let config = GatewayConfig {
        at_once: 2,
        ..GatewayConfig::default()
    };
    let model = Arc::new(Counting::default());
    let bench = Bench::with(config, spec(model.clone())).await;
    let body = prompt_body("hi");
    let answers = futures_util::future::join_all((0..6).map(|_| bench.call(&body))).await;
    assert!(answers.iter().all(|(status, _)| *status == 200));
    assert_eq!(model.most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn bodies_that_do_not_come_to_an_end_hold_nobody_up_for_long() {
    let config = GatewayConfig {
        read: Duration::from_millis(500),
        ..GatewayConfig::default()
    };
    let bench = Bench::with(config, spec(Arc::new(Nop))).await;
    let url = reqwest::Url::parse(bench.route.base_url()).expect("a URL");
    let mut open = Vec::new();
    for _ in 0..3 {
        let address = (url.host_str().expect("a host"), url.port().expect("a port"));
        let mut connection = TcpStream::connect(address).await.expect("a connection");
        let head = format!(
            "POST {}/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 90000\r\n\r\n",
            url.path(),
            bench.route.key()
        );
        connection.write_all(head.as_bytes()).await.expect("it takes a head");
        connection.write_all(&[b'x'; 4096]).await.expect("it takes a beginning");
        open.push(connection);
    }
    bench.say("and the honest call?").await;
    for mut connection in open {
        let mut said = [0; 12];
        connection.read_exact(&mut said).await.expect("an answer");
        assert_eq!(&said, b"HTTP/1.1 408");
    }
    assert_eq!(
        bench.route.clock().waited().as_millis() / 500,
        0,
        "no wait for the model"
    );
}

#[tokio::test]
async fn a_closed_route_has_counted_the_calls_that_its_end_cut_off() {
    let asked = Arc::new(Notify::new());
    let bench = Bench::new(Arc::new(Silent(asked.clone()))).await;
    let call = tokio::spawn(bench.request().json(&prompt_body("hi")).send());
    asked.notified().await;
    call.abort();
    bench.route.close(Duration::from_secs(20)).await;
    assert_eq!((bench.route.usage().calls, bench.records(1).len()), (1, 1));
    assert_eq!(bench.call(&prompt_body("more")).await.0, 401);
}

#[tokio::test]
async fn a_record_that_is_lost_is_told_though_every_call_was_refused() {
    let bench = Bench::new(Arc::new(Nop)).await;
    bench.route.begin_turn(2, "/dev/full".into()).expect("it opens");
    let refused = bench.request().body("{").send().await.expect("an answer");
    assert_eq!(refused.status(), 400);
    let failure = bench.route.failure_of_turn(2).expect("a failure");
    assert_eq!(failure.failure.kind, FailureKind::Record);
}
