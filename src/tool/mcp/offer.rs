//! Which of a server's tools may be used: settings and the server's list in, schemas with the server's names
//! and the reasons of the others out. Pure. A server's word counts for less than the settings.

use std::collections::BTreeSet;

use anyhow::ensure;
use serde_json::Value;

use crate::llm::ToolSchema;
use crate::settings::McpServer;

/// Groups of our own tools.
const TAKEN: [&str; 6] = ["kubernetes", "prometheus", "loki", "tempo", "runbook", "memory"];
/// Most characters of a server's name.
const MAX_NAME_CHARS: usize = 24;
/// Most characters of a tool's name: what every provider takes.
const MAX_TOOL_NAME_CHARS: usize = 64;
/// Most characters of a tool's description.
const MAX_DESCRIPTION_CHARS: usize = 1_000;
/// Largest schema of arguments, in bytes: it is sent with every question.
const MAX_SCHEMA_BYTES: usize = 8 * 1024;

/// # Errors
/// A name that cannot stand in front of a tool's, or is that of our own tools.
pub(super) fn check_name(name: &str) -> anyhow::Result<()> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    ensure!(
        !name.is_empty() && name.len() <= MAX_NAME_CHARS && name.chars().all(fits),
        "MCP server {name:?}: `name` is 1 to {MAX_NAME_CHARS} of a-z, 0-9, - and _"
    );
    ensure!(!TAKEN.contains(&name), "MCP server {name}: `name` is that of our own tools");
    Ok(())
}

/// Schemas under our names with the server's names, and a sentence for each tool that was listed in vain.
pub(super) fn choose(
    settings: &McpServer,
    offered: Vec<rmcp::model::Tool>,
) -> (Vec<(ToolSchema, String)>, Vec<String>) {
    let mut chosen = Vec::new();
    let mut problems = Vec::new();
    let mut names = BTreeSet::new();
    for wanted in settings.tools.iter().collect::<BTreeSet<_>>() {
        let found = offered.iter().find(|tool| tool.name == wanted.as_str());
        let checked = found.ok_or("does not exist").and_then(|tool| schema(settings, tool));
        match checked {
            Ok(schema) if names.insert(schema.name.clone()) => chosen.push((schema, wanted.clone())),
            Ok(_) => problems.push(problem(settings, wanted, "has the name of another")),
            Err(reason) => problems.push(problem(settings, wanted, reason)),
        }
    }
    (chosen, problems)
}

fn problem(settings: &McpServer, tool: &str, reason: &str) -> String {
    format!("MCP server {}: the tool {tool:?} {reason}", settings.name)
}

fn schema(settings: &McpServer, tool: &rmcp::model::Tool) -> Result<ToolSchema, &'static str> {
    let read_only = tool.annotations.as_ref().and_then(|hints| hints.read_only_hint) == Some(true);
    if !read_only && !settings.allow_without_readonly {
        return Err("is not marked as read-only");
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    let name = format!("{}_{}", settings.name, tool.name.chars().map(plain).collect::<String>());
    if name.len() > MAX_TOOL_NAME_CHARS {
        return Err("has a name that is too long");
    }
    let parameters = Value::Object(tool.input_schema.as_ref().clone());
    if parameters.to_string().len() > MAX_SCHEMA_BYTES {
        return Err("has a schema that is too large");
    }
    if parameters.get("type").is_some_and(|kind| kind != "object") {
        return Err("does not take an object");
    }
    let description = tool.description.as_deref().unwrap_or_default();
    let description = description.chars().take(MAX_DESCRIPTION_CHARS).collect();
    Ok(ToolSchema { name, description, parameters })
}
