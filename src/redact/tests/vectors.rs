//! What redaction is measured with: texts as logs, manifests and alerts hold them, each with its secret, and near
//! misses that must stay. All secrets are made up. The integration tests read this file as well.

/// 40 characters that no rule knows by themselves.
const BODY: &str = "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY1zA3bC5d";

/// Where it stands, the text with `{}` for the secret, and the secret.
const PLANTED: &[(&str, &str, &str)] = &[
    ("variables", "DB_PASSWORD={}", "hunter2"),
    ("variables", "export PGPASSWORD='{}'", "correct horse battery"),
    ("variables", "SPRING_DATASOURCE_PASSWORD={} java -jar app.jar", "hunter2"),
    ("variables", "- name: API_TOKEN\n  value: {}", "abcdefgh"),
    ("variables", r#"{"name":"SMTP_PASS","value":"{}"}"#, "letmein"),
    ("variables", "env AWS_SECRET_ACCESS_KEY={} aws s3 ls", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("variables", "Environment=REDIS_PASSWORD={}", "hunter2"),
    ("variables", "      JWT_SECRET:   {}\n", "sesame"),
    ("headers", "Authorization: Bearer {}", "abcdef123456"),
    ("headers", "> authorization: Basic {}\r\n", "dXNlcjpodW50ZXIy"),
    ("headers", r#"headers={"Authorization":"Token {}"}"#, "5f1e8d2c9b"),
    ("headers", "X-Api-Key: {}", BODY),
    ("headers", "x-vault-token: {}", "s.1a2b3c4d5e6f7g8h"),
    ("headers", "Set-Cookie: {}; Path=/", "session=5f1e8d2c9b7a"),
    ("headers", "Proxy-Authorization: Basic {}", "dXNlcjpodW50ZXIy"),
    ("addresses", "dial postgres://app:{}@db:5432/orders", "hunter2"),
    ("addresses", "amqps://guest:{}@mq/", "p@ss/w0rd"),
    ("addresses", "redis://:{}@cache:6379", "hunter2"),
    ("addresses", "root:{}@tcp(mysql:3306)/x", "hunter2"),
    ("addresses", "jdbc:mysql://db/x?user=a&password={}&ssl=1", "hunter2"),
    ("addresses", "GET /cb?access_token={}&state=1", "5f1e8d2c9b"),
    ("addresses", "https://b.blob.core.windows.net/c?sv=1&sig={}", "aB3dE5fG7hJ9kL1mN2pQ%3D"),
    ("addresses", "Server=db;User Id=a;Password={};", "hunter2"),
    ("addresses", "Endpoint=sb://x/;SharedAccessKeyName=n;SharedAccessKey={}", "aGVsbG8gd29ybGQ="),
    ("commands", "mysql -uroot -p{} orders", "hunter2"),
    ("commands", "sshpass -p {} ssh a@b", "hunter2"),
    ("commands", "redis-cli -h cache -a {} ping", "hunter2"),
    ("commands", "docker login -u ci -p {} registry.example.com", "hunter2"),
    ("commands", "curl -s -u admin:{} http://x", "hunter2"),
    ("commands", "openssl pkcs12 -passin pass:{} -in a", "hunter2"),
    ("commands", r#"args: ["--db-password","{}"]"#, "hunter2"),
    ("commands", "server --api-key {} --port 80", "hunter2x"),
    ("commands", "machine db login app password {}", "hunter2"),
    ("commands", "ALTER USER app WITH PASSWORD '{}'", "hunter two"),
    ("prose", "login failed with password {} for app", "hunter2"),
    ("prose", "using token: {} now", "q7Zt9LmX2vB4"),
    ("prose", "API key: {}", "q7Zt9LmX2vB4"),
    ("prose", "the secret key is {}, rotate it", "q7Zt9LmX2vB4"),
    ("prose", "Unseal Key 1: {}", "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY1zA3bC5dE7f="),
    ("files", "    client-key-data: {}", "LS0tLS1CRUdJTiBQUklWQVRF"),
    ("files", "  token: {}", "q7Zt9LmX2vB4q7Zt9LmX2vB4"),
    ("files", r#""auth": "{}""#, "dXNlcjpodW50ZXIy"),
    ("files", ".dockerconfigjson: {}", "eyJhdXRocyI6eyJyIjp7ImF1dGgiOiJkWE5sY2pwb2RXNTBaWEl5In19fQ=="),
    ("files", "kind: Secret\ndata:\n  username: {}\n", "YWRtaW4="),
    ("files", "<password>{}</password>", "hunter2"),
    ("files", "password_base64: {}", "aHVudGVyMmh1bnRlcjI="),
    ("files", "'password' => '{}'", "hunter2"),
    ("files", "config {User:app Password:{} Port:1}", "hunter2"),
    ("files", "AccountKey={};", "aGVsbG8gd29ybGQ="),
    ("broken lines", "password=abc123def456\n2026-11-21T07:03:19Z {}", "q7Zt9LmX2vB4Yw8K"),
    ("broken lines", "token: q7Zt9LmX2vB4\n{}\nnext", "Yw8Kq7Zt9LmX2vB4"),
];

/// All of them, with those that must not stand in any source.
pub fn planted() -> Vec<(&'static str, String, String)> {
    let hex = "0123456789abcdef0123456789abcdef";
    let jwt =
        format!("{}.{}.{BODY}", concat!("ey", "JhbGciOiJIUzI1NiJ9"), concat!("ey", "JzdWIiOiIxMjM0In0"));
    let github = format!("{}{}", concat!("gh", "p_"), &BODY[..36]);
    let slack = format!("{}1234567890-{}", concat!("xo", "xb-"), &BODY[..24]);
    let stripe = format!("{}{}", concat!("sk_", "live_"), &BODY[..24]);
    let aws = format!("{}{}", concat!("AK", "IA"), "IOSFODNN7EXAMPLQ");
    let bcrypt = format!("{}{}", concat!("$2", "b$12$"), &format!("{BODY}{BODY}")[..53]);
    let rows: [(&str, &str, &str); 7] = [
        ("known tokens", "pushing with {} failed", &github),
        ("known tokens", "{\"token\":\"{}\"}", &slack),
        ("known tokens", "charge failed key={} code=402", &stripe),
        ("known tokens", "credentials {} are not authorised", &aws),
        ("known tokens", "claims of {} expired", &jwt),
        ("known tokens", "clone https://{}@github.com/a/b", &github),
        ("prose", "hash of root is {}", &bcrypt),
    ];
    let mut all: Vec<(&str, String, String)> = PLANTED
        .iter()
        .copied()
        .chain(rows)
        .map(|(place, text, secret)| (place, text.replacen("{}", secret, 1), secret.to_owned()))
        .collect();
    all.extend(keys());
    all.push(("known tokens", format!("twilio {}{hex} refused", concat!("S", "K")), hex.to_owned()));
    all
}

/// A private key as it stands in logs: whole, cut anywhere, stamped, inside JSON. The secret is a piece of
/// its body.
fn keys() -> Vec<(&'static str, String, String)> {
    let body: Vec<String> = (0..6).map(|line| key_line(line, 64)).chain([key_line(9, 8)]).collect();
    let begin = concat!("-----BEGIN RSA PRI", "VATE KEY-----").to_owned();
    let end = concat!("-----END RSA PRI", "VATE KEY-----").to_owned();
    let whole: Vec<String> = [vec![begin], body.clone(), vec![end]].concat();
    let mut all = Vec::new();
    for (from, to) in [(0, 8), (0, 5), (1, 8), (2, 5), (3, 9), (0, 2)] {
        let lines = &whole[from..to.min(whole.len())];
        let stamped: Vec<String> =
            lines.iter().enumerate().map(|(n, line)| format!("2026-11-21T07:03:{n:02}.1Z {line}")).collect();
        let json: Vec<String> = lines.iter().map(|line| format!("{{\"log\":\"{line}\"}}")).collect();
        let shown = from.max(1).min(whole.len() - 2);
        for text in [lines.join("\n"), stamped.join("\n"), json.join("\n")] {
            all.push(("private keys", format!("before\n{text}\nafter"), whole[shown][..40].to_owned()));
        }
        all.push(("private keys", format!("arg {} x", lines.join(" ")), whole[shown][..40].to_owned()));
        all.push((
            "private keys",
            format!("{{\"k\":\"{}\"}}", lines.join("\\n")),
            whole[shown][..40].to_owned(),
        ));
    }
    // Without any border on one line nothing tells that it is a key.
    all.retain(|(_, text, _)| text.contains("-----") || text.lines().count() > 3);
    all
}

/// Base64 that is different on each line.
fn key_line(line: usize, bytes: usize) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (0..bytes).map(|at| char::from(alphabet[(at * 29 + line * 17 + at * at) % alphabet.len()])).collect()
}

/// Near misses: what an engineer needs to see.
pub const HARMLESS: &[&str] = &[
    "mysql -h db -p 3306 --user root",
    "mysql: [Warning] Using a password on the command line interface can be insecure.",
    "redis-cli -h cache ping",
    "docker login -u ci --password-stdin",
    "with password authentication",
    "the password expired yesterday",
    "the secret key is required",
    "API key: missing",
    "Unseal Key Shares: 5",
    "cost $20 and $30",
    "ssh-rsa key of type RSA accepted",
    "wrote 64 bytes to /var/lib/postgresql/data/pg_wal/000000010000000000000001",
    "2026-11-21T07:03:19Z sha256:2bb501e6173d9d006e56de5bce2720eb06396803300fe1687b58a7ff32bf4c14",
    "password=[redacted:credential]\nanalytics-service-7987f4985-2z45z",
    "password=[redacted:credential]\nOK",
    "token: [redacted:credential]\n2026-11-21T07:03:19Z connected",
    "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBaMQswCQYDVQQGEwJJ\nRTESMBAGA1UEChMJQmFsdGltb3JlMRMwEQYDVQQLEwpDeWJlclRydXN0MSIwIAYD\n-----END CERTIFICATE-----",
    "error: -----END PRIVATE KEY----- is missing",
    "no -----BEGIN RSA PRIVATE KEY----- found\nretrying in 5 s",
];
