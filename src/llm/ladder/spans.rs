//! The span of one question to one model, as OpenTelemetry's conventions for generative AI name it. It holds names
//! from the settings and counts; never a word of the question or the answer.

use tracing::Span;
use tracing::field::Empty;

use super::word;
use crate::llm::{Fault, Model, Reply, Request};

pub(super) fn chat(model: &dyn Model, request: &Request) -> Span {
    tracing::info_span!(
        "chat",
        otel.name = format!("chat {}", model.model()),
        otel.kind = "client",
        gen_ai.operation.name = "chat",
        gen_ai.provider.name = model.provider(),
        gen_ai.request.model = model.model(),
        gen_ai.request.max_tokens = i64::from(request.max_output_tokens),
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.cache_read.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        "error.type" = Empty,
        otel.status_code = Empty,
    )
}

pub(super) fn answered(span: &Span, outcome: &Result<Reply, Fault>) {
    match outcome {
        Ok(reply) => {
            span.record("gen_ai.usage.input_tokens", count(reply.usage.input));
            span.record("gen_ai.usage.cache_read.input_tokens", count(reply.usage.cached));
            span.record("gen_ai.usage.output_tokens", count(reply.usage.output));
        }
        Err(_) => failed(span, word(outcome)),
    }
}

pub(super) fn failed(span: &Span, error: &str) {
    span.record("error.type", error);
    span.record("otel.status_code", "ERROR");
}

fn count(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
}
