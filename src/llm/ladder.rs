//! The models in order: a question goes to the first that can answer it, and its reply comes back. Only
//! passing faults are asked again, a model that keeps failing is rested, and no wait goes beyond the caller's
//! deadline. What to do is decided in `decide`; here it is done.

mod decide;
mod spans;
#[cfg(test)]
mod tests;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::counter;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tracing::Instrument;

use super::{Fault, Message, Model, Reply, Request, Usage};
use crate::telemetry::{MODEL_CALLS, MODEL_TOKENS};
use decide::{Candidate, Others, Rung, Standing};

/// Models in order. Their standings are shared by all investigations, so that one learns of another's faults.
pub struct Ladder {
    models: Vec<Arc<Known>>,
}

/// A model, and what is known of it.
struct Known {
    model: Box<dyn Model>,
    standing: Mutex<Standing>,
}

impl Ladder {
    pub fn new(models: Vec<Box<dyn Model>>) -> Self {
        let known = |model| Arc::new(Known { model, standing: Mutex::default() });
        Self { models: models.into_iter().map(known).collect() }
    }

    /// The models of these names, in this order, with what is known of them.
    pub fn only(&self, names: &[String]) -> Self {
        let named = names.iter().filter_map(|name| self.models.iter().find(|one| one.model.name() == name));
        Self { models: named.cloned().collect() }
    }

    /// No model is configured.
    pub fn is_empty(&self) -> bool {
        self.models.is_empty()
    }

    /// What this reply cost, in dollars.
    pub fn usd(&self, reply: &Reply) -> f64 {
        let known = self.models.iter().find(|known| known.model.name() == reply.model);
        known.map_or(0.0, |known| known.model.usd(reply.usage))
    }

    /// The most this question can use, by estimate: to be reserved before it is asked.
    pub fn most(&self, request: &Request) -> Usage {
        let chars = chars(request);
        let input = self.models.iter().map(|known| known.standing().tokens(chars)).max();
        Usage { input: input.unwrap_or_default(), cached: 0, output: u64::from(request.max_output_tokens) }
    }

    /// What `usage` costs with the dearest model, in dollars.
    pub fn most_usd(&self, usage: Usage) -> f64 {
        self.models.iter().map(|known| known.model.usd(usage)).fold(0.0, f64::max)
    }

    /// Asks until a model answers or `until` has come.
    ///
    /// # Errors
    /// No model answered: the texts of all faults, named by what the caller can do about them together.
    pub async fn ask(&self, request: &Request, until: Instant) -> Result<Reply, Fault> {
        let chars = chars(request);
        let rungs = self.order(chars, request.max_output_tokens, until);
        let mut faults = Vec::new();
        for (place, rung) in rungs.iter().enumerate() {
            let (model, outcome) = match rung {
                Rung::Skip { model, fault } => (*model, Err(fault.clone())),
                Rung::Ask { model, from } => {
                    let others = if place + 1 < rungs.len() { Others::Some } else { Others::None };
                    sleep_until(until.min(*from)).await;
                    (*model, self.climb(*model, request, until, others).await)
                }
            };
            match outcome {
                Ok(reply) => return Ok(counted(reply, chars)),
                Err(fault) => {
                    let name = self.models[model].model.name();
                    tracing::warn!(model = name, %fault, "a model did not answer");
                    faults.push((name.to_owned(), fault));
                }
            }
        }
        Err(decide::combined(faults))
    }

    fn order(&self, chars: usize, max_output_tokens: u32, until: Instant) -> Vec<Rung> {
        let standings: Vec<Standing> = self.models.iter().map(|known| known.standing().clone()).collect();
        let candidates: Vec<Candidate> = self
            .models
            .iter()
            .zip(standings.iter())
            .map(|(known, standing)| Candidate {
                standing,
                context_tokens: known.model.context_tokens(),
                needed_tokens: standing.tokens(chars) + u64::from(max_output_tokens),
            })
            .collect();
        decide::order(&candidates, Instant::now(), until)
    }

    /// Asks one model, again where that may help.
    async fn climb(
        &self,
        model: usize,
        request: &Request,
        until: Instant,
        others: Others,
    ) -> Result<Reply, Fault> {
        // Our hurry is not the model's fault: nothing is held against it.
        let late = || Fault::Transient { detail: "no time is left".to_owned(), retry_after: None };
        let mut tries = 0;
        loop {
            if Instant::now() >= until {
                return Err(late());
            }
            tries += 1;
            let span = spans::chat(self.models[model].model.as_ref(), request);
            let asked = self.models[model].model.ask(request).instrument(span.clone());
            let Ok(outcome) = timeout_at(until, asked).await else {
                spans::failed(&span, "timeout");
                return Err(late());
            };
            spans::answered(&span, &outcome);
            self.remember(model, request, &outcome);
            let fault = match outcome {
                Ok(reply) => return Ok(reply),
                Err(fault) => fault,
            };
            let left = until.saturating_duration_since(Instant::now());
            match decide::again(&fault, tries, others, left, chance()) {
                Some(wait) => sleep(wait).await,
                None => return Err(fault),
            }
        }
    }

    fn remember(&self, model: usize, request: &Request, outcome: &Result<Reply, Fault>) {
        let known = &self.models[model];
        let name = known.model.name().to_owned();
        counter!(MODEL_CALLS, "model" => name.clone(), "outcome" => word(outcome)).increment(1);
        let mut standing = known.standing();
        match outcome {
            Ok(reply) => {
                let Usage { input, cached, output } = reply.usage;
                for (kind, tokens) in
                    [("input", input.saturating_sub(cached)), ("cached", cached), ("output", output)]
                {
                    counter!(MODEL_TOKENS, "model" => name.clone(), "kind" => kind).increment(tokens);
                }
                standing.answered(chars(request), reply.usage);
            }
            Err(fault) => standing.failed(fault, Instant::now()),
        }
    }
}

impl Known {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server that counts nothing must not make a run free of charge: what it did is estimated.
fn counted(mut reply: Reply, sent: usize) -> Reply {
    if reply.usage == Usage::default() {
        let standing = Standing::default();
        reply.usage.input = standing.tokens(sent);
        let calls = reply.turn.calls.iter().map(|call| call.name.len() + call.arguments.len());
        reply.usage.output = standing.tokens(reply.turn.text.chars().count() + calls.sum::<usize>());
    }
    reply
}

/// Everything that is sent, in characters.
fn chars(request: &Request) -> usize {
    let messages = request.messages.iter().map(|message| match message {
        Message::User(text) => text.chars().count(),
        Message::Results(results) => results.iter().map(|result| result.text.chars().count()).sum(),
        Message::Assistant(turn) => {
            let calls = turn.calls.iter().map(|call| call.name.len() + call.arguments.chars().count());
            let carried = if turn.carried.is_null() { 0 } else { turn.carried.to_string().len() };
            turn.text.chars().count() + calls.sum::<usize>() + carried
        }
    });
    let tools = request.tools.iter().map(|tool| {
        tool.name.len() + tool.description.chars().count() + tool.parameters.to_string().chars().count()
    });
    request.system.chars().count() + messages.sum::<usize>() + tools.sum::<usize>()
}

fn word(outcome: &Result<Reply, Fault>) -> &'static str {
    match outcome {
        Ok(_) => "answered",
        Err(Fault::Transient { .. }) => "transient",
        Err(Fault::Unusable { .. }) => "unusable",
        Err(Fault::TooLong { .. }) => "too_long",
        Err(Fault::Garbage { .. }) => "garbage",
    }
}

/// From 0 to 1, evenly; the hasher's random keys are chance enough for a wait.
fn chance() -> f64 {
    f64::from(u32::try_from(RandomState::new().hash_one(Duration::ZERO) >> 32).unwrap_or_default())
        / f64::from(u32::MAX)
}
