//! Step 8 for people: `GET` requests in, pages out, over the same rows as the API; small forms in, feedback out.
//! Everything is rendered here, works without script, and shows only what was redacted before it was stored. Every
//! text from outside passes a template that escapes it, under a policy that lets no script or style stand in a page.

mod actions;
mod assets;
mod costs;
mod difference;
mod door;
mod fault;
mod highlight;
mod incidents;
mod investigation;
mod layout;
mod runbooks;
mod scale;
mod search;
mod session;
mod sign_in;
mod spark;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use sqlx::PgPool;
use tower::ServiceExt;
use tower_http::set_header::SetResponseHeaderLayer;

pub use door::Door;
use fault::Fault;

use crate::api::ApiState;

/// Bytes of a form.
const MAX_FORM_BYTES: usize = 16 * 1024;
/// Nothing but our own files, no script or style within a page, no frame around it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
);
/// Forms need their `Origin`, which `no-referrer` would take away.
const REFERRER: HeaderValue = HeaderValue::from_static("same-origin");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// What is spoken to by programs: unknown paths there stay problems.
const FOR_PROGRAMS: [&str; 5] = ["/api/", "/webhooks/", "/slack/", "/mcp", "/assets/"];

/// What the pages share.
#[derive(Clone)]
struct Pages {
    api: ApiState,
}

impl Pages {
    fn pool(&self) -> &PgPool {
        &self.api.pool
    }
}

/// Puts the pages beside `others`, the whole rest of the service. Unknown paths that people may come to become pages.
pub fn around(others: Router, state: ApiState, public_url: &str) -> Router {
    let door = Door { tokens: state.tokens.clone(), public_url: public_url.to_owned() };
    let inside = Router::new()
        .route("/", get(incidents::now))
        .route("/incidents/{id}", get(incidents::one))
        .route("/investigations/{id}", get(investigation::one))
        .route("/investigations/{id}/evidence/{evidence}", get(investigation::observation))
        .route("/investigations/{id}/feedback", post(actions::rate))
        .route("/investigations/{id}/rerun", post(actions::rerun))
        .route("/investigations/{id}/mute", post(actions::mute))
        .route("/investigations/{id}/unmute", post(actions::unmute))
        .route("/search", get(search::page))
        .route("/runbooks", get(runbooks::all))
        .route("/runbooks/{name}", get(runbooks::one))
        .route("/costs", get(costs::page))
        .layer(middleware::from_fn_with_state(door.clone(), door::enter))
        .with_state(Pages { api: state });
    let outside = Router::new()
        .route("/sign-in", get(sign_in::form).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .layer(middleware::from_fn_with_state(door.clone(), door::guard_forms))
        .route("/assets/{file}", get(assets::asset))
        .with_state(door.clone());
    let pages = headed(inside.merge(outside).layer(DefaultBodyLimit::max(MAX_FORM_BYTES)));
    let lost =
        headed(Router::new().fallback(|| async { Fault::NotFound("There is nothing at this address.") }));
    others
        .merge(pages)
        .layer(middleware::from_fn_with_state(lost, find_nothing))
        .layer(middleware::from_fn_with_state(door, door::carry))
}

fn headed(router: Router) -> Router {
    let always = SetResponseHeaderLayer::overriding;
    router
        .layer(always(header::CONTENT_SECURITY_POLICY, POLICY))
        .layer(always(header::REFERRER_POLICY, REFERRER))
        .layer(always(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF))
        .layer(always(HeaderName::from_static("x-frame-options"), HeaderValue::from_static("DENY")))
        .layer(SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, NO_STORE))
}

/// The API answers unknown paths with a problem; for people it is a page.
async fn find_nothing(State(lost): State<Router>, request: Request, next: Next) -> Response {
    let for_programs = FOR_PROGRAMS.iter().any(|start| request.uri().path().starts_with(start));
    let answer = next.run(request).await;
    let problem = answer.headers().get(header::CONTENT_TYPE);
    let is_problem = problem.is_some_and(|kind| kind == "application/problem+json");
    if answer.status() != StatusCode::NOT_FOUND || !is_problem || for_programs {
        return answer;
    }
    match lost.oneshot(Request::new(Body::empty())).await {
        Ok(page) => page,
        Err(never) => match never {},
    }
}
