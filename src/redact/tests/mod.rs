//! True and false positives of every rule. All secrets are made up; their prefixes are joined at compile
//! time, so that no scanner takes them for real ones.

mod figures;
mod properties;
mod vectors;

use super::*;

/// 40 characters that no rule knows by themselves.
const BODY: &str = "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY1zA3bC5d";
const PEM_BODY: &str = "MIIBVgIBADANBgkqhkiG9w0BAQEFAASCAUAwggE8AgEAAkEAq7BFUpkGp3+LQmlQ\n\
                        Yx2eqzDV+xeG8kx/sQFV18S5JhzGeIJNA72wSeukEPojtqUyX2J0CciPBh7eqclQ\n";

fn assert_redacted(text: &str, secret: &str) {
    let out = redact(text);
    assert!(!out.contains(secret), "{text:?} still shows it: {out:?}");
    assert!(out.contains(MARK), "{out:?}");
    assert_eq!(redact(&out), out, "twice is once");
}

fn assert_kept(text: &str) {
    assert_eq!(redact(text), text);
}

#[test]
fn tokens_are_known_by_their_prefix() {
    let hex = "0123456789abcdef0123456789abcdef";
    for token in [
        format!("{}{}", concat!("AK", "IA"), "IOSFODNN7EXAMPLQ"),
        format!("{}{}", concat!("AS", "IA"), "IOSFODNN7EXAMPLQ"),
        format!("{}{}", concat!("AI", "za"), &BODY[..35]),
        format!("{}{BODY}", concat!("ya", "29.")),
        format!("{}{}", concat!("GOC", "SPX-"), &BODY[..28]),
        format!("{}{}", concat!("8", "Q~"), &BODY[..34]),
        format!("{}{}", concat!("gh", "p_"), &BODY[..36]),
        format!("{}{BODY}", concat!("gh", "s_")),
        format!("{}{BODY}", concat!("github", "_pat_")),
        format!("{}{}", concat!("gl", "pat-"), &BODY[..20]),
        format!("{}{}", concat!("GR13", "48941"), &BODY[..20]),
        format!("{}1234567890-{}", concat!("xo", "xb-"), &BODY[..24]),
        format!("{}1-A0123456789-123456-{hex}", concat!("xa", "pp-")),
        format!("{}{}", concat!("sk_", "live_"), &BODY[..24]),
        format!("{}{}", concat!("whs", "ec_"), &BODY[..32]),
        format!("{}{}", concat!("np", "m_"), &BODY[..36]),
        format!("{}{BODY}{BODY}", concat!("py", "pi-")),
        format!("{}{hex}0123456789abcdef", concat!("ruby", "gems_")),
        format!("{}{}", concat!("dckr", "_pat_"), &BODY[..27]),
        format!("{}api03-{BODY}", concat!("sk-", "ant-")),
        format!("{}{BODY}", concat!("sk-", "proj-")),
        format!("{}{BODY}", concat!("sk", "-")),
        format!("{}{}", concat!("h", "f_"), "abcdefghijklmnopqrstuvwxyzABCDEFGH"),
        format!("{}{BODY}", concat!("gs", "k_")),
        format!("{}{BODY}", concat!("hv", "s.")),
        format!("{}{BODY}{BODY}", concat!(".atlas", "v1.")),
        format!("{}{}_0123abcd", concat!("gl", "sa_"), &BODY[..32]),
        format!("{}{hex}{hex}", concat!("dop", "_v1_")),
        format!("{}{hex}", concat!("da", "pi")),
        format!("{}{}.{BODY}", concat!("S", "G."), &BODY[..22]),
        format!("{}{hex}", concat!("S", "K")),
        format!("{}{hex}", concat!("ke", "y-")),
        format!("{}ABCDEFGHIJKLMNOPQRSTUVWXYZ0", concat!("NR", "AK-")),
        format!("{}{BODY}", concat!("sntr", "yu_")),
        format!("{}{hex}01234567", concat!("sq", "p_")),
        format!("{}{hex}", concat!("shp", "at_")),
        format!("123456789:{}{}", concat!("A", "A"), &BODY[..33]),
        format!("{}{BODY}{BODY}", concat!("ATA", "TT3")),
        format!("{}{BODY}", concat!("lin_", "api_")),
        format!("{}{hex}01234567", concat!("pu", "l-")),
        format!("{}{BODY}", concat!("pscale", "_tkn_")),
        format!("{}{BODY}", concat!("dp", ".pt.")),
        format!("{}{}-{hex}01", concat!("PM", "AK-"), &hex[..24]),
        format!("{}{BODY}{BODY}", concat!("AK", "Cp")),
        format!(
            "{}{}.{}",
            concat!("ey", "JhbGciOiJIUzI1NiJ9"),
            concat!(".ey", "JzdWIiOiIxMjM0NTY3ODkwIn0"),
            BODY
        ),
    ] {
        assert_redacted(&format!("pushed with {token} at 07:03"), &token);
        assert_redacted(&format!("{{\"msg\":\"{token}\"}}"), &token);
        assert_redacted(&token, &token);
    }
}

/// The words' borders are ASCII's, so that text beyond it is read as fast as any; see `rules::rule`.
#[test]
fn a_token_right_behind_a_letter_beyond_ascii_is_found() {
    let token = format!("{}{}", concat!("gh", "p_"), &BODY[..36]);
    for text in [format!("clé{token}é"), format!("鍵{token}"), format!("… × – {token} …")] {
        assert_redacted(&text, &token);
    }
    assert_redacted("größe=ok, naïve Authorization: Bearer q9Zr7Kp2Lm4Tn8Vw", "q9Zr7Kp2Lm4Tn8Vw");
}

#[test]
fn webhook_addresses_keep_their_host() {
    let secret = "T0123ABCD/B0123ABCD/aB3dE5fG7hJ9kL1mN2pQ4rS6";
    let text = format!("POST https://{}/{secret} 404", concat!("hooks.sla", "ck.com/services"));
    assert_eq!(redact(&text), "POST https://hooks.slack.com/services/[redacted:slack-webhook] 404");
}

#[test]
fn private_keys_go_as_a_block_whole_or_cut_off() {
    let begin = concat!("-----BEGIN RSA PRI", "VATE KEY-----");
    let end = concat!("-----END RSA PRI", "VATE KEY-----");
    assert_eq!(redact(&format!("a\n{begin}\n{PEM_BODY}{end}\nb")), "a\n[redacted:private-key]\nb");
    assert_redacted(&format!("{begin}\n{PEM_BODY}"), "MIIBVgIB");
    assert_redacted(&format!("{PEM_BODY}{end}\n"), "MIIBVgIB");
    let one_line = format!("{begin}\n{PEM_BODY}{end}").replace('\n', "\\n");
    assert_redacted(&format!("{{\"key\":\"{one_line}\"}}"), "MIIBVgIB");
    let stamped: String = format!("{begin}\n{PEM_BODY}{end}")
        .lines()
        .map(|line| format!("2026-11-21T07:03:19Z {line}\n"))
        .collect();
    assert_redacted(&stamped, "MIIBVgIB");
    assert_redacted(&stamped, "Yx2eqzDV");
    let tail = &stamped[stamped.find('\n').unwrap() + 1..];
    assert_eq!(
        redact(&format!("before\n{tail}after")),
        "before\n2026-11-21T07:03:19Z [redacted:private-key]\nafter"
    );
    let encoded = concat!("LS0tLS1CRU", "dJTiBSU0EgUFJJVkFURSBLRVktLS0tLQpNSUlCVmdJQkFEQU5CZ2tx");
    assert_redacted(&format!("key {encoded}"), encoded);
    assert_kept("-----BEGIN CERTIFICATE-----\nMIIBVgIBADANBgkqhkiG9w0BAQEFAASC\n-----END CERTIFICATE-----");
    assert_kept("certificate-authority-data: LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJWZ0lCQURBTkJn");
    assert_kept("the file does not start with -----BEGIN PUBLIC KEY-----");
}

#[test]
fn headers_keep_their_name_and_scheme() {
    assert_eq!(
        redact("> Authorization: Bearer abcdef123456\r\n> Host: a"),
        "> Authorization: Bearer [redacted:authorization]\r\n> Host: a"
    );
    assert_redacted("authorization=Basic dXNlcjpodW50ZXIy", "dXNlcjpodW50ZXIy");
    assert_redacted(r#"{"Authorization":"token abcdefgh"}"#, "abcdefgh");
    assert_redacted(r#"{\"authorization\":[\"Bearer abcdefgh12345678\"]}"#, "abcdefgh12345678");
    assert_redacted(&format!("Authorization: {BODY}"), BODY);
    assert_redacted(&format!("using bearer {BODY}"), BODY);
    assert_redacted("sent Basic dXNlcjpodW50ZXIy to it", "dXNlcjpodW50ZXIy");
    assert_redacted("Cookie: session=abc; theme=dark\nHost: a", "session=abc");
    assert_redacted(&format!("X-Api-Key: {BODY}"), BODY);
    assert_redacted("x-auth-token: 5f1e8d2c9b", "5f1e8d2c9b");
    for kept in [
        "Basic authentication is required",
        "Bearer authentication failed for the realm",
        "WWW-Authenticate: Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\"",
        "authorization failed: pull access denied, repository does not exist or may require authorization",
        "authorization: denied by policy",
        "cookie: not found",
    ] {
        assert_kept(kept);
    }
}

#[test]
fn connection_strings_lose_their_password_only() {
    assert_eq!(
        redact("dial postgres://app:hunter2@db.shop:5432/orders?sslmode=disable failed"),
        "dial postgres://app:[redacted:password]@db.shop:5432/orders?sslmode=disable failed"
    );
    assert_eq!(redact("redis://:hunter2@cache:6379/0"), "redis://:[redacted:password]@cache:6379/0");
    assert_eq!(redact("amqp://u:p@ss@host/x"), "amqp://u:[redacted:password]@host/x");
    assert_redacted("postgresql+asyncpg://u:pa/ss#1@host/db", "pa/ss#1");
    assert_redacted("mongodb+srv://u:hunter2@c0.example.com/?w=majority", "hunter2");
    assert_redacted("app:hunter2@tcp(mysql.shop:3306)/orders", "hunter2");
    assert_redacted("jdbc:postgresql://db/orders?user=app&password=hunter2&ssl=true", "hunter2");
    assert_redacted("Server=db;User Id=app;Password=hunter2;Encrypt=yes", "hunter2");
    assert_redacted(
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=aGVsbG8gd29ybGQ=;",
        "aGVsbG8gd29ybGQ",
    );
    assert_redacted("curl -s -u admin:hunter2 http://x", "hunter2");
    assert_redacted("CREATE USER a IDENTIFIED BY 'hunter two'", "hunter two");
    assert_redacted("https://b.blob.core.windows.net/c?sv=1&sig=aB3dE5fG7hJ9kL1mN2pQ%3D", "aB3dE5fG7hJ9");
    for kept in [
        "postgres://app@db.shop:5432/orders",
        "postgres://app:${DB_PASSWORD}@db/orders",
        "postgres://$(DB_USER):$(DB_PASS)@db/orders",
        "http://registry:5000/shop/app@sha256:2bb501e6173d9d006e56de5bce2720eb06396803300fe1687b58a7ff32bf4c14",
        "http://vm:9090/graph?g0.expr=up&g0.tab=1",
        "curl -u 1000: http://x",
        "docker run -u 1000:1000 image",
    ] {
        assert_kept(kept);
    }
}

#[test]
fn values_of_telling_keys_go_and_the_keys_stay() {
    for (text, expected) in [
        ("password=hunter2", "password=[redacted:credential]"),
        ("PASSWORD: hunter", "PASSWORD: [redacted:credential]"),
        ("  DB_PASSWORD:   hunter2\n", "  DB_PASSWORD:   [redacted:credential]\n"),
        ("export API_TOKEN='a b'", "export API_TOKEN='[redacted:credential]'"),
        (r#"{"password":"hunter2","user":"app"}"#, r#"{"password":"[redacted:credential]","user":"app"}"#),
        (r#"{\"apiKey\":\"hunter2\"}"#, r#"{\"apiKey\":\"[redacted:credential]\"}"#),
        (r#"level=info token="hun ter" msg=ok"#, r#"level=info token="[redacted:credential]" msg=ok"#),
        (
            "connect user=app password=hunter2 host=db",
            "connect user=app password=[redacted:credential] host=db",
        ),
        ("client_secret = 'abcdefgh'", "client_secret = '[redacted:credential]'"),
        ("GET /login?user=a&token=5f1e8d2c&x=1", "GET /login?user=a&token=[redacted:credential]&x=1"),
        (
            "config {User:app Password:hunter2 Port:1}",
            "config {User:app Password:[redacted:credential] Port:1}",
        ),
        ("'password' => 'hunter2'", "'password' => '[redacted:credential]'"),
        ("<db.password>hunter2</db.password>", "<db.password>[redacted:credential]</db.password>"),
        (r#"["--password","hunter2"]"#, r#"["--password","[redacted:credential]"]"#),
        ("run --api-key hunter2 --x", "run --api-key [redacted:credential] --x"),
        ("mysqld --password=hunter2", "mysqld --password=[redacted:credential]"),
        ("AWS_SECRET_ACCESS_KEY=abc/def+1", "AWS_SECRET_ACCESS_KEY=[redacted:credential]"),
        ("SECRET_KEY_BASE=abc", "SECRET_KEY_BASE=[redacted:credential]"),
        ("MYSQL_PASS=abc", "MYSQL_PASS=[redacted:credential]"),
        ("    client-key-data: LS0tabc=", "    client-key-data: [redacted:credential]"),
        (r#""auth": "dXNlcjpodW50ZXIy""#, r#""auth": "[redacted:authorization]""#),
        ("- name: DB_PASSWORD\n  value: hunter", "- name: DB_PASSWORD\n  value: [redacted:credential]"),
        (
            r#"{"name":"DB_PASSWORD","value":"hunter"}"#,
            r#"{"name":"DB_PASSWORD","value":"[redacted:credential]"}"#,
        ),
        (
            "login failed, password: hunter2, retrying",
            "login failed, password: [redacted:credential], retrying",
        ),
        ("error: token: password: hunter2x", "error: token: password: [redacted:credential]"),
    ] {
        assert_eq!(redact(text), expected);
        assert_eq!(redact(expected), expected, "twice is once");
    }
}

#[test]
fn the_data_of_a_secret_goes_whatever_its_keys() {
    let yaml = "apiVersion: v1\ndata:\n  username: YWRtaW4=\n  tls.crt: |\n    abc\n    def\nkind: Secret\nmetadata:\n  name: db";
    assert_eq!(
        redact(yaml),
        "apiVersion: v1\ndata:\n  username: [redacted:secret-data]\n  tls.crt: |\n    [redacted:secret-data]\n    \
         [redacted:secret-data]\nkind: Secret\nmetadata:\n  name: db"
    );
    let json = r#"{"kind":"Secret","data":{"username":"YWRtaW4=","x":"eA=="},"metadata":{"name":"db"}}"#;
    let expected = r#"{"kind":"Secret","data":{"username":"[redacted:secret-data]","x":"[redacted:secret-data]"},"metadata":{"name":"db"}}"#;
    assert_eq!(redact(json), expected);
    let escaped = serde_json::to_string(json).unwrap();
    assert_eq!(redact(&escaped), serde_json::to_string(expected).unwrap());
    assert_kept("kind: ConfigMap\ndata:\n  mode: production\n  hosts: a,b");
}

#[test]
fn ordinary_text_is_left_alone() {
    for text in [
        "",
        "Error: secret \"db-credentials\" not found",
        "MountVolume.SetUp failed for volume \"config\" : secret \"db-credentials\" not found",
        "FATAL: password authentication failed for user \"x\"",
        "Access denied for user 'app'@'10.0.0.1' (using password: YES)",
        "couldn't find key password in Secret shop/db-credentials",
        "references non-existent secret key: db-password",
        "tokens=123 max_tokens=4096 token=17",
        "prompt_tokens: 812",
        "failed to fetch anonymous token: unexpected status: 401 Unauthorized",
        "failed to fetch oauth token: denied: Permission denied",
        "failed to fetch anonymous token: Get \"https://auth.docker.io/token?scope=repository%3Alibrary\"",
        "secrets \"api-token\" is forbidden: User \"system:serviceaccount:shop:default\" cannot get resource",
        "failed to get secret \"db-password\": secrets \"db-password\" not found",
        "image shop/app@sha256:2bb501e6173d9d006e56de5bce2720eb06396803300fe1687b58a7ff32bf4c14",
        "containerd://4b825dc642cb6eb9a060e54bf8d69288fbee4904a1b2c3d4e5f60718293a4b5c",
        "uid 5b3e2fb1-cb83-45ea-82ec-318c94718e44",
        "commit 4b825dc642cb6eb9a060e54bf8d69288fbee4904",
        "analytics-service-7987f4985-2z45z",
        "sk-checkout-service-worker-7987f4985-2z45z",
        "pod-template-hash=7d9c5b6f7c",
        "secretName: db-credentials",
        "secret=shop/db-credentials reason=NotFound",
        "\"secret\"=\"shop/my-tls\"",
        "imagePullSecret: regcred",
        "existingSecret: db",
        "tokenExpirationSeconds: 3607",
        "password: $(DB_PASSWORD)",
        "PASSWORD: <set to the key 'password' in secret 'db-credentials'>  Optional: false",
        "- name: DB_PASSWORD\n  valueFrom:\n    secretKeyRef:\n      key: password\n      name: db-credentials",
        "{\"name\":\"DB_PASSWORD\",\"valueFrom\":{\"secretKeyRef\":{\"key\":\"password\",\"name\":\"db\"}}}",
        "password={{ .Values.password }} token=${TOKEN} secret=******** pwd=",
        "open /run/secrets/db-password: permission denied",
        "passwordFile=/run/secrets/db token=/var/run/secrets/kubernetes.io/serviceaccount/token",
        "rate(http_requests_total{token=~\".+\"}[5m])",
        "if token == nil { return }",
        "Unexpected token < in JSON at position 0",
        "DB_PASSWORD is undefined",
        "error: DB_PASSWORD must be set",
        "kubernetes.io/service-account-token",
        "10.0.3.17:8080 node-1.example.com:443",
        "{\"kind\":\"Secret\",\"name\":\"db-credentials\",\"namespace\":\"shop\"}",
        "2026-11-21T07:03:19.889Z INFO c.s.Checkout - started in 3.2 s",
        "GET /api/v1/namespaces/shop/pods?limit=500&continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEifQ 200",
    ] {
        assert_kept(text);
    }
}

#[test]
fn the_recorded_webhooks_hold_nothing_to_redact() {
    let folder =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/webhooks/alertmanager");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        assert_kept(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
        read += 1;
    }
    assert_eq!(read, 21);
}

#[test]
fn the_count_tells_how_many_were_found() {
    assert_eq!(redact_and_count("password=a1 and token=b2c3d4e5").secrets, 2);
    let clean = redact_and_count("nothing here");
    assert_eq!((clean.secrets, matches!(clean.text, Cow::Borrowed(_))), (0, true));
}
