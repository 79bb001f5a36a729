//! What all pages share: the frame around a page, and the small parts that stand on many. Text comes in raw and is
//! escaped by the template; the only addresses are our own.

use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, html};

use super::assets::{ICON, SCRIPT, STYLE};
use super::door::Reader;
// What the pages say in fixed words.
pub(super) use crate::words::english as words;

/// Which entry of the navigation a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Incidents,
    Search,
    Runbooks,
    Costs,
    None,
}

const SECTIONS: [(Section, &str, &str); 4] = [
    (Section::Incidents, "/", "Incidents"),
    (Section::Search, "/search", "Search"),
    (Section::Runbooks, "/runbooks", "Runbooks"),
    (Section::Costs, "/costs", "Costs"),
];

/// What a page says about itself.
pub(super) struct Frame<'a> {
    pub title: &'a str,
    pub section: Section,
    pub reader: Option<&'a Reader>,
    /// Without script, load the page again after so many seconds.
    pub refresh_secs: Option<u32>,
}

impl<'a> Frame<'a> {
    pub(super) fn new(title: &'a str, section: Section, reader: &'a Reader) -> Self {
        Self { title, section, reader: Some(reader), refresh_secs: None }
    }

    /// Of a page that stands outside, where nobody is known.
    pub(super) fn plain(title: &'a str) -> Self {
        Self { title, section: Section::None, reader: None, refresh_secs: None }
    }
}

pub(super) fn page(frame: &Frame<'_>, main: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (frame.title) " · whodunit" }
                link rel="icon" href=(ICON.path()) type="image/svg+xml";
                link rel="stylesheet" href=(STYLE.path());
                script type="module" src=(SCRIPT.path()) {}
                @if let Some(seconds) = frame.refresh_secs {
                    noscript { meta http-equiv="refresh" content=(seconds); }
                }
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header.top {
                    div.wrap {
                        a.brand href="/" { "whodunit" }
                        nav aria-label="Pages" {
                            ul {
                                @for (section, path, name) in SECTIONS {
                                    li {
                                        a href=(path) aria-current=[(section == frame.section).then_some("page")] {
                                            (name)
                                        }
                                    }
                                }
                            }
                        }
                        @if let Some(reader) = frame.reader.filter(|reader| reader.signed_in) {
                            form.out method="post" action="/sign-out" {
                                @if !reader.name.is_empty() { span.muted { (reader.name) } " " }
                                button.quiet type="submit" { "Sign out" }
                            }
                        }
                    }
                }
                main.wrap id="main" tabindex="-1" { (main) }
                footer.wrap.muted {
                    p { "Read-only and redacted: what a page quotes stands word for word in what was read. " a href="/docs/api" { "API" } }
                }
            }
        }
    }
}

/// Relative for people in a hurry, exact for everybody else.
pub(super) fn time(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    html! {
        time datetime=(at.format("%Y-%m-%dT%H:%M:%SZ")) {
            span.rel { (ago(at, now)) } " " span.exact { (exact(at, now)) }
        }
    }
}

fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let passed = now - at;
    match passed.num_seconds() {
        ..-1 => format!("in {}", words().span(-passed)),
        -1..10 => "just now".to_owned(),
        _ => format!("{} ago", words().span(passed)),
    }
}

/// Without the date where it is today's.
fn exact(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let pattern = if at.date_naive() == now.date_naive() { "%H:%M:%S UTC" } else { "%Y-%m-%d %H:%M UTC" };
    at.format(pattern).to_string()
}

/// Readable without colour: the word is the badge.
pub(super) fn severity(word: &str) -> Markup {
    let (class, sign) = match word {
        "critical" => ("critical", "▲"),
        "warning" => ("warning", "◆"),
        "info" => ("info", "●"),
        _ => ("none", "○"),
    };
    html! { span class={ "badge " (class) } { span aria-hidden="true" { (sign) " " } (word) } }
}

/// How an investigation stands or ended.
pub(super) fn verdict(state: &str, outcome: Option<&str>) -> Markup {
    let (class, sign, text) = match (state, outcome) {
        (_, Some("known_pattern" | "root_cause")) => ("found", "✓", "Cause found"),
        (_, Some("not_an_incident")) => ("well", "–", "Nothing is broken"),
        (_, Some(_)) => ("open", "?", "No cause found yet"),
        ("queued", _) => ("going", "…", "Waiting"),
        ("running", _) => ("going", "…", "Investigating"),
        ("cancelled", _) => ("well", "–", "Cancelled"),
        _ => ("failed", "!", "Could not investigate"),
    };
    html! { span class={ "verdict " (class) } { span aria-hidden="true" { (sign) " " } (text) } }
}

/// "3 alerts".
pub(super) fn count(number: i64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// `Deployment shop/checkout`, with the cluster in front where there is one.
pub(super) fn workload(key: &str) -> Markup {
    match key.parse::<crate::workload::Workload>() {
        Ok(workload) => html! {
            span.workload {
                (workload.short())
                @if !workload.cluster.is_empty() { " " span.muted { (workload.cluster) } }
            }
        },
        Err(_) => html! { span.workload { (key) } },
    }
}

/// A sentence in which backticks set what is code apart.
pub(super) fn prose(text: &str) -> Markup {
    let is_paired = text.matches('`').count().is_multiple_of(2);
    html! {
        @if is_paired {
            @for (at, part) in text.split('`').enumerate() {
                @if at % 2 == 1 { code { (part) } } @else { (part) }
            }
        } @else { (text) }
    }
}

/// A text cut at a word, for one line of a list.
pub(super) fn line(text: &str, most: usize) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let Some((end, _)) = text.char_indices().nth(most) else { return text };
    let cut = &text[..end];
    format!("{}…", cut.rsplit_once(' ').map_or(cut, |(whole, _)| whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_relative_and_exact() {
        let now: DateTime<Utc> = "2026-11-21T10:00:00Z".parse().unwrap();
        let shown = |at: &str| time(at.parse().unwrap(), now).into_string();
        let earlier = shown("2026-11-21T09:42:00Z");
        assert!(earlier.contains("18 min ago") && earlier.contains("09:42:00 UTC"), "{earlier}");
        assert!(earlier.contains("datetime=\"2026-11-21T09:42:00Z\""), "{earlier}");
        assert!(shown("2026-11-19T10:00:00Z").contains("2026-11-19 10:00 UTC"));
        assert!(shown("2026-11-21T10:00:00Z").contains("just now"));
        assert!(shown("2026-11-21T10:05:00Z").contains("in 5 min"));
    }

    #[test]
    fn a_line_is_cut_between_words() {
        assert_eq!(line("one two\n three", 9), "one two…");
        assert_eq!(line("one two", 9), "one two");
        assert_eq!(line("日本語日本語", 3), "日本語…");
    }
}
