//! What the tools over plain sources share: words for times become a window, and a source's failure becomes a
//! refusal in its own words. Pure; nothing here asks anything.

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::Value;

use super::{Bounds, Refusal};
use crate::source::http;

/// Longest window of any question, in hours.
pub(super) const MAX_WINDOW_HOURS: i64 = 7 * 24;
/// The part of a window that lies before the onset when nothing is said, in minutes.
pub(super) const DEFAULT_MINUTES: u32 = 30;

/// A source's failure in its own words, so that the next question can be better.
pub(super) fn failed(source: &str, error: &http::Error) -> Refusal {
    match error {
        http::Error::Timeout(waited) => Refusal::Timeout(*waited),
        http::Error::BadQuery { status, message } => {
            Refusal::Failed(format!("{source} refused the query ({status}): {}", own_words(message)))
        }
        http::Error::TooLarge(bytes) => {
            Refusal::TooMuch(format!("{source}'s answer is larger than {bytes} bytes"))
        }
        http::Error::Unavailable(detail) => {
            Refusal::Failed(format!("{source} is unavailable: {}", own_words(detail)))
        }
    }
}

/// Prometheus wraps its message into JSON, Loki does not.
fn own_words(message: &str) -> String {
    let parsed: Option<Value> =
        message.find('{').and_then(|start| serde_json::from_str(&message[start..]).ok());
    let inner = parsed.as_ref().and_then(|body| body.get("error")).and_then(Value::as_str);
    inner.unwrap_or(message).trim().to_owned()
}

/// When nothing was wrong yet, for sure: an alert's start may be off by this much.
const ONSET_SLACK_SECS: i64 = 120;

/// The moment that parts the time before the trouble from the trouble.
pub fn trouble_begins(bounds: &Bounds) -> DateTime<Utc> {
    bounds.onset.min(bounds.now) - Duration::seconds(ONSET_SLACK_SECS)
}

/// A window as it was asked for: some minutes around the onset, or from a start to an end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Span<'a> {
    pub minutes: Option<u32>,
    pub start: Option<&'a str>,
    pub end: Option<&'a str>,
}

/// From and to. Nothing lies after the cluster's now.
pub(super) type Window = (DateTime<Utc>, DateTime<Utc>);

pub(super) fn window(span: Span<'_>, bounds: &Bounds) -> Result<Window, Refusal> {
    let onset = bounds.onset.min(bounds.now);
    let (from, to) = match span {
        Span { minutes: Some(_), start: Some(_), .. } | Span { minutes: Some(_), end: Some(_), .. } => {
            return Err(Refusal::Arguments("give either `minutes` or `start` and `end`".to_owned()));
        }
        Span { minutes, start: None, end: None } => {
            let reach = Duration::minutes(i64::from(minutes.unwrap_or(DEFAULT_MINUTES).max(1)));
            (onset - reach, onset + reach)
        }
        Span { start, end, .. } => {
            let to = end.map_or(Ok(bounds.now), |text| time(text, bounds))?;
            let before = to - Duration::minutes(2 * i64::from(DEFAULT_MINUTES));
            (start.map_or(Ok(before), |text| time(text, bounds))?, to)
        }
    };
    let to = to.min(bounds.now);
    if from >= to {
        let message = format!(
            "the window is empty: it starts {} and ends {}; now is {}",
            stamp(from),
            stamp(to),
            stamp(bounds.now)
        );
        return Err(Refusal::Arguments(message));
    }
    if to - from > Duration::hours(MAX_WINDOW_HOURS) {
        let message = format!(
            "{} hours are asked for, at most {MAX_WINDOW_HOURS} are read at once: ask about the onset, {}",
            (to - from).num_hours(),
            stamp(onset)
        );
        return Err(Refusal::TooMuch(message));
    }
    Ok((from, to))
}

/// RFC 3339, Unix seconds, or `now` and `onset` with a distance: `onset-15m`, `now-2h`.
pub(super) fn time(text: &str, bounds: &Bounds) -> Result<DateTime<Utc>, Refusal> {
    let text = text.trim();
    let named = [("now", bounds.now), ("onset", bounds.onset)];
    let relative = named.iter().find_map(|(word, at)| Some((text.strip_prefix(word)?.trim(), *at)));
    let found = match relative {
        Some(("", at)) => Some(at),
        Some((rest, at)) => distance(rest).and_then(|distance| at.checked_add_signed(distance)),
        None => match text.parse::<f64>() {
            // A cast saturates, and what is no time is None.
            Ok(seconds) => DateTime::from_timestamp(seconds as i64, 0),
            Err(_) => DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc)),
        },
    };
    found.ok_or_else(|| {
        let example = stamp(bounds.onset);
        Refusal::Arguments(format!("`{text}` is no time; write {example}, onset-15m or now-1h"))
    })
}

/// `-15m`, `+2h`, `-30s`, `-1d`.
fn distance(text: &str) -> Option<Duration> {
    let (sign, rest) = match text.split_at_checked(1)? {
        ("-", rest) => (-1, rest.trim()),
        ("+", rest) => (1, rest.trim()),
        _ => return None,
    };
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let count: i64 = rest.get(..digits)?.parse().ok()?;
    let unit = match rest.get(digits..)?.trim() {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    Duration::try_seconds(count.checked_mul(unit)?.checked_mul(sign)?)
}

pub(super) fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// `1 series`, `2 lines`: words of the field that do not change keep their form.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::workload::Workload;

    /// The recorded cluster's own times: trouble since 07:04:05, asked at 07:07:25.
    pub fn bounds(namespaces: &[&str]) -> Bounds {
        let namespace = namespaces.first().copied().unwrap_or("prod-api");
        Bounds {
            workload: Workload::new("lab", namespace, "Deployment", "api-gateway"),
            namespaces: namespaces.iter().map(|name| (*name).to_owned()).collect(),
            own_pods_only: false,
            nothing_shared: false,
            onset: DateTime::from_timestamp(1_795_244_645, 0).unwrap(),
            now: DateTime::from_timestamp(1_795_244_845, 0).unwrap(),
        }
    }

    fn between(minutes: Option<u32>, start: Option<&str>, end: Option<&str>) -> Result<String, Refusal> {
        let (from, to) = window(Span { minutes, start, end }, &bounds(&["prod-api"]))?;
        Ok(format!("{} {}", from.format("%H:%M:%S"), to.format("%H:%M:%S")))
    }

    #[test]
    fn a_window_lies_around_the_onset_and_never_after_now() {
        assert_eq!(between(None, None, None).unwrap(), "06:34:05 07:07:25");
        assert_eq!(between(Some(2), None, None).unwrap(), "07:02:05 07:06:05");
        assert_eq!(between(None, Some("onset-15m"), Some("now")).unwrap(), "06:49:05 07:07:25");
        assert_eq!(between(None, Some("2026-11-21T08:00:00+01:00"), None).unwrap(), "07:00:00 07:07:25");
        assert_eq!(between(None, Some("1795244245"), Some("onset + 1m")).unwrap(), "06:57:25 07:05:05");
        assert_eq!(between(None, None, Some("now-1h")).unwrap(), "05:07:25 06:07:25");
    }

    #[test]
    fn windows_that_make_no_sense_are_told_why() {
        for (minutes, start, end, part) in [
            (Some(5), Some("now"), None, "either"),
            (None, Some("now"), None, "empty"),
            (None, Some("yesterday"), None, "`yesterday` is no time"),
            (None, Some("onset-9999999999999999d"), None, "is no time"),
            (None, Some("1e300"), None, "is no time"),
            (None, Some("now-30d"), None, "720 hours are asked for, at most 168"),
            (Some(u32::MAX), None, None, "at most 168"),
        ] {
            let refusal = between(minutes, start, end).unwrap_err().to_string();
            assert!(refusal.contains(part), "{refusal}");
        }
    }
}
