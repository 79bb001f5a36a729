//! What one run may cost: limits and what is spent come in, and whether the model may be asked again goes out.
//! A call's worst case is held against the limits before it is made and replaced by its real cost after it.
//! Pure; it reads no clock and asks nobody.

use std::time::Duration;

use crate::llm::Usage;
use crate::runbook;
use crate::settings;

/// Characters of a token, roughly, for estimates before a call. Real tokenisers need fewer for English text.
const BYTES_PER_TOKEN: f64 = 3.5;
/// Kept free for what the tools of one more turn may answer, in tokens.
pub const TURN_RESULT_TOKENS: u64 = 7_000;
/// Part of the time that is kept for the conclusion, and its bounds.
const CONCLUDE_SHARE: u32 = 5;
const MAX_CONCLUDE_TIME: Duration = Duration::from_secs(40);

/// Tokens that a text will be, rather too many than too few.
pub fn estimate(text: &str) -> u64 {
    (text.len() as f64 / BYTES_PER_TOKEN).ceil() as u64
}

/// Limits of one run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    pub steps: u32,
    pub time: Duration,
    pub tokens: u64,
    pub usd: f64,
}

impl Limits {
    /// The service's own, lowered by the runbook's; a runbook raises nothing.
    pub fn new(agent: &settings::Agent, runbook: runbook::Budget) -> Self {
        Self {
            steps: runbook.steps.unwrap_or(agent.steps).min(agent.steps),
            time: Duration::from_secs(runbook.seconds.unwrap_or(agent.seconds).min(agent.seconds)),
            tokens: runbook.tokens.unwrap_or(agent.tokens).min(agent.tokens),
            usd: runbook.usd.unwrap_or(agent.usd).min(agent.usd),
        }
    }

    /// No later than `deadline`, whoever sets it.
    pub fn within(self, deadline: Duration) -> Self {
        Self { time: self.time.min(deadline), ..self }
    }

    /// From then on, only the conclusion may be asked for.
    pub fn explore_until(&self) -> Duration {
        self.time.saturating_sub((self.time / CONCLUDE_SHARE).min(MAX_CONCLUDE_TIME))
    }
}

/// The worst that one call can cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Call {
    pub input_tokens: u64,
    pub output_tokens: u64,
    /// Of the input alone, at the dearest model's price.
    pub input_usd: f64,
    pub output_usd: f64,
}

impl Call {
    pub fn usd(&self) -> f64 {
        self.input_usd + self.output_usd
    }
}

/// What a run has cost so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spent {
    pub steps: u32,
    pub usage: Usage,
    pub usd: f64,
}

impl Spent {
    pub fn tokens(&self) -> u64 {
        self.usage.input.saturating_add(self.usage.output)
    }

    /// Settles a call: what it really cost.
    pub fn settle(&mut self, usage: Usage, usd: f64) {
        self.steps += 1;
        self.usage.input = self.usage.input.saturating_add(usage.input);
        self.usage.cached = self.usage.cached.saturating_add(usage.cached);
        self.usage.output = self.usage.output.saturating_add(usage.output);
        self.usd += usd;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    Steps,
    Time,
    Tokens,
    Money,
}

/// What the next call may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Any tool.
    Explore,
    /// `conclude` alone: this limit is near.
    Conclude(Limit),
    /// None: this limit is reached.
    Stop(Limit),
}

/// May this call be made? `Conclude` while its input still fits, so that a run never costs more than its
/// limits and one call's output. `Explore` while a conclusion after it would fit as well.
pub fn permit(limits: &Limits, spent: &Spent, call: &Call, elapsed: Duration) -> Permit {
    let (tokens, usd) = (spent.tokens(), spent.usd);
    if spent.steps >= limits.steps {
        return Permit::Stop(Limit::Steps);
    }
    if elapsed >= limits.time {
        return Permit::Stop(Limit::Time);
    }
    if tokens.saturating_add(call.input_tokens) > limits.tokens {
        return Permit::Stop(Limit::Tokens);
    }
    if usd + call.input_usd > limits.usd {
        return Permit::Stop(Limit::Money);
    }
    let conclusion_after = call.input_tokens + call.output_tokens + TURN_RESULT_TOKENS;
    let exploring = call.input_tokens + call.output_tokens;
    // The conclusion's input is the whole conversation again, and what this call and its tools add to it.
    let growth = conclusion_after as f64 / call.input_tokens.max(1) as f64;
    let conclusion_usd = call.input_usd * growth;
    if spent.steps + 1 >= limits.steps {
        Permit::Conclude(Limit::Steps)
    } else if elapsed >= limits.explore_until() {
        Permit::Conclude(Limit::Time)
    } else if tokens.saturating_add(exploring).saturating_add(conclusion_after) > limits.tokens {
        Permit::Conclude(Limit::Tokens)
    } else if usd + call.usd() + conclusion_usd > limits.usd {
        Permit::Conclude(Limit::Money)
    } else {
        Permit::Explore
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { steps: 12, time: Duration::from_secs(100), tokens: 60_000, usd: 0.5 };

    fn call(input: u64, output: u64) -> Call {
        Call {
            input_tokens: input,
            output_tokens: output,
            input_usd: input as f64 * 3e-6,
            output_usd: output as f64 * 15e-6,
        }
    }

    fn spent(steps: u32, input: u64, usd: f64) -> Spent {
        Spent { steps, usage: Usage { input, cached: 0, output: 0 }, usd }
    }

    #[test]
    fn each_limit_first_asks_for_the_conclusion_and_then_stops() {
        let permit = |steps, tokens, usd, secs| {
            permit(&LIMITS, &spent(steps, tokens, usd), &call(4_000, 1_000), Duration::from_secs(secs))
        };
        assert_eq!(permit(0, 0, 0.0, 0), Permit::Explore);
        assert_eq!(permit(10, 0, 0.0, 0), Permit::Explore);
        assert_eq!(permit(11, 0, 0.0, 0), Permit::Conclude(Limit::Steps));
        assert_eq!(permit(12, 0, 0.0, 0), Permit::Stop(Limit::Steps));
        assert_eq!(permit(1, 43_000, 0.0, 0), Permit::Explore);
        assert_eq!(permit(1, 43_001, 0.0, 0), Permit::Conclude(Limit::Tokens));
        assert_eq!(permit(1, 56_000, 0.0, 0), Permit::Conclude(Limit::Tokens));
        assert_eq!(permit(1, 56_001, 0.0, 0), Permit::Stop(Limit::Tokens));
        assert_eq!(permit(1, 0, 0.48, 0), Permit::Conclude(Limit::Money));
        assert_eq!(permit(1, 0, 0.4881, 0), Permit::Stop(Limit::Money));
        assert_eq!(permit(1, 0, 0.0, 79), Permit::Explore);
        assert_eq!(permit(1, 0, 0.0, 80), Permit::Conclude(Limit::Time));
        assert_eq!(permit(1, 0, 0.0, 100), Permit::Stop(Limit::Time));
    }

    #[test]
    fn a_runbook_lowers_limits_and_raises_none() {
        let agent = settings::Agent::default();
        let own = Limits::new(&agent, runbook::Budget::default());
        assert_eq!((own.steps, own.tokens), (12, 120_000));
        let lower = runbook::Budget { steps: Some(3), seconds: Some(9), tokens: Some(500), usd: Some(0.1) };
        let expected = Limits { steps: 3, time: Duration::from_secs(9), tokens: 500, usd: 0.1 };
        assert_eq!(Limits::new(&agent, lower), expected);
        let higher = runbook::Budget {
            steps: Some(99),
            seconds: Some(9_999),
            tokens: Some(u64::MAX),
            usd: Some(99.0),
        };
        assert_eq!(Limits::new(&agent, higher), own);
        assert_eq!(own.within(Duration::from_secs(5)).time, Duration::from_secs(5));
    }

    #[test]
    fn a_model_that_costs_nothing_is_bound_by_the_other_limits() {
        let free = Call { input_tokens: 10, output_tokens: 10, input_usd: 0.0, output_usd: 0.0 };
        let none = Limits { usd: 0.0, ..LIMITS };
        assert_eq!(permit(&none, &Spent::default(), &free, Duration::ZERO), Permit::Explore);
        assert_eq!(
            permit(&none, &Spent::default(), &call(10, 10), Duration::ZERO),
            Permit::Stop(Limit::Money)
        );
    }

    proptest! {
        /// Whatever a model answers, within what was reserved for it, a run ends and costs at most its limits
        /// and one call's output.
        #[test]
        fn no_run_overspends_by_more_than_one_output(
            steps in 0_u32..20, tokens in 0_u64..200_000, usd in 0.0_f64..2.0,
            calls in prop::collection::vec((1_u64..30_000, 1_u64..8_000, 0.0_f64..=1.0, 0.0_f64..=1.0), 40),
        ) {
            let limits = Limits { steps, time: Duration::from_secs(60), tokens, usd };
            let mut spent = Spent::default();
            let mut largest = (0, 0.0_f64);
            for (input, output, used_input, used_output) in calls {
                let call = call(input, output);
                if let Permit::Stop(_) = permit(&limits, &spent, &call, Duration::ZERO) {
                    continue;
                }
                let real = Usage {
                    input: (input as f64 * used_input) as u64,
                    cached: 0,
                    output: (output as f64 * used_output) as u64,
                };
                spent.settle(real, call.input_usd * used_input + call.output_usd * used_output);
                largest = (largest.0.max(output), largest.1.max(call.output_usd));
            }
            prop_assert!(spent.steps <= steps);
            prop_assert!(spent.tokens() <= tokens + largest.0);
            prop_assert!(spent.usd <= usd + largest.1 + 1e-9);
        }
    }
}
