//! A TCP proxy that fails as networks do: it cuts a connection after PostgreSQL was told to commit and before its
//! answer is passed on, loses requests and answers by chance, and lets nothing through at all. It also notes the
//! status of every HTTP answer that it passes on.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;

use crate::dice::Dice;
use crate::wire::{Commit, Frontend};

const CHUNK_BYTES: usize = 16 * 1024;

#[derive(Debug, Clone)]
pub enum Upstream {
    Postgres(PathBuf),
    Http(u16),
}

/// What goes wrong from now on.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// The next commit of this kind loses its answer.
    pub cut_next: Option<Commit>,
    /// This share of commits and of HTTP requests loses its answer.
    pub lost_answers: f64,
    /// This share of HTTP requests never arrives.
    pub lost_requests: f64,
    /// Each HTTP answer comes later by this.
    pub delay: Duration,
}

pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    upstream: Upstream,
    faults: Mutex<Faults>,
    dice: Mutex<Dice>,
    cuts: AtomicU64,
    statuses: Mutex<BTreeMap<u16, u64>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    pub async fn start(upstream: Upstream, seed: u64) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            upstream,
            faults: Mutex::default(),
            dice: Mutex::new(Dice::new(seed)),
            cuts: AtomicU64::new(0),
            statuses: Mutex::default(),
        });
        let serving = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let _ = client.set_nodelay(true);
                tokio::spawn(Arc::clone(&serving).serve(client));
            }
        });
        Ok(Self { port, shared, accepting })
    }

    pub fn set(&self, faults: Faults) {
        *lock(&self.shared.faults) = faults;
    }

    /// Answers and requests that were lost so far.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }

    /// How often each HTTP status was passed on.
    pub fn statuses(&self) -> BTreeMap<u16, u64> {
        lock(&self.shared.statuses).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    async fn serve(self: Arc<Self>, client: TcpStream) {
        // Without a server behind it, the connection is closed at once.
        match &self.upstream {
            Upstream::Postgres(socket) => {
                if let Ok(server) = UnixStream::connect(socket).await {
                    let (read, write) = server.into_split();
                    self.pump(client, read, write).await;
                }
            }
            Upstream::Http(port) => {
                if let Ok(server) = TcpStream::connect(("127.0.0.1", *port)).await {
                    let _ = server.set_nodelay(true);
                    let (read, write) = server.into_split();
                    self.pump(client, read, write).await;
                }
            }
        }
    }

    /// Returns when either side is done or a fault cuts the connection; dropping the streams closes both.
    async fn pump(
        &self,
        client: TcpStream,
        from_server: impl AsyncRead + Unpin,
        to_server: impl AsyncWrite + Unpin,
    ) {
        let (from_client, to_client) = client.into_split();
        let is_answer_lost = AtomicBool::new(false);
        tokio::select! {
            () = self.upwards(from_client, to_server, &is_answer_lost) => {}
            () = self.downwards(from_server, to_client, &is_answer_lost) => {}
        }
    }

    async fn upwards(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        lose: &AtomicBool,
    ) {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut frontend = Frontend::default();
        while let Ok(count @ 1..) = from.read(&mut chunk).await {
            let fate = match self.upstream {
                Upstream::Postgres(_) => {
                    frontend.take(&chunk[..count]).map_or(Fate::Passes, |commit| self.of_commit(commit))
                }
                Upstream::Http(_) => self.of_request(),
            };
            if fate == Fate::RequestLost {
                self.cuts.fetch_add(1, Ordering::Relaxed);
                return;
            }
            // Before the server can answer.
            lose.fetch_or(fate == Fate::AnswerLost, Ordering::SeqCst);
            if to.write_all(&chunk[..count]).await.is_err() {
                return;
            }
        }
    }

    async fn downwards(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        lose: &AtomicBool,
    ) {
        let mut chunk = vec![0; CHUNK_BYTES];
        while let Ok(count @ 1..) = from.read(&mut chunk).await {
            if lose.load(Ordering::SeqCst) {
                self.cuts.fetch_add(1, Ordering::Relaxed);
                return;
            }
            if let Some(status) = status(&chunk[..count]) {
                let delay = lock(&self.faults).delay;
                tokio::time::sleep(delay).await;
                *lock(&self.statuses).entry(status).or_default() += 1;
            }
            if to.write_all(&chunk[..count]).await.is_err() {
                return;
            }
        }
    }

    fn of_commit(&self, commit: Commit) -> Fate {
        let mut faults = lock(&self.faults);
        if faults.cut_next == Some(commit) {
            faults.cut_next = None;
            return Fate::AnswerLost;
        }
        let share = if commit == Commit::Nothing { 0.0 } else { faults.lost_answers };
        if lock(&self.dice).is_below(share) { Fate::AnswerLost } else { Fate::Passes }
    }

    fn of_request(&self) -> Fate {
        let faults = lock(&self.faults).clone();
        let mut dice = lock(&self.dice);
        if dice.is_below(faults.lost_requests) {
            Fate::RequestLost
        } else if dice.is_below(faults.lost_answers) {
            Fate::AnswerLost
        } else {
            Fate::Passes
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passes,
    RequestLost,
    AnswerLost,
}

/// Of an answer's first line.
fn status(bytes: &[u8]) -> Option<u16> {
    let rest = bytes.strip_prefix(b"HTTP/1.1 ")?;
    std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()
}
