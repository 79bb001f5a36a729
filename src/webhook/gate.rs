//! Who may post, and for which cluster: a request's headers come in, the cluster that its credential stands for goes
//! out, or a rejection. It reads no body.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use axum::http::HeaderMap;

use super::guard::Guard;
use super::rejection::Rejection;
use crate::settings::Credentials;

/// Credentials that stand for a cluster, whoever sends.
#[derive(Debug, Clone, Default)]
pub struct Bound(Arc<Vec<(String, Guard)>>);

/// One sender's own credentials, and those of clusters.
#[derive(Debug)]
pub struct Gate {
    own: Guard,
    bound: Bound,
}

impl Bound {
    /// # Errors
    /// A cluster without a credential, or one that could never be presented.
    pub fn new(clusters: &BTreeMap<String, Credentials>) -> anyhow::Result<Self> {
        let mut bound = Vec::new();
        for (name, credentials) in clusters {
            let guard = Guard::new(credentials).with_context(|| format!("webhooks.clusters: {name}"))?;
            anyhow::ensure!(!guard.is_open(), "webhooks.clusters: {name}: it has no credential");
            bound.push((name.clone(), guard));
        }
        Ok(Self(Arc::new(bound)))
    }
}

impl Gate {
    pub fn new(own: Guard, bound: Bound) -> Self {
        Self { own, bound }
    }

    /// The cluster that a request's credential stands for; None for a sender's own, which stand for all. Where clusters
    /// have credentials, nobody posts without one: who could name any cluster would speak for it.
    ///
    /// # Errors
    /// No credential, or none that is valid.
    pub fn admit(&self, headers: &HeaderMap) -> Result<Option<&str>, Rejection> {
        if let Some((name, _)) = self.bound.0.iter().find(|(_, guard)| guard.knows(headers)) {
            return Ok(Some(name));
        }
        match self.bound.0.first() {
            Some((_, other)) if self.own.is_open() => Err(other.refusal()),
            _ => self.own.admit(headers).map(|()| None),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};

    use super::*;

    fn credentials(token: &str) -> Credentials {
        Credentials { bearer_tokens: vec![token.into()], ..Credentials::default() }
    }

    #[test]
    fn a_credential_stands_for_its_cluster_and_nobody_posts_without_one() {
        let bound = Bound::new(&[("west".to_owned(), credentials("of-west"))].into()).unwrap();
        let said = |own: &Credentials, token: &str| {
            let gate = Gate::new(Guard::new(own).unwrap(), bound.clone());
            let mut headers = HeaderMap::new();
            if !token.is_empty() {
                let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
                headers.insert(header::AUTHORIZATION, value);
            }
            gate.admit(&headers).map(|name| name.map(str::to_owned)).map_err(|error| error.status().as_u16())
        };
        let (open, own) = (Credentials::default(), credentials("own"));
        assert_eq!(said(&open, "of-west"), Ok(Some("west".to_owned())));
        assert_eq!(said(&own, "of-west"), Ok(Some("west".to_owned())));
        assert_eq!(said(&own, "own"), Ok(None));
        assert_eq!(
            (said(&own, "other"), said(&open, ""), said(&open, "other")),
            (Err(401), Err(401), Err(401))
        );
        let alone = Gate::new(Guard::new(&open).unwrap(), Bound::default());
        assert_eq!(
            alone.admit(&HeaderMap::new()).unwrap(),
            None,
            "without clusters' credentials it stays open"
        );
        assert!(Bound::new(&[("west".to_owned(), open)].into()).is_err());
    }
}
