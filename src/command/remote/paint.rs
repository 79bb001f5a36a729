//! What a terminal shows: tables and colours. Colours only add to words; `anstream` leaves them out where nobody would
//! see them (no terminal, `NO_COLOR`). Pure; control characters of what comes from outside are dropped.

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use crate::inert::inert;
use crate::report::Outcome;

/// Longest summary in a table, in characters.
const MAX_SUMMARY: usize = 80;
/// Ids are never shorter.
const MIN_ID: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Found,
    Attention,
    Well,
    Quiet,
}

impl Tone {
    pub fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::KnownPattern | Outcome::RootCause => Self::Found,
            Outcome::Inconclusive => Self::Attention,
            Outcome::NotAnIncident => Self::Well,
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Found => AnsiColor::Red.on_default().bold(),
            Self::Attention => AnsiColor::Yellow.on_default().bold(),
            Self::Well => AnsiColor::Green.on_default().bold(),
            Self::Quiet => Style::new().dimmed(),
        }
    }
}

pub(super) fn paint(tone: Tone, text: &str) -> String {
    let style = tone.style();
    format!("{style}{text}{style:#}")
}

/// Text of a JSON string on one line, and nothing that a terminal obeys.
pub(super) fn plain(value: &Value) -> String {
    let text = inert(value.as_str().unwrap_or_default()).into_owned();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A list of investigations: id, time, state or outcome, workload, what is known.
pub(super) fn table(list: &Value) -> String {
    let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    if items.is_empty() {
        return "No investigation fits.\n".to_owned();
    }
    let ids: Vec<String> = items.iter().map(|item| plain(&item["id"])).collect();
    let digits = unique(&ids);
    let rows: Vec<[String; 5]> = items.iter().map(|item| row(item, digits)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2), width(3)];
    let mut out = String::new();
    for (item, row) in items.iter().zip(&rows) {
        let padded = |column: usize| format!("{:<1$}", row[column], widths[column]);
        let [id, at, verdict, workload] = [padded(0), padded(1), padded(2), padded(3)];
        let (at, verdict) = (paint(Tone::Quiet, &at), paint(tone(item), &verdict));
        out.push_str(format!("{id}  {at}  {verdict}  {workload}  {}", row[4]).trim_end());
        out.push('\n');
    }
    if list["next"].is_string() {
        out.push_str(&paint(Tone::Quiet, "There are more: --limit, or narrow the list."));
        out.push('\n');
    }
    out
}

fn row(item: &Value, digits: usize) -> [String; 5] {
    let id: String = plain(&item["id"]).chars().take(digits).collect();
    let at: String = plain(&item["created_at"]).chars().take(16).collect();
    let verdict = if item["outcome"].is_string() { &item["outcome"] } else { &item["state"] };
    let known =
        ["summary", "error", "alert_name"].iter().map(|key| plain(&item[key])).find(|text| !text.is_empty());
    let known = known.unwrap_or_default();
    let cut: String = known.chars().take(MAX_SUMMARY).collect();
    let known = if cut.len() < known.len() { format!("{cut}…") } else { cut };
    [id, at.replace('T', " "), plain(verdict).replace('_', " "), plain(&item["workload"]), known]
}

fn tone(item: &Value) -> Tone {
    match item["outcome"].as_str() {
        Some("known_pattern" | "root_cause") => Tone::Found,
        Some("inconclusive") => Tone::Attention,
        Some("not_an_incident") => Tone::Well,
        _ if item["state"] == "dead" => Tone::Attention,
        _ => Tone::Quiet,
    }
}

/// So many characters tell all of these ids from each other.
fn unique(ids: &[String]) -> usize {
    let mut sorted: Vec<&String> = ids.iter().collect();
    sorted.sort();
    let common = |(a, b): (&&String, &&String)| a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let longest = sorted.iter().zip(sorted.iter().skip(1)).map(common).max().unwrap_or_default();
    (longest + 1).max(MIN_ID)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_shows_ids_as_short_as_they_can_be_and_no_terminal_sequence() {
        let item = |id: &str, summary: &str| {
            json!({"id": id, "created_at": "2026-11-21T10:00:00Z", "state": "done", "outcome": "root_cause",
                   "workload": "lab/shop/Deployment/cart", "summary": summary})
        };
        let list = json!({"items": [
            item("019aa000-0000-7000-8000-00000000000a", "The\nsecret \u{1b}[31mis\u{1b}[0m missing."),
            item("019aa000-0001-7000-8000-00000000000b", &"x".repeat(100)),
        ], "next": "abc"});
        let table = anstream::adapter::strip_str(&table(&list)).to_string();
        let lines: Vec<&str> = table.lines().collect();
        let first =
            "019aa000-0000  2026-11-21 10:00  root cause  lab/shop/Deployment/cart  The secret is missing.";
        assert_eq!(lines[0], first);
        assert!(lines[1].starts_with("019aa000-0001  ") && lines[1].ends_with("x…"), "{table}");
        assert!(lines[2].contains("There are more"));
        assert_eq!(unique(&["abcdefghij".to_owned()]), MIN_ID);
    }
}
