//! What holds for any text: redaction is linear, idempotent, and leaves no password beside its key.

use proptest::prelude::*;

use super::*;

#[test]
fn time_is_linear_in_the_length_of_hostile_text() {
    let begin = concat!("-----BEGIN PRI", "VATE KEY-----");
    for piece in [
        "token=$token=",
        "password: ",
        "token:token:",
        "a://b:",
        "secret=$",
        "a.b-c_",
        "eyJ",
        begin,
        "\"token\":",
        "bearer ",
        "name: password\n",
        "'password'",
        "a: b\n  ",
        "AAAAAAAAAAAAAAAAAAAA\n",
        "secret: x-",
    ] {
        let text = piece.repeat((1 << 17) / piece.len());
        let started = std::time::Instant::now();
        let _ = redact(&text);
        let took = started.elapsed();
        assert!(took < std::time::Duration::from_secs(10), "{piece:?} took {took:?}");
    }
}

/// Pieces from which secrets and near misses are made.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "password",
        "token",
        "secret",
        "api_key",
        "=",
        ": ",
        ":",
        "\"",
        "'",
        "\\\"",
        " ",
        "\n",
        "  ",
        "hunter2",
        "abc",
        "@",
        "://",
        "postgres",
        "user",
        "/",
        "$",
        "{",
        "}",
        "[",
        "]",
        "<",
        ">",
        "[redacted:",
        "[redacted:jwt]",
        "Bearer ",
        "Authorization",
        "Cookie: ",
        "data:",
        "kind: Secret",
        "\"data\":{",
        ",",
        ";",
        "&",
        "--",
        "-",
        concat!("gh", "p_", "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY1zA3"),
        concat!("-----BEGIN PRI", "VATE KEY-----"),
        concat!("-----END PRI", "VATE KEY-----"),
        "MIIBVgIBADANBgkqhkiG9w0BAQEFAASC",
        "é",
        "name: ",
        "value: ",
        "|",
        "curl -u ",
        "IDENTIFIED BY ",
        "basic dXNlcjpodW50ZXIy",
        "1234567890",
        "***",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn redacting_twice_changes_nothing_more(text in prop_oneof![4 => pieces(), 1 => any::<String>()]) {
        let once = redact(&text).into_owned();
        prop_assert_eq!(&redact(&once), &once);
    }

    #[test]
    fn a_random_password_never_survives_its_key(password in "[A-Za-z][A-Za-z0-9]{7,20}[0-9]") {
        for text in [
            format!("DB_PASSWORD={password}"),
            format!("db_password: {password}"),
            format!(r#"{{"db":{{"password":"{password}"}}}}"#),
            format!("msg=x password=\"{password}\" y=1"),
            format!("opening postgres://app:{password}@db/x"),
            format!("config password: {password}, retry"),
        ] {
            let out = redact(&text).into_owned();
            prop_assert!(!out.contains(&password), "{}", out);
        }
    }
}
