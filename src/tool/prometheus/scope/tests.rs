//! PromQL comes in, what would be sent is asserted: no query leaves its namespaces.

use super::*;
use crate::tool::request::tests::bounds;

fn sent(promql: &str, namespaces: &[&str]) -> String {
    told(promql, &bounds(namespaces))
}

fn told(promql: &str, bounds: &Bounds) -> String {
    match narrow(promql, bounds) {
        Ok(scoped) => scoped.promql,
        Err(refusal) => format!("REFUSED {refusal}"),
    }
}

/// What is sent for a query that may read the namespace `shop` only.
#[test]
fn every_selector_is_narrowed() {
    for (promql, expected) in [
        ("kube_pod_info", r#"kube_pod_info{namespace="shop"}"#),
        (r#"x{namespace="shop"}"#, r#"x{namespace="shop"}"#),
        (r#"x{namespace=~"sh.*"}"#, r#"x{namespace="shop",namespace=~"sh.*"}"#),
        (r#"x{namespace=~".+"}"#, r#"x{namespace="shop",namespace=~".+"}"#),
        ("a or b", r#"a{namespace="shop"} or b{namespace="shop"}"#),
        ("sum by (pod) (rate(x[5m]))", r#"sum by (pod) (rate(x{namespace="shop"}[5m]))"#),
        ("max_over_time(rate(x[5m])[1h:1m])", r#"max_over_time(rate(x{namespace="shop"}[5m])[1h:1m])"#),
        ("x offset 1h", r#"x{namespace="shop"} offset 1h"#),
        ("x[5m] @ end() offset -5m", r#"x{namespace="shop"}[5m] @ end() offset -5m"#),
        ("x @ 1795244645", r#"x{namespace="shop"} @ 1795244645.000"#),
        ("topk(scalar(count(a)), b)", r#"topk(scalar(count(a{namespace="shop"})), b{namespace="shop"})"#),
        (
            "-(a + on (pod) group_left () b)",
            r#"-(a{namespace="shop"} + on (pod) group_left () b{namespace="shop"})"#,
        ),
        ("absent(x)", r#"absent(x{namespace="shop"})"#),
        ("vector(1)", "vector(1)"),
        // A relabelled result is made of narrowed series all the same.
        (
            r#"label_replace(x, "namespace", "shop", "", "")"#,
            r#"label_replace(x{namespace="shop"}, "namespace", "shop", "", "")"#,
        ),
        // Everything of one's own namespace is no fault of scope; its size is judged elsewhere.
        (r#"{__name__=~".+"}"#, r#"{__name__=~".+",namespace="shop"}"#),
        (r#"{__name__=~"node_.*|kube_secret.*"}"#, r#"{__name__=~"node_.*|kube_secret.*",namespace="shop"}"#),
        (r#"{"foo.bar"}"#, r#"{__name__="foo.bar",namespace="shop"}"#),
        (r#"{__name__!="x",pod!=""}"#, r#"{__name__!="x",namespace="shop",pod!=""}"#),
        // A label that only looks like it.
        (r#"x{"namespace "="kube-system"}"#, r#"x{"namespace "="kube-system",namespace="shop"}"#),
        (r#"x{exported_namespace="other"}"#, r#"x{exported_namespace="other",namespace="shop"}"#),
        // Comments are not sent.
        ("x # {namespace=\"other\"}", r#"x{namespace="shop"}"#),
        ("x # a\n + # b\n y", r#"x{namespace="shop"} + y{namespace="shop"}"#),
        // A value cannot end its matcher.
        (r#"x{pod="a\"} or y{b=\""}"#, r#"x{namespace="shop",pod="a\"} or y{b=\""}"#),
        ("x{pod=`a\"`}", r#"x{namespace="shop",pod="a\""}"#),
        ("x{pod='\\x22} or y'}", r#"x{namespace="shop",pod="\"} or y"}"#),
    ] {
        assert_eq!(sent(promql, &["shop"]), expected, "{promql}");
    }
}

#[test]
fn metrics_of_nodes_and_the_control_plane_are_read_as_they_are() {
    for promql in [
        "node_load1",
        "kube_node_status_condition",
        "machine_cpu_cores",
        "kubelet_running_pods",
        "rate(apiserver_request_total[5m])",
        "coredns_cache_entries",
        r#"{__name__="node_load1"}"#,
    ] {
        assert_eq!(sent(promql, &["shop"]), promql);
    }
    // Those that tell of both are read for the cluster and the own namespace.
    assert_eq!(sent("up", &["shop"]), r#"up{namespace=~"shop|"}"#);
    assert_eq!(sent("ALERTS", &["shop", "web"]), r#"ALERTS{namespace=~"shop|web|"}"#);
    // Others only begin like them.
    for promql in [
        "container_memory_working_set_bytes",
        "kubelet_volume_stats_used_bytes",
        "kubelet_container_log_filesystem_used_bytes",
        "nodex",
        "node_namespace_pod_container:container_cpu_usage_seconds_total:sum_irate",
        "upper",
        "kube_namespace_labels",
    ] {
        assert_eq!(sent(promql, &["shop"]), format!(r#"{promql}{{namespace="shop"}}"#));
    }
}

#[test]
fn where_nothing_is_shared_metrics_of_the_cluster_are_narrowed_as_well() {
    let only = Bounds { nothing_shared: true, ..bounds(&["shop"]) };
    for promql in ["node_load1", "kube_node_info", "up", "ALERTS", "apiserver_request_total"] {
        assert_eq!(told(promql, &only), format!(r#"{promql}{{namespace="shop"}}"#));
    }
    let two = Bounds { nothing_shared: true, ..bounds(&["shop", "web"]) };
    assert_eq!(told("up", &two), r#"up{namespace=~"shop|web"}"#);
}

#[test]
fn other_namespaces_are_refused() {
    for (promql, part) in [
        (r#"x{namespace="kube-system"}"#, "namespace `kube-system`; this investigation reads shop"),
        (r#"x{namespace=~"shop|kube-system"}"#, "namespace `kube-system`"),
        (r#"x{namespace!="shop"}"#, "asks for other namespaces"),
        (r#"x{namespace!~"shop"}"#, "asks for other namespaces"),
        (r#"x{namespace="shop"} or x{namespace="other"}"#, "namespace `other`"),
        (r#"x{namespace="shop",namespace="other"}"#, "namespace `other`"),
        (r#"x{namespace=""}"#, "namespace ``"),
        (r#"node_load1{namespace="other"}"#, "namespace `other`"),
        (r#"x{"namespace"="other"}"#, "namespace `other`"),
        ("x{namespace='\\x6fther'}", "namespace `other`"),
        (r#"x{namespace="shop" or pod="a"}"#, "`or` between the matchers"),
        (r#"x{a="b" or namespace="shop"}"#, "`or` between the matchers"),
        ("info(x)", "info() reads series of any namespace"),
        (r#"info(x, {namespace="shop"})"#, "info() reads series of any namespace"),
        (r#"max_over_time(x{namespace="other"}[1h:1m])"#, "namespace `other`"),
        (r#"count(sum by (a) (rate(x{namespace="other"}[5m])))"#, "namespace `other`"),
    ] {
        let told = sent(promql, &["shop"]);
        assert!(told.starts_with("REFUSED outside what this investigation may read"), "{promql}: {told}");
        assert!(told.contains(part), "{promql}: {told}");
    }
}

#[test]
fn a_namespace_that_is_no_name_opens_nothing() {
    for name in ["shop|other", ".*", "a\"} or x{a=\"", ""] {
        assert!(sent("x", &[name]).starts_with("REFUSED"), "{name}");
    }
    assert_eq!(sent("x", &["a", "b-c"]), r#"x{namespace=~"a|b-c"}"#);
}

#[test]
fn an_unbounded_investigation_sends_what_was_asked() {
    for promql in [r#"x{namespace="other"}"#, "info(x)", "x # comment"] {
        assert_eq!(sent(promql, &[]), promql);
    }
    assert!(sent("sum(", &[]).contains("PromQL 1:4"));
}

/// Queries that break parsers are refused, not met with a crash.
#[test]
fn hostile_queries_are_refused() {
    for promql in [
        "(".repeat(1000) + "x" + &")".repeat(1000),
        "-".repeat(1990) + "x",
        "a>".repeat(990) + "a",
        "a or ".repeat(390) + "a",
        "x".repeat(5000),
        "x[1e300]".to_owned(),
        "x offset 1e300".to_owned(),
        "x[99999999999999y]".to_owned(),
        String::new(),
        "#".to_owned(),
        "\0".to_owned(),
        "DROP TABLE incidents".to_owned(),
    ] {
        let told = sent(&promql, &["shop"]);
        assert!(told.starts_with("REFUSED these arguments do not fit"), "{promql}: {told}");
    }
    assert!(!sent(&("a or ".repeat(40) + "a"), &["shop"]).starts_with("REFUSED"));
}

proptest::proptest! {
    /// Whatever a value holds, the query that is sent selects that value and the own namespace, nothing else.
    #[test]
    fn a_value_stays_a_value(value in "[ -~\n\té\u{2028}]{0,40}") {
        let promql = format!("x{{pod={}}}", crate::source::http::quote(&value));
        let scoped = narrow(&promql, &bounds(&["shop"])).unwrap();
        let Ok(Expr::VectorSelector(selector)) = parse(&scoped.promql) else { panic!("{}", scoped.promql) };
        let matchers = &selector.matchers.matchers;
        proptest::prop_assert_eq!(matchers.len(), 2);
        proptest::prop_assert_eq!(&matchers[1].value, &value);
        proptest::prop_assert_eq!(&matchers[0].value, "shop");
    }
}
