//! The one line that a thread gets where people said that a cause is no problem: the report and the mute go in, a
//! short message comes out. The report itself is in the API.

use super::escape::inline;
use super::{Message, Page, link};
use crate::report::{Muted, Report};
use crate::workload::Workload;

/// Names and reasons are cut after this many.
const MAX_WORDS: usize = 300;

/// Instead of a summary.
pub fn muted(workload: &Workload, report: &Report, muted: &Muted, url: Option<&str>) -> Message {
    let cause = report.cause.as_ref().map_or("its cause", |cause| cause.id.as_str());
    let until = muted.until.format("%Y-%m-%d %H:%M UTC");
    let because = if muted.reason.is_empty() { String::new() } else { format!(" ({})", muted.reason) };
    let mut page = Page::default();
    page.section(&[format!(
        "*Muted* until {until} by {}{}: {}. {}",
        inline(&muted.by, MAX_WORDS),
        inline(&because, MAX_WORDS),
        inline(cause, MAX_WORDS),
        url.map(|url| link(url, "Full report")).unwrap_or_default()
    )]);
    page.message(&format!("{}: {cause} is muted until {until}.", workload.short()))
}
