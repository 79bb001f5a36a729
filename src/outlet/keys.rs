//! Signatures of Standard Webhooks: secrets of the settings become keys; an event's id, the time of the attempt and the
//! body become the header that proves who sent it. Pure; it shows no key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::Sha256;

const PREFIX: &str = "whsec_";
/// What the specification asks for.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// More are a mistake: two are needed while one replaces the other.
const MAX_KEYS: usize = 8;

/// Why a secret is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    #[error("a webhook needs a secret, by which its receiver knows us: secrets or secrets_file")]
    None,
    #[error("it has more than 8 secrets")]
    TooMany,
    #[error("a secret is whsec_ and 24 to 64 random bytes in base64: echo whsec_$(openssl rand -base64 32)")]
    NoKey,
}

/// One key or several, all in force.
#[derive(Debug)]
pub struct Keys(Vec<SecretSlice<u8>>);

impl Keys {
    /// # Errors
    /// What is wrong, without the secret.
    pub fn new(secrets: &[SecretString]) -> Result<Self, BadKey> {
        match secrets.len() {
            0 => Err(BadKey::None),
            1..=MAX_KEYS => Ok(Self(secrets.iter().map(key).collect::<Result<_, _>>()?)),
            _ => Err(BadKey::TooMany),
        }
    }

    /// The header `webhook-signature`: one signature a key, in their order.
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let signatures = self.0.iter().filter_map(|key| {
            // HMAC takes keys of any length, so none is left out.
            let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret()).ok()?;
            mac.update(format!("{id}.{timestamp}.").as_bytes());
            mac.update(body.as_bytes());
            Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

fn key(secret: &SecretString) -> Result<SecretSlice<u8>, BadKey> {
    let text = secret.expose_secret().trim().strip_prefix(PREFIX).ok_or(BadKey::NoKey)?;
    let bytes = STANDARD.decode(text).map_err(|_| BadKey::NoKey)?;
    if KEY_BYTES.contains(&bytes.len()) { Ok(bytes.into()) } else { Err(BadKey::NoKey) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the specification's libraries are tested with.
    #[test]
    fn the_signature_is_that_of_the_specification() {
        let keys = Keys::new(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()]).unwrap();
        let signature = keys.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_that_is_none_is_named_and_not_shown() {
        let of = |secrets: &[&str]| {
            let secrets: Vec<SecretString> = secrets.iter().map(|one| SecretString::from(*one)).collect();
            Keys::new(&secrets).map(|keys| keys.0.len())
        };
        let good = format!("whsec_{}", STANDARD.encode([7; 32]));
        assert_eq!(of(&[]), Err(BadKey::None));
        assert_eq!(of(&[&good, &good]), Ok(2));
        assert_eq!(of(&[good.as_str(); 9]), Err(BadKey::TooMany));
        for bad in [&good[6..], "whsec_c2hvcnQ=", "whsec_%%%", "", &format!("{good}AAAA")] {
            assert_eq!(of(&[bad]), Err(BadKey::NoKey), "{bad}");
        }
        let keys = Keys::new(&[good.as_str().into()]).unwrap();
        assert!(!format!("{keys:?}").contains('7'), "{keys:?}");
    }
}
