//! Peers that failing containers complain about, read from their log lines, and whether a Service of that
//! name is there and has anybody behind it. Pure.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use k8s_openapi::api::core::v1::PodSpec;
use regex::Regex;

use super::classify;
use super::focus::name_of;
use super::logs::Digest;
use super::objects::Objects;
use super::services;
use crate::facts::{ContainerFact, DependencyFact};

/// Class of a line in which an init container says that it waits for a peer.
const WAITS: &str = "waiting";
/// Most peers over all containers.
const MAX_DEPENDENCIES: usize = 20;

static HOST_PORT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?:^|[^\w.:-])((?:[A-Za-z0-9_](?:[\w-]*\w)?)(?:\.[A-Za-z0-9_](?:[\w-]*\w)?)*):(\d{2,5})\b")
        .ok()
});
/// Hosts that stand without a port, after the words that resolvers and drivers use.
static HOST_ONLY: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"(?ix)(?: \blookup\s+ | \b(?:ENOTFOUND|EAI_AGAIN)\s+ | UnknownHostException:\s+
          | \bhost(?:name)?\s*(?:name)?[=:]?\s*["'] | \bserver\s+at\s+["'] | \bresolve(?:\s+host)?:?\s+["']? | ://(?:[^\s/@]+@)? )
          ([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)"#,
    )
    .ok()
});

/// What an init container says while it waits for a peer, and a name right after it.
static WAITING: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?ix) \b(?: wait(?:s|ing)?\s+(?:for|on|until) | wait-for | trying\s+to\s+(?:connect|reach) | connecting\s+to
          | not\s+(?:yet\s+)?(?:ready|up|available|reachable) | retrying )\b
          (?: \s+(?:(?:the|service|host|database|server|to)\s+)* ([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?) )?",
    )
    .ok()
});

/// Endings that make `name:number` a place in source code.
const SOURCE_ENDINGS: [&str; 14] =
    ["go", "rs", "py", "js", "ts", "java", "kt", "rb", "c", "cc", "cpp", "php", "cs", "scala"];

pub fn rows(objects: &Objects, containers: &[ContainerFact], digests: &[Digest]) -> Vec<DependencyFact> {
    let mut rows: Vec<DependencyFact> = Vec::new();
    let mut seen = BTreeSet::new();
    for container in containers.iter().filter(|row| row.failing && !row.log_evidence.is_empty()) {
        let own = digests.iter().filter(|d| d.evidence == container.log_evidence);
        for line in own.flat_map(|digest| &digest.lines) {
            let (class, (host, port)) = if classify::names_a_peer(line.judgement.class) {
                (line.judgement.class, peer(&line.text).unwrap_or_default())
            } else if let Some(peer) = awaited(objects, container, &line.text) {
                (WAITS, peer)
            } else {
                continue;
            };
            // A line without a host only counts when it is the one that explains the failure.
            if host.is_empty() && line.text != container.log_line {
                continue;
            }
            if rows.len() < MAX_DEPENDENCIES
                && seen.insert((container.pod.clone(), container.name.clone(), host.clone(), port))
            {
                let (service, service_exists, ready_endpoints) = behind(objects, &host);
                rows.push(DependencyFact {
                    pod: container.pod.clone(),
                    container: container.name.clone(),
                    port: if host.is_empty() { -1 } else { port },
                    host,
                    class: class.to_owned(),
                    service: service.to_owned(),
                    service_exists: service_exists.to_owned(),
                    ready_endpoints,
                    evidence: container.log_evidence.clone(),
                    quote: line.text.clone(),
                });
            }
        }
    }
    rows
}

/// Who answers a pod's lookups: cluster, node or own.
pub fn resolver(spec: Option<&PodSpec>) -> &'static str {
    let of_node = spec.is_some_and(|spec| spec.host_network == Some(true));
    match spec.and_then(|spec| spec.dns_policy.as_deref()) {
        Some("None") => "own",
        Some("Default") => "node",
        Some("ClusterFirstWithHostNet") => "cluster",
        _ if of_node => "node",
        _ => "cluster",
    }
}

/// The peer that an init container which hangs says it waits for: a host with a port, or a Service's name.
fn awaited(objects: &Objects, container: &ContainerFact, line: &str) -> Option<(String, i64)> {
    if container.role != "init" || container.state != "running" {
        return None;
    }
    let found = WAITING.as_ref()?.captures(line)?;
    let named = || {
        let name = found.get(1)?.as_str();
        (!behind(objects, name).0.is_empty()).then(|| (name.to_owned(), -1))
    };
    peer(line).filter(|(_, port)| *port >= 0).or_else(named)
}

/// The host and port (-1 for none) that a line complains about.
fn peer(line: &str) -> Option<(String, i64)> {
    // `lookup db on 10.96.0.10:53` complains about db, not about the resolver.
    let resolving = HOST_ONLY.as_ref().and_then(|pattern| pattern.captures(line));
    if let Some(found) = &resolving {
        let host = found.get(1).map(|host| host.as_str()).unwrap_or_default();
        if is_host(host) {
            let after = found.get(1).map_or("", |host| &line[host.end()..]);
            let digits: String =
                after.strip_prefix(':').unwrap_or("").chars().take_while(char::is_ascii_digit).collect();
            return Some((host.to_owned(), digits.parse().unwrap_or(-1)));
        }
    }
    let pattern = HOST_PORT.as_ref()?;
    let mut start = 0;
    while let Some(found) = pattern.captures_at(line, start) {
        let (host, port) = (found.get(1)?, found.get(2)?);
        if is_host(host.as_str()) {
            return Some((host.as_str().to_owned(), port.as_str().parse().ok()?));
        }
        start = port.end();
    }
    None
}

fn is_host(text: &str) -> bool {
    if text.parse::<std::net::IpAddr>().is_ok() {
        return true;
    }
    let ending = text.rsplit('.').next().unwrap_or(text);
    let source = text.contains('.') && SOURCE_ENDINGS.contains(&ending.to_lowercase().as_str());
    let words = ["port", "line", "error", "code", "pid", "status", "at", "host", "name"];
    text.chars().any(|c| c.is_ascii_alphabetic()) && !source && !words.contains(&text.to_lowercase().as_str())
}

/// The Service of that name or address in the namespace, whether there is one (yes, no, unknown), and how many
/// ready addresses it has.
fn behind<'o>(objects: &'o Objects, host: &str) -> (&'o str, &'static str, i64) {
    if host.is_empty() || !objects.services.known {
        return ("", "unknown", -1);
    }
    let mut parts = host.split('.');
    let name = parts.next().unwrap_or_default();
    let namespace = parts.next();
    let ours = namespace.is_none_or(|namespace| namespace == objects.namespace);
    let by_address = objects
        .services
        .items
        .iter()
        .find(|service| service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some(host));
    let by_name = objects.services.items.iter().find(|service| ours && name_of(&service.metadata) == name);
    match by_address.or(by_name) {
        Some(service) => {
            let name = name_of(&service.metadata);
            (name, "yes", services::endpoints(objects, name).map_or(-1, |(ready, _)| ready))
        }
        // localhost, addresses and names of other namespaces or of the world cannot be judged from here.
        None if !ours || host == "localhost" || host.parse::<std::net::IpAddr>().is_ok() => {
            ("", "unknown", -1)
        }
        None => ("", "no", -1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn awaited_by(role: &str, state: &str, line: &str) -> Option<(String, i64)> {
        let container =
            ContainerFact { role: role.to_owned(), state: state.to_owned(), ..ContainerFact::default() };
        let service = serde_json::json!({"metadata": {"name": "db"}, "spec": {"clusterIP": "10.96.4.4"}});
        let mut objects = Objects::default();
        objects.services.items = vec![serde_json::from_value(service).unwrap()];
        objects.services.known = true;
        awaited(&objects, &container, line)
    }

    #[test]
    fn what_an_init_container_waits_for_is_a_peer() {
        for (line, expected) in [
            ("waiting for db:5432", Some(("db", 5432))),
            ("Waiting for the database at pg.store.svc:5432 ...", Some(("pg.store.svc", 5432))),
            ("10.96.4.4:5432 not ready yet, retrying", Some(("10.96.4.4", 5432))),
            ("wait-for-it.sh: waiting for cache:6379 without a timeout", Some(("cache", 6379))),
            ("waiting for service db", Some(("db", -1))),
            ("waiting for migrations to finish", None),
            ("listening on 0.0.0.0:8080", None),
        ] {
            let found = awaited_by("init", "running", line);
            assert_eq!(found.as_ref().map(|(host, port)| (host.as_str(), *port)), expected, "{line}");
        }
        assert_eq!(awaited_by("main", "running", "waiting for db:5432"), None, "a program that has started");
        assert_eq!(
            awaited_by("init", "terminated", "waiting for db:5432"),
            None,
            "it ended: its last words count"
        );
    }

    #[test]
    fn a_pod_in_the_node_s_network_asks_the_node_unless_it_says_otherwise() {
        for (spec, expected) in [
            (serde_json::json!({"containers": []}), "cluster"),
            (serde_json::json!({"containers": [], "dnsPolicy": "ClusterFirst"}), "cluster"),
            (serde_json::json!({"containers": [], "dnsPolicy": "Default"}), "node"),
            (serde_json::json!({"containers": [], "dnsPolicy": "ClusterFirst", "hostNetwork": true}), "node"),
            (
                serde_json::json!({"containers": [], "dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": true}),
                "cluster",
            ),
            (serde_json::json!({"containers": [], "dnsPolicy": "None"}), "own"),
        ] {
            let spec: PodSpec = serde_json::from_value(spec.clone()).unwrap();
            assert_eq!(resolver(Some(&spec)), expected, "{spec:?}");
        }
    }

    #[test]
    fn peers_of_many_programs() {
        for (line, expected) in [
            ("WARN dependency redis-cart:6379 unavailable, reporting not ready", Some(("redis-cart", 6379))),
            ("dial tcp 10.0.0.7:5432: connect: connection refused", Some(("10.0.0.7", 5432))),
            ("dial tcp: lookup db.prod.svc on 10.96.0.10:53: no such host", Some(("db.prod.svc", -1))),
            ("Error: getaddrinfo ENOTFOUND api.internal", Some(("api.internal", -1))),
            ("java.net.UnknownHostException: kafka-0", Some(("kafka-0", -1))),
            ("Error: connect ECONNREFUSED 127.0.0.1:6379", Some(("127.0.0.1", 6379))),
            ("could not translate host name \"db\" to address", Some(("db", -1))),
            ("Get \"http://billing.shop:8080/x\": connection refused", Some(("billing.shop", 8080))),
            ("connecting postgres://app:x@orders-db:5432/shop timed out", Some(("orders-db", 5432))),
            (
                "connection to server at \"pg\" (10.0.0.7), port 5432 failed: Connection refused",
                Some(("pg", -1)),
            ),
            ("ERROR: Connection refused - database unreachable", None),
            ("main.go:123 connection refused", None),
            ("07:05:06 timed out", None),
        ] {
            let found = peer(line);
            assert_eq!(found.as_ref().map(|(host, port)| (host.as_str(), *port)), expected, "{line}");
        }
    }
}
