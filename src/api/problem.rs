//! Every error of the API as RFC 9457 `application/problem+json`: what went wrong and what the caller can do.
//! It never shows internals; those go to the log once, here.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::openapi::{self, RefOr};
use utoipa::{IntoResponses, ToSchema};

use crate::settings::Scope;

/// When a caller may try again after 503.
const RETRY_AFTER_SECONDS: &str = "5";
/// A read that takes longer is given up.
pub(super) const QUERY_DEADLINE: Duration = Duration::from_secs(10);

/// Postgres' states that pass by themselves: connection lost, shutting down, starting up, no slots, no time.
const PASSING: [&str; 7] = ["08", "57P01", "57P02", "57P03", "53300", "57014", "40001"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// A parameter that does not read: its name, and how to write it.
    BadParameter {
        name: String,
        hint: String,
    },
    Unauthorized,
    /// The caller lacks this scope.
    MayNot(Scope),
    /// Sent by a page of another site.
    ForeignOrigin,
    /// Sent to a name that is not ours.
    ForeignHost,
    /// What was asked for, in words.
    NotFound(&'static str),
    MethodNotAllowed,
    /// It does not go with what is there.
    Conflict(&'static str),
    TooLarge,
    NotJson,
    Unavailable,
    TooManyStreams,
    Internal,
}

/// Why a request was refused, as RFC 9457 has it.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(super) struct Body<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    /// What the caller can do.
    detail: &'a str,
    /// The parameter, header or field of the body that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    parameter: Option<&'a str>,
}

impl Problem {
    pub(crate) fn parameter(name: &str, hint: impl Into<String>) -> Self {
        Self::BadParameter { name: name.chars().take(100).collect(), hint: hint.into() }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::BadParameter { .. } => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::MayNot(_) | Self::ForeignOrigin | Self::ForeignHost => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotJson => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unavailable | Self::TooManyStreams => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::BadParameter { .. } => "Bad parameter",
            Self::Unauthorized => "Unauthorized",
            Self::MayNot(_) | Self::ForeignOrigin | Self::ForeignHost => "Forbidden",
            Self::NotFound(_) => "Not found",
            Self::MethodNotAllowed => "Method not allowed",
            Self::Conflict(_) => "Conflict",
            Self::TooLarge => "Too large",
            Self::NotJson => "Unsupported media type",
            Self::Unavailable | Self::TooManyStreams => "Unavailable",
            Self::Internal => "Internal error",
        }
    }

    /// What the caller can do.
    pub(crate) fn detail(&self) -> &str {
        match self {
            Self::BadParameter { hint, .. } => hint,
            Self::Unauthorized => "Send `Authorization: Bearer TOKEN` with one of the configured api.tokens.",
            Self::MayNot(Scope::Admin) => {
                "This needs a token with the scope `admin`; tokens and their scopes stand under api.tokens in the settings."
            }
            Self::MayNot(_) => {
                "This needs a token with the scope `write`: give one `scopes: [write]` under api.tokens in the settings. \
                 Where there are no tokens at all, `api.open_writes: true` lets everybody act."
            }
            Self::ForeignOrigin => "A page of another site may not act here.",
            Self::ForeignHost => {
                "This Host or Origin is not known here. The host of server.public_url, localhost and the names under \
                 mcp.allowed_hosts in the settings are."
            }
            Self::NotFound(what) | Self::Conflict(what) => what,
            Self::TooLarge => "The body is larger than 64 KiB.",
            Self::NotJson => "Send the body as JSON, with `Content-Type: application/json`.",
            Self::MethodNotAllowed => "This path does not take this method.",
            Self::Unavailable => "The database does not answer. Try again.",
            Self::TooManyStreams => "As many streams of events or exports are open as may be. Try again.",
            Self::Internal => "The fault is ours; the log has the reason.",
        }
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        let passing = match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Tls(_) => true,
            sqlx::Error::Database(fault) => {
                fault.code().is_some_and(|code| PASSING.iter().any(|passing| code.starts_with(passing)))
            }
            _ => false,
        };
        if passing {
            tracing::warn!(%error, "the API cannot read the database");
            Self::Unavailable
        } else {
            tracing::error!(%error, "the API failed");
            Self::Internal
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let parameter = match &self {
            Self::BadParameter { name, .. } => Some(name.as_str()),
            _ => None,
        };
        let (title, detail) = (self.title(), self.detail());
        let body = Body { r#type: "about:blank", title, status: status.as_u16(), detail, parameter };
        let mut response = (status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match self {
            Self::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Unavailable | Self::TooManyStreams => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
            }
            _ => {}
        }
        response
    }
}

/// A read with a deadline: a database that hangs is a database that is down.
pub(super) async fn read<T>(query: impl Future<Output = sqlx::Result<T>>) -> Result<T, Problem> {
    match tokio::time::timeout(QUERY_DEADLINE, query).await {
        Ok(answer) => answer.map_err(Problem::from),
        Err(_) => {
            tracing::warn!("the API's query took longer than {} s", QUERY_DEADLINE.as_secs());
            Err(Problem::Unavailable)
        }
    }
}

/// What any request may be refused with, for its description.
pub(super) struct Refusals;
/// What a request that changes something may be refused with.
pub(super) struct WriteRefusals;

const READ: [(&str, &str); 5] = [
    ("400", "A parameter does not read; `parameter` names it"),
    ("401", "No token, or an unknown one"),
    ("404", "There is no such thing, or the token does not see it"),
    ("503", "The database does not answer, or too many ask at once; try again"),
    ("500", "A fault of ours"),
];
const WRITE: [(&str, &str); 4] = [
    ("403", "The token lacks a scope, or a page of another site asks"),
    ("409", "It does not go with what is there"),
    ("413", "The body is too large"),
    ("415", "The body is no JSON"),
];

impl IntoResponses for Refusals {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        READ.iter().map(|refusal| described(*refusal)).collect()
    }
}

impl IntoResponses for WriteRefusals {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        READ.iter().chain(&WRITE).map(|refusal| described(*refusal)).collect()
    }
}

fn described((status, description): (&str, &str)) -> (String, RefOr<openapi::Response>) {
    let content =
        openapi::ContentBuilder::new().schema(Some(openapi::Ref::from_schema_name("Problem"))).build();
    let response = openapi::ResponseBuilder::new().description(description);
    (status.to_owned(), response.content("application/problem+json", content).build().into())
}
