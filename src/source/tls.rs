//! Which setting a failed handshake speaks of: an error's chain in, words for a person out. It decides nothing: the
//! handshake has failed already.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};

const THEIRS: &str =
    "the server's certificate is signed by nobody whom ca_file, or without it the system, trusts";
const OTHER_NAME: &str = "the server's certificate is for other names than that of the url";
const THEIRS_EXPIRED: &str = "the server's certificate is not valid now";
const WANTED: &str =
    "the server wants a certificate of ours: cert_file and key_file, or the kubeconfig's user";
const PERHAPS_WANTED: &str = "the server may want a certificate of ours: cert_file and key_file";
/// In TLS 1.3 the server judges our certificate when we are done with the handshake: its word may come before the
/// request goes out, and is then lost.
const LEFT: &str = "the server ended the connection before it was asked; over TLS that may mean that it does not accept \
                    our certificate, or wants one: cert_file, or the kubeconfig's user";
const OURS: &str = "the server does not accept our certificate: cert_file, or the kubeconfig's user";
const OURS_EXPIRED: &str = "our certificate has expired: cert_file, or the kubeconfig's user";

/// None for an error that is not about certificates.
pub(super) fn hint(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut left = None;
    let mut next = Some(error);
    while let Some(error) = next {
        // An `io::Error` shows the cause of what it wraps, not what it wraps.
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        let found = wrapped.and_then(|inner| inner.downcast_ref()).or_else(|| error.downcast_ref());
        if let Some(found) = found {
            return told(found);
        }
        if error.downcast_ref().is_some_and(hyper::Error::is_canceled) {
            left = Some(LEFT);
        }
        next = match wrapped {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    left
}

fn told(error: &rustls::Error) -> Option<&'static str> {
    use AlertDescription as Alert;
    use CertificateError as Fault;
    match error {
        rustls::Error::InvalidCertificate(fault) => Some(match fault {
            Fault::NotValidForName | Fault::NotValidForNameContext { .. } => OTHER_NAME,
            Fault::Expired
            | Fault::ExpiredContext { .. }
            | Fault::NotValidYet
            | Fault::NotValidYetContext { .. } => THEIRS_EXPIRED,
            _ => THEIRS,
        }),
        rustls::Error::AlertReceived(Alert::CertificateRequired) => Some(WANTED),
        // TLS 1.2 has no word of its own for a certificate that is missing.
        rustls::Error::AlertReceived(Alert::HandshakeFailure) => Some(PERHAPS_WANTED),
        rustls::Error::AlertReceived(Alert::CertificateExpired) => Some(OURS_EXPIRED),
        rustls::Error::AlertReceived(
            Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied
            | Alert::DecryptError,
        ) => Some(OURS),
        _ => None,
    }
}
