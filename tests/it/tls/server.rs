//! Authorities, their certificates, and servers with real TLS before a plain upstream: HTTP ones that may demand a
//! certificate and headers, and one that speaks PostgreSQL's way into TLS.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio_rustls::TlsAcceptor;

use crate::house;

/// After a handshake that failed: the other side hears why before the connection is gone.
const PARTING: Duration = Duration::from_secs(2);
/// PostgreSQL's request to go on in TLS, and the answer.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Signs certificates, and says so in `ca.pem` of a folder of its own.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), folder }
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    fn signed(&self, params: &CertificateParams) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// Writes `NAME.pem` and `NAME.key` for a client of that name, good until this year.
    pub fn client(&self, name: &str, until: i32) -> (PathBuf, PathBuf) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let (certificate, key) = self.signed(&params);
        let files = (self.file(&format!("{name}.pem")), self.file(&format!("{name}.key")));
        std::fs::write(&files.0, certificate).unwrap();
        std::fs::write(&files.1, key).unwrap();
        files
    }

    fn server(&self, names: &[&str], clients: Option<&Path>) -> TlsAcceptor {
        whodunit::app::install_tls();
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let (certificate, key) = self.signed(&CertificateParams::new(names).unwrap());
        let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let config = match clients {
            None => ServerConfig::builder().with_no_client_auth(),
            Some(file) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_file(file).unwrap()).unwrap();
                let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
                ServerConfig::builder().with_client_cert_verifier(verifier)
            }
        };
        TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()))
    }
}

/// What a server wants to see before it answers.
#[derive(Default)]
pub struct Demands<'a> {
    /// A certificate signed by the authority of this file.
    pub clients: Option<&'a Path>,
    /// Each of these, or 401.
    pub headers: Vec<(&'static str, &'static str)>,
}

/// An HTTPS server on loopback that passes on what it lets in.
pub struct Secured {
    pub url: String,
    let_in: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Door {
    http: reqwest::Client,
    upstream: String,
    headers: Vec<(&'static str, &'static str)>,
    let_in: Arc<AtomicU64>,
}

impl Secured {
    pub fn start(upstream: &str, authority: &Authority, demands: Demands<'_>) -> Self {
        let acceptor = authority.server(&["127.0.0.1"], demands.clients);
        let let_in = Arc::new(AtomicU64::new(0));
        let door = Door {
            http: house::http(),
            upstream: upstream.to_owned(),
            headers: demands.headers,
            let_in: Arc::clone(&let_in),
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(pass).with_state(door);
        tokio::spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(acceptor.clone(), stream, router.clone()));
            }
        });
        Self { url, let_in }
    }

    /// Requests that were passed on.
    pub fn let_in(&self) -> u64 {
        self.let_in.load(Ordering::Relaxed)
    }
}

async fn serve(acceptor: TlsAcceptor, stream: TcpStream, router: Router) {
    match acceptor.accept(stream).into_fallible().await {
        Ok(stream) => {
            let service = TowerToHyperService::new(router);
            let connection = hyper::server::conn::http1::Builder::new();
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        }
        Err((_, mut stream)) => {
            let rest = async { while matches!(stream.read(&mut [0; 1024]).await, Ok(1..)) {} };
            let _ = tokio::time::timeout(PARTING, rest).await;
        }
    }
}

async fn pass(State(door): State<Door>, request: Request) -> Response {
    let carries = |(name, value): &(&str, &str)| request.headers().get(*name).is_some_and(|got| got == value);
    if !door.headers.iter().all(carries) {
        return (StatusCode::UNAUTHORIZED, "who are you?").into_response();
    }
    door.let_in.fetch_add(1, Ordering::Relaxed);
    let (head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let mut passed = door.http.request(head.method, format!("{}{path}", door.upstream)).body(body);
    for name in ["accept", "content-type"] {
        if let Some(value) = head.headers.get(name) {
            passed = passed.header(name, value);
        }
    }
    let answer = passed.send().await.unwrap();
    let mut response = Response::builder().status(answer.status());
    for name in ["content-type", "date"] {
        if let Some(value) = answer.headers().get(name) {
            response = response.header(name, value);
        }
    }
    response.body(Body::from(answer.bytes().await.unwrap())).unwrap()
}

/// TLS for `localhost` before a PostgreSQL that listens on a Unix socket only.
pub fn before_postgres(socket: &Path, authority: &Authority) -> u16 {
    let (acceptor, socket) = (authority.server(&["localhost"], None), socket.to_owned());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let listener = TcpListener::from_std(listener).unwrap();
        while let Ok((mut client, _)) = listener.accept().await {
            let (acceptor, socket) = (acceptor.clone(), socket.clone());
            tokio::spawn(async move {
                let mut request = [0; 8];
                client.read_exact(&mut request).await?;
                // Whoever does not ask for TLS is not served.
                if request != SSL_REQUEST {
                    return Ok(());
                }
                client.write_all(b"S").await?;
                let mut client = acceptor.accept(client).await?;
                let mut server = UnixStream::connect(socket).await?;
                tokio::io::copy_bidirectional(&mut client, &mut server).await.map(|_| ())
            });
        }
    });
    port
}
