//! Who comes in: a request's token becomes a `Caller`, its body is read within bounds, and the names under which we may
//! be reached are told to the protocol's own check, which keeps pages of other sites out. It reads no message.

use std::sync::Arc;

use anyhow::ensure;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::{MAX_BODY_BYTES, Problem, Tokens, drain, whole_body};
use crate::settings;

/// A program on the same machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Under which names and from which sites we are asked.
#[derive(Debug, PartialEq, Eq)]
pub struct Hosts {
    pub names: Vec<String>,
    pub origins: Vec<String>,
}

/// # Errors
/// A name that is none, an address that is none, no calls at all.
pub fn hosts(settings: &settings::Mcp, public_url: &str) -> anyhow::Result<Hosts> {
    ensure!(
        settings.calls_per_minute > 0,
        "mcp.calls_per_minute: 0 would refuse every call; use mcp.enabled"
    );
    let mut names: Vec<String> = LOOPBACK.map(str::to_owned).into();
    let mut origins: Vec<String> = LOOPBACK.iter().map(|name| format!("http://{name}:*")).collect();
    if !public_url.is_empty() {
        let url = reqwest::Url::parse(public_url).ok();
        let known = url.as_ref().and_then(|url| Some((url, url.host_str()?, url.port_or_known_default()?)));
        let Some((url, host, port)) = known else {
            anyhow::bail!(
                "server.public_url: {public_url:?} is no address like https://whodunit.example.com"
            );
        };
        names.push(host.to_owned());
        origins.push(format!("{}://{host}:{port}", url.scheme()));
    }
    for name in &settings.allowed_hosts {
        // An empty or odd name would be read as something else, or open the door to all.
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
        ensure!(
            !name.is_empty() && name.chars().all(plain),
            "mcp.allowed_hosts: {name:?} is no host name; write it without scheme and path, as in whodunit.whodunit.svc"
        );
        names.push(name.clone());
    }
    Ok(Hosts { names, origins })
}

/// Without a token nobody learns what there is. The caller goes into the request's extensions.
pub async fn authorized(State(tokens): State<Arc<Tokens>>, mut request: Request, next: Next) -> Response {
    match tokens.caller(request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(_unknown) => {
            drain(request.into_body()).await;
            Problem::Unauthorized.into_response()
        }
    }
}

/// Reads the body within its bound and its deadline, and says what the protocol's check only hints at.
pub async fn bounded(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let announced = parts.headers.get(header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY_BYTES) {
        drain(body).await;
        return Problem::TooLarge.into_response();
    }
    let body = match whole_body(body).await {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    let answer = next.run(Request::from_parts(parts, Body::from(body))).await;
    match answer.status() {
        StatusCode::FORBIDDEN => Problem::ForeignHost.into_response(),
        _ => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(public_url: &str, allowed: &[&str]) -> anyhow::Result<Hosts> {
        let allowed_hosts = allowed.iter().map(|name| (*name).to_owned()).collect();
        hosts(&settings::Mcp { allowed_hosts, ..settings::Mcp::default() }, public_url)
    }

    #[test]
    fn loopback_our_own_address_and_named_hosts_are_ours() {
        let hosts = of("https://who.example.com/base/", &["whodunit.whodunit.svc"]).unwrap();
        assert_eq!(
            hosts.names,
            ["localhost", "127.0.0.1", "[::1]", "who.example.com", "whodunit.whodunit.svc"]
        );
        assert_eq!(hosts.origins.last().unwrap(), "https://who.example.com:443");
        assert_eq!(of("", &[]).unwrap().names.len(), 3);
    }

    #[test]
    fn names_that_are_none_are_told_by_their_setting() {
        for (public_url, allowed, setting) in [
            ("who.example.com", &[][..], "server.public_url"),
            ("", &[""], "mcp.allowed_hosts"),
            ("", &["https://a"], "mcp.allowed_hosts"),
            ("", &["*"], "mcp.allowed_hosts"),
        ] {
            let error = of(public_url, allowed).unwrap_err().to_string();
            assert!(error.contains(setting), "{error}");
        }
        let none = settings::Mcp { calls_per_minute: 0, ..settings::Mcp::default() };
        assert!(hosts(&none, "").unwrap_err().to_string().contains("mcp.calls_per_minute"));
    }
}
