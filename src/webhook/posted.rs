//! What Prometheus and vmalert post to an Alertmanager by themselves (`POST /api/v2/alerts`): a list of alerts without a
//! status. One whose end is not in the past fires; its senders say so again and again, each time with a later end.

use chrono::{DateTime, Datelike, Utc};

use super::alertmanager::{Entry, Shared};
use super::rejection::Rejection;
use super::sanitise;
use super::wire::{self, List, Text};
use crate::alert::{Alert, Source};

/// The alerts have the identity that Alertmanager's webhooks would give them: what both bring is one occurrence.
pub(super) fn parse(bytes: &[u8], received_at: DateTime<Utc>) -> Result<Vec<Alert>, Rejection> {
    let text = sanitise::json_text(bytes)?;
    let entries: List<Entry> = wire::read(&text)?;
    let shared = Shared::of(Source::Alertmanager);
    let alert = |entry: Entry| {
        // Go's zero time, in year 1, means that there is none.
        let over = entry.ends_at.0.is_some_and(|at| at.year() > 1 && at <= received_at);
        let status = Text(if over { "resolved" } else { "firing" }.to_owned());
        shared.alert(Entry { status, fingerprint: Text::default(), ..entry })
    };
    Ok(entries.0.into_iter().map(alert).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Status;

    const NOW: &str = "2026-11-21T10:00:00Z";

    fn posted(ends_at: &str) -> Alert {
        let text = format!(
            r#"[{{"labels": {{"alertname": "A", "severity": "critical", "namespace": "shop"}},
                "annotations": {{"summary": "s"}}, "startsAt": "2026-11-21T09:50:00Z", "endsAt": {ends_at},
                "generatorURL": "http://p"}}]"#
        );
        parse(text.as_bytes(), NOW.parse().unwrap()).unwrap().remove(0)
    }

    #[test]
    fn an_alert_fires_until_its_end_is_past() {
        for firing in ["null", "\"0001-01-01T00:00:00Z\"", "\"2026-11-21T10:04:00Z\""] {
            let alert = posted(firing);
            assert_eq!((alert.status, alert.ends_at), (Status::Firing, None), "{firing}");
        }
        let over = posted("\"2026-11-21T09:59:00Z\"");
        assert_eq!((over.status, over.ends_at), (Status::Resolved, "2026-11-21T09:59:00Z".parse().ok()));
    }

    #[test]
    fn it_is_the_occurrence_that_alertmanager_s_webhook_would_bring() {
        let webhook = br#"{"version": "4", "status": "firing", "alerts": [{"status": "firing",
            "labels": {"alertname": "A", "severity": "critical", "namespace": "shop"},
            "annotations": {"summary": "s"}, "startsAt": "2026-11-21T09:50:00Z", "generatorURL": "http://p"}]}"#;
        let [same] =
            super::super::parse(Source::Alertmanager, webhook, Utc::now()).unwrap().try_into().unwrap();
        assert_eq!(posted("null"), same);
        for bad in [&b"{}"[..], b"[1]", b"", b"[{\"labels\": []}]"] {
            assert!(parse(bad, Utc::now()).is_err(), "{}", String::from_utf8_lossy(bad));
        }
        assert_eq!(parse(b"[]", Utc::now()).unwrap(), []);
    }
}
