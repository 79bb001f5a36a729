//! Why a page cannot be shown, as a page: what went wrong and what the reader can do. It never shows internals; those
//! go to the log once, here.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::html;

use super::layout::{Frame, page};

/// A page whose data takes longer is given up.
const READ_DEADLINE: Duration = Duration::from_secs(10);
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("5");

#[derive(Debug)]
pub(super) enum Fault {
    /// What there is none of, in words.
    NotFound(&'static str),
    /// What was asked in a way that does not read, and how to ask.
    Unreadable(String),
    /// Signed in, and not allowed.
    Forbidden(&'static str),
    /// A form that another site may have sent.
    Foreign,
    Unavailable,
    Internal,
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Tls(_) => {
                tracing::warn!(%error, "a page cannot be read from the database");
                Self::Unavailable
            }
            _ => {
                tracing::error!(%error, "a page failed");
                Self::Internal
            }
        }
    }
}

impl Fault {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Unreadable(_) => StatusCode::BAD_REQUEST,
            Self::Forbidden(_) | Self::Foreign => StatusCode::FORBIDDEN,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn words(&self) -> (&'static str, String) {
        match self {
            Self::NotFound(what) => ("Not found", (*what).to_owned()),
            Self::Unreadable(what) => ("That does not read", what.clone()),
            Self::Forbidden(what) => ("Not allowed", (*what).to_owned()),
            Self::Foreign => {
                let why = "The form seems to come from another site, so nothing was done. Go back, reload the page and \
                           send it again.";
                ("Not done", why.to_owned())
            }
            Self::Unavailable => {
                ("The database does not answer", "Nothing is lost. Reload the page in a moment.".to_owned())
            }
            Self::Internal => {
                ("This page failed", "The fault is ours; the service's log has the reason.".to_owned())
            }
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let (title, detail) = self.words();
        let body = page(
            &Frame::plain(title),
            html! {
                h1 { (title) }
                p { (detail) }
                p { a href="/" { "Incidents now" } " · " a href="/search" { "Search" } }
            },
        );
        let mut response = (self.status(), body).into_response();
        if matches!(self, Self::Unavailable) {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        response
    }
}

/// A read with a deadline: a database that hangs is a database that is down.
pub(super) async fn read<T>(query: impl Future<Output = sqlx::Result<T>>) -> Result<T, Fault> {
    match tokio::time::timeout(READ_DEADLINE, query).await {
        Ok(answer) => answer.map_err(Fault::from),
        Err(_) => {
            tracing::warn!("a page's query took longer than {} s", READ_DEADLINE.as_secs());
            Err(Fault::Unavailable)
        }
    }
}
