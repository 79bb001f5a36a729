//! What investigations cost and saved, week by week: rows in, a page with its reckoning out.

mod store;

use axum::Extension;
use axum::extract::State;
use maud::{Markup, html};

use super::Pages;
use super::door::Reader;
use super::fault::{Fault, read};
use super::layout::{Frame, Section, page as framed};
use store::Week;

/// Weeks that are shown.
const WEEKS: i32 = 12;
/// What an engineer needs to find a cause by hand.
const MINUTES_BY_HAND: i64 = 15;
/// What an engineer needs to read a summary and check its quotes.
const MINUTES_TO_READ: i64 = 2;

/// Minutes that answers saved; what stayed open saved none, though it was read.
fn saved_minutes(week: &Week) -> i64 {
    let unanswered = week.investigations - week.answered;
    week.answered * (MINUTES_BY_HAND - MINUTES_TO_READ) - unanswered * MINUTES_TO_READ
}

fn hours(minutes: i64) -> String {
    format!("{:.1} h", minutes as f64 / 60.0)
}

pub(super) async fn page(
    State(pages): State<Pages>,
    Extension(reader): Extension<Reader>,
) -> Result<Markup, Fault> {
    let weeks = read(store::weeks(pages.pool(), WEEKS, reader.reach())).await?;
    let main = html! {
        h1 { "Costs and time saved" }
        @if weeks.is_empty() {
            p.empty { "Nothing was investigated in the last " (WEEKS) " weeks." }
        } @else {
            (table(&weeks))
        }
        p.muted {
            "Time saved is reckoned, not measured: " (MINUTES_BY_HAND) " minutes to find a cause by hand, less "
            (MINUTES_TO_READ) " to read the report. An investigation that found nothing saves nothing and costs the "
            (MINUTES_TO_READ) " minutes. Dollars are what the models' prices in the settings make of their tokens; \
            weeks begin on Monday, UTC."
        }
    };
    Ok(framed(&Frame::new("Costs", Section::Costs, &reader), main))
}

fn table(weeks: &[Week]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Costs per week" {
            table {
                thead {
                    tr {
                        th scope="col" { "Week of" }
                        th.number scope="col" { "Investigations" }
                        th.number scope="col" { "Answered" }
                        th.number scope="col" { "Dollars" }
                        th.number scope="col" { "Tokens" }
                        th.number scope="col" { "Each took" }
                        th.number scope="col" { "Time saved" }
                    }
                }
                tbody {
                    @for week in weeks {
                        tr {
                            th scope="row" { time datetime=(week.monday) { (week.monday) } }
                            td.number { (week.investigations) }
                            td.number { (week.answered) " (" (percent(week.answered, week.investigations)) ")" }
                            td.number { (format!("${:.2}", week.usd)) }
                            td.number { (week.tokens) }
                            td.number { (format!("{:.1} s", week.seconds / week.investigations.max(1) as f64)) }
                            td.number { (hours(saved_minutes(week))) }
                        }
                    }
                }
                tfoot {
                    tr {
                        th scope="row" { "All" }
                        td.number { (weeks.iter().map(|week| week.investigations).sum::<i64>()) }
                        td.number { (weeks.iter().map(|week| week.answered).sum::<i64>()) }
                        td.number { (format!("${:.2}", weeks.iter().map(|week| week.usd).sum::<f64>())) }
                        td.number { (weeks.iter().map(|week| week.tokens).sum::<i64>()) }
                        td {}
                        td.number { (hours(weeks.iter().map(saved_minutes).sum())) }
                    }
                }
            }
        }
    }
}

pub(super) fn percent(part: i64, whole: i64) -> String {
    if whole == 0 { "–".to_owned() } else { format!("{} %", (part * 100 + whole / 2) / whole) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_save_time() {
        let week = |investigations, answered| Week {
            monday: "2026-11-16".parse().unwrap(),
            investigations,
            answered,
            usd: 0.0,
            tokens: 0,
            seconds: 0.0,
        };
        assert_eq!(saved_minutes(&week(10, 10)), 130);
        assert_eq!(saved_minutes(&week(10, 0)), -20);
        assert_eq!(hours(130), "2.2 h");
        assert_eq!((percent(1, 3), percent(2, 3), percent(0, 0)), ("33 %".into(), "67 %".into(), "–".into()));
    }
}
