//! Kubernetes' quantities and times as numbers and chrono times, and back to words for lines. Pure.

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

/// A quantity in thousandths, so that CPU ("200m") stays whole. Unreadable text counts as 0.
pub fn millis(text: &str) -> i64 {
    let text = text.trim();
    let split = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let Ok(number) = number.parse::<f64>() else { return 0 };
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024f64.powi(4),
        "Pi" => 1024f64.powi(5),
        "Ei" => 1024f64.powi(6),
        exponent => match exponent.strip_prefix(['e', 'E']).and_then(|digits| digits.parse::<i32>().ok()) {
            Some(power) => 10f64.powi(power),
            None => return 0,
        },
    };
    // A float beyond i64 saturates, which is all that a comparison needs.
    #[expect(clippy::cast_possible_truncation, reason = "saturates; thousandths are exact enough")]
    let millis = (number * factor * 1e3).round() as i64;
    millis
}

/// A quantity in whole units, rounded up: bytes, pods.
pub fn units(text: &str) -> i64 {
    let millis = millis(text);
    millis / 1000 + i64::from(millis % 1000 > 0)
}

/// A named quantity of a resource list, "" when it is not there.
pub fn quantity<'a>(list: Option<&'a std::collections::BTreeMap<String, Quantity>>, name: &str) -> &'a str {
    list.and_then(|list| list.get(name)).map_or("", |quantity| quantity.0.as_str())
}

pub fn time(time: &Time) -> Option<DateTime<Utc>> {
    from_parts(time.0.as_second(), time.0.subsec_nanosecond())
}

pub fn micro_time(time: &MicroTime) -> Option<DateTime<Utc>> {
    from_parts(time.0.as_second(), time.0.subsec_nanosecond())
}

fn from_parts(seconds: i64, nanos: i32) -> Option<DateTime<Utc>> {
    // The zero time stands for "never" (a container that never started).
    if seconds <= 0 {
        return None;
    }
    DateTime::from_timestamp(seconds, u32::try_from(nanos).unwrap_or(0))
}

/// `07:05:06` on the day of the observation, with its date before.
pub fn clock(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let form = if at.date_naive() == now.date_naive() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    at.format(form).to_string()
}

/// `8m47s`, `3h5m`, `2d4h`: the two largest parts.
pub fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..=59 => format!("{seconds}s"),
        60..=3_599 => format!("{}m{}s", seconds / 60, seconds % 60),
        3_600..=86_399 => format!("{}h{}m", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{}d{}h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_of_the_documentation() {
        for (text, expected) in
            [("200m", 200), ("2", 2_000), ("0.5", 500), ("1e3", 1_000_000), ("64", 64_000), ("", 0), ("x", 0)]
        {
            assert_eq!(millis(text), expected, "{text}");
        }
        for (text, expected) in [
            ("32Mi", 33_554_432),
            ("24581692Ki", 25_171_652_608),
            ("1G", 1_000_000_000),
            ("100m", 1),
            ("110", 110),
            ("128974848", 128_974_848),
            ("12E", 9_223_372_036_854_776),
        ] {
            assert_eq!(units(text), expected, "{text}");
        }
    }

    #[test]
    fn spans_read_like_kubectl() {
        for (seconds, text) in [(5, "5s"), (527, "8m47s"), (11_100, "3h5m"), (187_200, "2d4h"), (-3, "0s")] {
            assert_eq!(span(seconds), text);
        }
    }
}
