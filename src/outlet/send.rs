//! One request to an outlet: a claim goes in; that it arrived, or a fault named by what can be done, comes out. It follows
//! no redirect, reads no answer beyond its status, never retries, and shows neither an address nor a key.

use chrono::Utc;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use secrecy::ExposeSecret;

use super::after::{self, Fault};
use super::queue::Claim;
use super::{Kind, Outlet};

/// `http` follows no redirect.
///
/// # Errors
/// Why it did not arrive, or may not have.
pub async fn send(http: &reqwest::Client, outlet: &Outlet, claim: &Claim) -> Result<(), Fault> {
    let request = http.post(outlet.url.expose_secret()).timeout(outlet.timeout);
    let request = request.header(CONTENT_TYPE, "application/json; charset=utf-8");
    let now = Utc::now();
    let request = match &outlet.kind {
        Kind::Teams => request,
        Kind::Webhook(keys) => {
            let (id, timestamp) = (claim.id.to_string(), now.timestamp());
            let signature = keys.sign(&id, timestamp, &claim.body);
            request
                .header("webhook-id", id)
                .header("webhook-timestamp", timestamp)
                .header("webhook-signature", signature)
        }
    };
    // An error of the client's names the address.
    let answer = request.body(claim.body.clone()).send().await.map_err(|error| unanswered(&error))?;
    let told = answer.headers().get(RETRY_AFTER).and_then(|header| header.to_str().ok());
    let told = told.and_then(|header| after::retry_after(header, now));
    after::fault(answer.status().as_u16(), told).map_or(Ok(()), Err)
}

fn unanswered(error: &reqwest::Error) -> Fault {
    if error.is_builder() {
        Fault::Misconfigured("the request could not be built; is its url right?".to_owned())
    } else if error.is_connect() {
        Fault::Down("could not connect".to_owned())
    } else if error.is_timeout() {
        Fault::Down("no answer in time".to_owned())
    } else {
        Fault::Down("the connection broke before the answer".to_owned())
    }
}
