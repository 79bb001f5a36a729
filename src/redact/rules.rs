//! The table of what a secret looks like: well-known prefixes, headers, connection strings, and values
//! beside a telling key. Each rule names the group that is cut and may ask for a second opinion.

use std::sync::LazyLock;

use regex::{Captures, Regex, RegexSet};

use super::{Span, value};

/// The groups that may hold a secret; the first that took part in the match does. None: the whole match.
const SECRET_GROUPS: [&str; 5] = ["s", "dq", "sq", "eq", "un"];

/// A key whose value is secret, up to its last letter: `DB_PASSWORD`, `apiKey`, `client-key-data`.
const KEY: &str = r"(?P<key>[A-Za-z0-9_.\-]*(?:password|passwd|passphrase|passcode|pwd|[_\-]pass|secret|token|jwt|bearer|(?:api|access|secret|private|auth|encryption|signing|master|account|license|storage|webhook|shared[_\-]?access)[_\-]?key(?:[_\-]?base|[_\-]?data)?|client[_\-]key[_\-]data|secret[_\-]?id|dockerconfigjson|dockercfg)(?:[_\-]?(?:hash|b64|base64|value|[0-9]))?)";
/// A value in quotes of some kind.
const QUOTED: &str = r#"\\"(?P<eq>[^"\\\n]+)\\"|"(?P<dq>(?:[^"\\\n]|\\.)+)"|'(?P<sq>[^'\n]+)'"#;

pub(super) struct Rule {
    pub(super) kind: &'static str,
    pattern: String,
    judge: fn(&Captures<'_>, &str) -> bool,
}

/// A rule whose expression is compiled.
pub(super) struct Compiled {
    rule: Rule,
    regex: Regex,
}

struct Table {
    compiled: Vec<Compiled>,
    /// All expressions at once, to leave out the rules that cannot match.
    any: RegexSet,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    // An expression that does not compile would be left out in silence: a test counts them.
    let compiled: Vec<Compiled> = rules()
        .into_iter()
        .filter_map(|rule| Regex::new(&rule.pattern).ok().map(|regex| Compiled { rule, regex }))
        .collect();
    let any = RegexSet::new(compiled.iter().map(|entry| &entry.rule.pattern)).unwrap_or_default();
    Table { compiled, any }
});

/// The rules that match somewhere in a text.
pub(super) fn matching(text: &str) -> impl Iterator<Item = &'static Compiled> + use<> {
    TABLE.any.matches(text).into_iter().filter_map(|index| TABLE.compiled.get(index))
}

/// A key as long as this is none.
const MAX_KEY_BYTES: usize = 256;

/// A whole key whose value is secret.
static TELLING: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&format!("(?i)^{KEY}$")).ok());

/// Whether a key says that its value is secret.
pub(super) fn is_telling(key: &str) -> bool {
    key.len() <= MAX_KEY_BYTES && TELLING.as_ref().is_some_and(|telling| telling.is_match(key))
}

impl Compiled {
    /// The secrets of this kind, in order. After a match that is no secret the search goes on at its value,
    /// which may hold the next pair.
    pub(super) fn spans(&self, text: &str) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut at = 0;
        while let Some(captures) = self.regex.captures_at(text, at) {
            let (Some(whole), Some(secret)) = (captures.get(0), secret(&captures)) else { break };
            if (self.rule.judge)(&captures, secret.as_str()) {
                spans.push(Span { from: secret.start(), to: secret.end(), kind: self.rule.kind });
                at = secret.end();
            } else {
                at = secret.start().max(whole.start() + 1);
                while !text.is_char_boundary(at) {
                    at += 1;
                }
            }
        }
        spans
    }
}

fn secret<'t>(captures: &Captures<'t>) -> Option<regex::Match<'t>> {
    SECRET_GROUPS.iter().find_map(|group| captures.name(group)).or_else(|| captures.get(0))
}

fn always(_: &Captures<'_>, _: &str) -> bool {
    true
}

fn key<'t>(captures: &'t Captures<'_>) -> &'t str {
    captures.name("key").map_or("", |key| key.as_str())
}

fn not_placeholder(_: &Captures<'_>, secret: &str) -> bool {
    !value::is_placeholder(secret)
}

/// `http://registry:5000/app@sha256:…` has a port where a password would stand.
fn password_of_url(_: &Captures<'_>, secret: &str) -> bool {
    let after_digits = secret.trim_start_matches(|c: char| c.is_ascii_digit());
    let port = after_digits.len() < secret.len() && after_digits.starts_with('/');
    !port && !value::is_placeholder(secret)
}

fn value_of_key(captures: &Captures<'_>, secret: &str) -> bool {
    value::is_secret_for(key(captures), secret)
}

/// In `key=value`, and where both are quoted, the value is meant; elsewhere it may be prose.
fn value_of_pair(captures: &Captures<'_>, secret: &str) -> bool {
    let assigned = captures.name("sep").is_some_and(|sep| sep.as_str().contains('='));
    let quoted = captures.name("un").is_none();
    if assigned || (quoted && captures.name("open").is_some()) {
        value::is_secret_for(key(captures), secret)
    } else {
        value::is_secret_in_prose(key(captures), secret)
    }
}

fn value_in_prose(captures: &Captures<'_>, secret: &str) -> bool {
    value::is_secret_in_prose(key(captures), secret)
}

/// Beside "password" without a sign between them.
fn word_in_prose(_: &Captures<'_>, secret: &str) -> bool {
    value::is_secret_in_prose("password", secret)
}

fn header_value(captures: &Captures<'_>, secret: &str) -> bool {
    match captures.name("scheme") {
        Some(_) => !value::is_placeholder(secret),
        None => value::looks_random(secret),
    }
}

fn bearer(_: &Captures<'_>, secret: &str) -> bool {
    secret.bytes().any(|b| b.is_ascii_digit()) || secret.len() >= 40
}

fn basic(_: &Captures<'_>, secret: &str) -> bool {
    value::is_basic_pair(secret)
}

fn holds_pairs(_: &Captures<'_>, secret: &str) -> bool {
    secret.contains('=')
}

/// Base64 of a PEM block; a certificate is public.
fn not_a_certificate(_: &Captures<'_>, secret: &str) -> bool {
    !secret.starts_with("LS0tLS1CRUdJTiBDRVJU") && !secret.starts_with("LS0tLS1CRUdJTiBQVUJM")
}

fn rule(kind: &'static str, pattern: impl Into<String>, judge: fn(&Captures<'_>, &str) -> bool) -> Rule {
    // A word's border is told by ASCII letters alone: for Unicode's borders the automaton that reads megabytes
    // in milliseconds gives up at the first letter beyond ASCII, and what follows it is fifty times slower. A
    // secret right behind such a letter is found as well.
    Rule { kind, pattern: pattern.into().replace(r"\b", r"(?-u:\b)"), judge }
}

/// In the order in which they are applied: whole blocks, known shapes, then what only its key tells.
pub(super) fn rules() -> Vec<Rule> {
    let mut rules = blocks();
    rules.extend(TOKENS.iter().map(|(kind, pattern)| rule(kind, *pattern, always)));
    rules.extend(places());
    rules.extend(pairs());
    rules
}

fn blocks() -> Vec<Rule> {
    let label = "(?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----";
    vec![
        rule("private-key", format!(r"-----BEGIN {label}(?s:.*?)-----END {label}"), always),
        // Cut off behind its start; what was cut off before its end is `private_key`'s.
        rule(
            "private-key",
            format!(r#"-----BEGIN {label}(?:(?:\\[nr]|[\s"',+|>])*[A-Za-z0-9+/]{{16,}}={{0,2}})+"#),
            always,
        ),
        rule("private-key", r"\bLS0tLS1CRUdJTi[A-Za-z0-9+/]{20,}={0,2}", not_a_certificate),
        rule("private-key", r"\bAGE-SECRET-KEY-1[0-9A-Z]{58}\b", always),
    ]
}

/// Tokens that their issuer made recognisable.
const TOKENS: &[(&str, &str)] = &[
    ("jwt", r"\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{10,}(?:\.[A-Za-z0-9_\-]*){0,3}"),
    ("aws-key", r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"),
    ("gcp-key", r"\bAIza[0-9A-Za-z_\-]{35}|\bya29\.[0-9A-Za-z_\-]{20,}|\bGOCSPX-[0-9A-Za-z_\-]{28}"),
    ("azure-key", r"[0-9]Q~[A-Za-z0-9_~.\-]{31,34}"),
    ("github-token", r"\bgh[pousr]_[A-Za-z0-9]{16,}|\bgithub_pat_[A-Za-z0-9_]{22,}"),
    (
        "gitlab-token",
        r"\bgl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat|ffct|oas)-[A-Za-z0-9_.\-]{20,}|\bGR1348941[A-Za-z0-9_\-]{20,}",
    ),
    ("slack-token", r"\bxox[abeoprsc](?:\.xox[bp])?-[A-Za-z0-9\-]{10,}|\bxapp-[0-9]-[A-Za-z0-9\-]{10,}"),
    ("slack-webhook", r"\bhooks\.slack\.com/(?:services|workflows|triggers)/(?P<s>[A-Za-z0-9/_+\-]{20,})"),
    (
        "webhook",
        r"\bdiscord(?:app)?\.com/api/webhooks/(?P<s>[0-9]+/[A-Za-z0-9_\-]{20,})|\bwebhook\.office\.com/webhookb2/(?P<un>[A-Za-z0-9@/_\-]{30,})",
    ),
    ("stripe-key", r"\b[rs]k_(?:live|test|prod)_[A-Za-z0-9]{10,}|\bwhsec_[A-Za-z0-9+/=]{20,}"),
    ("npm-token", r"\bnpm_[A-Za-z0-9]{30,}"),
    ("pypi-token", r"\bpypi-[A-Za-z0-9_\-]{50,}"),
    ("rubygems-token", r"\brubygems_[a-f0-9]{48}\b"),
    ("docker-token", r"\bdckr_(?:pat|oat)_[A-Za-z0-9_\-]{20,}"),
    ("anthropic-key", r"\bsk-ant-[A-Za-z0-9_\-]{20,}"),
    ("openai-key", r"\bsk-(?:proj|svcacct|admin|or-v1)-[A-Za-z0-9_\-]{20,}|\bsk-[A-Za-z0-9]{32,}"),
    (
        "model-key",
        r"\bhf_[A-Za-z]{34,}|\bgsk_[A-Za-z0-9]{40,}|\bxai-[A-Za-z0-9]{60,}|\bpplx-[A-Za-z0-9]{40,}|\br8_[A-Za-z0-9]{37,}",
    ),
    ("vault-token", r"\bhv[sbr]\.[A-Za-z0-9_\-]{20,}"),
    ("terraform-token", r"\.atlasv1\.[A-Za-z0-9_\-]{60,}"),
    (
        "grafana-token",
        r"\bglsa_[A-Za-z0-9]{32}_[0-9a-fA-F]{8}|\bglc_[A-Za-z0-9+/=]{32,}|\beyJrIjoi[A-Za-z0-9+/]{60,}={0,2}",
    ),
    ("digitalocean-token", r"\bdo[opr]_v1_[a-f0-9]{64}\b"),
    ("databricks-token", r"\bdapi[a-f0-9]{32}(?:-[0-9])?\b"),
    ("sendgrid-key", r"\bSG\.[A-Za-z0-9_\-]{16,}\.[A-Za-z0-9_\-]{32,}"),
    ("twilio-key", r"\bSK[0-9a-f]{32}\b"),
    ("mailgun-key", r"\bkey-[0-9a-f]{32}\b"),
    ("newrelic-key", r"\bNRAK-[A-Z0-9]{27}\b"),
    ("sentry-token", r"\bsntry[su]_[A-Za-z0-9+/=_\-]{30,}"),
    ("sonar-token", r"\bsq[pua]_[0-9a-f]{40}\b"),
    ("shopify-token", r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b"),
    ("telegram-token", r"\b[0-9]{8,10}:AA[A-Za-z0-9_\-]{33}"),
    ("atlassian-token", r"\bATATT3[A-Za-z0-9_=\-]{60,}"),
    ("linear-key", r"\blin_api_[A-Za-z0-9]{40}"),
    ("pulumi-token", r"\bpul-[a-f0-9]{40}\b"),
    ("planetscale-token", r"\bpscale_(?:tkn|pw|oauth)_[A-Za-z0-9_=.\-]{30,}"),
    ("doppler-token", r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._\-]{40,}"),
    ("postman-key", r"\bPMAK-[a-f0-9]{24}-[a-f0-9]{34}\b"),
    ("artifactory-token", r"\bAKCp[A-Za-z0-9]{60,}|\bcmVmdGtu[A-Za-z0-9]{56}"),
];

/// Headers, URLs and commands.
fn places() -> Vec<Rule> {
    let scheme = r"(?P<scheme>(?:bearer|basic|token|digest|negotiate|apikey|aws4-hmac-sha256)\s+)?";
    vec![
        rule(
            "authorization",
            format!(r#"(?i)\bauthorization\\?["']?\s*[:=]\s*\\?["']?{scheme}(?P<s>[^\s"'\\,;]{{6,}})"#),
            header_value,
        ),
        rule("authorization", r"(?i)\bbearer\s+(?P<s>[A-Za-z0-9._~+/=\-]{16,})", bearer),
        rule("authorization", r"(?i)\bbasic\s+(?P<s>[A-Za-z0-9+/]{8,}={0,2})", basic),
        rule("authorization", r#"\\?"auth\\?"\s*:\s*\\?"(?P<s>[A-Za-z0-9+/]{8,}={0,2})"#, basic),
        rule("cookie", r#"(?i)\b(?:set-)?cookie\\?["']?\s*:\s*\\?["']?(?P<s>[^\r\n"']{4,})"#, holds_pairs),
        rule(
            "password",
            r#"[A-Za-z][A-Za-z0-9+.\-]*://[^\s:/?#@"'<>]*:(?P<s>[^\s/?#"'<>]+)@"#,
            password_of_url,
        ),
        rule(
            "password",
            r#"[A-Za-z][A-Za-z0-9+.\-]*://[^\s:/?#@"'<>]*:(?P<s>[^\s@"'<>]+)@"#,
            password_of_url,
        ),
        rule("password", r#"[A-Za-z0-9_.\-]+:(?P<s>[^\s:@"'/]+)@(?:tcp|unix)\("#, not_placeholder),
        rule(
            "password",
            r#"\bcurl\b[^\n]*?\s(?:-u|--user)[ =]["']?[^\s:"']+:(?P<s>[^\s"']+)"#,
            not_placeholder,
        ),
        rule("password", r"(?i)\b(?:identified\s+by|password)\s+'(?P<s>[^'\n]+)'", not_placeholder),
        rule(
            "password",
            r#"\b(?:mysql|mysqldump|mysqladmin|mariadb|mariadb-dump)\b[^\n|;]*?\s-p(?P<s>[^\s"'\-][^\s"']*)"#,
            not_placeholder,
        ),
        rule(
            "password",
            r#"\b(?:sshpass\s+-p|redis-cli\b[^\n|;]*?\s-a|docker\s+login\b[^\n|;]*?\s-p)\s*["']?(?P<s>[^\s"']+)"#,
            not_placeholder,
        ),
        rule("password", r#"\s-pass(?:in|out)?\s+pass:(?P<s>[^\s"']+)"#, not_placeholder),
        rule("password", r"(?i)\blogin\s+\S+\s+password\s+(?P<s>\S+)", not_placeholder),
        rule("password", r"(?i)\b(?:with|using|the)\s+password\s+(?P<s>[^\s:=]+)", word_in_prose),
        rule("password-hash", r"\$2[abxy]\$[0-9]{2}\$[./A-Za-z0-9]{53}", always),
        rule("password-hash", r"\$(?:[156y]|argon2(?:id?|d))\$[^\s:\x22']{20,}", always),
        rule("unseal-key", r"(?i)\b(?:unseal|recovery)\s+key\s+[0-9]+:\s*(?P<s>[A-Za-z0-9+/=]{30,})", always),
        rule(
            "credential",
            r#"(?i)\b(?P<key>(?:api|access|secret|private|auth|encryption|signing|master|account|license)\s+key)\s*(?:is\s|[:=])\s*["']?(?P<s>[^\s"',;]+)"#,
            value_in_prose,
        ),
        rule(
            "signature",
            r"[?&;](?:sig|X-Amz-Signature|X-Goog-Signature)=(?P<s>[A-Za-z0-9%+/=_\-]{20,})",
            always,
        ),
    ]
}

/// Values beside a key that says what they are.
fn pairs() -> Vec<Rule> {
    let line = r"(?im)^[^\S\n]*(?:-[^\S\n]+)?(?:export[^\S\n]+)?";
    let blank = r"[^\S\n]*";
    let unquoted = r#"(?P<un>[^\s"'`,;&|{}\[\]<>\\=~][^\s"'`,;&|{}\[\]<>\\]*)"#;
    vec![
        // YAML, .env and `kubectl describe`: one value that fills its line.
        rule(
            "credential",
            format!(
                r#"{line}["']?{KEY}["']?{blank}[:=]{blank}(?:{QUOTED}|(?P<un>[^\s"'{{\[=~|>&*][^\s]*)){blank},?\r?$"#
            ),
            value_of_key,
        ),
        // JSON, logfmt, query strings, INI, struct dumps.
        rule(
            "credential",
            format!(
                r#"(?i)(?P<open>\\?["'])?{KEY}(?:\\?["'])?(?P<sep>{blank}(?:=>|:=|=|:){blank})(?:{QUOTED}|{unquoted})"#
            ),
            value_of_pair,
        ),
        // A container's environment: `name: DB_PASSWORD`, then `value: …`.
        rule(
            "credential",
            format!(
                r#"(?i)\bname\\?["']?\s*:\s*\\?["']?{KEY}\\?["']?\s*,?\s*\\?["']?value\\?["']?\s*:\s*(?:{QUOTED}|(?P<un>[^\s"'{{}},]+))"#
            ),
            value_of_key,
        ),
        rule("credential", format!(r"(?i)<{KEY}>(?P<s>[^<\n]+)</"), value_of_key),
        // Arguments of a command, as a JSON list and as typed.
        rule("credential", format!(r#"(?i)["']--?{KEY}["'],\s*(?:{QUOTED})"#), value_of_key),
        rule("credential", format!(r#"(?i)\s--?{KEY}[^\S\n]+["']?(?P<s>[^\s"'\-][^\s"']*)"#), value_in_prose),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_expression_compiles() {
        for rule in rules() {
            assert!(Regex::new(&rule.pattern).is_ok(), "{}: {}", rule.kind, rule.pattern);
        }
        assert_eq!(TABLE.compiled.len(), rules().len());
        assert_eq!(TABLE.any.len(), rules().len(), "the set of all expressions compiles too");
    }
}
