//! A scripted model behind chat completions, for the whole service, and one in the process, for its parts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use whodunit::llm::{Fault, Model, Reply, Request, Stop, ToolCall, Turn, Usage};
use whodunit::settings;

use crate::house::{self, House};

/// What the scripted server answers to its n-th request (from 0).
pub type Script = Arc<dyn Fn(usize, &Value) -> Said + Send + Sync>;

pub enum Said {
    /// Calls: name and arguments, which need not be JSON.
    Calls(Vec<(String, String)>),
    Text(&'static str),
    Status(u16),
    /// Bytes that are no completion.
    Garbage,
    /// Headers and nothing more.
    Silence,
}

pub fn call(name: &str, arguments: &Value) -> (String, String) {
    (name.to_owned(), arguments.to_string())
}

#[derive(Clone)]
pub struct ModelServer {
    pub url: String,
    asked: Arc<Mutex<Vec<Value>>>,
    script: Script,
}

impl ModelServer {
    pub async fn start(script: Script) -> Self {
        let (listener, url) = house::listen().await;
        let server = Self { url, asked: Arc::default(), script };
        let router = Router::new().fallback(answer).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        server
    }

    /// The bodies of all requests.
    pub fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }

    pub fn settings(&self) -> settings::Model {
        serde_json::from_value(json!({
            "name": "scripted", "provider": "openai", "model": "m", "base_url": self.url,
            "usd_per_million": {"input": 3.0, "output": 15.0},
        }))
        .unwrap()
    }
}

async fn answer(State(server): State<ModelServer>, body: axum::body::Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let number = {
        let mut asked = server.asked.lock().unwrap();
        asked.push(body.clone());
        asked.len() - 1
    };
    let message = match (server.script)(number, &body) {
        Said::Calls(calls) => {
            let calls: Vec<Value> = calls
                .iter()
                .enumerate()
                .map(|(place, (name, arguments))| {
                    json!({"id": format!("c{number}_{place}"), "type": "function",
                           "function": {"name": name, "arguments": arguments}})
                })
                .collect();
            json!({"role": "assistant", "content": null, "tool_calls": calls})
        }
        Said::Text(text) => json!({"role": "assistant", "content": text}),
        Said::Status(status) => {
            return (StatusCode::from_u16(status).unwrap(), "{\"error\": {\"message\": \"no\"}}")
                .into_response();
        }
        Said::Garbage => return "<html>hello</html>".into_response(),
        Said::Silence => {
            let never = futures::stream::pending::<Result<axum::body::Bytes, std::io::Error>>();
            return Response::new(Body::from_stream(never));
        }
    };
    let completion = json!({
        "id": "x", "object": "chat.completion", "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3_000, "completion_tokens": 100, "total_tokens": 3_100},
    });
    axum::Json(completion).into_response()
}

/// The first message of a question.
pub fn case_file(request: &Value) -> &str {
    request["messages"][1]["content"].as_str().unwrap()
}

pub fn tool_names(request: &Value) -> Vec<&str> {
    let tools = request["tools"].as_array().unwrap();
    tools.iter().map(|tool| tool["function"]["name"].as_str().unwrap()).collect()
}

/// Answers of tools so far: the observation's id (or "") and the text.
pub fn told(request: &Value) -> Vec<(&str, &str)> {
    let messages = request["messages"].as_array().unwrap().iter();
    let texts = messages.filter(|one| one["role"] == "tool").map(|one| one["content"].as_str().unwrap());
    let id = |text: &'_ str| text.starts_with('E').then(|| text.find(' ')).flatten().unwrap_or(0);
    texts.map(|text| (&text[..id(text)], text)).collect()
}

/// What a question holds, in tokens of 3.5 bytes: conversation and schemas.
pub fn tokens(request: &Value) -> u64 {
    ((request["messages"].to_string().len() + request["tools"].to_string().len()) as f64 / 3.5) as u64
}

/// The only investigation, as the API tells it, and its report.
pub async fn only_investigation(house: &House) -> Value {
    let (_, list) = house.get("/api/v1/investigations").await;
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    let id = list["items"][0]["id"].as_str().unwrap();
    house.get(&format!("/api/v1/investigations/{id}")).await.1
}

/// A line of the case file that can be quoted: (evidence id, quote).
pub fn quotable(case_file: &str) -> (String, String) {
    let line = case_file.lines().find(|line| {
        line.starts_with("[E")
            && !line.contains('…')
            && !line.contains("] log: ")
            && !line.contains("changed by")
    });
    let (id, quote) = line.unwrap()[1..].split_once("] ").unwrap();
    (id.to_owned(), quote.to_owned())
}

/// A conclusion with this quote.
pub fn conclusion(id: &str, quote: &str) -> Value {
    json!({
        "outcome": "root_cause", "summary": "The workload does not start.",
        "root_cause": "Its command is not in the image.", "category": "image",
        "evidence": [{"id": id, "quote": quote}],
    })
}

/// Answers in the process: the n-th question's turn, after a wait.
pub struct Scripted {
    pub turns: Vec<Vec<(String, String)>>,
    pub asked: Arc<Mutex<Vec<Request>>>,
    /// From this question on it never answers.
    pub hangs_at: usize,
    pub before: BoxedAction,
    next: AtomicUsize,
}

/// Done before each answer, with the question's number.
pub type BoxedAction = Box<dyn Fn(usize) -> BoxFuture<'static, ()> + Send + Sync>;

impl Scripted {
    pub fn new(turns: Vec<Vec<(String, String)>>) -> Self {
        Self {
            turns,
            asked: Arc::default(),
            hangs_at: usize::MAX,
            before: Box::new(|_| async {}.boxed()),
            next: AtomicUsize::new(0),
        }
    }
}

impl Model for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn ask<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Reply, Fault>> {
        async move {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            self.asked.lock().unwrap().push(request.clone());
            (self.before)(number).await;
            if number >= self.hangs_at {
                tokio::time::sleep(Duration::from_secs(3_600)).await;
            }
            let calls = self.turns.get(number).cloned().unwrap_or_default();
            let call = |(place, (name, arguments)): (usize, &(String, String))| ToolCall {
                id: format!("c{number}_{place}"),
                name: name.clone(),
                arguments: arguments.clone(),
            };
            let turn = Turn { calls: calls.iter().enumerate().map(call).collect(), ..Turn::default() };
            let usage = Usage { input: 1_000, cached: 0, output: 100 };
            Ok(Reply { turn, usage, stop: Stop::Done, model: "scripted".to_owned() })
        }
        .boxed()
    }

    fn context_tokens(&self) -> u64 {
        100_000
    }

    fn usd(&self, usage: Usage) -> f64 {
        usage.input as f64 * 3e-6 + usage.output as f64 * 15e-6
    }
}
