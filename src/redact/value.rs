//! Whether a value beside a telling key is a secret: placeholders, names of objects and words of prose are
//! not. Pure judgements over short texts; what is long and unbroken counts as a secret at once.

/// A longer unbroken value is no word and no name; judging it would only cost time.
const MAX_JUDGED_BYTES: usize = 200;
/// Shorter values in prose are words or numbers.
const MIN_SECRET_BYTES_IN_PROSE: usize = 6;
/// A number with fewer digits, as the value of a token, is a count.
const MIN_TOKEN_DIGITS: usize = 8;

/// Words that stand where a secret would and are none.
const WORDS: &[&str] = &[
    "null",
    "nil",
    "none",
    "true",
    "false",
    "yes",
    "no",
    "ok",
    "set",
    "unset",
    "empty",
    "undefined",
    "expired",
    "invalid",
    "missing",
    "required",
    "forbidden",
    "denied",
    "revoked",
    "unauthorized",
    "unknown",
    "redacted",
    "hidden",
    "masked",
    "bearer",
    "basic",
    "error",
    "failed",
    "not",
    "string",
    "is",
    "was",
    "for",
];

/// Keys that end like a secret's and hold something else.
const HARMLESS_KEYS: &[&str] =
    &["page", "next", "continu", "existing", "pull", "tls", "cert", "image", "volume"];

/// After `=`, in JSON, or alone on a YAML line: everything is a secret that is not plainly something else.
pub(super) fn is_secret_for(key: &str, value: &str) -> bool {
    if value.len() > MAX_JUDGED_BYTES {
        return true;
    }
    if is_placeholder(value) || is_path_or_url(value) {
        return false;
    }
    let key = key.to_ascii_lowercase();
    if key.ends_with("token") && value.len() < MIN_TOKEN_DIGITS && value.bytes().all(|b| b.is_ascii_digit()) {
        return false;
    }
    if HARMLESS_KEYS.iter().any(|part| key.contains(part)) && !looks_random(value) {
        return false;
    }
    !(key == "secret" && is_object_name(value))
}

/// In prose (`failed to fetch token: unexpected status`), only what looks like a secret is one.
pub(super) fn is_secret_in_prose(key: &str, value: &str) -> bool {
    if value.len() > MAX_JUDGED_BYTES {
        return true;
    }
    value.len() >= MIN_SECRET_BYTES_IN_PROSE
        && value.bytes().any(|b| b.is_ascii_alphabetic())
        && value.bytes().any(|b| b.is_ascii_digit() || b"!@#$%^&*+=~".contains(&b))
        && !value.starts_with("sha256:")
        && !value.starts_with("0x")
        && is_secret_for(key, value)
}

/// Letters and digits mixed, long enough that nobody chose them.
pub(super) fn looks_random(value: &str) -> bool {
    value.len() >= 16
        && value.bytes().any(|b| b.is_ascii_digit())
        && value.bytes().any(|b| b.is_ascii_alphabetic())
        && !is_path_or_url(value)
}

/// `$NAME`, `${NAME}`, `$(NAME)`, `{{ … }}`, `<…`, `%s`, asterisks, and words for "nothing".
pub(super) fn is_placeholder(value: &str) -> bool {
    let value = value.trim_matches(|c: char| matches!(c, '.' | ',' | ')' | ';' | '!'));
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.:".contains(&b));
    let reference = value.strip_prefix('$').is_some_and(|rest| {
        let inner = rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let inner = inner.or_else(|| rest.strip_prefix('(').map(|rest| rest.trim_end_matches(')')));
        // A name of upper-case letters: `$ecret1` is a password, `$DB_PASSWORD` a reference.
        inner.is_some_and(is_name) || (is_name(rest) && !rest.bytes().any(|b| b.is_ascii_lowercase()))
    });
    reference
        || value.is_empty()
        || value.starts_with("{{")
        || value.starts_with("${{")
        || value.starts_with('<')
        || (value.starts_with('%') && value.len() <= 3)
        || value.bytes().all(|b| b"*xX.-_#".contains(&b))
        || WORDS.iter().any(|word| value.eq_ignore_ascii_case(word))
}

fn is_path_or_url(value: &str) -> bool {
    let is_part = |part: &str| {
        part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
    };
    value.contains("://")
        || value
            .strip_prefix("./")
            .or_else(|| value.strip_prefix('/'))
            .is_some_and(|path| path.contains('/') && path.split('/').all(is_part))
}

/// `db-credentials` or `shop/db-credentials`: what operators log as `secret=…`.
fn is_object_name(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-./".contains(&b))
        && value.bytes().any(|b| b"-/".contains(&b))
        && value.bytes().filter(u8::is_ascii_digit).count() <= 2
}

/// `Authorization: Basic …` is base64 of `user:password`; in prose "Basic" is an ordinary word.
pub(super) fn is_basic_pair(value: &str) -> bool {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD
        .decode(value)
        .is_ok_and(|pair| pair.contains(&b':') && pair.iter().all(|b| (b' '..=b'~').contains(b)))
}
