//! Points in time as people say them: `10m`, `2h30m`, RFC 3339, `onset`. Text and the cluster's clock come
//! in, a time goes out. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use crate::tool::{Bounds, Refusal};

/// Nothing further back is of use, in seconds.
const MAX_AGO_SECS: i64 = 30 * 86_400;

pub fn point(field: &str, text: &str, bounds: &Bounds) -> Result<DateTime<Utc>, Refusal> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("onset") {
        return Ok(bounds.onset);
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.with_timezone(&Utc));
    }
    let ago = text.trim_start_matches('-').trim_end_matches(" ago");
    match span(ago) {
        Some(seconds) if (1..=MAX_AGO_SECS).contains(&seconds) => {
            Ok(bounds.now - TimeDelta::seconds(seconds))
        }
        _ => {
            let now = bounds.now.format("%Y-%m-%dT%H:%M:%SZ");
            let words =
                format!("`{field}`: {text:?} is no time; write 10m, 2h, onset, or RFC 3339 (now is {now})");
            Err(Refusal::Arguments(words))
        }
    }
}

/// Seconds of `90s`, `10m`, `2h30m`, `1d`.
fn span(text: &str) -> Option<i64> {
    let mut sum = 0_i64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: i64 = rest[..digits].parse().ok()?;
        let (factor, unit) = match rest[digits..].chars().next()? {
            's' => (1, 1),
            'm' => (60, 1),
            'h' => (3_600, 1),
            'd' => (86_400, 1),
            _ => return None,
        };
        sum = sum.checked_add(number.checked_mul(factor)?)?;
        rest = &rest[digits + unit..];
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Workload;

    #[test]
    fn times_as_people_say_them() {
        let now: DateTime<Utc> = "2026-11-21T07:10:00Z".parse().unwrap();
        let bounds = Bounds {
            workload: Workload::new("", "shop", "Deployment", "x"),
            namespaces: Vec::new(),
            own_pods_only: false,
            nothing_shared: false,
            onset: now - TimeDelta::minutes(9),
            now,
        };
        for (text, expected) in [
            ("10m", "07:00:00"),
            ("-90s", "07:08:30"),
            ("1h30m", "05:40:00"),
            ("5m ago", "07:05:00"),
            ("onset", "07:01:00"),
            ("2026-11-21T08:00:00+01:00", "07:00:00"),
        ] {
            assert_eq!(
                point("since", text, &bounds).unwrap().format("%H:%M:%S").to_string(),
                expected,
                "{text}"
            );
        }
        for text in ["", "0m", "soon", "10", "99999999999999999999d", "9999d", "2026-11-21", "10m ä"] {
            assert!(matches!(point("since", text, &bounds), Err(Refusal::Arguments(_))), "{text}");
        }
    }
}
