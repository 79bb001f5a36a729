//! Which channel an incident is told in: what is known when its head is written goes in, the channel of the first
//! route that fits comes out, with the reason. Pure; it is asked once an incident, so no thread moves later.

use crate::incident::selector::{About, Selector};
use crate::settings;

/// A route that cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("slack.routes[{at}]: {why}")]
pub struct BadRoute {
    at: usize,
    why: String,
}

/// The settings' routes, compiled.
#[derive(Debug, Clone)]
pub struct Routes {
    routes: Vec<Route>,
    channel: String,
}

#[derive(Debug, Clone)]
struct Route {
    channel: String,
    selector: Selector,
}

/// Where it goes, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routed {
    pub channel: String,
    pub reason: String,
}

impl Routes {
    /// # Errors
    /// The first route that cannot work, with its place in the list.
    pub fn new(settings: &settings::Slack) -> Result<Self, BadRoute> {
        let compiled = settings.routes.iter().enumerate().map(|(at, route)| Route::new(at, route));
        Ok(Self { routes: compiled.collect::<Result<_, _>>()?, channel: settings.channel.clone() })
    }

    /// Whether anything has to be known of an incident.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// Every channel that is configured now, that of what no route takes first.
    pub fn channels(&self) -> Vec<String> {
        let named = self.routes.iter().map(|route| route.channel.clone());
        [self.channel.clone()].into_iter().chain(named).collect()
    }

    /// The channel of what no route takes.
    pub fn default_channel(&self) -> &str {
        &self.channel
    }

    /// The first route of which every key holds.
    pub fn choose(&self, about: About<'_>) -> Routed {
        let fitting = self
            .routes
            .iter()
            .enumerate()
            .find_map(|(at, route)| Some((at, route, route.selector.reason(about)?)));
        match fitting {
            Some((at, route, why)) => {
                Routed { channel: route.channel.clone(), reason: format!("slack.routes[{at}]: {why}") }
            }
            None if self.routes.is_empty() => Routed {
                channel: self.channel.clone(),
                reason: "slack.channel: there are no routes".to_owned(),
            },
            None => {
                Routed { channel: self.channel.clone(), reason: "slack.channel: no route fits".to_owned() }
            }
        }
    }
}

impl Route {
    fn new(at: usize, route: &settings::Route) -> Result<Self, BadRoute> {
        let bad = |why: String| BadRoute { at, why };
        let channel = route.channel.trim().to_owned();
        if channel.is_empty() {
            return Err(bad("it names no channel".to_owned()));
        }
        let selector = Selector::new(&route.matches).map_err(bad)?;
        if selector.is_empty() {
            return Err(bad("its match is empty: what no route takes goes to slack.channel".to_owned()));
        }
        Ok(Self { channel, selector })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::alert::{Alert, Severity};
    use crate::workload::Workload;

    fn routes(routes: Value) -> Result<Routes, BadRoute> {
        let routes = serde_json::from_value(routes).unwrap();
        Routes::new(&settings::Slack { routes, ..settings::Slack::default() })
    }

    fn alert(labels: Value) -> Alert {
        serde_json::from_value(json!({
            "source": "alertmanager", "status": "firing", "fingerprint": "f", "severity": "warning",
            "starts_at": "2026-11-21T07:00:00Z", "ends_at": null, "labels": labels, "annotations": {},
            "generator_url": "", "receiver": "", "group_key": "", "subject": null, "truncated_alerts": 0,
        }))
        .unwrap()
    }

    #[test]
    fn the_first_route_of_which_every_key_holds_names_the_channel() {
        let routes = routes(json!([
            {"match": {"labels": {"team": "data"}, "alerts": ["Click*"]}, "channel": "#data"},
            {"match": {"namespaces": ["db-*", "shop"], "severities": ["critical"]}, "channel": "#shop-critical"},
            {"match": {"owners": ["#team-*"]}, "channel": "#teams"},
            {"match": {"clusters": ["prod-*"]}, "channel": "C0123456789"},
        ]))
        .unwrap();
        let workload = Workload::new("prod-eu", "shop", "Deployment", "checkout");
        let alerts = [
            alert(json!({"alertname": "ClickHouseDown", "team": "web"})),
            alert(json!({"alertname": "KubePodNotReady", "team": "data"})),
        ];
        let mut about =
            About { workload: &workload, severity: Severity::Critical, alerts: &alerts, owner: "" };
        let to = |about| routes.choose(about);
        // Name and label hold, but not for one alert.
        let shop = to(about);
        assert_eq!(shop.channel, "#shop-critical");
        let why = "slack.routes[1]: namespace shop fits `shop`; severity critical fits `critical`";
        assert_eq!(shop.reason, why);
        about.severity = Severity::Warning;
        assert_eq!(to(about).channel, "C0123456789", "no owner is not every owner");
        about.owner = "#team-web";
        assert_eq!(to(about).channel, "#teams");
        let one = [alert(json!({"alertname": "ClickHouseDown", "team": "data"}))];
        about.alerts = &one;
        assert_eq!(to(about).channel, "#data");
        let (node, storm) =
            (Workload::new("lab", "", "Node", "n1"), Workload::new("lab", "", "Namespace", "db-1"));
        about = About { workload: &node, severity: Severity::Critical, alerts: &[], owner: "" };
        assert_eq!(
            to(about),
            Routed { channel: "#alerts".to_owned(), reason: "slack.channel: no route fits".to_owned() }
        );
        about.workload = &storm;
        assert_eq!(to(about).channel, "#shop-critical", "a storm in a namespace is of that namespace");
    }

    #[test]
    fn a_route_that_cannot_work_is_named() {
        for (route, why) in [
            (json!({"match": {}, "channel": "#a"}), "its match is empty"),
            (json!({"match": {"alerts": ["A"]}, "channel": " "}), "it names no channel"),
            (json!({"match": {"namespaces": ["a["]}, "channel": "#a"}), "`a[` is not a glob"),
            (json!({"match": {"labels": {"team": "{a"}}, "channel": "#a"}), "`{a` is not a glob"),
            (json!({"match": {"severities": ["page"]}, "channel": "#a"}), "`page` is no severity"),
        ] {
            let fine = json!({"match": {"alerts": ["A"]}, "channel": "#a"});
            let error = routes(json!([fine, route])).unwrap_err().to_string();
            assert!(error.starts_with("slack.routes[1]: ") && error.contains(why), "{error}");
        }
    }
}
