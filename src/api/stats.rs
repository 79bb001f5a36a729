//! `GET /api/v1/stats`: what was investigated each week, what it cost, and what it saved. Figures are counted among
//! what the caller sees; nothing is estimated but the minutes of a look by hand, which stand in the answer.

mod store;

use axum::extract::State;
use axum::{Extension, Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::problem::{Problem, Refusals, read};
use super::{ApiState, Caller, Parameters, pairs};
use crate::incident::tally::{self, Tally};
use store::Week;

const DEFAULT_WEEKS: i32 = 12;
const MAX_WEEKS: i32 = 104;
/// What the same look takes by hand, and what reading the summary takes.
const MINUTES_BY_HAND: i64 = 15;
const MINUTES_TO_READ: i64 = 2;

#[derive(utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "only describes the parameter")]
pub(super) struct Weeks {
    /// How many weeks back; 12 where it is not given.
    #[param(minimum = 1, maximum = 104)]
    weeks: Option<i32>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Stats {
    /// The newest first; a week begins on Monday, UTC. Weeks without an investigation are left out.
    weeks: Vec<StatsWeek>,
    assumed: Assumed,
    /// Where every alert is that was ever received; null for a token that does not see all namespaces.
    alerts: Option<Tally>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct StatsWeek {
    #[serde(flatten)]
    week: Week,
    /// For each investigation that found a cause, or that nothing is wrong, and that nobody called unhelpful.
    minutes_saved: i64,
}

/// What the minutes are counted with.
#[derive(Serialize, ToSchema)]
pub(super) struct Assumed {
    minutes_by_hand: i64,
    minutes_to_read: i64,
}

/// Outcomes, costs and time saved, week by week.
#[utoipa::path(
    get, path = "/api/v1/stats", tag = "stats", params(Weeks),
    responses((status = 200, body = Stats), Refusals)
)]
pub(super) async fn stats(
    State(state): State<ApiState>,
    Extension(caller): Extension<Caller>,
    parameters: Parameters,
) -> Result<Json<Stats>, Problem> {
    let weeks = read(store::weeks(&state.pool, weeks(parameters)?, caller.reach())).await?;
    let alerts =
        if caller.reach().is_unlimited() { Some(read(tally::read(&state.pool)).await?) } else { None };
    let told = |week: Week| {
        let minutes_saved = week.useful * (MINUTES_BY_HAND - MINUTES_TO_READ);
        StatsWeek { week, minutes_saved }
    };
    let weeks = weeks.into_iter().map(told).collect();
    let assumed = Assumed { minutes_by_hand: MINUTES_BY_HAND, minutes_to_read: MINUTES_TO_READ };
    Ok(Json(Stats { weeks, assumed, alerts }))
}

fn weeks(parameters: Parameters) -> Result<i32, Problem> {
    let mut weeks = DEFAULT_WEEKS;
    for (key, value) in pairs(parameters)? {
        if key != "weeks" {
            return Err(Problem::parameter(&key, "the only parameter is weeks"));
        }
        let given = value.parse().ok().filter(|weeks| (1..=MAX_WEEKS).contains(weeks));
        weeks = given
            .ok_or_else(|| Problem::parameter("weeks", "weeks is a number from 1 to 104, e.g. weeks=12"))?;
    }
    Ok(weeks)
}
