//! The forms of an investigation's page: did it help, look again, not a problem; and what was said before. They work
//! without script. Who may not act sees what was said only.

use maud::{Markup, html};
use uuid::Uuid;

use super::Case;
use crate::feedback::MAX_REASON;
use crate::report::{Coverage, Report};
use crate::web::door::Reader;
use crate::web::layout::time;

pub(super) fn feedback(case: &Case, report: &Report, reader: &Reader) -> Markup {
    html! {
        section aria-labelledby="feedback" {
            h2 id="feedback" { "Did it help?" }
            @if reader.may_act() {
                (rate(case, report))
                (rerun(case, reader))
                (mute(case, report))
            } @else {
                p.muted { "Your access is to read; saying so needs a token with the scope " code { "write" } "." }
            }
            @if !case.said.is_empty() {
                h3 { "What was said" }
                ul.plain {
                    @for one in &case.said {
                        li {
                            (if one.verdict == "helpful" { "👍 helpful" } else { "👎 not helpful" })
                            " by " (one.author) ", " (time(one.at, case.now))
                            @if !one.reason.is_empty() { ": " (one.reason) }
                        }
                    }
                }
            }
        }
    }
}

/// Sent twice, it is done once.
fn once() -> Markup {
    html! { input type="hidden" name="action" value=(Uuid::now_v7()); }
}

fn rate(case: &Case, report: &Report) -> Markup {
    let question = match report.runbook.coverage {
        Coverage::Covered => "Does the runbook cover this?",
        _ => "Is the report right?",
    };
    html! {
        form.stacked method="post" action={ "/investigations/" (case.row.id) "/feedback" } {
            (once())
            label for="reason" { (question) " Why? " span.muted { "(may stay empty)" } }
            textarea id="reason" name="reason" rows="2" maxlength=(MAX_REASON) {}
            div.row {
                button type="submit" name="verdict" value="helpful" { span aria-hidden="true" { "👍 " } "Helpful" }
                button type="submit" name="verdict" value="unhelpful" { span aria-hidden="true" { "👎 " } "Not helpful" }
            }
        }
    }
}

pub(super) fn rerun(case: &Case, reader: &Reader) -> Markup {
    html! {
        @if reader.may_act() {
            form method="post" action={ "/investigations/" (case.row.id) "/rerun" } {
                (once())
                button type="submit" { "Look again" }
            }
        }
    }
}

fn mute(case: &Case, report: &Report) -> Markup {
    html! {
        @if let Some(muted) = &case.muted {
            p.notice {
                "Muted until " (time(muted.until, case.now)) " by " (muted.by)
                @if !muted.reason.is_empty() { ": " (muted.reason) }
            }
            form method="post" action={ "/investigations/" (case.row.id) "/unmute" } {
                (once())
                button type="submit" { "Lift the mute" }
            }
        } @else if report.cause.is_some() {
            details {
                summary { "Not a problem" }
                p.muted.small { "This cause is not posted for this workload for a time. Reports are kept." }
                form.stacked method="post" action={ "/investigations/" (case.row.id) "/mute" } {
                    (once())
                    label for="days" { "For" }
                    select id="days" name="days" {
                        option value="1" { "one day" }
                        option value="7" selected { "a week" }
                        option value="30" { "30 days" }
                    }
                    label for="why" { "Why?" }
                    input id="why" name="reason" maxlength=(MAX_REASON) autocomplete="off";
                    button type="submit" { "Mute" }
                }
            }
        }
    }
}
