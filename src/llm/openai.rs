//! Chat completions with tools, as OpenAI, Azure, vLLM, Ollama, LiteLLM and KubeAI speak them: a conversation
//! goes out, one streamed (or plain) answer comes back. It never retries and trusts no field to be there.

mod answer;
mod question;
#[cfg(test)]
mod tests;

use anyhow::Context;
use futures::future::BoxFuture;
use reqwest::Url;
use secrecy::SecretString;

use super::exchange::{Endpoint, Terms};
use super::{Fault, Model, Reply, Request, Usage};
use crate::settings;
use answer::Answer;
use question::Question;

const BASE_URL: &str = "https://api.openai.com/v1";
const PATH: &str = "/chat/completions";

pub(super) struct OpenAi {
    terms: Terms,
    endpoint: Endpoint,
    /// The newer name of the output limit; the older one is refused by OpenAI's reasoning models, the newer
    /// one is not known to every server that speaks like OpenAI.
    newer_limit: bool,
}

impl OpenAi {
    pub fn new(
        settings: &settings::Model,
        key: Option<&SecretString>,
        http: &reqwest::Client,
    ) -> anyhow::Result<Self> {
        let mut endpoint = Endpoint::new(settings, http, BASE_URL, PATH)?;
        let azure = settings.api_version.is_some();
        if let Some(version) = &settings.api_version {
            endpoint.url_mut().query_pairs_mut().append_pair("api-version", version);
        }
        match key {
            Some(key) if azure => endpoint.secret_header("api-key", key, ""),
            Some(key) => endpoint.secret_header("authorization", key, "Bearer "),
            None => Ok(()),
        }
        .context("api_key")?;
        endpoint.own_headers(settings)?;
        let newer_limit = azure || knows_newer_limit(endpoint.url_mut());
        Ok(Self { terms: Terms::new(settings), endpoint, newer_limit })
    }

    async fn exchange(&self, request: &Request) -> Result<Reply, Fault> {
        let question = Question::new(request, &self.terms, self.newer_limit);
        let mut answer = Answer::default();
        self.endpoint.post(&question, |part| answer.take(part)).await?;
        answer.finish(&self.terms.name)
    }
}

fn knows_newer_limit(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == "api.openai.com" || host.ends_with(".api.openai.com") || host.ends_with(".azure.com")
}

impl Model for OpenAi {
    fn name(&self) -> &str {
        &self.terms.name
    }

    fn provider(&self) -> &'static str {
        "openai"
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
