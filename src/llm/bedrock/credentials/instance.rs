//! The role of an EC2 instance, from its metadata service, version 2 only: a session token first, then the
//! role's name, then its credentials. Last, because a pod should not live on its node's rights.

use super::super::encode;
use super::answer::{exchange, from_json, refused};
use super::{Chain, Failed, LOCAL_TIMEOUT, Step};

const TOKEN_TTL: &str = "60";
const ROLES: &str = "latest/meta-data/iam/security-credentials";

pub(super) async fn credentials(chain: &Chain) -> Result<Step, Failed> {
    if chain.variable("AWS_EC2_METADATA_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(Step::Absent("switched off by AWS_EC2_METADATA_DISABLED".to_owned()));
    }
    let base = &chain.endpoints.instance;
    let request = chain.local.put(format!("{base}/latest/api/token")).timeout(LOCAL_TIMEOUT);
    // Off EC2, and in a pod that its node keeps away, nobody answers: no fault to try again.
    let answer = exchange(request.header("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_TTL)).await;
    let (status, token) = match answer {
        Ok(answer) => answer,
        Err(failed) => return Ok(Step::Absent(failed.reason)),
    };
    if !status.is_success() {
        return Err(refused(status, &token));
    }
    let get = |path: String| {
        chain.local.get(format!("{base}/{path}")).header("x-aws-ec2-metadata-token", token.trim())
    };
    let (status, roles) = exchange(get(format!("{ROLES}/"))).await?;
    let role = roles.lines().next().unwrap_or_default().trim();
    if status == reqwest::StatusCode::NOT_FOUND || (status.is_success() && role.is_empty()) {
        return Ok(Step::Absent("the instance has no role".to_owned()));
    }
    if !status.is_success() {
        return Err(refused(status, &roles));
    }
    let (status, text) = exchange(get(format!("{ROLES}/{}", encode(role)))).await?;
    if !status.is_success() {
        return Err(refused(status, &text));
    }
    from_json(&text, "instance metadata").map(Step::Found)
}
