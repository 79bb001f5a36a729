//! The last time: what an earlier investigation of the same workload found goes in, with how that ended; lines that say
//! it go out. Pure.

use super::escape::inline;
use super::link;
use crate::report::{Before, Report};
use crate::words::{Words, fill, sentence};

const MAX_TEXT: usize = 300;

/// What was found then, how it ended, what was advised and noted. `now` is what was found this time.
pub(super) fn lines(words: &Words, before: &Before, now: Option<&Report>) -> Vec<String> {
    let time = words.moment(before.at);
    let found = match (&before.report.cause, now.and_then(|report| report.cause.as_ref())) {
        (None, _) => fill(words.last_time_nothing, &[("time", &time)]),
        (Some(then), Some(now)) if then.id == now.id && then.object == now.object => {
            fill(words.last_time_same, &[("time", &time)])
        }
        (Some(then), Some(_)) => {
            let cause = inline(then.statement.trim_end_matches('.'), MAX_TEXT);
            fill(words.last_time_other, &[("time", &time), ("cause", &cause)])
        }
        (Some(then), None) => format!("{time}: {}", inline(&sentence(&then.statement), MAX_TEXT)),
    };
    let over = before.lasted.map(|lasted| fill(words.resolved_after, &[("span", &words.span(lasted))]));
    let mut lines = vec![format!("*{}*", words.seen_before)];
    lines.push(format!("{found} {}", over.unwrap_or_default()).trim_end().to_owned());
    if let Some(step) = before.report.next_steps.first() {
        let step = inline(&sentence(&step.text), MAX_TEXT);
        lines.push(fill(words.advised_then, &[("step", &step)]));
    }
    if let Some(note) = before.note.as_deref().filter(|note| !note.trim().is_empty()) {
        lines.push(fill(words.noted_then, &[("note", &inline(note, MAX_TEXT))]));
    }
    lines.extend(before.url.as_deref().map(|url| link(url, words.the_report_then)));
    lines
}
