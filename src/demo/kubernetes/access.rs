//! SelfSubjectAccessReview: a review comes in, the same review with an answer goes out. Nothing is kept.

use axum::body::{Body, to_bytes};
use serde_json::{Value, json};

use super::{Answer, status};

pub(super) const PATH: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
const MAX_BYTES: usize = 64 * 1024;

pub(super) async fn answer(body: Body, rights: &[String]) -> Answer {
    let review: Option<Value> =
        to_bytes(body, MAX_BYTES).await.ok().and_then(|body| serde_json::from_slice(&body).ok());
    let Some(mut review) = review else { return status::bad_request("no SelfSubjectAccessReview") };
    let asked = &review["spec"]["resourceAttributes"];
    let text = |key: &str| asked[key].as_str().unwrap_or_default();
    let part = |separator: &str, key: &str| match text(key) {
        "" => String::new(),
        value => format!("{separator}{value}"),
    };
    let right =
        format!("{} {}{}{}", text("verb"), text("resource"), part(".", "group"), part("/", "subresource"));
    let allowed = rights.contains(&right);
    review["status"] = json!({"allowed": allowed});
    Answer::json(201, &review)
}
