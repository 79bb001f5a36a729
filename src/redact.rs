//! The one redaction point: text from a cluster goes in, the same text without credentials comes out.
//! Pure; it never knows where a text came from.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

/// Assignments to names that hold secrets, credentials in addresses, bearer tokens and private keys.
static SECRETS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r#"(?i)((?:password|passwd|secret|token|api[_-]?key|access[_-]?key)["']?\s*[=:]\s*["']?)[^\s"',;]+"#,
        r"|(://[^\s:/@]+:)[^\s@]+(@)",
        r"|(bearer\s+)[A-Za-z0-9._~+/-]{8,}=*",
    ))
    .ok()
});

/// The text with values that look like credentials replaced by `[redacted]`.
pub fn redact(text: &str) -> Cow<'_, str> {
    match SECRETS.as_ref() {
        Some(pattern) => pattern.replace_all(text, "$1$2$4[redacted]$3"),
        None => Cow::Owned("[redacted]".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_go_and_the_rest_stays() {
        assert_eq!(redact("postgres://app:hunter2@db:5432/x"), "postgres://app:[redacted]@db:5432/x");
        assert_eq!(redact("DB_PASSWORD=abc next"), "DB_PASSWORD=[redacted] next");
        assert_eq!(redact("secret \"db-credentials\" not found"), "secret \"db-credentials\" not found");
    }
}
