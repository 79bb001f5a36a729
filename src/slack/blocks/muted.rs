//! The one line that a thread gets where people said that a cause is no problem: the report and the mute go in, a
//! short message comes out. The report itself is in the API.

use super::escape::inline;
use super::{Message, Page, Telling};
use crate::report::{Muted, Report};
use crate::words::fill;
use crate::workload::Workload;

/// Names and reasons are cut after this many.
const MAX_WORDS: usize = 300;

/// Instead of a summary.
pub fn muted(telling: Telling<'_>, workload: &Workload, report: &Report, muted: &Muted) -> Message {
    let words = telling.words;
    let cause = report.cause.as_ref().map_or("–", |cause| cause.id.as_str());
    let because = if muted.reason.is_empty() { String::new() } else { format!(" ({})", muted.reason) };
    let by = format!("{}{because}", muted.by);
    let until = words.moment(muted.until);
    let line = |name: &str, cause: &str| {
        fill(words.muted_line, &[("time", &until), ("name", name), ("cause", cause)])
    };
    let mut page = Page::default();
    page.section(&[
        format!("*{}* {}", words.muted, line(&inline(&by, MAX_WORDS), &inline(cause, MAX_WORDS))),
        telling.link(words.full_report),
    ]);
    page.message(&format!("{}: {} {}", workload.short(), words.muted, line(&by, cause)))
}
