//! The HTTP server: a listener and a router in, connections served until the shutdown. It bounds how many connections
//! are open and how long a head may take, so that slow or idle strangers cannot keep senders out. HTTP/1.1 only: to tell the
//! versions apart a server waits for first bytes without any deadline. It knows no route.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// A connection whose next request has no complete head for so long is closed, also when it is only idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// Connections beyond the limit that are told so at once; what comes beyond these is closed without a word.
const MAX_REFUSALS: usize = 64;
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);
/// After a failed accept (no file descriptors left) the next try comes so much later.
const ACCEPT_AGAIN: Duration = Duration::from_millis(200);
/// Part of the drain that open requests get: a half-open connection must not hold it.
const DRAIN: Duration = Duration::from_secs(5);

const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\nconnection: close\r\n\
    content-type: text/plain\r\ncontent-length: 27\r\n\r\ntoo many open connections.\n";

/// Serves until `shutdown`, never more than `max_connections` connections at once; then lets open requests end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    max_connections: usize,
    shutdown: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(max_connections.clamp(1, Semaphore::MAX_PERMITS)));
    let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
    let graceful = GracefulShutdown::new();
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
            if let Ok(turn) = Arc::clone(&refusals).try_acquire_owned() {
                tokio::spawn(async move {
                    refuse(stream).await;
                    drop(turn);
                });
            }
            continue;
        };
        // Answers are small: to wait for more of one would only delay it.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::trace!(%error, "a connection ended badly");
            }
            drop(place);
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were still open after {DRAIN:?} and were cut");
    }
}

/// Tells a sender to come again, which all do after a 503. What it sent is read first, a little of it: closing over
/// unread bytes would throw the answer away.
async fn refuse(mut stream: TcpStream) {
    let told = async {
        stream.write_all(REFUSAL).await?;
        stream.shutdown().await?;
        let mut sent = [0; 4096];
        while tokio::io::AsyncReadExt::read(&mut stream, &mut sent).await? > 0 {}
        std::io::Result::Ok(())
    };
    // A peer that neither reads nor closes is left.
    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, told).await;
}
