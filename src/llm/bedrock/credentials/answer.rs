//! What the services that hand out credentials answer: bytes within a bound, their JSON, and the few elements
//! that are needed of STS's XML. No error here repeats what an answer that succeeded said.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use chrono::{DateTime, Utc};
use futures::StreamExt;
use reqwest::{RequestBuilder, StatusCode};
use serde::Deserialize;

use super::super::fault::causes;
use super::Failed;

/// Most bytes of one answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024;
/// Most characters of a service's own words in an error.
const MAX_MESSAGE_CHARS: usize = 200;

/// Sends and reads; any status.
pub(super) async fn exchange(request: RequestBuilder) -> Result<(StatusCode, String), Failed> {
    let answer = request.send().await.map_err(|error| Failed::transient(causes(&error)))?;
    let status = answer.status();
    let mut bytes = Vec::new();
    let mut chunks = answer.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        bytes.extend_from_slice(&chunk.map_err(|error| Failed::transient(causes(&error)))?);
        if bytes.len() > MAX_ANSWER_BYTES {
            return Err(Failed::new(format!("answer larger than {MAX_ANSWER_BYTES} bytes")));
        }
    }
    Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
}

/// A status that is no success, with what the service said.
pub(super) fn refused(status: StatusCode, said: &str) -> Failed {
    let said: String = said.trim().chars().take(MAX_MESSAGE_CHARS).collect();
    let reason = format!("HTTP {}: {said}", status.as_u16());
    let transient = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    Failed { reason, transient }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    /// `Success`, where the service says so at all.
    code: Option<String>,
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<DateTime<Utc>>,
}

/// Credentials as containers and instances are given them.
pub(super) fn from_json(text: &str, provider: &'static str) -> Result<Credentials, Failed> {
    let answer: Answer =
        serde_json::from_str(text).map_err(|error| Failed::new(format!("no credentials: {error}")))?;
    if let Some(code) = answer.code.filter(|code| code != "Success") {
        return Err(Failed::new(format!("no credentials: {code}")));
    }
    let ends = answer.expiration.map(SystemTime::from);
    Ok(Credentials::new(answer.access_key_id, answer.secret_access_key, answer.token, ends, provider))
}

/// Credentials as STS gives them.
pub(super) fn from_xml(text: &str, provider: &'static str) -> Result<Credentials, Failed> {
    let inside = element(text, "Credentials").ok_or_else(|| Failed::new("no credentials in STS's answer"))?;
    let needed = |name: &str| {
        element(inside, name).map(unescape).ok_or_else(|| Failed::new(format!("no {name} in STS's answer")))
    };
    let expiration = needed("Expiration")?;
    let ends: DateTime<Utc> =
        expiration.parse().map_err(|_error| Failed::new("STS's Expiration is no time"))?;
    let (id, secret, token) = (needed("AccessKeyId")?, needed("SecretAccessKey")?, needed("SessionToken")?);
    Ok(Credentials::new(id, secret, Some(token), Some(ends.into()), provider))
}

/// What stands in the first element of this name, whatever its attributes. Names do not nest in themselves.
pub(super) fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let opening = format!("<{name}");
    let mut rest = text;
    loop {
        let (_, after) = rest.split_once(opening.as_str())?;
        if after.starts_with(['>', ' ', '\t', '\r', '\n']) {
            let (_, inside) = after.split_once('>')?;
            return inside.split_once(format!("</{name}>").as_str()).map(|(inside, _)| inside.trim());
        }
        rest = after;
    }
}

pub(super) fn unescape(text: &str) -> String {
    // `&amp;` last: what it becomes is not read again.
    let pairs = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    pairs.iter().fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_whatever_stands_around_them() {
        let text = "<a:x/><CredentialsX>no</CredentialsX>\n<Credentials  note='1'>\n <AccessKeyId>A</AccessKeyId></Credentials>";
        assert_eq!(element(text, "Credentials"), Some("<AccessKeyId>A</AccessKeyId>"));
        assert_eq!(element(text, "AccessKeyId"), Some("A"));
        for broken in ["", "<Credentials", "<Credentials>", "<Credentials>x</Cred", "</Credentials>"] {
            assert_eq!(element(broken, "Credentials"), None, "{broken}");
        }
        assert_eq!(unescape("a&amp;lt;&lt;b&gt;&quot;"), "a&lt;<b>\"");
    }

    #[test]
    fn a_broken_answer_is_refused_without_repeating_it() {
        for text in [
            "{}",
            "not json",
            r#"{"AccessKeyId":"hush-id","SecretAccessKey":7}"#,
            r#"{"AccessKeyId":"hush-id","SecretAccessKey":"hush","Expiration":"soon"}"#,
        ] {
            let failed = from_json(text, "test").unwrap_err();
            assert!(!failed.reason.contains("hush") && !failed.transient, "{}", failed.reason);
        }
        let failed = from_json(
            r#"{"Code":"AssumeRoleUnauthorizedAccess","AccessKeyId":"","SecretAccessKey":""}"#,
            "test",
        );
        assert!(failed.unwrap_err().reason.contains("AssumeRoleUnauthorizedAccess"));
        let xml = "<Credentials><AccessKeyId>hush</AccessKeyId><Expiration>soon</Expiration></Credentials>";
        assert_eq!(from_xml(xml, "test").unwrap_err().reason, "STS's Expiration is no time");
    }
}
