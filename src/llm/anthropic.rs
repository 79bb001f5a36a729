//! Anthropic's messages API: a conversation goes out, with cache marks on what the next question repeats;
//! one streamed (or plain) answer comes back. It never retries and trusts no field to be there.

mod answer;
mod question;
#[cfg(test)]
mod tests;

use anyhow::Context;
use futures::future::BoxFuture;
use secrecy::SecretString;

use super::exchange::{Endpoint, Terms};
use super::{Fault, Model, Reply, Request, Usage};
use crate::settings;
use answer::Answer;
use question::Question;

const BASE_URL: &str = "https://api.anthropic.com";
const PATH: &str = "/v1/messages";
const VERSION: &str = "2023-06-01";

pub(super) struct Anthropic {
    terms: Terms,
    endpoint: Endpoint,
}

impl Anthropic {
    pub fn new(
        settings: &settings::Model,
        key: Option<&SecretString>,
        http: &reqwest::Client,
    ) -> anyhow::Result<Self> {
        let mut endpoint = Endpoint::new(settings, http, BASE_URL, PATH)?;
        let version = settings.api_version.as_deref().unwrap_or(VERSION);
        endpoint.header("anthropic-version", version).context("api_version")?;
        if let Some(key) = key {
            endpoint.secret_header("x-api-key", key, "").context("api_key")?;
        }
        endpoint.own_headers(settings)?;
        Ok(Self { terms: Terms::new(settings), endpoint })
    }

    async fn exchange(&self, request: &Request) -> Result<Reply, Fault> {
        let question = Question::new(request, &self.terms);
        let mut answer = Answer::default();
        self.endpoint.post(&question, |part| answer.take(part)).await?;
        answer.finish(&self.terms.name)
    }
}

impl Model for Anthropic {
    fn name(&self) -> &str {
        &self.terms.name
    }

    fn provider(&self) -> &'static str {
        "anthropic"
    }

    fn model(&self) -> &str {
        &self.terms.model
    }

    fn ask<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<Reply, Fault>> {
        Box::pin(async move { self.exchange(request).await.map_err(|fault| self.endpoint.clean(fault)) })
    }

    fn context_tokens(&self) -> u64 {
        self.terms.context_tokens
    }

    fn usd(&self, usage: Usage) -> f64 {
        self.terms.usd(usage)
    }
}
