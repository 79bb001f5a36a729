//! Sample reports, and the tests over what is made of them.

use chrono::{DateTime, Utc};

use super::blocks::{self, Before, IncidentView, Message, Progress, Standing, Telling};
use super::text;
use super::words::Words;
use crate::alert::Severity;
use crate::report::*;
use crate::workload::{ObjectRef, Workload};

mod languages;
mod payloads;
mod properties;

const URL: &str = "https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000001";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn object(kind: &str, name: &str) -> ObjectRef {
    Workload::new("lab", "prod-api", kind, name).object()
}

fn workload() -> Workload {
    Workload::new("lab", "prod-api", "Deployment", "user-service")
}

fn evidence(id: &str, source: &str, query: &str, quote: &str) -> Evidence {
    let (id, source) = (id.to_owned(), source.to_owned());
    Evidence { id, source, query: query.to_owned(), quote: quote.to_owned(), verified: true }
}

fn finding(signature: &str, role: Role, object: ObjectRef, statement: &str, evidence: &str) -> Finding {
    Finding {
        workloads: Vec::new(),
        signature: signature.to_owned(),
        role,
        category: Category::Configuration,
        object,
        statement: statement.to_owned(),
        evidence: vec![evidence.to_owned()],
        quotes: vec![],
        next_steps: vec![],
        explains: vec![],
    }
}

fn step(text: &str, command: &str, risk: Risk) -> NextStep {
    NextStep { text: text.to_owned(), command: command.to_owned(), risk }
}

fn entry(time: &str, what: &str) -> TimelineEntry {
    TimelineEntry {
        at: at(time),
        what: what.to_owned(),
        evidence: "E1".to_owned(),
        kind: Moment::Failure,
        trigger: false,
        why: String::new(),
    }
}

fn changed(time: &str, what: &str, near: Near, seconds_before: i64) -> Changed {
    Changed {
        at: at(time),
        kind: Changing::Rollout,
        object: "Deployment prod-api/user-service".to_owned(),
        what: what.to_owned(),
        near,
        seconds_before,
        why: String::new(),
        score: 0.5,
        evidence: "E2".to_owned(),
        line: String::new(),
    }
}

fn gap(source: &str, what: &str, why: &str) -> Gap {
    Gap { source: source.to_owned(), what: what.to_owned(), why: why.to_owned() }
}

fn found() -> Report {
    let statement =
        "Secret prod-api/db-credentials does not exist; container user reads DATABASE_URL from it";
    let (secret, service) = (object("Secret", "db-credentials"), object("Deployment", "user-service"));
    let stuck = "the rollout has made no progress for 10 min";
    let deployment = "GET /apis/apps/v1/namespaces/prod-api/deployments/user-service";
    let events = "GET /api/v1/namespaces/prod-api/events";
    let undo = "kubectl -n prod-api rollout undo deployment/user-service";
    Report {
        outcome: Outcome::KnownPattern,
        summary: "Both pods of user-service cannot start: a Secret that they need is missing.".to_owned(),
        cause: Some(Cause {
            id: "secret-missing".to_owned(),
            category: Category::Configuration,
            statement: statement.to_owned(),
            object: secret.clone(),
        }),
        confidence: Confidence::High,
        affected: Affected {
            radius: Radius::Workload,
            workloads: vec![service.short()],
            pods: PodCount { unhealthy: 2, total: 2 },
            shared_factor: None,
        },
        findings: vec![
            finding("secret-missing", Role::Primary, secret, statement, "E3"),
            finding("rollout-stuck", Role::Secondary, service, stuck, "E2"),
        ],
        timeline: vec![
            entry("2026-11-21T10:02:11Z", "revision 7 rolled out: containers[user].env DATABASE_URL"),
            TimelineEntry {
                evidence: "E3".to_owned(),
                ..entry("2026-11-21T10:02:14Z", "first warning: Error: secret \"db-credentials\" not found")
            },
            entry("2026-11-21T10:12:20Z", "alert KubeDeploymentRolloutStuck fired"),
        ],
        evidence: vec![
            evidence("E2", "kubernetes", deployment, "ProgressDeadlineExceeded"),
            evidence("E3", "kubernetes", events, "Error: secret \"db-credentials\" not found"),
        ],
        ruled_out: vec![],
        next_steps: vec![
            step("Look whether the Secret has another name.", "kubectl -n prod-api get secret", Risk::None),
            step("Go back to the last working revision.", undo, Risk::Low),
        ],
        runbook: RunbookUse {
            name: "pod-not-starting".to_owned(),
            revision: "1f2e3d4c5b6a79880011".to_owned(),
            coverage: Coverage::Partial,
            reason: String::new(),
        },
        cost: Cost { seconds: 0.83, ..Cost::default() },
        gaps: vec![gap("loki", "logs of user-service", "not configured")],
        unproven: vec![],
        muted: None,
        onset_at: None,
        changed_first: Vec::new(),
    }
}

fn inconclusive() -> Report {
    Report {
        outcome: Outcome::Inconclusive,
        summary: "Latency of checkout rose at 10:05; its pods are healthy and nothing was rolled out."
            .to_owned(),
        cause: None,
        confidence: Confidence::Low,
        affected: Affected { radius: Radius::None, ..Affected::default() },
        findings: vec![],
        timeline: vec![],
        evidence: vec![evidence("E1", "prometheus", "histogram_quantile(0.99, …)", "0.21 → 2.4 s at 10:05")],
        ruled_out: vec![RuledOut {
            statement: "no restart in the last hour".to_owned(),
            evidence: vec!["E4".to_owned()],
        }],
        next_steps: vec![NextStep {
            text: "Ask the owners of payments whether they saw it too.".to_owned(),
            command: String::new(),
            risk: Risk::None,
        }],
        runbook: RunbookUse {
            name: String::new(),
            revision: String::new(),
            coverage: Coverage::None,
            reason: String::new(),
        },
        cost: Cost {
            steps: 12,
            input_tokens: 45_000,
            output_tokens: 3_210,
            usd: 0.081,
            seconds: 41.3,
            ..Cost::default()
        },
        gaps: vec![Gap {
            source: "tempo".to_owned(),
            what: "traces of checkout".to_owned(),
            why: "no answer within 10 s".to_owned(),
        }],
        unproven: vec![],
        muted: None,
        onset_at: None,
        changed_first: Vec::new(),
    }
}

fn telling(url: Option<&str>) -> Telling<'_> {
    Telling { url, ..Telling::new(Words::of("en")) }
}

/// A model found it, after a known failure was seen there the last time.
fn by_a_model() -> Report {
    let mut report = found();
    let statement = "The new image expects TLS on port 5432; the database speaks none.";
    report.outcome = Outcome::RootCause;
    report.summary = "user-service cannot open its database since revision 8.".to_owned();
    report.confidence = Confidence::Medium;
    report.cause = Some(Cause {
        id: "tls-expected".to_owned(),
        category: Category::Code,
        statement: statement.to_owned(),
        object: object("Deployment", "user-service"),
    });
    report.timeline[0].trigger = true;
    report.timeline[0].why = "only pods of this revision fail".to_owned();
    report.findings =
        vec![finding("tls-expected", Role::Primary, object("Deployment", "user-service"), statement, "E3")];
    report.ruled_out =
        vec![RuledOut { statement: "the database is reachable".to_owned(), evidence: vec!["E2".to_owned()] }];
    report.unproven = vec![Unproven {
        statement: "the network drops packets".to_owned(),
        why: "no quote shows it".to_owned(),
    }];
    report.evidence[1].verified = false;
    report.next_steps = vec![step(
        "Set DATABASE_SSLMODE=disable.",
        "kubectl -n prod-api edit deployment/user-service",
        Risk::High,
    )];
    report.runbook.coverage = Coverage::Covered;
    report.cost = Cost {
        steps: 7,
        input_tokens: 30_000,
        output_tokens: 1_200,
        usd: 0.05,
        seconds: 38.2,
        ..Cost::default()
    };
    report.gaps.clear();
    report
}

fn nothing_broken() -> Report {
    Report {
        outcome: Outcome::NotAnIncident,
        summary: "Deployment user-service is well: 2 of 2 pods are ready, none restarted within the hour."
            .to_owned(),
        cause: None,
        confidence: Confidence::High,
        affected: Affected {
            radius: Radius::None,
            pods: PodCount { unhealthy: 0, total: 2 },
            ..Affected::default()
        },
        findings: vec![],
        ruled_out: vec![RuledOut {
            statement: "every pod is ready".to_owned(),
            evidence: vec!["E1".to_owned()],
        }],
        timeline: vec![],
        next_steps: vec![],
        gaps: vec![],
        ..found()
    }
}

/// A namespace in trouble: two causes, and one workload that suffers from one of them.
fn storm() -> Report {
    let on = |name: &str| vec![format!("Deployment shop/{name}")];
    let shop = |kind: &str, name: &str| Workload::new("lab", "shop", kind, name).object();
    let mut image = finding(
        "image-not-found",
        Role::Primary,
        shop("Deployment", "cart"),
        "the image cart:9 does not exist",
        "E3",
    );
    image.workloads = on("cart");
    let mut secret = finding(
        "secret-missing",
        Role::Primary,
        shop("Secret", "payments"),
        "Secret shop/payments does not exist",
        "E2",
    );
    secret.workloads = [on("payments"), on("billing")].concat();
    let mut victim = finding(
        "dependency-down",
        Role::Secondary,
        shop("Deployment", "checkout"),
        "it waits for payments",
        "E2",
    );
    victim.workloads = on("checkout");
    Report {
        summary:
            "2 independent causes in Namespace shop: 3 of 9 workloads are struck, one more suffers from them."
                .to_owned(),
        affected: Affected {
            radius: Radius::Namespace,
            workloads: [on("billing"), on("cart"), on("checkout"), on("payments")].concat(),
            pods: PodCount { unhealthy: 9, total: 21 },
            shared_factor: None,
        },
        findings: vec![image, secret, victim],
        ..found()
    }
}

/// With everything that may stand beside a report.
fn full(before: &Before) -> Telling<'_> {
    let read_at = Some(at("2026-11-21T10:13:02Z"));
    Telling { read_at, before: Some(before), buttons: Some(uuid::Uuid::nil()), ..telling(Some(URL)) }
}

fn before(report: Report) -> Before {
    Before {
        at: at("2026-11-20T08:00:05Z"),
        report,
        lasted: Some(chrono::TimeDelta::minutes(18)),
        note: Some("We put the Secret back by hand.".to_owned()),
        url: Some(URL.replace("001", "002")),
    }
}

fn view<'a>(workload: &'a Workload, names: &'a [String]) -> IncidentView<'a> {
    IncidentView {
        workload,
        severity: Severity::Critical,
        title: "Deployment user-service has been stuck for 10 minutes",
        alert_names: names,
        alerts: 3,
        opened_at: at("2026-11-21T10:12:20Z"),
    }
}
