//! Who is known, what they may do, and what they see.

use super::*;

fn tokens(yaml: &str) -> anyhow::Result<Tokens> {
    Tokens::new(&serde_saphyr::from_str(yaml).unwrap())
}

fn with(name: header::HeaderName, value: &str) -> HeaderMap {
    HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
}

#[test]
fn a_token_is_known_by_its_whole_text_only() {
    let tokens = tokens("tokens: [first, {name: second, token: other, scopes: [write]}, third]").unwrap();
    let name = |sent: &[u8]| tokens.find(sent).map(|caller| caller.name.to_string());
    assert_eq!(name(b"first").as_deref(), Some("token 1"));
    assert_eq!(name(b"other").as_deref(), Some("second"));
    assert_eq!(name(b"third").as_deref(), Some("token 3"));
    for wrong in [&b"firs"[..], b"first2", b"", b"FIRST"] {
        assert!(tokens.find(wrong).is_none(), "{wrong:?}");
    }
    assert!(tokens.caller(&with(header::AUTHORIZATION, "Bearer first")).is_ok());
    assert!(tokens.caller(&with(header::AUTHORIZATION, "Basic first")).is_err());
    assert!(tokens.caller(&HeaderMap::new()).is_err());
}

#[test]
fn only_the_bearer_scheme_is_read() {
    assert_eq!(bearer(b"Bearer abc"), Some(&b"abc"[..]));
    assert_eq!(bearer(b"bearer abc "), Some(&b"abc"[..]));
    assert_eq!(bearer(b"Basic abc"), None);
    assert_eq!(bearer(b"Bear"), None);
}

#[test]
fn without_tokens_everybody_reads_and_acts_only_where_it_says_so() {
    let closed = tokens("{}").unwrap().caller(&HeaderMap::new()).unwrap();
    assert!(closed.may(Scope::Read) && !closed.may(Scope::Write));
    let open = tokens("open_writes: true").unwrap().caller(&HeaderMap::new()).unwrap();
    assert!(open.may(Scope::Write) && open.may(Scope::Admin));
    // With tokens the setting opens nothing.
    assert!(tokens("{open_writes: true, tokens: [a]}").unwrap().caller(&HeaderMap::new()).is_err());
}

#[test]
fn a_scope_includes_those_before_it() {
    let tokens =
        tokens("tokens: [{name: w, token: w, scopes: [write]}, {name: a, token: a, scopes: [admin]}]");
    let tokens = tokens.unwrap();
    let (writer, admin) = (tokens.find(b"w").unwrap(), tokens.find(b"a").unwrap());
    assert!(writer.may(Scope::Read) && writer.may(Scope::Write) && !writer.may(Scope::Admin));
    assert!(admin.may(Scope::Read) && admin.may(Scope::Write) && admin.may(Scope::Admin));
}

#[test]
fn what_is_seen_follows_globs_over_the_whole_name() {
    let reach =
        Reach::new(&["lab".into(), "arn:aws:*/prod".into()], &["shop-*".into(), "a.b?".into()]).unwrap();
    for (cluster, namespace, seen) in [
        ("lab", "shop-eu", true),
        ("arn:aws:eks:eu:1:cluster/prod", "shop-", true),
        ("lab", "a.bc", true),
        ("lab", "axbc", false),
        ("lab", "my-shop-eu", false),
        ("lab2", "shop-eu", false),
        ("lab", "", false),
    ] {
        assert_eq!(reach.sees(cluster, namespace), seen, "{cluster} {namespace}");
    }
    assert!(Reach::default().sees("any", ""));
    assert!(Reach::new(&[], &["*".into()]).unwrap().sees("any", ""));
    assert!(Reach::new(&[], &["[a-z]*".into()]).is_err());
}

#[test]
fn a_token_that_cannot_work_is_an_error_that_names_it() {
    for (yaml, expected) in [
        ("tokens: ['']", "a token is empty"),
        ("tokens: [{name: ci}]", "setting api.tokens: ci"),
        ("tokens: [{name: ci, token: a, token_file: b}]", "either token or token_file"),
        ("tokens: [{name: ci, token: a, scopes: []}]", "scopes is empty"),
        ("tokens: [{name: ci, token: a, namespaces: ['{a,b}']}]", "no glob"),
        ("tokens: [{name: ' ', token: a}]", "no name"),
        ("tokens_file: /nowhere/at/all", "api.tokens_file"),
    ] {
        let error = format!("{:#}", tokens(yaml).unwrap_err());
        assert!(error.contains(expected), "{yaml}: {error}");
    }
}

#[test]
fn a_page_of_another_site_is_told_from_ours() {
    let from = |origin: &str| {
        let mut headers = with(header::ORIGIN, origin);
        headers.insert(header::HOST, HeaderValue::from_static("whodunit.example:8080"));
        is_foreign(&headers)
    };
    assert!(!from("http://whodunit.example:8080") && !from("https://WHODUNIT.example:8080"));
    assert!(from("https://evil.example") && from("null") && from("http://whodunit.example"));
    let mut behind = with(header::ORIGIN, "https://whodunit.example");
    behind.insert(header::HOST, HeaderValue::from_static("whodunit.internal:8080"));
    assert!(is_foreign(&behind));
    behind.insert("x-forwarded-host", HeaderValue::from_static("whodunit.example"));
    assert!(!is_foreign(&behind), "the proxy says who we are");
    assert!(!is_foreign(&HeaderMap::new()), "no browser");
}
