//! Slack and the recorded cluster as processes of their own: this program again, with another argument. Each says
//! on its first line where it listens and ends when its standard input does, so that none outlives the harness.
//! Slack's is told over a second port how calls go wrong, and asked there what it was sent.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use whodunit::demo::slack::Injected;
use whodunit::demo::{KubernetesStandIn, Recording, SlackStandIn};

use crate::verdict;

pub const SLACK_TOKEN: &str = "xoxb-of-the-stand-in";
pub const CHANNEL: &str = "#alerts";

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    Slack,
    Kubernetes,
}

/// How the next calls of a method go wrong.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Wrong {
    pub method: String,
    pub how: How,
    pub times: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum How {
    RateLimited(u64),
    Status(u16),
    Error(String),
    Hang,
    StoredThenHang,
    StoredThenStatus(u16),
}

/// A message as it stands in the channel.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Said {
    pub ts: String,
    /// Of the thread it stands in; none: it heads one.
    pub thread: Option<String>,
    pub text: String,
    /// The workloads of ours that it names.
    pub about: Vec<String>,
}

/// A call, whatever came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Call {
    pub method: String,
    pub at_millis: u64,
}

/// Serves one part until standard input ends.
pub async fn serve(part: Part) -> Result<()> {
    let shutdown = CancellationToken::new();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let control = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{} {}", listener.local_addr()?.port(), control.local_addr()?.port());
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    let stop = shutdown.clone();
    let serving = async move {
        match part {
            Part::Kubernetes => {
                let cluster = Arc::new(KubernetesStandIn::new(Recording::embedded()?)?);
                cluster.serve(listener, stop).await?;
            }
            Part::Slack => {
                let slack = Arc::new(SlackStandIn::new(SLACK_TOKEN, &[CHANNEL]));
                tokio::spawn(axum::serve(control, controls(Arc::clone(&slack))).into_future());
                slack.serve(listener, stop).await?;
            }
        }
        anyhow::Ok(())
    };
    tokio::select! {
        served = serving => served,
        _ = ended => Ok(()),
    }
}

fn controls(slack: Arc<SlackStandIn>) -> Router {
    // Moments are told as time since then.
    let begin = Instant::now();
    let calls = move |State(slack): State<Arc<SlackStandIn>>| async move {
        let at = |arrived: Instant| arrived.saturating_duration_since(begin).as_millis();
        let call = |arrival: whodunit::demo::slack::Arrival| Call {
            method: arrival.method,
            at_millis: u64::try_from(at(arrival.arrived)).unwrap_or(u64::MAX),
        };
        Json(slack.arrivals().into_iter().map(call).collect::<Vec<Call>>())
    };
    let messages = |State(slack): State<Arc<SlackStandIn>>| async move {
        let said = slack.messages().into_iter().map(|message| Said {
            about: verdict::names(&format!("{} {}", message.text, message.blocks)),
            ts: message.ts,
            thread: message.thread_ts,
            text: message.text,
        });
        Json(said.collect::<Vec<Said>>())
    };
    let wrong = |State(slack): State<Arc<SlackStandIn>>, Json(wrong): Json<Wrong>| async move {
        for _ in 0..wrong.times {
            slack.inject(&wrong.method, wrong.how.clone().into());
        }
    };
    Router::new()
        .route("/calls", get(calls))
        .route("/messages", get(messages))
        .route("/wrong", post(wrong))
        .with_state(slack)
}

impl From<How> for Injected {
    fn from(how: How) -> Self {
        match how {
            How::RateLimited(retry_after_secs) => Self::RateLimited { retry_after_secs },
            How::Status(status) => Self::Status(status),
            How::Error(code) => Self::Error(code),
            How::Hang => Self::Hang,
            How::StoredThenHang => Self::StoredThenHang,
            How::StoredThenStatus(status) => Self::StoredThenStatus(status),
        }
    }
}

/// A stand-in's process, seen from the harness.
pub struct StandIn {
    child: Child,
    pub port: u16,
    control: u16,
    http: reqwest::Client,
}

impl StandIn {
    pub fn start(part: Part, http: reqwest::Client) -> Result<Self> {
        let name = match part {
            Part::Slack => "slack",
            Part::Kubernetes => "kubernetes",
        };
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--stand-in", name]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start a stand-in")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no output")?).read_line(&mut line)?;
        let mut ports = line.split_whitespace().map(str::parse);
        let mut port =
            || ports.next().and_then(Result::ok).context("a stand-in did not say where it listens");
        let (port, control) = (port()?, port()?);
        Ok(Self { child, port, control, http })
    }

    pub async fn go_wrong(&self, method: &str, how: How, times: u32) -> Result<()> {
        let wrong = Wrong { method: method.to_owned(), how, times };
        let url = format!("http://127.0.0.1:{}/wrong", self.control);
        self.http.post(url).json(&wrong).send().await?.error_for_status()?;
        Ok(())
    }

    /// Everything in the channel, oldest first.
    pub async fn messages(&self) -> Result<Vec<Said>> {
        self.read("messages").await
    }

    /// Every call, oldest first.
    pub async fn calls(&self) -> Result<Vec<Call>> {
        self.read("calls").await
    }

    async fn read<T: DeserializeOwned>(&self, what: &str) -> Result<T> {
        let answer = self.http.get(format!("http://127.0.0.1:{}/{what}", self.control)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
