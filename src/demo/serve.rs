//! What the stand-ins share: serving on a listener from outside until told to stop, loopback only, and
//! faults that tests inject by path. It knows nothing of what is served.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long requests under way may take after the stop, before they are cut off.
const DRAIN: Duration = Duration::from_secs(1);

/// Longest wait that a `Hang` lasts; every client has given up by then.
const HANG: Duration = Duration::from_secs(600);

/// What happens to a request before it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Answered after this long.
    Delay(Duration),
    /// Answered with this status and nothing useful.
    Status(u16),
    /// Not answered at all.
    Hang,
}

/// Faults by a part of `path?query`; the longest part that fits wins. Shared with the test that sets them.
#[derive(Debug, Default)]
pub struct Faults {
    by_part: Mutex<Vec<(String, Fault)>>,
}

impl Faults {
    /// From now on, requests whose path or query contains this meet the fault.
    pub fn inject(&self, part: impl Into<String>, fault: Fault) {
        let part = part.into();
        let mut faults = self.by_part.lock().unwrap_or_else(PoisonError::into_inner);
        faults.retain(|(known, _)| *known != part);
        faults.push((part, fault));
    }

    pub fn clear(&self) {
        self.by_part.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub fn of(&self, path: &str) -> Option<Fault> {
        let faults = self.by_part.lock().unwrap_or_else(PoisonError::into_inner);
        faults
            .iter()
            .filter(|(part, _)| path.contains(part.as_str()))
            .max_by_key(|(part, _)| part.len())
            .map(|(_, fault)| *fault)
    }

    /// Waits as the fault says; a status means: answer with it and do nothing else.
    pub async fn meet(&self, path: &str) -> Option<u16> {
        match self.of(path)? {
            Fault::Delay(wait) => tokio::time::sleep(wait).await,
            Fault::Hang => hang().await,
            Fault::Status(status) => return Some(status),
        }
        None
    }
}

/// Keeps a caller waiting until it gives up.
pub(super) async fn hang() {
    tokio::time::sleep(HANG).await;
}

/// Serves until `shutdown`; what is under way then gets a moment to finish.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        let message = format!("a stand-in answers everybody and listens on loopback only, not on {address}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let server = axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    tokio::select! {
        served = server => served,
        () = async { shutdown.cancelled().await; tokio::time::sleep(DRAIN).await } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_wins_and_a_new_fault_replaces_the_old() {
        let faults = Faults::default();
        assert_eq!(faults.of("/api/v1/pods"), None);
        faults.inject("/api", Fault::Status(500));
        faults.inject("/api/v1/pods", Fault::Hang);
        faults.inject("/api", Fault::Status(503));
        assert_eq!(faults.of("/api/v1/pods?limit=2"), Some(Fault::Hang));
        assert_eq!(faults.of("/api/v1/nodes"), Some(Fault::Status(503)));
        faults.clear();
        assert_eq!(faults.of("/api/v1/nodes"), None);
    }

    #[tokio::test]
    async fn a_listener_that_others_can_reach_is_refused() {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let error = serve(listener, Router::new(), CancellationToken::new()).await.unwrap_err();
        assert!(error.to_string().contains("loopback only"), "{error}");
    }

    #[tokio::test]
    async fn a_request_that_hangs_does_not_keep_the_server() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let router = Router::new().fallback(|| async { hang().await });
        let server = tokio::spawn(serve(listener, router, shutdown.clone()));
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        shutdown.cancel();
        tokio::time::timeout(DRAIN * 3, server).await.unwrap().unwrap().unwrap();
    }
}
