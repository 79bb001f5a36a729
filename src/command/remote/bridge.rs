//! `whodunit mcp`: an agent's messages of the Model Context Protocol come in on stdin, a running whodunit is asked at
//! `/mcp`, and its answers go out on stdout, where nothing else is ever written. Each call is one request, so a whodunit
//! that starts anew meanwhile is no matter.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, InitializeRequestParams,
    InitializeResult, ListToolsResult, PaginatedRequestParams, ProtocolVersion, ServerConfig,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Place;
use super::client::Client;
use super::paint::plain;

/// What the service is spoken to in: the last version in which a request needs no headers of its own.
const VERSION: ProtocolVersion = ProtocolVersion::LATEST_WITH_INITIALIZE;
const PATH: &str = "/mcp";

pub const HELP: &str = "For Claude Code: claude mcp add whodunit -e WHODUNIT_URL=https://whodunit.example.com -e \
WHODUNIT_TOKEN=… -- whodunit mcp\n\nAgents that speak streamable HTTP need no program in between: URL/mcp, with the \
header `Authorization: Bearer TOKEN`.";

#[derive(Args)]
pub struct BridgeOptions {
    #[command(flatten)]
    place: Place,
}

/// A running whodunit, for an agent on stdin and stdout.
struct Bridge {
    client: Client,
    /// As the service introduced itself.
    info: InitializeResult,
}

/// Serves the agent until it closes stdin.
pub async fn bridge(options: BridgeOptions) -> anyhow::Result<ExitCode> {
    let client = Client::new(&options.place)?;
    // Asked at once: a wrong address or token is told when the agent starts, not in the middle of its work.
    let mut hello = InitializeRequestParams::default();
    hello.protocol_version = VERSION;
    let info = ask(&client, "initialize", json!(hello)).await?;
    let server = Bridge { client, info }.serve(rmcp::transport::stdio()).await;
    server.context("the agent on stdin did not begin as the protocol has it")?.waiting().await?;
    Ok(ExitCode::SUCCESS)
}

impl ServerHandler for Bridge {
    fn get_info(&self) -> ServerConfig {
        let info = self.info.clone();
        ServerConfig::new(info.capabilities)
            .with_server_info(info.server_info)
            .with_instructions(info.instructions.unwrap_or_default())
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let listed = ask(&self.client, "tools/list", json!({})).await;
        listed.map_err(|error| ErrorData::internal_error(format!("{error:#}"), None))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let call = json!({"name": request.name, "arguments": request.arguments.unwrap_or_default()});
        let result: CallToolResult = match ask(&self.client, "tools/call", call).await {
            Ok(result) => result,
            // An agent reads results; errors of the protocol it seldom sees.
            Err(error) => CallToolResult::error(vec![ContentBlock::text(format!("{error:#}"))]),
        };
        Ok(result.into())
    }
}

async fn ask<T: DeserializeOwned>(client: &Client, method: &str, params: Value) -> anyhow::Result<T> {
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let mut answer = client.exchange(PATH, &message, VERSION.as_str()).await?;
    if let Some(error) = answer.get("error") {
        bail!("{}", plain(&error["message"]));
    }
    serde_json::from_value(answer["result"].take()).with_context(|| format!("no answer to {method}"))
}
