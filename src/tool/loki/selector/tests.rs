//! Selectors that a model writes, held to the run's namespaces.

use proptest::prelude::*;

use super::*;
use crate::tool::request::tests::bounds;

fn own_pods(kind: &str) -> Bounds {
    Bounds {
        workload: Workload::new("lab", "shop", kind, "checkout"),
        own_pods_only: true,
        nothing_shared: false,
        ..bounds(&["shop"])
    }
}

fn told(ask: &Ask<'_>, bounds: &Bounds) -> String {
    logql(ask, bounds).unwrap_or_else(|refusal| format!("REFUSED {refusal}"))
}

#[test]
fn the_namespace_is_always_one_that_may_be_read() {
    let ask = |namespace| Ask { namespace, ..Ask::default() };
    assert_eq!(told(&ask(None), &bounds(&["shop"])), r#"{namespace="shop"}"#);
    assert_eq!(told(&ask(Some("shop")), &bounds(&["shop", "web"])), r#"{namespace="shop"}"#);
    assert_eq!(told(&ask(None), &bounds(&["shop", "web"])), r#"{namespace=~"shop|web"}"#);
    assert_eq!(told(&ask(None), &bounds(&[])), r#"{namespace=~".+"}"#);
    assert_eq!(told(&ask(Some("any")), &bounds(&[])), r#"{namespace="any"}"#);
    for name in ["other", ".*", "shop|other", "shop\",pod=\"x", ""] {
        let refused = told(&ask(Some(name)), &bounds(&["shop"]));
        assert!(refused.starts_with("REFUSED outside what this investigation may read"), "{refused}");
    }
    for odd in [["shop|other", "a"], [".*", "a"], ["", "a"]] {
        assert!(told(&ask(None), &bounds(&odd)).starts_with("REFUSED"), "{odd:?}");
    }
}

#[test]
fn labels_and_filters_are_quoted() {
    let ask = Ask {
        pod: Some("checkout-*"),
        container: Some("a\"b"),
        labels: [("app", "x\"} or {a=\"")].into_iter().collect(),
        contains: vec!["a \"quoted\" \\ thing", ""],
        without: vec!["\n"],
        regex: Some(r"(?i)time\s?out"),
        ..Ask::default()
    };
    assert_eq!(
        told(&ask, &bounds(&["shop"])),
        r#"{namespace="shop",pod=~"checkout\\-.*",container="a\"b",app="x\"} or {a=\""} |= "a \"quoted\" \\ thing" != "\n" |~ "(?i)time\\s?out""#
    );
    for (label, part) in [
        ("a b", "no name of a label"),
        ("1a", "no name of a label"),
        ("", "no name of a label"),
        ("a=\"b\",x", "no name of a label"),
        ("namespace", "argument of its own"),
    ] {
        let ask = Ask { labels: [(label, "x")].into_iter().collect(), ..Ask::default() };
        assert!(told(&ask, &bounds(&["shop"])).contains(part), "{label}");
    }
    let ask = Ask { regex: Some("("), ..Ask::default() };
    assert!(told(&ask, &bounds(&["shop"])).contains("regex: "));
    let long = "x".repeat(301);
    let ask = Ask { contains: vec![&long], ..Ask::default() };
    assert!(told(&ask, &bounds(&["shop"])).contains("301 bytes"));
}

#[test]
fn a_workload_s_scope_reads_its_own_pods_only() {
    for (kind, own, others) in [
        (
            "Deployment",
            vec!["checkout-66f478c98f-x2nj2", "checkout-7987f4985-2z45z"],
            vec!["checkout-api-66f478c98f-x2nj2", "checkout-0", "checkout", "other-66f478c98f-x2nj2"],
        ),
        ("StatefulSet", vec!["checkout-0", "checkout-12"], vec!["checkout-db-0", "checkout-x"]),
        ("DaemonSet", vec!["checkout-x2nj2"], vec!["checkout-66f478c98f-x2nj2", "checkout-hello"]),
        ("CronJob", vec!["checkout-29920744-x2nj2"], vec!["checkout-x2nj2"]),
        ("Pod", vec!["checkout"], vec!["checkout-0"]),
    ] {
        let bounds = own_pods(kind);
        for pod in own {
            let text = told(&Ask { pod: Some(pod), ..Ask::default() }, &bounds);
            assert!(text.contains(&format!("pod=\"{pod}\"")), "{kind}: {text}");
        }
        for pod in others {
            let text = told(&Ask { pod: Some(pod), ..Ask::default() }, &bounds);
            assert!(text.starts_with("REFUSED") && text.contains("is not one of"), "{kind} {pod}: {text}");
        }
        // A beginning is narrowed, not trusted.
        let text = told(&Ask { pod: Some("*"), ..Ask::default() }, &bounds);
        assert!(text.starts_with(r#"{namespace="shop",pod=~"checkout"#), "{text}");
    }
    assert!(told(&Ask::default(), &own_pods("Node")).contains("has no pods of its own"));
}

/// Reads `{a="b",c=~"d"} |= "e"` as Loki does: names, operators and unquoted values in order.
fn read(text: &str) -> Option<Vec<(String, String, String)>> {
    let mut rest = text.strip_prefix('{')?;
    let mut parts = Vec::new();
    let mut inside = true;
    while !rest.is_empty() {
        let at = rest.find('"')?;
        let (head, quoted) = rest.split_at(at);
        let operator =
            head.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ' ' | ','));
        let name = head.strip_suffix(operator)?.trim_matches([',', ' ']).to_owned();
        let mut escaped = false;
        let end = quoted.char_indices().skip(1).find(|(_, c)| {
            let is_end = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            is_end
        })?;
        let value: String = serde_json::from_str(&quoted[..=end.0]).ok()?;
        parts.push((name, operator.trim().to_owned(), value));
        rest = &quoted[end.0 + 1..];
        if inside && let Some(after) = rest.strip_prefix('}') {
            inside = false;
            rest = after;
        }
    }
    (!inside).then_some(parts)
}

proptest! {
    /// No value or filter becomes anything but itself.
    #[test]
    fn what_is_asked_reads_back_as_itself(
        app in "[ -~\n\té]{1,40}", contains in "[ -~\n\té{}|]{1,40}", without in any::<String>()
    ) {
        prop_assume!(!without.is_empty() && without.len() <= MAX_PART_BYTES);
        let ask = Ask {
            labels: [("app", app.as_str())].into_iter().collect(),
            contains: vec![&contains],
            without: vec![&without],
            ..Ask::default()
        };
        let text = logql(&ask, &bounds(&["shop"])).unwrap();
        let part = |name: &str, operator: &str, value: &str| {
            (name.to_owned(), operator.to_owned(), value.to_owned())
        };
        prop_assert_eq!(
            read(&text),
            Some(vec![
                part("namespace", "=", "shop"),
                part("app", "=", &app),
                part("", "|=", &contains),
                part("", "!=", &without),
            ]),
            "{}", text
        );
    }
}
