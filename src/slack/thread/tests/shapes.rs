//! Messages as Robusta, Alertmanager and Grafana post them, in the form in which Slack's history returns them, and the
//! alerts that they are about.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::alert::{Alert, Severity, Source, Status};
use crate::slack::thread::choose::Wanted;

pub(super) type Labels = BTreeMap<String, String>;

pub(super) fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_244_890, 0).unwrap()
}

/// A message's `ts`, so many seconds after the alert began.
pub(super) fn at(seconds: i64) -> String {
    format!("{}.000100", start().timestamp() + seconds)
}

pub(super) fn labels(pod: &str) -> Labels {
    [
        ("alertname", "KubePodCrashLooping"),
        ("container", "app"),
        ("namespace", "shop"),
        ("pod", pod),
        ("reason", "CrashLoopBackOff"),
        ("severity", "warning"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

pub(super) fn alert(labels: &Labels) -> Alert {
    let description = match labels.get("pod") {
        Some(pod) => format!("Pod {}/{pod} (app) is in waiting state.", labels["namespace"]),
        None => "Too many requests fail.".to_owned(),
    };
    let texts = [("summary", "Pod is crash looping.".to_owned()), ("description", description)];
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    for byte in labels.iter().flat_map(|(name, value)| name.bytes().chain(value.bytes())) {
        sum = (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    Alert {
        source: Source::Alertmanager,
        status: Status::Firing,
        fingerprint: format!("{sum:016x}"),
        starts_at: start(),
        ends_at: None,
        severity: Severity::Warning,
        labels: labels.clone(),
        annotations: texts.map(|(name, text)| (name.to_owned(), text)).into(),
        generator_url: String::new(),
        receiver: String::new(),
        group_key: String::new(),
        subject: None,
        truncated_alerts: 0,
    }
}

/// The same alert through Robusta's webhook sink: with the pod's labels, the cluster and the finding's id.
pub(super) fn from_robusta(alert: &Alert, finding: &str) -> Alert {
    let mut ours = alert.clone();
    ours.source = Source::Robusta;
    finding.clone_into(&mut ours.group_key);
    for (name, value) in [
        ("app", "checkout"),
        ("pod-template-hash", "7d9c5b6f7c"),
        ("node", "ip-10-0-3-17"),
        ("cluster", "prod-eu"),
    ] {
        ours.labels.insert(name.to_owned(), value.to_owned());
    }
    ours
}

pub(super) fn incident(cluster: &str, alerts: Vec<Alert>) -> Wanted {
    Wanted { cluster: cluster.to_owned(), opened_at: start() + TimeDelta::seconds(2), alerts }
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// As Robusta chooses it.
fn title(alert: &Alert) -> &str {
    alert.annotation("summary").unwrap_or_else(|| alert.name())
}

fn robusta_with(alert: &Alert, headline: &str, cluster: &str, seconds: i64, table: bool) -> Value {
    let title = title(alert);
    let rows = alert.labels.iter().map(|(name, value)| format!("● {name} `{}`", escaped(value)));
    let labels = format!("*Alert labels* \n{}", rows.collect::<Vec<_>>().join("\n"));
    let mut blocks = vec![
        section(&format!("🔥 `Prometheus Alert Firing` 🔥 🟡 *Low*\n{headline}")),
        section(&format!("*Source:* `{cluster}`")),
        section(&format!("🚨 *Alert:* {}", escaped(alert.annotation("description").unwrap_or_default()))),
        json!({"type": "divider"}),
    ];
    blocks.retain(|block| !cluster.is_empty() || !block["text"]["text"].to_string().contains("Source"));
    if cluster.is_empty() {
        // The place of the alert's words stays the same.
        blocks.insert(1, json!({"type": "actions", "elements": [
            {"type": "button", "text": {"type": "plain_text", "text": "Investigate 🔎"}, "url": "https://x/?a=b"},
        ]}));
    }
    let attached = if table { vec![section(&labels)] } else { vec![section("*Logs* \nboom")] };
    json!({
        "type": "message", "ts": at(seconds), "bot_id": "B0ROBUSTA", "app_id": "A0ROBUSTA", "user": "U0ROBUSTA",
        "text": title, "blocks": blocks,
        "attachments": [{"color": "EF311F", "fallback": "[no preview available]", "id": 1, "blocks": attached}],
    })
}

/// Without its SaaS.
pub(super) fn robusta(alert: &Alert, cluster: &str, seconds: i64) -> Value {
    robusta_with(alert, title(alert), cluster, seconds, true)
}

/// `minimal_default_enricher`: no table.
pub(super) fn robusta_plain(alert: &Alert, cluster: &str, seconds: i64) -> Value {
    robusta_with(alert, title(alert), cluster, seconds, false)
}

/// With its SaaS, without a table.
pub(super) fn robusta_saas(alert: &Alert, cluster: &str, finding: &str, seconds: i64) -> Value {
    let title = title(alert);
    let query = format!(
        "account=a1&amp;clusters=%5B%22{cluster}%22%5D&amp;namespaces=%5B%22{}%22%5D&amp;kind=Pod&amp;name={}&amp;\
         names=%5B%22{}%22%5D&amp;finding={finding}",
        alert.labels.get("namespace").map_or("", String::as_str),
        alert.labels.get("pod").map_or("", String::as_str),
        alert.name(),
    );
    let headline = format!("<https://platform.robusta.dev/graphs?{query}|*{title}*>");
    robusta_with(alert, &headline, cluster, seconds, false)
}

/// `__subject` of Alertmanager's default template, which Grafana took over.
fn subject(alerts: &[&Alert]) -> String {
    let common = alerts[0]
        .labels
        .iter()
        .filter(|(name, value)| alerts.iter().all(|alert| alert.labels.get(*name) == Some(*value)));
    let grouped = |name: &str| ["alertname", "namespace"].contains(&name);
    let (group, rest): (Vec<_>, Vec<_>) = common.partition(|(name, _)| grouped(name));
    let values =
        |of: &[(&String, &String)]| of.iter().map(|(_, value)| escaped(value)).collect::<Vec<_>>().join(" ");
    format!("[FIRING:{}] {} ({})", alerts.len(), values(&group), values(&rest))
}

/// The default template has a headline and no text.
pub(super) fn alertmanager(alerts: &[&Alert], seconds: i64) -> Value {
    let title = subject(alerts);
    json!({
        "type": "message", "subtype": "bot_message", "ts": at(seconds), "bot_id": "B0HOOK", "username": "Alertmanager",
        "text": "",
        "attachments": [{
            "id": 1, "color": "a30200", "title": title, "title_link": "http://am:9093/#/alerts?receiver=slack",
            "fallback": format!("{title} | http://am:9093/#/alerts?receiver=slack"),
            "mrkdwn_in": ["fallback", "pretext", "text"],
        }],
    })
}

pub(super) fn grafana(alerts: &[&Alert], seconds: i64) -> Value {
    let lines = |of: &BTreeMap<String, String>| {
        of.iter().map(|(name, value)| format!(" - {name} = {}\n", escaped(value))).collect::<String>()
    };
    let one = |alert: &&Alert| {
        format!(
            "\nValue: A=1\nLabels:\n{}Annotations:\n{}Source: <http://grafana/alerting/x/view>\nSilence: \
             <http://grafana/alerting/silence/new?matcher=alertname%3DX>\n",
            lines(&alert.labels),
            lines(&alert.annotations)
        )
    };
    let title = subject(alerts);
    json!({
        "type": "message", "subtype": "bot_message", "ts": at(seconds), "bot_id": "B0GRAFANA", "text": "",
        "attachments": [{
            "id": 1, "color": "D63232", "title": title, "title_link": "http://grafana/alerting/list",
            "fallback": title, "text": format!("**Firing**\n{}", alerts.iter().map(one).collect::<String>()),
            "footer": "Grafana v11.3.0", "ts": start().timestamp(),
        }],
    })
}
