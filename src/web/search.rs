//! The search over all investigations: words and filters come in by the query string, what was found goes out with the
//! words marked. Words are read as web searches read them: `"a phrase"`, `-without`, `one OR other`.

mod store;

use axum::Extension;
use axum::extract::{Query, State};
use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::Pages;
use super::door::Reader;
use super::fault::{Fault, read};
use super::highlight::{marked, stems};
use super::incidents::field;
use super::layout::{Frame, Section, line, page as framed, time, verdict};
use store::Hit;

const MAX_HITS: i64 = 30;
const MAX_LINE: usize = 260;
const MAX_QUERY_BYTES: usize = 500;
const OUTCOMES: [(&str, &str); 5] = [
    ("", "any"),
    ("known_pattern", "known pattern"),
    ("root_cause", "found by the agent"),
    ("inconclusive", "no cause found"),
    ("not_an_incident", "nothing is broken"),
];
const SINCE: [(&str, &str, i64); 4] =
    [("", "any time", 0), ("1d", "one day", 1), ("7d", "a week", 7), ("30d", "30 days", 30)];

/// The query string; "" leaves a part open.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    pub q: String,
    pub cluster: String,
    pub namespace: String,
    /// A whole key, or a name alone.
    pub workload: String,
    pub outcome: String,
    pub cause: String,
    pub since: String,
    #[serde(skip)]
    pub since_at: Option<DateTime<Utc>>,
}

impl Filter {
    fn checked(mut self, now: DateTime<Utc>) -> Result<Self, Fault> {
        let all = [&self.q, &self.cluster, &self.namespace, &self.workload, &self.outcome, &self.cause];
        if all.iter().any(|value| value.len() > MAX_QUERY_BYTES || value.contains('\0')) {
            return Err(Fault::Unreadable(format!(
                "A field holds at most {MAX_QUERY_BYTES} bytes and no NUL."
            )));
        }
        self.q = self.q.trim().to_owned();
        let days = SINCE.iter().find(|(value, _, _)| *value == self.since).map_or(0, |(_, _, days)| *days);
        self.since_at = (days > 0).then(|| now - TimeDelta::days(days));
        Ok(self)
    }
}

pub(super) async fn page(
    State(pages): State<Pages>,
    Extension(reader): Extension<Reader>,
    Query(filter): Query<Filter>,
) -> Result<Markup, Fault> {
    let now = Utc::now();
    let filter = filter.checked(now)?;
    let (pool, reach) = (pages.pool(), reader.reach());
    let limit = MAX_HITS + 1;
    let mut hits = if filter.q.is_empty() {
        read(store::newest(pool, &filter, reach, limit)).await?
    } else {
        read(store::words(pool, &filter, reach, limit)).await?
    };
    let more = i64::try_from(hits.len()).unwrap_or(limit) == limit;
    hits.truncate(usize::try_from(MAX_HITS).unwrap_or(usize::MAX));
    let main = html! {
        h1 { "Search" }
        (form(&filter))
        p role="status" {
            @if more { "The newest " (MAX_HITS) "; there are more." }
            @else if hits.is_empty() { "Nothing was found. Fewer words, or other ones, find more." }
            @else { (super::layout::count(i64::try_from(hits.len()).unwrap_or(0), "investigation", "investigations")) "." }
        }
        (list(&hits, &stems(&filter.q), now))
    };
    let title =
        if filter.q.is_empty() { "Search".to_owned() } else { format!("{} · Search", line(&filter.q, 60)) };
    Ok(framed(&Frame::new(&title, Section::Search, &reader), main))
}

fn form(filter: &Filter) -> Markup {
    html! {
        form.search role="search" method="get" action="/search" {
            div.words {
                label for="q" { "Words in summaries, alerts, causes and workloads" }
                input id="q" name="q" type="search" value=(filter.q) maxlength=(MAX_QUERY_BYTES) autocomplete="off";
            }
            div.filters {
                (field("cluster", "Cluster", &filter.cluster))
                (field("namespace", "Namespace", &filter.namespace))
                (field("workload", "Workload", &filter.workload))
                (field("cause", "Cause", &filter.cause))
                (choice("outcome", "Outcome", &filter.outcome, OUTCOMES.iter().copied()))
                (choice("since", "Since", &filter.since, SINCE.iter().map(|(value, name, _)| (*value, *name))))
                button.primary type="submit" { "Search" }
            }
        }
    }
}

fn choice<'a>(
    name: &str,
    label: &str,
    value: &str,
    options: impl Iterator<Item = (&'a str, &'a str)>,
) -> Markup {
    html! {
        div {
            label for=(name) { (label) }
            select id=(name) name=(name) {
                @for (option, shown) in options {
                    option value=(option) selected[option == value] { (shown) }
                }
            }
        }
    }
}

fn list(hits: &[Hit], stems: &[String], now: DateTime<Utc>) -> Markup {
    html! {
        ul.cards {
            @for hit in hits {
                li.card {
                    p.line1 {
                        (verdict(&hit.state, hit.outcome.as_deref()))
                        @if let Some(cause) = &hit.cause_id { code { (marked(cause, stems)) } }
                    }
                    h2 { a href={ "/investigations/" (hit.id) } { (marked(&hit.workload, stems)) } }
                    @if let Some(summary) = &hit.summary { p { (marked(&line(summary, MAX_LINE), stems)) } }
                    p.muted.small { (marked(&hit.alert_name, stems)) " · " (time(hit.created_at, now)) }
                }
            }
        }
    }
}
