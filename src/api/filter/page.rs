//! Which part of a list, and how it is written: parameters of a query string come in, a page, or a problem that names the
//! parameter. A cursor of a stranger never reaches the database out of its range. Pure.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike, Utc};
use utoipa::IntoParams;
use uuid::Uuid;

use super::{Pairs, checked};
use crate::api::problem::Problem;

const DEFAULT_LIMIT: i64 = 50;
const MAX_LIMIT: i64 = 200;

/// Which part of a list, and how it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in crate::api) struct Page {
    /// Items of one page; 50 where it is not given. An export without it goes on to its bound.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<i64>,
    /// `next` of the page before.
    #[param(value_type = Option<String>)]
    pub cursor: Option<Cursor>,
    /// json, csv or ndjson; wins over `Accept`. The last two are exports.
    #[param(value_type = Option<String>, pattern = "^(json|csv|ndjson)$")]
    pub format: Option<Format>,
}

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Format {
    Json,
    Csv,
    Ndjson,
}

/// The last row of a page: the next page begins below it, whatever was added above in the meantime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) struct Cursor {
    pub at: DateTime<Utc>,
    pub id: Uuid,
}

impl Cursor {
    pub(in crate::api) fn encode(self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}:{}", self.at.timestamp_micros(), self.id))
    }

    fn decode(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (micros, id) = text.split_once(':')?;
        let at = DateTime::from_timestamp_micros(micros.parse().ok()?)?;
        (1..=9999).contains(&at.year()).then_some(Self { at, id: id.parse().ok()? })
    }
}

impl Page {
    /// Of a list without a filter.
    pub(in crate::api) fn parse(pairs: &Pairs) -> Result<Self, Problem> {
        let mut page = Self::default();
        for (key, value) in checked(pairs)? {
            if key == "format" || !page.take(key, value)? {
                return Err(Problem::parameter(key, "known are limit, cursor"));
            }
        }
        Ok(page)
    }

    /// Items of one page.
    pub(in crate::api) fn size(&self) -> i64 {
        self.limit.unwrap_or(DEFAULT_LIMIT)
    }

    /// What the caller wants to read: what it says in the query, else what it accepts first of what we have.
    pub(in crate::api) fn format(&self, accept: Option<&str>) -> Format {
        let accepted = || {
            accept.unwrap_or_default().split(',').find_map(|kind| {
                match kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase().as_str() {
                    "text/csv" => Some(Format::Csv),
                    "application/x-ndjson" | "application/ndjson" => Some(Format::Ndjson),
                    "application/json" | "application/*" | "*/*" => Some(Format::Json),
                    _ => None,
                }
            })
        };
        self.format.or_else(accepted).unwrap_or(Format::Json)
    }

    /// True when the parameter was about the page.
    pub(super) fn take(&mut self, key: &str, value: &str) -> Result<bool, Problem> {
        match key {
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                self.limit = Some(limit.ok_or_else(|| {
                    Problem::parameter(key, format!("limit is a number from 1 to {MAX_LIMIT}, e.g. limit=50"))
                })?);
            }
            "cursor" => {
                self.cursor = Some(Cursor::decode(value).ok_or_else(|| {
                    Problem::parameter(key, "cursor is the `next` of the page before, unchanged")
                })?);
            }
            "format" => {
                self.format = Some(match value {
                    "json" => Format::Json,
                    "csv" => Format::Csv,
                    "ndjson" => Format::Ndjson,
                    _ => return Err(Problem::parameter(key, "format is one of json, csv, ndjson")),
                });
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_follows_the_query_then_what_is_accepted_first() {
        let page = |format| Page { format, ..Page::default() };
        for (accept, expected) in [
            (None, Format::Json),
            (Some("text/csv"), Format::Csv),
            (Some("text/html, application/x-ndjson;q=0.9, */*;q=0.1"), Format::Ndjson),
            (Some("application/json, text/csv"), Format::Json),
            (Some("image/png"), Format::Json),
        ] {
            assert_eq!(page(None).format(accept), expected, "{accept:?}");
            assert_eq!(page(Some(Format::Csv)).format(accept), Format::Csv);
        }
    }

    proptest! {
        #[test]
        fn no_cursor_of_a_stranger_reaches_the_database_out_of_range(text in "\\PC{0,60}", micros in any::<i64>()) {
            let forged = URL_SAFE_NO_PAD.encode(format!("{micros}:{}", Uuid::nil()));
            for text in [text, forged] {
                if let Some(cursor) = Cursor::decode(&text) {
                    prop_assert!((1..=9999).contains(&cursor.at.year()));
                    prop_assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
                }
            }
        }
    }
}
