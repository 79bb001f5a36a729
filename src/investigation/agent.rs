//! The loop: ask the model, run what it calls, tell it what came of it, until it concludes or a limit ends it.
//! Case file, tools and limits come in; a draft of the conclusion, the ledger and the way out go out. What a model
//! says decides nothing but which of its own tools is called next.

mod ended;
mod spans;

use std::time::Duration;

use anyhow::Context;
use futures::future::join_all;
use tokio::time::{Instant, timeout_at};
use tracing::Instrument;

use super::budget::{self, Call, Limits, Permit};
use super::concluding::{self, CONCLUDE, Draft};
use super::journal::{Journal, Leave};
use super::ledger::{Answer, Kind, Ledger, Planned, Step, tidy};
use super::prompt::{self, Fence};
use crate::facts::Observation;
use crate::llm::{Fault, Ladder, Reply, Request, Stop, ToolCall, ToolChoice, Turn, Usage};
use crate::policy::Purse;
use crate::redact::redact;
use crate::tool::{Bounds, Outcome, Toolbox};
use crate::workload::Workload;

pub use ended::{Ended, Ran};

/// Most tokens of one answer, thoughts included.
pub const MAX_OUTPUT_TOKENS: u32 = 4_096;
/// Turns for which only the conclusion is asked; who does not conclude then, never does.
const MAX_FORCED: usize = 2;
/// Longest text of a turn that is kept, in characters: nobody reads it but the model itself.
const MAX_TEXT_CHARS: usize = 4_000;
const MAX_ARGUMENT_BYTES: usize = 32 * 1024;

/// What a run works with; none of it can be changed by what it hears.
#[derive(Clone, Copy)]
pub struct Means<'m> {
    pub ladder: &'m Ladder,
    pub toolbox: &'m Toolbox,
    pub bounds: &'m Bounds,
    pub journal: &'m Journal,
    pub limits: Limits,
    /// Whose money it spends.
    pub purse: &'m Purse,
}

/// The beginning of a conversation; stored, so that a run that was cut off has the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    pub system: String,
    pub case_file: String,
    /// The word of the fence.
    pub fence: String,
}

struct Run<'m> {
    means: Means<'m>,
    opening: Opening,
    fence: Fence,
    ledger: Ledger,
    /// When this run would have begun, had it never been cut off.
    began: Instant,
    /// No model holds the whole conversation.
    squeezed: bool,
    draft: Option<Draft>,
}

/// Asks until there is a way out. `ledger` holds the facts' observations, and the steps of an earlier attempt.
///
/// # Errors
/// Only the journal's: what cannot be written down is not gone on with.
pub async fn run(means: Means<'_>, opening: Opening, ledger: Ledger) -> anyhow::Result<Ran> {
    let span = spans::invoke_agent();
    let ran = conduct(means, opening, ledger).instrument(span.clone()).await;
    spans::ran(&span, &ran);
    ran
}

async fn conduct(means: Means<'_>, opening: Opening, ledger: Ledger) -> anyhow::Result<Ran> {
    let fence = Fence::new(&opening.fence);
    let before = Duration::from_millis(ledger.milliseconds());
    let now = Instant::now();
    let began = now.checked_sub(before).unwrap_or(now);
    let mut run = Run { means, opening, fence, ledger, began, squeezed: false, draft: None };
    run.take_conclusion();
    let mut ended = run.draft.is_some().then_some(Ended::Concluded);
    while ended.is_none() {
        ended = run.step().await?;
    }
    let ended: Ended = ended.context("a run ends in one of its ways")?;
    tracing::info!(?ended, steps = run.ledger.steps.len(), "the agent ended");
    Ok(Ran { ended, draft: run.draft, ledger: run.ledger })
}

impl Run<'_> {
    /// One turn: ask, invoke, write down. Some: the run is over.
    async fn step(&mut self) -> anyhow::Result<Option<Ended>> {
        let started = Instant::now();
        let mut request = self.request(ToolChoice::Auto);
        let call = self.worst(&request);
        let limits = &self.means.limits;
        let permit = budget::permit(limits, &self.ledger.spent(), &call, self.began.elapsed());
        let (forced_by, until) = match permit {
            Permit::Stop(limit) => return Ok(Some(Ended::by(limit))),
            Permit::Conclude(limit) => (Some(Ended::by(limit)), limits.time),
            Permit::Explore if self.ledger.is_stuck() => (Some(Ended::Stuck), limits.time),
            Permit::Explore => (None, limits.explore_until()),
        };
        if let Some(why) = &forced_by {
            if self.ledger.forced() >= MAX_FORCED {
                return Ok(Some(why.clone()));
            }
            request.choice = ToolChoice::Named(CONCLUDE.to_owned());
        }
        match self.means.journal.reserve(call.usd(), self.means.purse).await? {
            Leave::Granted => {}
            Leave::DayIsSpent => return Ok(Some(Ended::MoneySpent)),
            Leave::Held(held) => return Ok(Some(Ended::HeldBack(held))),
            Leave::Resolved => return Ok(Some(Ended::Cancelled)),
        }
        let until = self.began + until;
        match self.means.ladder.ask(&request, until).await {
            Ok(reply) => {
                let step = self.invoke(reply, forced_by.is_some(), &call, started).await;
                self.keep(step).await
            }
            Err(Fault::TooLong { .. }) if !self.squeezed => {
                self.squeezed = true;
                Ok(None)
            }
            // The budget says what may still be done with the rest of the time.
            Err(_) if Instant::now() >= until => Ok(None),
            Err(fault) => Ok(Some(Ended::ModelsDown(redact(&fault.to_string()).into_owned()))),
        }
    }

    fn request(&self, choice: ToolChoice) -> Request {
        let mut tools = self.means.toolbox.schemas();
        tools.push(concluding::schema());
        Request {
            system: self.opening.system.clone(),
            messages: self.ledger.messages(&self.opening.case_file, self.squeezed),
            tools,
            choice,
            max_output_tokens: MAX_OUTPUT_TOKENS,
        }
    }

    fn worst(&self, request: &Request) -> Call {
        let ladder = self.means.ladder;
        let most = ladder.most(request);
        Call {
            input_tokens: most.input,
            output_tokens: most.output,
            input_usd: ladder.most_usd(Usage { output: 0, ..most }),
            output_usd: ladder.most_usd(Usage { input: 0, cached: 0, output: most.output }),
        }
    }

    /// Does what a turn asks for. What it may not, or what is none, it is told; and that is a step as well.
    async fn invoke(&mut self, reply: Reply, forced: bool, worst: &Call, started: Instant) -> Step {
        let usd = self.means.ladder.usd(&reply);
        let number = u32::try_from(self.ledger.steps.len()).unwrap_or(u32::MAX).saturating_add(1);
        let (turn, dropped) = tidy(cleaned(reply.turn), number);
        let mut step = Step {
            number,
            turn,
            answers: Vec::new(),
            told: String::new(),
            forced,
            model: reply.model,
            usage: reply.usage,
            usd,
            milliseconds: 0,
        };
        if step.turn.calls.is_empty() {
            step.told = told(&step.turn, reply.stop).to_owned();
        } else if let Some(place) = step.turn.calls.iter().position(|call| call.name == CONCLUDE) {
            let answer = self.conclude(&step, place, reply.stop, worst);
            let left = || Answer::told(Kind::Left, "Not run: the same turn concludes.");
            step.answers = step.turn.calls.iter().map(|_| left()).collect();
            step.answers[place] = answer;
        } else if forced {
            let left = || Answer::told(Kind::Left, "Not run: only `conclude` may be called now.");
            step.answers = step.turn.calls.iter().map(|_| left()).collect();
        } else {
            step.answers = self.call(&step.turn.calls).await;
        }
        if let Some(last) = step.answers.last_mut() {
            let more =
                if dropped > 0 { format!("; {dropped} more calls were dropped") } else { String::new() };
            last.text += &format!("\n(turn {number} of {}{more})", self.means.limits.steps);
        }
        step.milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        step
    }

    /// Runs the calls of one turn at the same time; answers stand in the order of the calls.
    async fn call(&mut self, calls: &[ToolCall]) -> Vec<Answer> {
        let plan = self.ledger.plan(calls);
        let end = self.began + self.means.limits.time;
        let fresh: Vec<ToolCall> = calls
            .iter()
            .zip(&plan)
            .filter(|(_, planned)| matches!(planned, Planned::Run))
            .map(|(call, _)| call.clone())
            .collect();
        let Means { toolbox, bounds, .. } = self.means;
        let each = fresh.iter().map(|call| async move {
            let span = spans::execute_tool(toolbox.known(&call.name));
            let outcome = timeout_at(end, toolbox.invoke(call, bounds)).instrument(span.clone()).await;
            match &outcome {
                Ok(outcome) if outcome.status.is_error() => spans::failed(&span, outcome.status.as_str()),
                Ok(_) => {}
                Err(_) => spans::failed(&span, "timeout"),
            }
            outcome
        });
        let mut outcomes: std::vec::IntoIter<Option<Outcome>> =
            join_all(each).await.into_iter().map(Result::ok).collect::<Vec<_>>().into_iter();
        let mut answers = Vec::with_capacity(plan.len());
        for planned in plan {
            answers.push(match planned {
                Planned::Answered(answer) => answer,
                Planned::Run => match outcomes.next().flatten() {
                    Some(outcome) => self.ledger.observe(outcome, &self.fence),
                    None => Answer::told(Kind::Left, "Not finished: the investigation's time is up."),
                },
            });
        }
        answers
    }

    fn conclude(&self, step: &Step, place: usize, stop: Stop, worst: &Call) -> Answer {
        let conclusion = match concluding::read(&step.turn.calls[place].arguments) {
            Ok(conclusion) => conclusion,
            Err(fault) => {
                let cut = if stop == Stop::Length { "; the answer was cut off, write less" } else { "" };
                return Answer::told(Kind::Failed, format!("These arguments do not fit: {fault}{cut}"));
            }
        };
        let draft = concluding::draft(conclusion, &self.ledger.observations, &self.means.bounds.workload);
        let objections = draft.send_back();
        let mut spent = self.ledger.spent();
        spent.settle(step.usage, step.usd);
        let next = budget::permit(&self.means.limits, &spent, worst, self.began.elapsed());
        let again = !self.ledger.sent_back() && !matches!(next, Permit::Stop(_)) && !step.forced;
        if objections.is_empty() || !again {
            return Answer::told(Kind::Accepted, "Taken.");
        }
        let text = format!(
            "Not taken yet; this is the only time it is sent back.\n- {}\nLook again, correct it, or conclude inconclusive.",
            objections.join("\n- ")
        );
        Answer::told(Kind::SentBack, text)
    }

    /// Writes the step down before anything follows from it.
    async fn keep(&mut self, step: Step) -> anyhow::Result<Option<Ended>> {
        let new: Vec<&str> = step
            .answers
            .iter()
            .filter(|one| one.kind == Kind::Observed)
            .map(|one| one.evidence.as_str())
            .collect();
        let is_new = |one: &&Observation| new.contains(&one.id.as_str());
        let observations: Vec<Observation> =
            self.ledger.observations.iter().filter(is_new).cloned().collect();
        self.means.journal.write(&step, &observations).await.context("a step could not be written down")?;
        tracing::debug!(
            step = step.number,
            calls = step.turn.calls.len(),
            model = %step.model,
            input_tokens = step.usage.input,
            output_tokens = step.usage.output,
            "step"
        );
        self.ledger.steps.push(step);
        self.take_conclusion();
        Ok(self.draft.is_some().then_some(Ended::Concluded))
    }

    /// The draft of a conclusion that was taken, now or by an attempt that was cut off right after it.
    fn take_conclusion(&mut self) {
        let Some(call) = self.ledger.steps.last().and_then(Step::accepted) else { return };
        let workload: &Workload = &self.means.bounds.workload;
        if let Ok(conclusion) = concluding::read(&call.arguments) {
            self.draft = Some(concluding::draft(conclusion, &self.ledger.observations, workload));
        }
    }
}

/// What a turn without a call is told.
fn told(turn: &Turn, stop: Stop) -> &'static str {
    match stop {
        Stop::Length => "The answer was cut off. Write less, and call a tool.",
        Stop::Refused => "There was no answer. Go on with the investigation: call a tool, or `conclude`.",
        Stop::Done if turn.text.trim().is_empty() => "That was empty. Call a tool, or `conclude`.",
        Stop::Done => "Only calls count. Call a tool; to give the result, call `conclude`.",
    }
}

/// A turn as it may be kept and sent again: redacted and bounded.
fn cleaned(mut turn: Turn) -> Turn {
    let text: String = turn.text.chars().take(MAX_TEXT_CHARS).collect();
    turn.text = redact(&text).into_owned();
    for call in &mut turn.calls {
        call.arguments.truncate(call.arguments.floor_char_boundary(MAX_ARGUMENT_BYTES));
        call.arguments = redact(&call.arguments).into_owned();
        call.name = call.name.chars().take(80).collect();
        call.id = call.id.chars().take(200).collect();
    }
    turn
}

/// What is sent first, for a run that begins.
pub fn opening(case: &prompt::Case<'_>, toolbox: &Toolbox, limits: &Limits, word: &str) -> Opening {
    let fence = Fence::new(word);
    let mut schemas = toolbox.schemas();
    schemas.push(concluding::schema());
    let case_file = prompt::case_file(case, &fence, prompt::schema_tokens(&schemas));
    Opening { system: prompt::system(&fence, limits, case.language), case_file, fence: word.to_owned() }
}

#[cfg(test)]
mod tests;
