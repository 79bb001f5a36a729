//! AWS Signature Version 4: a request and credentials in, the headers that prove them out. The headers in
//! `settings.headers` are never signed, so that a proxy may change them.

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

/// What is signed. The address is already encoded.
pub(super) struct Unsigned<'a> {
    pub method: &'a str,
    pub url: &'a str,
    pub headers: &'a [(HeaderName, &'a str)],
    pub body: &'a [u8],
}

/// `authorization`, `x-amz-date` and, for temporary credentials, `x-amz-security-token`, for a region and
/// a service.
pub(super) fn headers(
    credentials: &Credentials,
    (region, service): (&str, &str),
    at: DateTime<Utc>,
    unsigned: &Unsigned<'_>,
) -> anyhow::Result<HeaderMap> {
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(at.into())
        .settings(SigningSettings::default())
        .build()?
        .into();
    let named = unsigned.headers.iter().map(|(name, value)| (name.as_str(), *value));
    let request =
        SignableRequest::new(unsigned.method, unsigned.url, named, SignableBody::Bytes(unsigned.body))?;
    let (instructions, _signature) = sign(request, &params)?.into_parts();
    let mut signed = HeaderMap::new();
    for (name, value) in instructions.headers() {
        let mut value = HeaderValue::from_str(value)?;
        value.set_sensitive(true);
        signed.insert(name.parse::<HeaderName>()?, value);
    }
    Ok(signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

    /// Signature of a request of AWS's public test suite for Signature Version 4.
    fn signature(token: Option<&str>, method: &str, url: &str) -> (String, HeaderMap) {
        let credentials = Credentials::new("AKIDEXAMPLE", SECRET, token.map(ToOwned::to_owned), None, "test");
        let at = "2015-08-30T12:36:00Z".parse().unwrap();
        let unsigned = Unsigned { method, url, headers: &[], body: b"" };
        let signed = headers(&credentials, ("us-east-1", "service"), at, &unsigned).unwrap();
        assert_eq!(signed["x-amz-date"], "20150830T123600Z");
        let text = signed["authorization"].to_str().unwrap().to_owned();
        (text.rsplit_once("Signature=").unwrap().1.to_owned(), signed)
    }

    #[test]
    fn the_published_vectors_of_version_4_are_met() {
        let root = "https://example.amazonaws.com/";
        for (name, token, method, url, expected) in [
            (
                "get-vanilla",
                None,
                "GET",
                root.to_owned(),
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "post-vanilla",
                None,
                "POST",
                root.to_owned(),
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "get-vanilla-query-order-key-case",
                None,
                "GET",
                format!("{root}?Param2=value2&Param1=value1"),
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "get-vanilla-with-session-token",
                Some("6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"),
                "GET",
                root.to_owned(),
                "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8",
            ),
        ] {
            let (signature, signed) = signature(token, method, &url);
            assert_eq!(signature, expected, "{name}");
            let sent = signed.get("x-amz-security-token").map(|value| value.to_str().unwrap());
            assert_eq!(sent, token, "{name}");
        }
    }

    #[test]
    fn headers_of_a_signature_are_not_shown() {
        let (signature, signed) = signature(Some("token"), "GET", "https://example.amazonaws.com/");
        let shown = format!("{signed:?}");
        assert!(!shown.contains(&signature) && !shown.contains("\"token\""), "{shown}");
    }
}
