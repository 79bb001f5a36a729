//! How a run of the agent came out: its way out, its draft and its ledger become the report. Pure.

use crate::investigation::budget::Limit;
use crate::investigation::concluding::{self, Draft};
use crate::investigation::ledger::Ledger;
use crate::report::{Cost, HeldBack, Report};

/// The ways out.
#[derive(Debug, Clone, PartialEq)]
pub enum Ended {
    Concluded,
    StepsSpent,
    TimeSpent,
    TokensSpent,
    /// Of this run, or of the day.
    MoneySpent,
    /// The money of its namespace or policy.
    HeldBack(HeldBack),
    /// It went in circles, and did not conclude when told to.
    Stuck,
    ModelsDown(String),
    /// The incident was resolved meanwhile.
    Cancelled,
}

impl Ended {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Concluded => "concluded",
            Self::StepsSpent => "steps_spent",
            Self::TimeSpent => "time_spent",
            Self::TokensSpent => "tokens_spent",
            Self::MoneySpent => "money_spent",
            Self::HeldBack(_) => "held_back",
            Self::Stuck => "stuck",
            Self::ModelsDown(_) => "models_down",
            Self::Cancelled => "cancelled",
        }
    }

    /// Why there is no conclusion, for the report; "" where there is one.
    pub fn why(&self) -> String {
        match self {
            Self::Concluded => String::new(),
            Self::StepsSpent => "all its turns were used".to_owned(),
            Self::TimeSpent => "its time was up".to_owned(),
            Self::TokensSpent => "its tokens were used up".to_owned(),
            Self::MoneySpent => "its money was used up".to_owned(),
            Self::HeldBack(held) if held.namespace.is_empty() => {
                format!("the money of the policy {} was used up", held.policy)
            }
            Self::HeldBack(held) => format!("the money of the namespace {} was used up", held.namespace),
            Self::Stuck => "it asked for nothing new any more".to_owned(),
            Self::ModelsDown(detail) => format!("no model answered: {detail}"),
            Self::Cancelled => "the incident was resolved meanwhile".to_owned(),
        }
    }

    pub(super) fn by(limit: Limit) -> Self {
        match limit {
            Limit::Steps => Self::StepsSpent,
            Limit::Time => Self::TimeSpent,
            Limit::Tokens => Self::TokensSpent,
            Limit::Money => Self::MoneySpent,
        }
    }
}

/// How a run came out.
#[derive(Debug)]
pub struct Ran {
    pub ended: Ended,
    pub draft: Option<Draft>,
    pub ledger: Ledger,
}

impl Ran {
    /// The report, over one that was written from facts and findings alone.
    pub fn report(self, base: Report, observations_of_facts: usize) -> Report {
        let spent = self.ledger.spent();
        let mut report = match self.draft {
            Some(draft) => draft.report(base),
            // It never came to asking: what the signatures say is all there is.
            None if self.ledger.steps.is_empty() && matches!(self.ended, Ended::HeldBack(_)) => base,
            None => {
                let read = self.ledger.observations.get(observations_of_facts..).unwrap_or_default();
                concluding::without_conclusion(base, &self.ended.why(), read)
            }
        };
        if let Ended::HeldBack(held) = self.ended {
            report.held_back = Some(held);
        }
        report.cost = Cost {
            steps: spent.steps,
            input_tokens: spent.usage.input,
            cached_tokens: spent.usage.cached,
            output_tokens: spent.usage.output,
            usd: spent.usd,
            ..report.cost
        };
        report
    }
}
