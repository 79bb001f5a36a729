//! Who asks, and what they may do and see: settings become `Tokens`, a request's bearer token becomes a `Caller`, which
//! handlers find in the request's extensions. Pages use the same two. It stores nothing and compares in constant time.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use regex::Regex;
use secrecy::{ExposeSecret, SecretString};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use super::problem::Problem;
use crate::feedback::{Actor, Via};
pub use crate::settings::Scope;
use crate::settings::{Api, ApiToken, DescribedToken};

/// Tokens in all; each request is compared with each.
const MAX_TOKENS: usize = 1_000;
/// The caller where no token is configured.
const ANYBODY: &str = "anybody";

/// Everybody who may ask.
#[derive(Debug, Default)]
pub struct Tokens {
    known: Vec<(SecretString, Caller)>,
    /// Where there is no token: who everybody is.
    anybody: Option<Caller>,
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Caller {
    pub name: Arc<str>,
    scope: Scope,
    reach: Arc<Reach>,
}

/// What a caller sees, as regular expressions over the whole name that Rust and Postgres read alike. An empty list
/// sees all.
#[derive(Debug, Default)]
pub struct Reach {
    pub clusters: Vec<String>,
    pub namespaces: Vec<String>,
    /// The namespaces by name, where each is written out.
    names: Option<Vec<String>>,
    cluster: Option<Regex>,
    namespace: Option<Regex>,
}

/// Why somebody may not ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unknown;

impl Tokens {
    /// Reads the files that the settings name.
    ///
    /// # Errors
    /// A token's setting that cannot work, by its name.
    pub fn new(settings: &Api) -> anyhow::Result<Self> {
        let mut known = Vec::new();
        for (place, token) in settings.tokens.iter().enumerate() {
            known.push(match token {
                ApiToken::Word(word) => (word.clone(), Caller::reader(&format!("token {}", place + 1))),
                ApiToken::Described(described) => {
                    read(described).with_context(|| format!("setting api.tokens: {}", described.name))?
                }
            });
        }
        if let Some(file) = &settings.tokens_file {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("api.tokens_file: cannot read {}", file.display()))?;
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
            let named = lines.enumerate().map(|(place, line)| {
                (SecretString::from(line.to_owned()), Caller::reader(&format!("token file {}", place + 1)))
            });
            known.extend(named);
        }
        // An empty token in the settings must not open the door to an empty one in a request.
        ensure!(
            known.iter().all(|(token, _)| !token.expose_secret().is_empty()),
            "api.tokens: a token is empty"
        );
        ensure!(known.len() <= MAX_TOKENS, "api.tokens: more than {MAX_TOKENS} tokens");
        let scope = if settings.open_writes { Scope::Admin } else { Scope::Read };
        let anybody = Caller { scope, ..Caller::reader(ANYBODY) };
        Ok(Self { anybody: known.is_empty().then_some(anybody), known })
    }

    /// Nobody has to prove who asks.
    pub fn are_none(&self) -> bool {
        self.anybody.is_some()
    }

    /// Who sent these headers: the owner of the bearer token; without any token in the settings, anybody.
    ///
    /// # Errors
    /// There are tokens, and this is none of them.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller, Unknown> {
        if let Some(anybody) = &self.anybody {
            return Ok(anybody.clone());
        }
        let sent = headers.get(header::AUTHORIZATION).and_then(|value| bearer(value.as_bytes()));
        sent.and_then(|sent| self.find(sent)).ok_or(Unknown)
    }

    /// The owner of a token. Takes the same time whichever token it is, or at which byte none is.
    pub fn find(&self, sent: &[u8]) -> Option<Caller> {
        let mut found = 0;
        for (place, (token, _)) in (1..).zip(&self.known) {
            let same = sent.ct_eq(token.expose_secret().as_bytes());
            found = u32::conditional_select(&found, &place, same);
        }
        let place = usize::try_from(found).ok()?.checked_sub(1)?;
        self.known.get(place).map(|(_, caller)| caller.clone())
    }
}

impl Tokens {
    /// The owner of the token whose secret proves something, with that secret. Looks at every token, so that its time
    /// tells nothing of which.
    pub fn holder(&self, proves: impl Fn(&str) -> bool) -> Option<(Caller, &SecretString)> {
        let mut found = None;
        for (token, caller) in &self.known {
            if proves(token.expose_secret()) {
                found = Some((caller.clone(), token));
            }
        }
        found
    }
}

impl Caller {
    fn reader(name: &str) -> Self {
        Self { name: name.into(), scope: Scope::Read, reach: Arc::default() }
    }

    pub fn may(&self, scope: Scope) -> bool {
        scope <= self.scope
    }

    /// Whoever acts, for the audit trail.
    pub fn actor(&self, via: Via) -> Actor {
        Actor::new(&self.name, via)
    }

    pub fn reach(&self) -> &Reach {
        &self.reach
    }
}

impl Reach {
    fn new(clusters: &[String], namespaces: &[String]) -> anyhow::Result<Self> {
        let names = (!namespaces.iter().any(|glob| glob.contains(['*', '?']))).then(|| namespaces.to_vec());
        let (clusters, cluster) = patterns("clusters", clusters)?;
        let (namespaces, namespace) = patterns("namespaces", namespaces)?;
        Ok(Self { clusters, namespaces, names, cluster, namespace })
    }

    pub fn is_unlimited(&self) -> bool {
        self.cluster.is_none() && self.namespace.is_none()
    }

    pub fn sees_cluster(&self, cluster: &str) -> bool {
        self.cluster.as_ref().is_none_or(|one| one.is_match(cluster))
    }

    /// The namespaces by name; None where globs stand for names that only the cluster knows.
    pub fn named(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// What has no namespace, such as a node, has "" and needs `*`.
    pub fn sees(&self, cluster: &str, namespace: &str) -> bool {
        self.sees_cluster(cluster) && self.namespace.as_ref().is_none_or(|one| one.is_match(namespace))
    }
}

fn read(token: &DescribedToken) -> anyhow::Result<(SecretString, Caller)> {
    ensure!(!token.name.trim().is_empty(), "it has no name");
    let secret = match (&token.token, &token.token_file) {
        (Some(secret), None) => secret.clone(),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("token_file: cannot read {}", file.display()))?;
            SecretString::from(text.trim().to_owned())
        }
        _ => bail!("it needs either token or token_file"),
    };
    let scope =
        token.scopes.iter().max().copied().context("scopes is empty; it may hold read, write, admin")?;
    let reach = Arc::new(Reach::new(&token.clusters, &token.namespaces)?);
    Ok((secret, Caller { name: token.name.trim().into(), scope, reach }))
}

/// Globs as regular expressions, and all of them as one.
fn patterns(setting: &str, globs: &[String]) -> anyhow::Result<(Vec<String>, Option<Regex>)> {
    let mut patterns = Vec::new();
    for glob in globs {
        ensure!(
            !glob.is_empty() && !glob.contains(|c: char| "[]{}!\\".contains(c) || c.is_control()),
            "{setting}: {glob:?} is no glob; write names with * and ?"
        );
        let parts = glob.chars().map(|c| match c {
            '*' => ".*".to_owned(),
            '?' => ".".to_owned(),
            c if c.is_alphanumeric() => c.to_string(),
            c => format!("\\{c}"),
        });
        patterns.push(format!("^{}$", parts.collect::<String>()));
    }
    if patterns.is_empty() {
        return Ok((patterns, None));
    }
    let all = Regex::new(&format!("(?s){}", patterns.join("|"))).with_context(|| setting.to_owned())?;
    Ok((patterns, Some(all)))
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Everything below `/api/` needs a token, unknown paths too: a stranger learns nothing. The caller goes into the
/// request's extensions.
pub async fn authorize(State(tokens): State<Arc<Tokens>>, mut request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with("/api/") {
        return next.run(request).await;
    }
    match tokens.caller(request.headers()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(Unknown) => Problem::Unauthorized.into_response(),
    }
}

/// A caller that may act: with the scope `write`, and not sent by another site's page. Every handler that changes
/// something asks for it.
pub struct Writer(pub Caller);

impl<S: Send + Sync> FromRequestParts<S> for Writer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        // Without `authorize` in front there is no caller.
        let caller = parts.extensions.get::<Caller>().ok_or_else(|| Problem::Unauthorized.into_response())?;
        if !caller.may(Scope::Write) {
            return Err(Problem::MayNot(Scope::Write).into_response());
        }
        if is_foreign(&parts.headers) {
            return Err(Problem::ForeignOrigin.into_response());
        }
        Ok(Self(caller.clone()))
    }
}

/// A browser says from which site a page acts; what is not ours acts with somebody else's access.
pub fn is_foreign(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_ascii_lowercase);
    let site = text(origin).and_then(|origin| origin.split_once("://").map(|(_, site)| site.to_owned()));
    // A proxy may have a name of its own for us. No page of another site can send its header unasked.
    let hosts = [headers.get(header::HOST), headers.get("x-forwarded-host")];
    site.is_none() || !hosts.into_iter().flatten().any(|host| text(host) == site)
}

#[cfg(test)]
mod tests;
