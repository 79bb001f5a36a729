//! The Job's own process: asks the service for questions, reads with its own rights, answers. It knows no database, no
//! model and no Slack, takes no connection, decides nothing, and ends when the service says that it is over or is not
//! heard of any more.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::question::{Answer, MAX_ANSWER_BYTES, Next, Numbered, Question, Questions};
use crate::evidence::{self, Sources};
use crate::tool::bounded::bounded;
use crate::tool::{FULL_BYTES, Found, Refusal, Tool};

/// A call to the service: it waits for a question itself.
const CALL_TIMEOUT: Duration = Duration::from_secs(40);
/// Without an answer of the service for so long there is nobody to read for.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_secs(1);
/// One call of a tool; the service gives up sooner.
const TOOL_DEADLINE: Duration = Duration::from_secs(60);
/// Tries to hand an answer in.
const TRIES: u32 = 5;
/// Of the service's own words.
const MAX_SAID_CHARS: usize = 200;

/// What a Job reads with.
pub struct Reader {
    pub http: reqwest::Client,
    /// The service's address.
    pub service: reqwest::Url,
    pub token: SecretString,
    pub sources: Sources,
    pub tools: Vec<Arc<dyn Tool>>,
}

impl Reader {
    /// Answers until the investigation is over.
    ///
    /// # Errors
    /// The service does not know the token, or is not heard of for a minute.
    pub async fn run(self) -> anyhow::Result<()> {
        let reader = Arc::new(self);
        let (mut after, mut heard) = (0, Instant::now());
        let mut answering = JoinSet::new();
        loop {
            match reader.next(after).await {
                Ok(None) => return Ok(()),
                Ok(Some(questions)) => {
                    heard = Instant::now();
                    for Numbered { number, question } in questions {
                        after = after.max(number);
                        answering.spawn(Arc::clone(&reader).answer(number, question));
                    }
                }
                Err(error) if heard.elapsed() >= PATIENCE => {
                    return Err(error.context(format!("{} was not heard of for a minute", reader.service)));
                }
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "the service does not answer; calling again"
                    );
                    tokio::time::sleep(PAUSE).await;
                }
            }
            while answering.try_join_next().is_some() {}
        }
    }

    /// None: it is over.
    async fn next(&self, after: i32) -> anyhow::Result<Option<Vec<Numbered>>> {
        let answer = self.post("job/v1/next")?.json(&Next { after }).send().await?;
        match answer.status() {
            StatusCode::OK => Ok(Some(answer.json::<Questions>().await?.questions)),
            StatusCode::GONE => Ok(None),
            StatusCode::UNAUTHORIZED if after > 0 => Ok(None),
            status => bail!("it answers {status}: {}", said(answer).await),
        }
    }

    fn post(&self, path: &str) -> anyhow::Result<reqwest::RequestBuilder> {
        let url = self.service.join(path).context("the service's address takes no path")?;
        Ok(self.http.post(url).bearer_auth(self.token.expose_secret()).timeout(CALL_TIMEOUT))
    }

    async fn answer(self: Arc<Self>, number: i32, question: Question) {
        let mut body = json(&self.read(question).await);
        if body.len() > MAX_ANSWER_BYTES {
            let why =
                format!("{} bytes were read, more than the {MAX_ANSWER_BYTES} that can be told", body.len());
            body = json(&Answer::Failed(why));
        }
        for _try in 0..TRIES {
            match self.hand_in(number, body.clone()).await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(number, error = format!("{error:#}"), "an answer was not taken");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    async fn hand_in(&self, number: i32, body: Vec<u8>) -> anyhow::Result<()> {
        let request = self.post(&format!("job/v1/answers/{number}"))?;
        let answer = request.header("content-type", "application/json").body(body).send().await?;
        let status = answer.status();
        // Answered already, by a try whose own answer was lost; or over.
        let done = status.is_success() || matches!(status, StatusCode::CONFLICT | StatusCode::GONE);
        ensure!(done, "it answers {status}: {}", said(answer).await);
        Ok(())
    }

    async fn read(&self, question: Question) -> Answer {
        match question {
            Question::Gather { workload, alerts, scope, wanted } => {
                let sources = self.sources.clone().only(wanted);
                let facts = evidence::gather(&sources, scope, &workload, &alerts).await;
                Answer::Facts(Box::new(facts))
            }
            Question::Call { tool, arguments, bounds } => {
                let Some(known) = self.tools.iter().find(|one| one.schema().name == tool) else {
                    let why = format!("the sources of this namespace's Job have no {tool}");
                    return Answer::Refused(Refusal::Failed(why));
                };
                let called = tokio::time::timeout(TOOL_DEADLINE, known.call(&arguments, &bounds)).await;
                match called.unwrap_or(Err(Refusal::Timeout(TOOL_DEADLINE))) {
                    Ok(found) => Answer::Found(redacted(&found)),
                    Err(refusal) => Answer::Refused(refusal),
                }
            }
        }
    }
}

/// What leaves the tenant's namespace is redacted here already: it lies in the database until it was read.
fn redacted(found: &Found) -> Found {
    Found {
        source: found.source.clone(),
        query: bounded(&found.query, FULL_BYTES),
        digest: bounded(&found.digest, FULL_BYTES),
        full: bounded(&found.full, FULL_BYTES),
    }
}

fn json(answer: &Answer) -> Vec<u8> {
    serde_json::to_vec(answer).unwrap_or_default()
}

async fn said(answer: reqwest::Response) -> String {
    answer.text().await.unwrap_or_default().chars().take(MAX_SAID_CHARS).collect()
}
