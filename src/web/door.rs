//! Who stands at the door of the pages: a request's cookie or bearer token becomes a `Reader`, or the sign-in page.
//! Forms of other sites are refused here. It keeps nothing: sessions prove themselves.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, html};
use secrecy::ExposeSecret;

use super::fault::Fault;
use super::session;
use super::sign_in;
use crate::api::access::Reach;
use crate::api::{Caller, Scope, Tokens};

/// The longest path that a sign-in leads back to.
const MAX_BACK_BYTES: usize = 500;

/// What decides who comes in.
#[derive(Clone)]
pub struct Door {
    pub tokens: Arc<Tokens>,
    /// `server.public_url`: whether cookies go over HTTPS only, and whose forms are ours behind a proxy.
    pub public_url: String,
}

/// Who reads a page.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub caller: Caller,
    pub name: String,
    /// By a cookie, which signing out takes away.
    pub signed_in: bool,
}

impl Reader {
    /// May they say something, mute a cause, ask for another look?
    pub(super) fn may_act(&self) -> bool {
        self.caller.may(Scope::Write)
    }

    pub(super) fn reach(&self) -> &Reach {
        self.caller.reach()
    }
}

impl Door {
    pub(super) fn over_https(&self) -> bool {
        self.public_url.starts_with("https://")
    }

    /// `__Host-` keeps other hosts of the domain from setting it; browsers take it over HTTPS only.
    pub(super) fn cookie_name(&self) -> &'static str {
        if self.over_https() { "__Host-whodunit" } else { "whodunit" }
    }

    /// The session's cookie, or one that takes it away.
    pub(super) fn cookie(&self, session: Option<&str>) -> String {
        let (value, age) = session.map_or(("", 0), |value| (value, session::LASTING.as_secs()));
        let secure = if self.over_https() { "; Secure" } else { "" };
        let name = self.cookie_name();
        format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}")
    }

    fn reader(&self, headers: &HeaderMap, now: DateTime<Utc>) -> Option<Reader> {
        if let Ok(caller) = self.tokens.caller(headers) {
            let name = caller.name.to_string();
            return Some(Reader { caller, name, signed_in: false });
        }
        let (caller, _) = self.holder(headers, now)?;
        let name = caller.name.to_string();
        Some(Reader { caller, name, signed_in: true })
    }

    /// Whose cookie it is, with the token's secret.
    fn holder(&self, headers: &HeaderMap, now: DateTime<Utc>) -> Option<(Caller, &secrecy::SecretString)> {
        let session = cookie(headers, self.cookie_name())?;
        self.tokens.holder(|secret| session::holds(session, secret, now))
    }

    /// Does a form come from a page of ours? Browsers say so in one of two headers; who says nothing is none.
    fn is_ours(&self, headers: &HeaderMap) -> bool {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(site) = text("sec-fetch-site") {
            return site == "same-origin";
        }
        let Some(origin) = text("origin") else { return false };
        let own = text("host").is_some_and(|host| {
            origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) == Some(host)
        });
        own || (!self.public_url.is_empty() && origin == origin_of(&self.public_url))
    }
}

/// Everybody passes here before a page.
pub(super) async fn enter(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    if request.method() != Method::GET && request.method() != Method::HEAD && !door.is_ours(headers) {
        return Fault::Foreign.into_response();
    }
    match door.reader(headers, Utc::now()) {
        Some(reader) => {
            request.extensions_mut().insert(reader);
            next.run(request).await
        }
        None if is_arrival(&request) => again(&request).into_response(),
        None => {
            let back = request.uri().path_and_query().map_or("/", |path| path.as_str());
            Redirect::to(&sign_in::path(back)).into_response()
        }
    }
}

/// Forms of strangers, which only sign in and out.
pub(super) async fn guard_forms(State(door): State<Door>, request: Request, next: Next) -> Response {
    if request.method() == Method::POST && !door.is_ours(request.headers()) {
        return Fault::Foreign.into_response();
    }
    next.run(request).await
}

/// Lets a page's script read the API with the page's cookie. Only what reads: a cookie never changes anything there.
pub(super) async fn carry(State(door): State<Door>, mut request: Request, next: Next) -> Response {
    let reads = request.method() == Method::GET && request.uri().path().starts_with("/api/");
    if reads && !request.headers().contains_key(header::AUTHORIZATION) {
        let bearer = door.holder(request.headers(), Utc::now()).and_then(|(_, secret)| {
            HeaderValue::from_str(&format!("Bearer {}", secret.expose_secret())).ok()
        });
        if let Some(mut bearer) = bearer {
            bearer.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, bearer);
        }
    }
    next.run(request).await
}

/// Somebody followed a link from elsewhere, such as Slack: browsers keep a `SameSite=Strict` cookie back then.
fn is_arrival(request: &Request) -> bool {
    let says = |name: &str, value: &str| request.headers().get(name).is_some_and(|said| said == value);
    request.method() == Method::GET
        && says("sec-fetch-site", "cross-site")
        && says("sec-fetch-mode", "navigate")
}

/// A page that leads to itself: that step is our own, so the cookie comes along.
fn again(request: &Request) -> Markup {
    let path = own_path(request.uri().path_and_query().map_or("/", |path| path.as_str()));
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                title { "whodunit" }
                meta http-equiv="refresh" content={ "0; url=" (path) };
            }
            body { p { a href=(path) { "Go on" } } }
        }
    }
}

/// A path of this site, whatever came in: never another host, and nothing that a header or an attribute would end at.
pub(super) fn own_path(path: &str) -> &str {
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\\"'<>;,".contains(&byte));
    let own = path.starts_with('/') && !path.starts_with("//") && path.len() <= MAX_BACK_BYTES;
    if own && plain { path } else { "/" }
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|line| line.split(';')).find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

fn origin_of(url: &str) -> &str {
    let start = url.find("://").map_or(0, |at| at + 3);
    url[start..].find('/').map_or(url, |end| &url[..start + end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(public_url: &str) -> Door {
        Door { tokens: Arc::default(), public_url: public_url.to_owned() }
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_forms_of_our_own_pages_are_taken() {
        let door = door("https://who.example.com/base/");
        for (sent, ours) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://a:1"), ("host", "a:1")], false),
            (&[("origin", "http://a:1"), ("host", "a:1")], true),
            (&[("origin", "http://a:2"), ("host", "a:1")], false),
            (&[("origin", "https://who.example.com"), ("host", "10.0.0.1")], true),
            (&[("origin", "https://who.example.com.evil.net"), ("host", "10.0.0.1")], false),
            (&[("origin", "null"), ("host", "a:1")], false),
            (&[("host", "a:1")], false),
        ] {
            assert_eq!(door.is_ours(&headers(sent)), ours, "{sent:?}");
        }
    }

    #[test]
    fn a_way_back_never_leads_elsewhere() {
        for (path, own) in [
            ("/investigations/1?a=b&c=%20", "/investigations/1?a=b&c=%20"),
            ("//evil.example", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("javascript:alert(1)", "/"),
            ("/a\r\nset-cookie: x", "/"),
            ("/a\"><script>", "/"),
            ("", "/"),
        ] {
            assert_eq!(own_path(path), own);
        }
    }

    #[test]
    fn cookies_go_over_https_only_where_the_pages_do() {
        let value = door("https://who.example.com").cookie(Some("v"));
        let expected = "__Host-whodunit=v; Path=/; Max-Age=43200; HttpOnly; SameSite=Strict; Secure";
        assert_eq!(value, expected);
        assert!(!door("http://who.example.com").cookie(Some("v")).contains("Secure"));
        assert!(door("").cookie(None).starts_with("whodunit=; Path=/; Max-Age=0"));
        let sent = headers(&[("cookie", "a=b; whodunit=x.y; whodunit2=z")]);
        assert_eq!(cookie(&sent, "whodunit"), Some("x.y"));
        assert_eq!(cookie(&sent, "who"), None);
    }
}
