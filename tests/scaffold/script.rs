//! A server that answers a model's calls as it is told, and keeps every request, whatever the dialect.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::post;
use serde_json::Value;

/// What the server does with one request, in some dialect.
pub trait Answer: Clone + Send + 'static {
    /// The end of the route.
    const ROUTE: &str;

    /// What is answered once all replies are used up.
    fn ok() -> Self;

    fn answer(self) -> impl Future<Output = Response> + Send;
}

struct Script<R> {
    replies: VecDeque<R>,
    requests: Vec<Value>,
    /// What the gateway takes out of requests.
    guard: String,
}

#[derive(Clone)]
pub struct Scripted<R> {
    script: Arc<Mutex<Script<R>>>,
    pub base: String,
}

impl<R: Answer> Scripted<R> {
    /// Starts a server that gives these replies in turn, and `ok` once they are used up.
    pub async fn start(replies: impl IntoIterator<Item = R>) -> Self {
        let script = Arc::new(Mutex::new(Script {
            replies: replies.into_iter().collect(),
            requests: Vec::new(),
            guard: String::new(),
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/t/token/v1", listener.local_addr().unwrap());
        let told = script.clone();
        let respond = move |headers: HeaderMap, body: String| async move {
            assert_eq!(headers["authorization"], "Bearer dummy-key");
            let reply = {
                let mut script = told.lock().unwrap();
                let body = match script.guard.as_str() {
                    "" => body,
                    guard => body.replace(guard, ""),
                };
                script.requests.push(serde_json::from_str(&body).unwrap());
                script.replies.pop_front().unwrap_or_else(R::ok)
            };
            reply.answer().await
        };
        let router = Router::new().route(&format!("/t/token/v1/{}", R::ROUTE), post(respond));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { script, base }
    }

    pub fn then(&self, reply: R) {
        self.script.lock().unwrap().replies.push_back(reply);
    }

    pub fn guard(&self, guard: &str) {
        self.script.lock().unwrap().guard = guard.to_owned();
    }

    pub fn requests(&self) -> Vec<Value> {
        self.script.lock().unwrap().requests.clone()
    }
}
