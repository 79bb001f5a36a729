//! What Alertmanager itself lists (`GET /api/v2/alerts`): the answer's bytes become alerts as its webhook would have
//! brought them, with where they are routed and whether they are silenced.

use super::alertmanager::{Entry, Shared};
use super::rejection::Rejection;
use super::sanitise;
use super::wire::{self, Labels, List, Moment, Text, wire};
use crate::alert::{Alert, Source};

/// One alert that fires, by Alertmanager's own account.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its receiver is empty: `receivers` has them all.
    pub alert: Alert,
    pub receivers: Vec<String>,
    /// Neither silenced nor inhibited, and processed: receivers are told of it.
    pub active: bool,
}

wire! {
    struct Item {
        labels: Labels = "labels",
        annotations: Labels = "annotations",
        starts_at: Moment = "startsAt",
        generator_url: Text = "generatorURL",
        fingerprint: Text = "fingerprint",
        receivers: List<Receiver> = "receivers",
        status: State = "status",
    }
}

wire! {
    struct Receiver {
        name: Text = "name",
    }
}

wire! {
    struct State {
        state: Text = "state",
    }
}

/// Reads the list.
///
/// # Errors
/// Not such a list, with the place.
pub fn listed(bytes: &[u8]) -> Result<Vec<Listed>, Rejection> {
    let text = sanitise::json_text(bytes)?;
    let items: List<Item> = wire::read(&text)?;
    let shared = Shared::of(Source::Alertmanager);
    Ok(items
        .0
        .into_iter()
        .map(|item| Listed {
            receivers: item.receivers.0.into_iter().map(|receiver| receiver.name.0).collect(),
            active: item.status.state.0 == "active",
            alert: shared.alert(Entry {
                labels: item.labels,
                annotations: item.annotations,
                starts_at: item.starts_at,
                generator_url: item.generator_url,
                fingerprint: item.fingerprint,
                ..Entry::default()
            }),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_the_alert_that_its_webhook_would_bring() {
        let text = r#"[{"annotations": {"summary": "s"}, "endsAt": "2026-11-21T07:11:07.481Z", "fingerprint": "032e69303948e9a6",
            "receivers": [{"name": "investigator"}, {"name": "mail"}], "startsAt": "2026-11-21T07:02:07.481Z",
            "status": {"inhibitedBy": [], "silencedBy": ["x"], "state": "suppressed"}, "updatedAt": "2026-11-21T07:07:07.495Z",
            "generatorURL": "http://p", "labels": {"alertname": "A", "severity": "critical"}}]"#;
        let [one] = listed(text.as_bytes()).unwrap().try_into().unwrap();
        assert_eq!((one.receivers, one.active), (vec!["investigator".to_owned(), "mail".to_owned()], false));
        let webhook = format!(
            r#"{{"version": "4", "status": "firing", "alerts": [{}]}}"#,
            text.trim_matches(['[', ']']).replace(
                r#""status": {"inhibitedBy": [], "silencedBy": ["x"], "state": "suppressed"}"#,
                r#""status": "firing""#
            )
        );
        let [same] = super::super::parse(Source::Alertmanager, webhook.as_bytes(), chrono::Utc::now())
            .unwrap()
            .try_into()
            .unwrap();
        assert_eq!(one.alert, same);
        assert!(listed(b"{}").is_err());
    }
}
