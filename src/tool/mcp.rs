//! Tools of other servers, over the Model Context Protocol: settings come in, the listed read-only tools go
//! out, each call with a session of its own. It starts no programs, follows no redirects, offers the server
//! nothing to ask in return, and cannot hold an answer to the investigation's namespaces.

mod offer;
mod servers;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use futures::future::BoxFuture;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ClientConfig, ContentBlock,
    Implementation, ResourceContents,
};
use rmcp::service::RunningService;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::common::client_side_sse::NeverRetry;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{RoleClient, ServiceError, ServiceExt};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

pub use servers::Servers;

use super::{Bounds, Found, Refusal, Tool};
use crate::llm::ToolSchema;
use crate::settings::McpServer;

/// In front of a server's name, in the group of its tools and as the source of what they read.
const GROUP: &str = "mcp:";
/// Largest event that is read of a stream, in bytes.
const MAX_EVENT_BYTES: usize = 1024 * 1024;
/// Largest answer of a tool that is taken, in bytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// How long a session's end is waited for.
const CLOSE_DEADLINE: Duration = Duration::from_secs(1);
/// Most pages of a list of tools.
const MAX_PAGES: usize = 10;
/// Most characters of a server's own words in an error.
const MAX_MESSAGE_CHARS: usize = 300;

type Session = RunningService<RoleClient, ClientConfig>;

/// A server, not yet spoken to.
pub struct Server {
    name: String,
    /// `mcp:NAME`, as a runbook's `tools` names it.
    group: String,
    url: Arc<str>,
    token: Option<SecretString>,
    http: reqwest::Client,
    timeout: Duration,
}

/// What a server offers that may be used, and what was listed in vain.
pub struct Offer {
    pub tools: Vec<McpTool>,
    /// One sentence each, for the log and `models check`.
    pub problems: Vec<String>,
}

/// One tool of a server.
pub struct McpTool {
    schema: ToolSchema,
    /// Its name at the server.
    remote: String,
    server: Arc<Server>,
}

/// Asks a server for its tools.
///
/// # Errors
/// Settings that cannot work, by the name of the setting; a server that does not answer in time.
pub async fn connect(settings: &McpServer, http: &reqwest::Client) -> anyhow::Result<Offer> {
    let server = Arc::new(Server::new(settings, http)?);
    let listed = tokio::time::timeout(server.timeout, server.list())
        .await
        .with_context(|| format!("MCP server {}: no list of tools in time", server.name))?
        .with_context(|| format!("MCP server {}", server.name))?;
    let (chosen, problems) = offer::choose(settings, listed);
    let tool = |(schema, remote)| McpTool { schema, remote, server: Arc::clone(&server) };
    Ok(Offer { tools: chosen.into_iter().map(tool).collect(), problems })
}

impl Server {
    fn new(settings: &McpServer, http: &reqwest::Client) -> anyhow::Result<Self> {
        let name = &settings.name;
        offer::check_name(name)?;
        let url: reqwest::Url =
            settings.url.parse().with_context(|| format!("MCP server {name}: `url` {:?}", settings.url))?;
        ensure!(matches!(url.scheme(), "http" | "https"), "MCP server {name}: `url` is not http(s)");
        let token = match (&settings.token, &settings.token_file) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path).with_context(|| {
                    format!("MCP server {name}: cannot read `token_file` {}", path.display())
                })?;
                Some(SecretString::from(text.trim()))
            }
            (None, None) => None,
        };
        let timeout = Duration::from_secs(settings.timeout_secs.max(1));
        let group = format!("{GROUP}{name}");
        Ok(Self { name: name.clone(), group, url: url.as_str().into(), token, http: http.clone(), timeout })
    }

    async fn session(&self) -> anyhow::Result<Session> {
        let mut config = StreamableHttpClientTransportConfig::with_uri(Arc::clone(&self.url))
            .max_sse_event_size(MAX_EVENT_BYTES);
        config.retry_config = Arc::new(NeverRetry::default());
        if let Some(token) = &self.token {
            config = config.auth_header(token.expose_secret());
        }
        let transport = StreamableHttpClientTransport::with_client(self.http.clone(), config);
        let us = Implementation::new("whodunit", env!("CARGO_PKG_VERSION"));
        // No capability: a server can neither ask a model through us nor a person.
        Ok(ClientConfig::new(ClientCapabilities::default(), us).serve(transport).await?)
    }

    async fn list(&self) -> anyhow::Result<Vec<rmcp::model::Tool>> {
        let mut session = self.session().await?;
        let listed = pages(&session).await;
        close(&mut session).await;
        listed
    }

    async fn call(&self, params: CallToolRequestParams) -> Result<CallToolResult, Refusal> {
        let mut session =
            self.session().await.map_err(|error| Refusal::Failed(cut(&format!("{error:#}"))))?;
        let answer = session.call_tool_once(params).await;
        close(&mut session).await;
        match answer {
            Ok(CallToolResponse::Complete(result)) => Ok(result),
            Ok(_) => {
                Err(Refusal::Failed("the tool wants to be answered first, which is not done".to_owned()))
            }
            Err(ServiceError::McpError(error)) => Err(Refusal::Failed(cut(&error.message))),
            Err(error) => Err(Refusal::Failed(cut(&error.to_string()))),
        }
    }
}

async fn pages(session: &Session) -> anyhow::Result<Vec<rmcp::model::Tool>> {
    let mut tools = Vec::new();
    let mut cursor = None;
    for _ in 0..MAX_PAGES {
        let params = rmcp::model::PaginatedRequestParams::default().with_cursor(cursor);
        let page = session.list_tools(Some(params)).await?;
        tools.extend(page.tools);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(tools);
        }
    }
    anyhow::bail!("its list of tools has more than {MAX_PAGES} pages")
}

/// A session that does not end in time is dropped, which ends it here.
async fn close(session: &mut Session) {
    if let Err(error) = session.close_with_timeout(CLOSE_DEADLINE).await {
        tracing::debug!(%error, "a session with an MCP server broke off");
    }
}

impl Tool for McpTool {
    fn schema(&self) -> &ToolSchema {
        &self.schema
    }

    fn group(&self) -> &str {
        &self.server.group
    }

    fn call<'a>(
        &'a self,
        arguments: &'a Value,
        _bounds: &'a Bounds,
    ) -> BoxFuture<'a, Result<Found, Refusal>> {
        Box::pin(async move {
            let Value::Object(object) = arguments else {
                return Err(Refusal::Arguments("not a JSON object".to_owned()));
            };
            let params = CallToolRequestParams::new(self.remote.clone()).with_arguments(object.clone());
            let result = tokio::time::timeout(self.server.timeout, self.server.call(params))
                .await
                .map_err(|_elapsed| Refusal::Timeout(self.server.timeout))??;
            let text = said(&result);
            if result.is_error == Some(true) {
                return Err(Refusal::Failed(cut(&text)));
            }
            if text.len() > MAX_ANSWER_BYTES {
                let size = text.len();
                return Err(Refusal::TooMuch(format!(
                    "{size} bytes, at most {MAX_ANSWER_BYTES}; ask for less"
                )));
            }
            Ok(Found {
                source: self.server.group.clone(),
                query: format!("tools/call {} {arguments}", self.remote),
                digest: text.clone(),
                full: text,
            })
        })
    }
}

/// The text of an answer; what is no text is named.
fn said(result: &CallToolResult) -> String {
    let each = result.content.iter().map(|block| match block {
        ContentBlock::Text(text) => text.text.clone(),
        ContentBlock::Resource(embedded) => match &embedded.resource {
            ResourceContents::TextResourceContents { text, .. } => text.clone(),
            _ => "[left out: a resource that is no text]".to_owned(),
        },
        ContentBlock::ResourceLink(link) => format!("[a link, not followed: {}]", link.uri),
        _ => "[left out: an image or a sound]".to_owned(),
    });
    let text = each.collect::<Vec<_>>().join("\n");
    match &result.structured_content {
        Some(structured) if text.is_empty() => structured.to_string(),
        _ => text,
    }
}

fn cut(text: &str) -> String {
    text.chars().take(MAX_MESSAGE_CHARS).collect()
}
