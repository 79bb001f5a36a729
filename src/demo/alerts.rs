//! The webhook bodies that the demo posts: the recorded ones byte for byte, and hand-made ones for
//! workloads of the recorded cluster that its alerts do not reach.

use anyhow::{Context, Result};
use serde::Deserialize;

use super::recording::Recording;

const RECORDED: &str = "alertmanager/webhooks/";

/// Headers that depend on the body or the connection are the client's own.
const KEPT_HEADERS: [&str; 2] = ["content-type", "user-agent"];

macro_rules! hand_made {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../tests/fixtures/demo/", $name)))),*]
    };
}

static HAND_MADE: [(&str, &str); 9] = hand_made![
    "hand-made-01-orders-db.json",
    "hand-made-02-ml-trainer.json",
    "hand-made-03-recommendations.json",
    "hand-made-04-frontend.json",
    "hand-made-05-orders-archive.json",
    "hand-made-06-nightly-report.json",
    "hand-made-07-log-agent.json",
    "hand-made-08-notification-service.json",
    "hand-made-09-checkout.json",
];

/// One POST of Alertmanager's.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// The file it comes from.
    pub name: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Alerts in the body.
    pub alerts: usize,
}

#[derive(Deserialize)]
struct Body {
    alerts: Vec<serde_json::Value>,
}

/// What a real Alertmanager sent while the cluster was recorded, in its order.
pub fn recorded(recording: &Recording) -> Result<Vec<Webhook>> {
    let bodies = recording.under(RECORDED).filter(|(name, _)| name.ends_with(".json"));
    bodies
        .map(|(name, body)| {
            let headers = recording.file(&name.replace(".json", ".headers")).unwrap_or_default();
            let name = name.trim_start_matches(RECORDED);
            webhook(name, headers_of(&String::from_utf8_lossy(headers)), body)
        })
        .collect()
}

/// Alerts in the same form about the other workloads. No Alertmanager ever sent them.
pub fn hand_made() -> Result<Vec<Webhook>> {
    let json = vec![("content-type".to_owned(), "application/json".to_owned())];
    HAND_MADE.iter().map(|(name, body)| webhook(name, json.clone(), body.as_bytes())).collect()
}

fn webhook(name: &str, headers: Vec<(String, String)>, body: &[u8]) -> Result<Webhook> {
    let parsed: Body = serde_json::from_slice(body).with_context(|| format!("reading {name}"))?;
    Ok(Webhook { name: name.to_owned(), headers, body: body.to_vec(), alerts: parsed.alerts.len() })
}

fn headers_of(text: &str) -> Vec<(String, String)> {
    let pairs = text.lines().filter_map(|line| line.split_once(": "));
    let kept = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()));
    kept.filter(|(name, _)| KEPT_HEADERS.contains(&name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Deserialize)]
    struct Alert {
        labels: BTreeMap<String, String>,
        fingerprint: String,
    }

    /// FNV-1a 64 over the sorted labels, as Alertmanager computes it.
    fn fingerprint(labels: &BTreeMap<String, String>) -> String {
        let bytes = labels.iter().flat_map(|(name, value)| {
            name.bytes().chain([0xff]).chain(value.bytes()).chain([0xff]).collect::<Vec<u8>>()
        });
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        format!("{hash:016x}")
    }

    #[test]
    fn every_body_carries_the_fingerprints_that_alertmanager_computes() {
        let recorded = recorded(Recording::embedded().unwrap()).unwrap();
        let hand_made = hand_made().unwrap();
        assert_eq!((recorded.len(), hand_made.len()), (21, 9));
        let mut alerts = 0;
        for webhook in recorded.iter().chain(&hand_made) {
            let body: Body = serde_json::from_slice(&webhook.body).unwrap();
            for alert in body.alerts {
                let alert: Alert = serde_json::from_value(alert).unwrap();
                assert_eq!(alert.fingerprint, fingerprint(&alert.labels), "{}", webhook.name);
                assert_eq!(alert.labels["cluster"], "lab");
                alerts += 1;
            }
        }
        assert_eq!(alerts, recorded.iter().chain(&hand_made).map(|webhook| webhook.alerts).sum::<usize>());
    }

    #[test]
    fn recorded_bodies_come_in_order_with_the_senders_headers() {
        let recorded = recorded(Recording::embedded().unwrap()).unwrap();
        assert!(recorded.iter().map(|webhook| &webhook.name).is_sorted());
        assert_eq!(recorded[0].name, "001-firing-KubeJobFailed-n1.json");
        let expected = [("user-agent", "Alertmanager/0.25.0"), ("content-type", "application/json")];
        let headers: Vec<(&str, &str)> =
            recorded[0].headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(headers, expected);
    }

    #[test]
    fn hand_made_bodies_say_so_in_their_names() {
        assert!(hand_made().unwrap().iter().all(|webhook| webhook.name.starts_with("hand-made-")));
    }
}
