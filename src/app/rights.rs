//! Before the service starts: is it allowed more than to read? Whoever gives it such rights by mistake hears of it at
//! once, and not after it was broken into. It asks the API server and changes nothing.

use std::time::Duration;

use anyhow::bail;

use crate::settings::ExcessRights;
use crate::source::kubernetes::{Client, Excess};

/// A cluster that is away keeps nobody from taking alerts in.
const TIMEOUT: Duration = Duration::from_secs(5);

/// # Errors
/// The service account may do what it must not, and the settings do not accept that.
pub(super) async fn check(client: &Client, stance: ExcessRights) -> anyhow::Result<()> {
    let excess = match tokio::time::timeout(TIMEOUT, client.excess()).await {
        Ok(Ok(excess)) => excess,
        Ok(Err(error)) => return unknown(&error.to_string()),
        Err(_) => return unknown("no answer within 5 s"),
    };
    if excess.is_empty() {
        return Ok(());
    }
    let rights = told(&excess);
    match stance {
        ExcessRights::Refuse => bail!(
            "this account may do more in the cluster than whodunit needs: {rights}. Bind the roles of deploy/ to it and \
             no others, or set kubernetes.excess_rights: warn"
        ),
        ExcessRights::Warn => {
            tracing::warn!(%rights, "this account may do more in the cluster than whodunit needs");
            Ok(())
        }
    }
}

fn unknown(error: &str) -> anyhow::Result<()> {
    tracing::warn!(error, "the API server did not say what this account may do; nothing was refused");
    Ok(())
}

pub(super) fn told(excess: &[Excess]) -> String {
    excess.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
