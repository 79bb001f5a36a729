//! Spans of a run, as OpenTelemetry's conventions for generative AI name them. They hold names, counts and ways
//! out; never what was said, asked or found, and no word that a model chose.

use tracing::Span;
use tracing::field::Empty;

use super::ended::{Ended, Ran};

/// The whole run.
pub(super) fn invoke_agent() -> Span {
    tracing::info_span!(
        "invoke_agent",
        otel.name = "invoke_agent whodunit",
        gen_ai.operation.name = "invoke_agent",
        gen_ai.agent.name = "whodunit",
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        whodunit.steps = Empty,
        whodunit.ended = Empty,
        "error.type" = Empty,
        otel.status_code = Empty,
    )
}

pub(super) fn ran(span: &Span, ran: &anyhow::Result<Ran>) {
    match ran {
        Ok(ran) => {
            let spent = ran.ledger.spent();
            span.record("gen_ai.usage.input_tokens", count(spent.usage.input));
            span.record("gen_ai.usage.output_tokens", count(spent.usage.output));
            span.record("whodunit.steps", i64::from(spent.steps));
            span.record("whodunit.ended", ran.ended.as_str());
            if matches!(ran.ended, Ended::ModelsDown(_)) {
                failed(span, ran.ended.as_str());
            }
        }
        Err(_) => failed(span, "journal"),
    }
}

/// One call of a tool; `tool` is one of ours, not what a model wrote.
pub(super) fn execute_tool(tool: Option<&str>) -> Span {
    let tool = tool.unwrap_or("unknown");
    tracing::info_span!(
        "execute_tool",
        otel.name = format!("execute_tool {tool}"),
        gen_ai.operation.name = "execute_tool",
        gen_ai.tool.name = tool,
        "gen_ai.tool.type" = "function",
        "error.type" = Empty,
        otel.status_code = Empty,
    )
}

pub(super) fn failed(span: &Span, error: &str) {
    span.record("error.type", error);
    span.record("otel.status_code", "ERROR");
}

fn count(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}
