//! Which message is an alert's: the shapes that Robusta, Alertmanager and Grafana post, and near misses of each, against
//! alerts as their webhooks bring them.

mod channel;
mod histories;
mod shapes;

use std::collections::HashSet;

use serde_json::{Value, json};

use self::shapes::{
    alert, alertmanager, at, from_robusta, grafana, incident, labels, robusta, robusta_plain, robusta_saas,
};
use super::choose::{Choice, Wanted, choose, posts_here};
use super::message::{Candidate, Sender};
use crate::settings::ThreadMatch;

const POD: &str = "checkout-7d9c5b6f7c-2xk4p";
const FINDING: &str = "5b3e2fb1-cb83-45ea-82ec-318c94718e44";

fn read(messages: &[Value]) -> Vec<Candidate> {
    messages.iter().filter_map(Candidate::of).collect()
}

fn best(messages: &[Value], wanted: &Wanted) -> Choice {
    choose(&read(messages), wanted, ThreadMatch::Any, &HashSet::new())
}

/// The score, where the first message is taken.
fn taken(messages: &[Value], wanted: &Wanted) -> i32 {
    match best(messages, wanted) {
        Choice::Match { ts, score, .. } => {
            assert_eq!(ts, messages[0]["ts"], "another message was taken");
            score
        }
        nothing => panic!("{nothing:?}"),
    }
}

#[track_caller]
fn refused(message: Value, wanted: &Wanted) {
    let choice = best(&[message], wanted);
    assert!(matches!(&choice, Choice::Nothing { score, .. } if *score < 80), "{choice:?}");
}

#[test]
fn each_sender_s_own_message_is_found() {
    let alert = alert(&labels(POD));
    let wanted = incident("prod-eu", vec![alert.clone()]);
    assert_eq!(taken(&[robusta(&alert, "prod-eu", 5)], &wanted), 95);
    assert_eq!(taken(&[alertmanager(&[&alert], 5)], &wanted), 90);
    assert_eq!(taken(&[grafana(&[&alert], 5)], &wanted), 95);
    assert_eq!(taken(&[robusta_plain(&alert, "prod-eu", 5)], &wanted), 85);
    let found: Vec<Sender> =
        read(&[robusta(&alert, "c", 5), alertmanager(&[&alert], 5), grafana(&[&alert], 5)])
            .iter()
            .map(|one| one.sender)
            .collect();
    assert_eq!(found, [Sender::Robusta, Sender::Alertmanager, Sender::Grafana]);
}

#[test]
fn an_alert_that_came_through_robusta_is_found_too() {
    // Its labels are those of the pod and of the alert together.
    let sent = alert(&labels(POD));
    let ours = from_robusta(&sent, FINDING);
    let wanted = incident("prod-eu", vec![ours]);
    assert_eq!(taken(&[robusta(&sent, "prod-eu", 5)], &wanted), 95);
    assert_eq!(taken(&[robusta_saas(&sent, "prod-eu", FINDING, 5)], &wanted), 100);
    assert_eq!(taken(&[alertmanager(&[&sent], 5)], &wanted), 92);
    assert_eq!(taken(&[robusta_plain(&sent, "prod-eu", 5)], &wanted), 85);
    let other = "00000000-0000-4000-8000-000000000000";
    refused(robusta_saas(&sent, "prod-eu", other, 5), &wanted);
}

#[test]
fn a_printed_fingerprint_decides_for_and_against() {
    let alert = alert(&labels(POD));
    let wanted = incident("", vec![alert.clone()]);
    let said = |print: &str| {
        let text = format!("something broke `fp:{print}`");
        json!({"ts": at(5), "bot_id": "B0CUSTOM", "text": text})
    };
    assert_eq!(taken(&[said(&alert.fingerprint)], &wanted), 100);
    refused(said("0123456789abcdef"), &wanted);
    let mut labelled = robusta(&alert, "prod-eu", 5);
    labelled["blocks"][1]["text"]["text"] = "fp:0123456789abcdef".into();
    refused(labelled, &wanted);
}

#[test]
fn near_misses_are_left_alone() {
    let ours = alert(&labels(POD));
    let wanted = incident("prod-eu", vec![ours.clone()]);
    let with = |name: &str, value: &str| {
        let mut labels = labels(POD);
        labels.insert(name.to_owned(), value.to_owned());
        alert(&labels)
    };
    for other in [
        with("namespace", "pay"),
        with("pod", "checkout-7d9c5b6f7c-zzzzz"),
        with("alertname", "KubePodNotReady"),
        with("container", "sidecar"),
        with("cluster", "prod-us"),
    ] {
        refused(robusta(&other, "prod-eu", 5), &wanted);
        refused(alertmanager(&[&other], 5), &wanted);
        refused(grafana(&[&other], 5), &wanted);
    }
    // The same workload of another cluster has the same labels.
    refused(robusta(&ours, "prod-us", 5), &wanted);
    refused(robusta_plain(&ours, "prod-us", 5), &wanted);
    refused(robusta_saas(&ours, "prod-us", FINDING, 5), &wanted);
    // Before the alert began: an older firing.
    refused(robusta(&ours, "prod-eu", -90), &wanted);
    refused(alertmanager(&[&ours], -3600), &wanted);
}

#[test]
fn what_is_over_is_no_place_to_begin() {
    let ours = alert(&labels(POD));
    let wanted = incident("prod-eu", vec![ours.clone()]);
    let mut over = robusta(&ours, "prod-eu", 5);
    over["text"] = "[RESOLVED] Pod is crash looping.".into();
    refused(over, &wanted);
    let mut over = robusta(&ours, "prod-eu", 5);
    over["blocks"][0]["text"]["text"] = "✅ *Prometheus resolved* ✅ Pod is crash looping.".into();
    refused(over, &wanted);
    // Alertmanager 0.32 changes its own message when the alert is over.
    let mut changed = alertmanager(&[&ours], 5);
    let title = changed["attachments"][0]["title"].as_str().unwrap().replace("FIRING:1", "RESOLVED");
    changed["attachments"][0]["title"] = title.into();
    changed["edited"] = json!({"user": "U0AM", "ts": at(60)});
    refused(changed, &wanted);
    // Changed, and still about the alert.
    let mut changed = alertmanager(&[&ours], 5);
    changed["edited"] = json!({"user": "U0AM", "ts": at(60)});
    assert_eq!(taken(&[changed], &wanted), 90);
}

#[test]
fn people_and_bots_that_quote_an_alert_are_not_followed() {
    let ours = alert(&labels(POD));
    let wanted = incident("prod-eu", vec![ours.clone()]);
    let person = |mut message: Value| {
        message["user"] = "U1".into();
        message["client_msg_id"] = "0f4b3a1e".into();
        message.as_object_mut().unwrap().remove("bot_id");
        message
    };
    for quoted in [robusta(&ours, "prod-eu", 9), alertmanager(&[&ours], 9), grafana(&[&ours], 9)] {
        assert!(Candidate::of(&person(quoted)).is_none());
    }
    let fingerprint = format!("seen fp:{} again", ours.fingerprint);
    assert!(Candidate::of(&person(json!({"ts": at(9), "text": fingerprint}))).is_none());
    // A bot that repeats the words and labels in a form of its own.
    let words = format!(
        "Incident opened: KubePodCrashLooping for shop/{POD} in prod-eu\nLabels:\n - alertname = \
         KubePodCrashLooping\n - namespace = shop\n - pod = {POD}\n - severity = warning"
    );
    refused(json!({"ts": at(9), "bot_id": "B0PAGER", "text": words}), &wanted);
    // Our own, and a notice that somebody joined.
    let mut own = robusta(&ours, "prod-eu", 5);
    own["metadata"] = json!({"event_type": "whodunit_announcement", "event_payload": {}});
    assert!(Candidate::of(&own).is_none());
    let mut joined = robusta(&ours, "prod-eu", 5);
    joined["subtype"] = "channel_join".into();
    assert!(Candidate::of(&joined).is_none());
}

#[test]
fn a_message_about_several_alerts_is_taken_only_where_all_are_the_incident_s() {
    let (one, two) = (alert(&labels(POD)), alert(&labels("checkout-7d9c5b6f7c-8hh2q")));
    let mut other = labels("cart-1");
    other.insert("namespace".to_owned(), "pay".to_owned());
    let other = alert(&other);
    let wanted = incident("", vec![one.clone(), two.clone()]);
    assert_eq!(taken(&[grafana(&[&one, &two], 5)], &wanted), 88);
    refused(grafana(&[&one, &other], 5), &wanted);
    refused(grafana(&[&one, &two, &other], 5), &wanted);
    // Alertmanager's own template tells no labels of single alerts.
    refused(alertmanager(&[&one, &other], 5), &wanted);
    refused(alertmanager(&[&one, &two], 5), &incident("", vec![one.clone()]));
    let mut mixed = alertmanager(&[&one], 5);
    let title =
        mixed["attachments"][0]["title"].as_str().unwrap().replace("FIRING:1", "FIRING:1, RESOLVED:1");
    mixed["attachments"][0]["title"] = title.into();
    refused(mixed, &wanted);
}

#[test]
fn a_reply_below_a_summary_leads_to_the_summary_s_thread() {
    let ours = alert(&labels(POD));
    let wanted = incident("prod-eu", vec![ours.clone()]);
    let summary = json!({
        "ts": at(-600), "bot_id": "B0ROBUSTA", "text": "Summary for: alertname, namespace", "reply_count": 1,
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": "*Alerts Summary - 4 Notifications*"}}],
    });
    let mut reply = robusta(&ours, "prod-eu", 5);
    reply["thread_ts"] = at(-600).into();
    let Choice::Match { ts, root, .. } = best(&[summary.clone(), reply], &wanted) else { panic!() };
    assert_eq!((ts, root), (at(5), at(-600)));
    refused(summary.clone(), &wanted);
    assert!(posts_here(&read(&[summary]), ThreadMatch::Any), "its alerts stand below it");
}

#[test]
fn labels_that_name_no_object_do_not_tell_alerts_apart() {
    let named: [(&str, &str); 3] =
        [("alertname", "HighErrorRate"), ("namespace", "shop"), ("severity", "critical")];
    let bare = named.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let sent = alert(&bare);
    // The label sets are equal: it is the alert.
    assert_eq!(taken(&[robusta(&sent, "prod-eu", 5)], &incident("prod-eu", vec![sent.clone()])), 95);
    // Ours has more: it is about one pod of them.
    let mut more = bare;
    more.insert("pod".to_owned(), POD.to_owned());
    refused(robusta(&sent, "prod-eu", 5), &incident("prod-eu", vec![alert(&more)]));
    refused(robusta_plain(&sent, "prod-eu", 5), &incident("prod-eu", vec![alert(&more)]));
}

#[test]
fn words_alone_are_not_enough_where_two_messages_have_them() {
    let ours = alert(&labels(POD));
    let wanted = incident("", vec![ours.clone()]);
    let one = robusta_plain(&ours, "", 5);
    let mut two = robusta_plain(&ours, "", 9);
    two["blocks"][2]["text"]["text"] = format!("Pod shop/{POD} (app) waits for shop/cart.").into();
    assert_eq!(taken(std::slice::from_ref(&one), &wanted), 80);
    let choice = best(&[one, two], &wanted);
    assert!(
        matches!(&choice, Choice::Nothing { reason, .. } if reason.contains("another message")),
        "{choice:?}"
    );
}

#[test]
fn of_equal_messages_the_one_is_taken_that_came_with_the_alert() {
    let ours = alert(&labels(POD));
    let wanted = incident("prod-eu", vec![ours.clone()]);
    let (own, repeat) = (robusta(&ours, "prod-eu", 5), robusta(&ours, "prod-eu", 3600));
    assert_eq!(taken(&[own.clone(), repeat.clone()], &wanted), 95);
    // Another incident's is not touched.
    let others = HashSet::from([at(5)]);
    let choice = choose(&read(&[own]), &wanted, ThreadMatch::Any, &others);
    assert!(matches!(choice, Choice::Nothing { score: 0, .. }), "{choice:?}");
}

#[test]
fn only_the_senders_that_are_asked_for_count() {
    let ours = alert(&labels(POD));
    let wanted = incident("prod-eu", vec![ours.clone()]);
    let all = [robusta(&ours, "prod-eu", 5), alertmanager(&[&ours], 6), grafana(&[&ours], 7)];
    for (senders, expected) in [
        (ThreadMatch::Robusta, Some(at(5))),
        (ThreadMatch::Alertmanager, Some(at(6))),
        (ThreadMatch::Grafana, Some(at(7))),
        (ThreadMatch::Off, None),
    ] {
        let found = match choose(&read(&all), &wanted, senders, &HashSet::new()) {
            Choice::Match { ts, .. } => Some(ts),
            Choice::Nothing { .. } => None,
        };
        assert_eq!(found, expected, "{senders:?}");
    }
    assert!(!posts_here(&read(&all[..1]), ThreadMatch::Grafana));
    let chatter = json!({"ts": at(1), "bot_id": "B0CI", "text": "build 7 passed"});
    assert!(!posts_here(&read(&[chatter]), ThreadMatch::Any));
}
