//! The class of a log line: what kind of failure it tells of, by words that programs of many languages
//! share. Pure; the first class that fits wins, the more telling ones stand first.

use std::sync::LazyLock;

use regex::RegexSet;

/// Class and pattern, most telling first. `refused` stands for every peer that did not take a connection; its
/// plain words and those of `timeout` go ahead of verbs such as "cannot open", which may be of a connection.
const CLASSES: [(&str, &str); 18] = [
    (
        "disk-full",
        r"no space left on device|ENOSPC|disk quota exceeded|\bdisk( is)? full|not enough (disk )?space|unable to persist to disk",
    ),
    (
        "heap",
        r"OutOfMemoryE(rror|xception)|heap out of memory|java heap space|GC overhead limit|\bMemoryError\b|cannot allocate memory|out of memory|out of shared memory|used memory > 'maxmemory'|allowed memory size of \d+ bytes exhausted",
    ),
    (
        "bind-conflict",
        r"address already in use|EADDRINUSE|PortInUseException|port \d+ (is|was) already (in use|allocated)|failed to bind",
    ),
    (
        "certificate",
        r"x509:|certificate (has expired|is not valid|is not trusted|signed by unknown|verify failed|verification failed)|CERTIFICATE_VERIFY_FAILED|SSLHandshakeException|PKIX path|tls: (bad|failed|unknown)|self[- ]signed certificate|cannot load certificate|certificate problem|remote certificate is invalid|verify the first certificate|SSL: \w+\]|CERT_ALTNAME_INVALID|CERT_HAS_EXPIRED|UNABLE_TO_(GET|VERIFY)_\w*(ISSUER|SIGNATURE|CERT)",
    ),
    (
        "dns",
        r#"no such host|nslookup: can't resolve|server can't find \S+: [A-Z]+|(failure|error) in name resolution|name resolution (failure|failed|error|timed)|\bbad address '|(could not|couldn't|cannot|can't|unable to|failed to) resolve (the )?(hosts?\b|host ?names?\b|names?\b|address|domain|proxy|dns|["']?\w[\w-]*(\.[\w-]+)+)|UnknownHostException|\bENOTFOUND\b|host not found in upstream|unknown mysql server host|no resolvable bootstrap urls|\blookup \S+( on \S+)?:.*i/o timeout|EAI_AGAIN|NXDOMAIN|server misbehaving|name or service not known|nodename nor servname|getaddrinfo|failed to lookup address|(host ?)?name does not resolve|could not translate host ?name|\bunknown host\b|DnsNameResolver\w*Exception"#,
    ),
    (
        "auth",
        r"password authentication failed|access denied for user|WRONGPASS|NOAUTH|authentication (failed|failure|required|error)|invalid (credentials|password|api key|token)|\b401\b.*unauthorized|\bunauthorized\b|login failed|(role|user) .* does not exist|bad credentials|ACCESS_REFUSED|no pg_hba\.conf entry|InvalidAccessKeyId|SignatureDoesNotMatch|invalid username/password|logon denied|authorization violation|ExpiredToken|called without any password configured",
    ),
    ("refused", r"connection refused|ECONNREFUSED"),
    ("timeout", r"i/o timeout|connect(ion)?\b[^.]{0,80}\btimed[- ]?out"),
    (
        "missing-relation",
        r#"(relation|table|column|schema|database|index|function|type|collection) ["'`]?[\w.]+["'`]? (does not|doesn't) exist|table '[^']+' doesn't exist|no such (table|column)|UNKNOWN_TOPIC_OR_PARTITION|unknown (column|database|table)|NoDatabaseError|UndefinedTable|UndefinedColumn"#,
    ),
    (
        "migration",
        r"migrations?\b.*\b(failed|failure|error|dirty|conflict|mismatch|out of order|missing)\b|\bfailed migrations?\b|PendingMigrationError|InconsistentMigrationHistory|dirty database|(flyway|liquibase|alembic|sequelize|goose).*(exception|error|failed|can't)|failed to (run|apply).*migration",
    ),
    // A name that the program itself lacks is no setting of its environment.
    ("panic", r"\bReferenceError: \S+ is not defined|\bNameError: name '"),
    (
        "missing-variable",
        r"(environment variable|env(ironment)? var|env\b|variable|config(uration)?( key| value| option| parameter)?|setting|property|parameter|option|flag)s?\b.{0,80}?\b(is |are |was |were |be )?(not (set|found|defined|provided|specified|present|configured)|missing|undefined|unset|required|must be set|empty|cannot be (blank|empty|null))|(missing|required|undefined|unset|must set|please set|need to set)\b.{0,40}\b(environment variable|env(ironment)? var|env\b|variable|config|setting|property|parameter)|\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b ?(is|was|:)? ?(not (set|defined|provided|found)|required|missing|undefined|unset|must be set|cannot be empty)|KeyError: '[A-Z][A-Z0-9_]+'|\b[A-Z][A-Z0-9]*_[A-Z0-9_]+: (unbound variable|parameter (not set|null or not set))|could not resolve placeholder|(must|need to) specify [A-Z][A-Z0-9]*_[A-Z0-9_]+|(?-i:key not found: .[A-Z][A-Z0-9_]*_[A-Z0-9_]+)|.received.: ?.undefined.|validation errors? for \w*Settings|ConnectionString property has not been|null\. \(parameter '\w*connectionstring'|failed to load config value|\w*(url|api[_-]?key|dsn|connection ?string) is required|'url' attribute is not specified",
    ),
    (
        "permission",
        r"permission denied|has wrong ownership|EACCES|EPERM|operation not permitted|read-only file system|EROFS|access is denied|\b403\b.*forbidden|is forbidden: user|insufficient (permissions|privileges)|AccessDenied",
    ),
    (
        "missing-file",
        r"no such file or directory|ENOENT|FileNotFound|cannot (find|open|access|stat)\b|can't open|could not (find|open)|cannot find module|ModuleNotFoundError|ClassNotFoundException|no module named|executable file not found|command not found|: not found$|unable to access jarfile",
    ),
    (
        "refused",
        r"connection refused|ECONNREFUSED|connection reset|ECONNRESET|no route to host|EHOSTUNREACH|ENETUNREACH|network is unreachable|\bunreachable\b|\bunavailable\b|communications link failure|(could not|couldn't|cannot|can't|unable to|failed to) (connect|reach|establish|open connection)|broken pipe|connection closed by|server closed the connection|no (available |live )?(brokers|servers|nodes|upstreams?)\b|connection to \S+( \S+)? \(\S+\) could not be established|broker may not be available|connection to \S+ refused|AMQPConnectionError|not possible to connect|NoBrokersAvailable|NoNodeAvailable|upstream connect error",
    ),
    (
        "timeout",
        r"timed[- ]?out|deadline exceeded|ETIMEDOUT|TimeoutE(rror|xception)|SocketTimeout|timeout (exceeded|expired|error|after|waiting|while|reached)|(read|connect(ion)?|request|i/o|io|gateway|operation|lock|statement|dial) timeout",
    ),
    (
        "panic",
        r"^panic:|\bpanic: |goroutine \d+ \[|thread '.*' panicked|panicked at|Traceback \(most recent|Exception in thread|unhandled ?(exception|rejection|promise ?rejection)|uncaught \w+error|TypeError: cannot read propert|'NoneType' object|uncaught exception|NullPointerException|NullReferenceException|\(NoMethodError\)|segmentation fault|SIGSEGV|SIGABRT|core dumped|fatal error:|assertion failed|stack overflow",
    ),
    (
        "error",
        r"\berrors?\b|\bfatal\b|\bfail(ed|ure|s|ing)?\b|\bexception\b|\bcritical\b|\babort(ed|ing)?\b|\bdeadlock(ed)?\b|\bcrash(ed|ing)?\b|\binvalid\b|\bunable to\b|\bsyntax error\b|\busage:|does not look like a TLS handshake|HTTP response to HTTPS client",
    ),
];

/// Words that make a line harmless although it has an error's word in it.
const HARMLESS: &str = r#"\b(0|no|zero) failed\b|\b(0|no|zero|without|ignoring) (errors?|failures?|exceptions?)\b|\berr(or)?s?["']?\s*[=:]\s*["']?(0|null|nil|none|false|<nil>)\b|\berr(or)?s?=("")?(\s|$)|(?:\bfailed|\bfailures?)["']?\s*[=:]\s*0\b|error[_-]?(handler|log|page|rate|budget)"#;
/// A setting that may be left out, or a step that is over: no failure, whatever its words.
const FINE: &str = r#"\b(using|defaulting|falling back|falls back)\b.{0,20}\bdefaults?\b|\bdefault(s|ing)? to\b|\b(optional|no|0|without|ignoring) (settings?|errors?|failures?|exceptions?)\b|HTTP/[0-9.]+\\?" [123]\d\d\b"#;
/// Levels that say that nothing is wrong.
const CALM: &str = r#"(^|\s|\[|["'])(level|severity|lvl)["']?\s*[=:]\s*["']?(info|debug|trace|notice)\b|^\S*\s*\[?(INFO|DEBUG|TRACE|NOTICE)\b|^I\d{4} "#;
/// Levels and words of a death.
const LOUD: &str = r#"\b(FATAL|PANIC|CRITICAL|EMERG)\b|^panic:|\bpanicked at\b|(level|severity|lvl)["']?\s*[=:]\s*["']?(fatal|panic|critical|emergency)\b|\bfatal:|^F\d{4} "#;
/// Levels of an error.
const ERROR_LEVEL: &str =
    r#"\bERROR\b|\bERR\b|(level|severity|lvl)["']?\s*[=:]\s*["']?(error|err)\b|^E\d{4} |\berror:"#;

struct Patterns {
    classes: RegexSet,
    marks: RegexSet,
}

static PATTERNS: LazyLock<Option<Patterns>> = LazyLock::new(|| {
    let insensitive = |patterns: &[&str]| patterns.iter().map(|p| format!("(?i){p}")).collect::<Vec<_>>();
    let classes: Vec<&str> = CLASSES.iter().map(|(_, pattern)| *pattern).collect();
    let marks = [
        format!("(?i){HARMLESS}"),
        format!("(?i){CALM}"),
        LOUD.to_owned(),
        ERROR_LEVEL.to_owned(),
        format!("(?i){FINE}"),
    ];
    Some(Patterns { classes: RegexSet::new(insensitive(&classes)).ok()?, marks: RegexSet::new(marks).ok()? })
});

/// A line's class ("" for none) and how much it says about a failure; higher says more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    pub class: &'static str,
    pub weight: i32,
}

pub fn judge(line: &str) -> Judgement {
    const NOTHING: Judgement = Judgement { class: "", weight: 0 };
    let Some(patterns) = PATTERNS.as_ref() else { return NOTHING };
    let marks = patterns.marks.matches(line);
    let (harmless, calm, loud, error) =
        (marks.matched(0), marks.matched(1), marks.matched(2), marks.matched(3));
    // A death is told even if its line also speaks of a default.
    if marks.matched(4) && !loud && !error {
        return NOTHING;
    }
    let first = patterns.classes.matches(line).into_iter().next();
    let Some((class, _)) = first.and_then(|index| CLASSES.get(index)) else {
        return Judgement { class: "", weight: i32::from(!calm) };
    };
    if *class == "error" && (harmless || calm) {
        return NOTHING;
    }
    let telling = match *class {
        "error" => 20,
        "panic" => 28,
        _ => 30,
    };
    let level = if loud {
        8
    } else if error {
        4
    } else if calm {
        -15
    } else {
        0
    };
    Judgement { class, weight: telling + level }
}

/// Class and weight, as `logs` asks for them.
pub fn class_and_weight(line: &str) -> (&'static str, i32) {
    let judgement = judge(line);
    (judgement.class, judgement.weight)
}

/// Classes in which a line tells of a peer.
pub fn names_a_peer(class: &str) -> bool {
    matches!(class, "refused" | "dns" | "timeout" | "auth" | "certificate")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_many_programs() {
        for (line, class) in [
            ("ERROR: Connection refused - database unreachable", "refused"),
            ("dial tcp 10.0.0.7:5432: connect: connection refused", "refused"),
            ("Error: connect ECONNREFUSED 127.0.0.1:6379", "refused"),
            ("WARN dependency redis-cart:6379 unavailable, reporting not ready", "refused"),
            ("com.mysql.cj.jdbc.exceptions.CommunicationsException: Communications link failure", "refused"),
            ("dial tcp: lookup db.prod.svc on 10.96.0.10:53: no such host", "dns"),
            ("java.net.UnknownHostException: kafka-0", "dns"),
            ("nc: bad address 'postgis'", "dns"),
            ("Error: getaddrinfo EAI_AGAIN api.internal", "dns"),
            ("could not translate host name \"db\" to address: Name or service not known", "dns"),
            ("context deadline exceeded (Client.Timeout exceeded while awaiting headers)", "timeout"),
            ("redis.exceptions.TimeoutError: Timeout reading from socket", "timeout"),
            ("FATAL: password authentication failed for user \"app\"", "auth"),
            ("ERROR 1045 (28000): Access denied for user 'app'@'10.0.0.1'", "auth"),
            ("open /data/x: permission denied", "permission"),
            ("Error: EACCES: permission denied, mkdir '/app'", "permission"),
            ("Error: environment variable DATABASE_URL is not set", "missing-variable"),
            ("KeyError: 'DATABASE_URL'", "missing-variable"),
            ("DATABASE_URL must be set", "missing-variable"),
            ("missing required env var API_HOST", "missing-variable"),
            ("Could not resolve placeholder 'db.url' in value \"${db.url}\"", "missing-variable"),
            ("curl: (6) Could not resolve host: api.internal", "dns"),
            ("W: Could not resolve 'deb.debian.org'", "dns"),
            ("write /var/lib/x: no space left on device", "disk-full"),
            ("listen tcp :8080: bind: address already in use", "bind-conflict"),
            ("panic: runtime error: index out of range [3] with length 3", "panic"),
            ("thread 'main' panicked at src/main.rs:3:5:", "panic"),
            ("Traceback (most recent call last):", "panic"),
            ("x509: certificate has expired or is not yet valid", "certificate"),
            ("java.lang.OutOfMemoryError: Java heap space", "heap"),
            ("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory", "heap"),
            ("FATAL: relation \"products\" does not exist", "missing-relation"),
            ("Table 'shop.orders' doesn't exist", "missing-relation"),
            ("error: Dirty database version 7. Fix and force version.", "migration"),
            ("cat: can't open '/tmp/healthy': No such file or directory", "missing-file"),
            ("Error: Cannot find module 'express'", "missing-file"),
            ("sh: wge: not found", "missing-file"),
            ("something failed badly", "error"),
            ("worker pool deadlocked", "error"),
        ] {
            assert_eq!(judge(line).class, class, "{line}");
        }
    }

    #[test]
    fn harmless_lines_have_no_class() {
        for line in [
            "Running DB migration for auth schema...",
            "Starting gateway...",
            "level=info msg=\"sent notification batch\" batch=1",
            "finished with 0 errors",
            "request done error=null status=200",
            "level=info msg=\"error budget is fine\"",
            "listening on :8080 with timeout=30s",
            "checkout: order processed",
        ] {
            assert_eq!(judge(line).class, "", "{line}");
        }
    }

    /// Lines as these programs write them, each with its class; "" for what tells of no failure.
    const LINES: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/log-lines.tsv"));

    #[test]
    fn lines_of_java_python_go_node_nginx_and_databases_have_their_class() {
        let lines = LINES.lines().filter(|line| !line.starts_with('#'));
        let lines: Vec<(&str, &str)> = lines.map(|line| line.split_once('\t').unwrap()).collect();
        assert!(lines.len() > 200 && lines.iter().filter(|(class, _)| class.is_empty()).count() > 40);
        let wrong = lines.iter().filter(|(class, line)| judge(line).class != *class);
        let wrong: Vec<String> =
            wrong.map(|(class, line)| format!("{class:?}, not {:?}: {line}", judge(line).class)).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn a_death_weighs_more_than_a_retry() {
        let retry = judge("level=info msg=\"connection refused, retrying\"");
        let death = judge("FATAL: DATABASE_URL is not set");
        assert!(death.weight > retry.weight);
        assert!(judge("ERROR: it broke").weight > judge("loading events into memory").weight);
    }
}
