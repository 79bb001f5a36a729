//! The API's description: `/openapi.json`, made from the handlers, and `/docs/api`, the same as a page for people. The
//! page needs no script and nothing from the network.

mod page;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi, openapi};

use crate::report::Report;

/// What no handler says. Handlers bring their paths.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "whodunit",
        description = "Incidents, investigations and their evidence; feedback, re-runs and mutes. Errors are problems \
            of RFC 9457. Where the settings name tokens (api.tokens), every request carries one: \
            `Authorization: Bearer TOKEN`. JSON answers carry an ETag. Lists can be exported as CSV or NDJSON, with \
            `Accept` or `format`; an export's `Link` header says where the next one begins.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(super::problem::Body, Report)),
    security((), ("token" = [])),
    modifiers(&Token),
    tags(
        (name = "incidents", description = "Trouble of one workload, from its first alert to its last resolve"),
        (name = "investigations", description = "Looks at an incident, with report and evidence"),
        (name = "actions", description = "What changes something; needs a token with the scope `write`"),
        (name = "runbooks", description = "What investigations follow, and what came of it"),
        (name = "stats", description = "Costs and time saved"),
        (name = "audit", description = "Who did what; needs a token with the scope `admin`"),
    ),
)]
pub(super) struct Document;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let token = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        document.components.get_or_insert_default().add_security_scheme("token", token);
    }
}

/// Everything is made once, when the service starts.
pub(super) fn router<S: Clone + Send + Sync + 'static>(document: &openapi::OpenApi) -> Router<S> {
    let json: Arc<str> = serde_json::to_string(document).unwrap_or_default().into();
    let page: Arc<str> = page::page(&serde_json::to_value(document).unwrap_or_default()).into();
    Router::new()
        .route("/openapi.json", get(move || served("application/json", Arc::clone(&json))))
        .route("/docs/api", get(move || served("text/html; charset=utf-8", Arc::clone(&page))))
        .route(
            "/docs/api.css",
            get(|| served("text/css; charset=utf-8", include_str!("docs/api.css").into())),
        )
}

async fn served(kind: &'static str, text: Arc<str>) -> impl IntoResponse {
    const POLICY: HeaderValue = HeaderValue::from_static(
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, text.to_string())
}
