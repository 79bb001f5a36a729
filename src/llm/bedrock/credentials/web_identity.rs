//! IAM roles for service accounts: the pod's token, exchanged at STS for a role's credentials. The token is
//! read anew each time, because the kubelet replaces it.

use super::super::domain;
use super::answer::{element, exchange, from_xml, refused, unescape};
use super::{Chain, Failed, Step, read};

const STS_VERSION: &str = "2011-06-15";
/// Shown in AWS's audit log when AWS_ROLE_SESSION_NAME is not set.
const SESSION_NAME: &str = "whodunit";

pub(super) async fn credentials(chain: &Chain) -> Result<Step, Failed> {
    let file = chain.variable("AWS_WEB_IDENTITY_TOKEN_FILE");
    let (file, role) = match (file, chain.variable("AWS_ROLE_ARN")) {
        (Some(file), Some(role)) => (file, role),
        (Some(_), None) => return Err(Failed::new("AWS_WEB_IDENTITY_TOKEN_FILE without AWS_ROLE_ARN")),
        (None, _) => return Ok(Step::Absent("AWS_WEB_IDENTITY_TOKEN_FILE is not set".to_owned())),
    };
    let token = read(&file).await?.ok_or_else(|| Failed::new(format!("no token in {file}")))?;
    let session = chain.variable("AWS_ROLE_SESSION_NAME");
    let form = [
        ("Action", "AssumeRoleWithWebIdentity"),
        ("Version", STS_VERSION),
        ("RoleArn", &role),
        ("RoleSessionName", session.as_deref().unwrap_or(SESSION_NAME)),
        ("WebIdentityToken", token.trim()),
    ];
    let region = &chain.region;
    let endpoint = chain.endpoints.sts.clone();
    let endpoint = endpoint.unwrap_or_else(|| format!("https://sts.{region}.{}/", domain(region)));
    let (status, text) = exchange(chain.http.post(endpoint).form(&form)).await?;
    if status.is_success() {
        return from_xml(&text, "web identity").map(Step::Found);
    }
    let part = |name| element(&text, name).map(unescape).unwrap_or_default();
    let said = format!("{} {}", part("Code"), part("Message"));
    let mut failed = refused(status, if said.trim().is_empty() { &text } else { &said });
    // STS could not reach the identity provider: its own 400 for something that passes.
    failed.transient |= part("Code") == "IDPCommunicationError";
    Err(failed)
}
