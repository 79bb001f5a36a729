//! The door of engineers' own agents: requests of the Model Context Protocol come in over streamable HTTP, each with a
//! token of the API, answers of read-only tools go out. What is stored is read as the API reads it, the cluster as an
//! investigation does, both held to what the token sees. It keeps no session and changes nothing.

mod cluster;
mod clusters;
mod door;
mod lessons;
mod pace;
mod server;
mod stored;
mod told;

use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::middleware;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower_http::set_header::SetResponseHeaderLayer;

pub use cluster::Cluster;
pub use clusters::Clusters;

use crate::api::{ApiState, MAX_BODY_BYTES};
use crate::settings;
use pace::Pace;
use server::Server;

/// Where agents reach it.
pub const PATH: &str = "/mcp";

/// What the tools share.
struct Shared {
    api: ApiState,
    /// None: nobody may read the live systems.
    clusters: Option<Clusters>,
    pace: Pace,
}

/// What a tool has to say.
#[derive(Debug, Default)]
struct Answer {
    text: String,
    /// The same for programs.
    structured: Option<Value>,
}

/// Why a tool says nothing, in words that help to ask better.
#[derive(Debug, PartialEq, Eq)]
struct Refused(String);

type Said = Result<Answer, Refused>;

/// `/mcp`, for whoever has a token; nothing where it is switched off.
///
/// # Errors
/// A setting that cannot work, by its name.
pub fn router(
    settings: &settings::Mcp,
    public_url: &str,
    api: ApiState,
    clusters: Clusters,
    shutdown: CancellationToken,
) -> anyhow::Result<Router> {
    if !settings.enabled {
        return Ok(Router::new());
    }
    // A wrong address breaks links as well and is `config check`'s to refuse; the service starts all the same.
    let hosts = door::hosts(settings, public_url).or_else(|error| {
        tracing::warn!(%error, "agents reach {PATH} under fewer names");
        door::hosts(settings, "")
    })?;
    let clusters = Some(clusters).filter(|_| settings.cluster_tools);
    let tokens = Arc::clone(&api.tokens);
    let shared = Arc::new(Shared { api, clusters, pace: Pace::new(settings.calls_per_minute) });
    // Without sessions every replica answers every request, and nothing is left behind.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(MAX_BODY_BYTES)
        .with_allowed_hosts(hosts.names)
        .with_allowed_origins(hosts.origins)
        .enforce_origin_validation()
        .with_cancellation_token(shutdown);
    let sessions = Arc::new(NeverSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(Server(Arc::clone(&shared))), sessions, config);
    let nosniff = (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(Router::new()
        .route_service(PATH, service)
        .layer(middleware::from_fn(door::bounded))
        .layer(middleware::from_fn_with_state(tokens, door::authorized))
        .layer(SetResponseHeaderLayer::overriding(nosniff.0, nosniff.1))
        .layer(SetResponseHeaderLayer::if_not_present(no_store.0, no_store.1)))
}

/// Finds settings that cannot work, without a service.
///
/// # Errors
/// As `router`.
pub fn check(settings: &settings::Mcp, public_url: &str) -> anyhow::Result<()> {
    if settings.enabled { door::hosts(settings, public_url).map(|_| ()) } else { Ok(()) }
}
