//! Who may post. Settings go in once; request headers are checked against them before a body is read.
//! It never shows a secret, and a comparison takes the same time however much of a credential was right.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail, ensure};
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret;
use subtle::{Choice, ConstantTimeEq};

use super::rejection::{Accepted, Rejection};
use crate::settings::Credentials;

/// Longest credential, in bytes. All are compared at this length, so that time says nothing of theirs.
const MAX_CREDENTIAL_BYTES: usize = 2048;
/// Largest file of tokens that is read, in bytes.
const MAX_TOKENS_FILE_BYTES: u64 = 1 << 20;

/// The credentials of one sender. Without any, everybody who can reach the port may post.
pub struct Guard {
    bearer: Vec<Padded>,
    /// Each as `user:password`.
    basic: Vec<Padded>,
}

/// A secret at a fixed length, its own length beside it.
struct Padded {
    bytes: Box<[u8; MAX_CREDENTIAL_BYTES]>,
    length: u64,
}

impl Padded {
    fn new(secret: &[u8]) -> Option<Self> {
        let mut bytes = Box::new([0; MAX_CREDENTIAL_BYTES]);
        bytes.get_mut(..secret.len())?.copy_from_slice(secret);
        Some(Self { bytes, length: secret.len() as u64 })
    }

    /// Compares with every credential, also after one was equal.
    fn is_any_of(&self, known: &[Self]) -> bool {
        let found = known.iter().fold(Choice::from(0), |found, other| {
            found | (self.bytes.ct_eq(&*other.bytes) & self.length.ct_eq(&other.length))
        });
        found.into()
    }
}

impl Guard {
    /// Fails on credentials that could never be presented, and on a file of tokens without a token: both
    /// would otherwise shut a sender out, or let everybody in, without a word.
    pub fn new(credentials: &Credentials) -> anyhow::Result<Self> {
        let mut bearer = Vec::new();
        for (index, token) in credentials.bearer_tokens.iter().enumerate() {
            bearer.push(
                padded(token.expose_secret().trim()).with_context(|| format!("bearer_tokens[{index}]"))?,
            );
        }
        if let Some(path) = &credentials.bearer_tokens_file {
            let text = read_tokens(path).with_context(|| format!("bearer_tokens_file {}", path.display()))?;
            for token in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
                bearer.push(padded(token).with_context(|| format!("bearer_tokens_file {}", path.display()))?);
            }
        }
        let mut basic = Vec::new();
        for (user, password) in &credentials.basic {
            ensure!(!user.contains(':'), "basic: a user name cannot hold a colon: {user:?}");
            ensure!(!password.expose_secret().is_empty(), "basic: the password of {user:?} is empty");
            let pair = format!("{user}:{}", password.expose_secret());
            basic.push(padded(&pair).with_context(|| format!("basic: the password of {user:?}"))?);
        }
        Ok(Self { bearer, basic })
    }

    /// Whether everybody may post.
    pub fn is_open(&self) -> bool {
        self.bearer.is_empty() && self.basic.is_empty()
    }

    /// Lets a request pass that carries exactly one valid credential.
    pub fn admit(&self, headers: &HeaderMap) -> Result<(), Rejection> {
        if self.is_open() || self.knows(headers) { Ok(()) } else { Err(self.refusal()) }
    }

    /// Whether a request carries exactly one credential, and it is one of these.
    pub(super) fn knows(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let Some((scheme, rest)) = value.to_str().ok().and_then(|text| text.trim().split_once(' ')) else {
            return false;
        };
        let (known, secret) = if scheme.eq_ignore_ascii_case("bearer") {
            (&self.bearer, Some(rest.trim().as_bytes().to_vec()))
        } else if scheme.eq_ignore_ascii_case("basic") {
            (&self.basic, STANDARD.decode(rest.trim()).ok())
        } else {
            return false;
        };
        secret.and_then(|secret| Padded::new(&secret)).is_some_and(|presented| presented.is_any_of(known))
    }

    pub(super) fn refusal(&self) -> Rejection {
        let accepted = |known: &[Padded]| if known.is_empty() { Accepted::No } else { Accepted::Yes };
        Rejection::Unauthorised { bearer: accepted(&self.bearer), basic: accepted(&self.basic) }
    }
}

fn padded(secret: &str) -> anyhow::Result<Padded> {
    ensure!(!secret.is_empty(), "is empty");
    Padded::new(secret.as_bytes()).with_context(|| format!("is longer than {MAX_CREDENTIAL_BYTES} bytes"))
}

fn read_tokens(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = File::open(path)?.take(MAX_TOKENS_FILE_BYTES + 1).read_to_string(&mut text)? as u64;
    ensure!(read <= MAX_TOKENS_FILE_BYTES, "is larger than {MAX_TOKENS_FILE_BYTES} bytes");
    if text.trim().is_empty() {
        bail!("holds no token");
    }
    Ok(text)
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("bearer_tokens", &self.bearer.len())
            .field("basic_users", &self.basic.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use std::io::Write;

    fn guard(bearer: &[&str], basic: &[(&str, &str)]) -> Guard {
        Guard::new(&Credentials {
            bearer_tokens: bearer.iter().map(|token| (*token).into()).collect(),
            bearer_tokens_file: None,
            basic: basic.iter().map(|(user, password)| ((*user).to_owned(), (*password).into())).collect(),
        })
        .unwrap()
    }

    fn admits(guard: &Guard, value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        guard.admit(&headers).is_ok()
    }

    #[test]
    fn without_credentials_everybody_may_post() {
        let open = guard(&[], &[]);
        assert!(open.is_open());
        assert_eq!(open.admit(&HeaderMap::new()), Ok(()));
    }

    #[test]
    fn every_configured_token_is_valid_and_nothing_else_is() {
        let guard = guard(&["old-token", "new-token"], &[]);
        for good in ["Bearer old-token", "bearer new-token", "BEARER  old-token "] {
            assert!(admits(&guard, good), "{good}");
        }
        for bad in [
            "Bearer old-toke",
            "Bearer old-token2",
            "Bearer ",
            "Bearer",
            "old-token",
            "Token old-token",
            "Basic old-token",
            "Bearer old-token\u{ff}",
        ] {
            assert!(!admits(&guard, bad), "{bad}");
        }
        assert_eq!(guard.admit(&HeaderMap::new()), Err(guard.refusal()));
    }

    #[test]
    fn a_token_padded_with_nul_is_not_the_token() {
        let known = [Padded::new(b"token").unwrap()];
        assert!(!Padded::new(b"token\0").unwrap().is_any_of(&known));
        assert!(Padded::new(b"token").unwrap().is_any_of(&known));
    }

    #[test]
    fn basic_takes_user_and_password_together() {
        let guard = guard(&[], &[("am", "pass:word"), ("other", "x")]);
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        assert!(admits(&guard, &basic("am:pass:word")));
        assert!(admits(&guard, &basic("other:x")));
        for bad in ["am:x", "other:pass:word", "am:", ":pass:word", "am"] {
            assert!(!admits(&guard, &basic(bad)), "{bad}");
        }
        assert!(!admits(&guard, "Basic !!!"));
        assert!(!admits(&guard, "Bearer am:pass:word"));
    }

    #[test]
    fn two_authorization_headers_are_none() {
        let guard = guard(&["token"], &[]);
        let mut headers = HeaderMap::new();
        headers.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer token"));
        headers.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer token"));
        assert!(guard.admit(&headers).is_err());
    }

    #[test]
    fn a_credential_longer_than_the_limit_is_refused_on_both_sides() {
        let long = "x".repeat(MAX_CREDENTIAL_BYTES + 1);
        assert!(!admits(&guard(&["token"], &[]), &format!("Bearer {long}")));
        let credentials = Credentials { bearer_tokens: vec![long.as_str().into()], ..Credentials::default() };
        assert!(Guard::new(&credentials).is_err());
        let longest = &long[1..];
        assert!(admits(&guard(&[longest], &[]), &format!("Bearer {longest}")));
    }

    #[test]
    fn a_file_holds_one_token_a_line_and_an_empty_one_is_an_error() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let credentials =
            Credentials { bearer_tokens_file: Some(file.path().to_owned()), ..Credentials::default() };
        assert!(Guard::new(&credentials).is_err(), "an empty file must not open the door");
        file.write_all(b"first\r\n\n  second\n").unwrap();
        let guard = Guard::new(&credentials).unwrap();
        assert!(admits(&guard, "Bearer first"));
        assert!(admits(&guard, "Bearer second"));
        assert!(!admits(&guard, "Bearer "));
    }

    #[test]
    fn empty_secrets_are_errors() {
        for credentials in [
            Credentials { bearer_tokens: vec!["".into()], ..Credentials::default() },
            Credentials { basic: [("am".to_owned(), "".into())].into(), ..Credentials::default() },
            Credentials { basic: [("a:m".to_owned(), "x".into())].into(), ..Credentials::default() },
            Credentials { bearer_tokens_file: Some("/nonexistent".into()), ..Credentials::default() },
        ] {
            assert!(Guard::new(&credentials).is_err(), "{credentials:?}");
        }
    }

    #[test]
    fn debug_shows_counts_and_no_secret() {
        let shown = format!("{:?}", guard(&["hush-token"], &[("am", "hush-password")]));
        assert_eq!(shown, "Guard { bearer_tokens: 1, basic_users: 1 }");
    }
}
