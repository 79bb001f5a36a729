//! Signature Version 4 computed a second time, from a request as a server sees it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::server::Seen;

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The `Authorization` that this request must carry, given what it says of itself: its time, its headers.
pub fn authorization(seen: &Seen, id: &str, secret: &str, region: &str) -> String {
    let at = seen.header("x-amz-date");
    let day = at.split('T').next().unwrap();
    let sent = seen.header("authorization");
    let names = sent.split("SignedHeaders=").nth(1).unwrap().split(',').next().unwrap();
    let headers: String =
        names.split(';').map(|name| format!("{name}:{}\n", seen.header(name).trim())).collect();
    // Every service but S3 encodes the path that it received once more.
    let path: String = seen.path.chars().fold(String::new(), |path, c| {
        let plain = c.is_ascii_alphanumeric() || "-._~/".contains(c);
        if plain { path + &c.to_string() } else { path + &format!("%{:02X}", u32::from(c)) }
    });
    let body = hex(&Sha256::digest(&seen.body));
    let canonical = format!("{}\n{path}\n\n{headers}\n{names}\n{body}", seen.method);
    let scope = format!("{day}/{region}/bedrock/aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let key = [region, "bedrock", "aws4_request"]
        .iter()
        .fold(hmac(format!("AWS4{secret}").as_bytes(), day), |key, part| hmac(&key, part));
    let signature = hex(&hmac(&key, &to_sign));
    format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}")
}
