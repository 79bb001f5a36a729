//! Sample reports, for tests over what is made of them.

use proptest::prelude::*;

use super::*;
use crate::workload::Workload;

pub(crate) const URL: &str = "https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000001";

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(crate) fn object(kind: &str, name: &str) -> ObjectRef {
    Workload::new("lab", "prod-api", kind, name).object()
}

pub(crate) fn workload() -> Workload {
    Workload::new("lab", "prod-api", "Deployment", "user-service")
}

pub(crate) fn evidence(id: &str, source: &str, query: &str, quote: &str) -> Evidence {
    let (id, source) = (id.to_owned(), source.to_owned());
    Evidence { id, source, query: query.to_owned(), quote: quote.to_owned(), verified: true }
}

pub(crate) fn finding(
    signature: &str,
    role: Role,
    object: ObjectRef,
    statement: &str,
    evidence: &str,
) -> Finding {
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

pub(crate) fn step(text: &str, command: &str, risk: Risk) -> NextStep {
    NextStep { text: text.to_owned(), command: command.to_owned(), risk }
}

pub(crate) fn entry(time: &str, what: &str) -> TimelineEntry {
    TimelineEntry {
        at: at(time),
        what: what.to_owned(),
        evidence: "E1".to_owned(),
        kind: Moment::Failure,
        trigger: false,
        why: String::new(),
    }
}

pub(crate) fn changed(time: &str, what: &str, near: Near, seconds_before: i64) -> Changed {
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

pub(crate) fn gap(source: &str, what: &str, why: &str) -> Gap {
    Gap { source: source.to_owned(), what: what.to_owned(), why: why.to_owned() }
}

pub(crate) fn found() -> Report {
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
        policy: None,
        held_back: None,
        onset_at: None,
        changed_first: Vec::new(),
    }
}

pub(crate) fn inconclusive() -> Report {
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
        policy: None,
        held_back: None,
        onset_at: None,
        changed_first: Vec::new(),
    }
}

/// A model found it, after a known failure was seen there the last time.
pub(crate) fn by_a_model() -> Report {
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

pub(crate) fn nothing_broken() -> Report {
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
pub(crate) fn storm() -> Report {
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

pub(crate) fn before(report: Report) -> Before {
    Before {
        at: at("2026-11-20T08:00:05Z"),
        report,
        lasted: Some(TimeDelta::minutes(18)),
        note: Some("We put the Secret back by hand.".to_owned()),
        url: Some(URL.replace("001", "002")),
    }
}

/// What an attacker would try, beside anything at all.
pub(crate) fn nasty() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("<!channel>".to_owned()),
        Just("<@U123> @here @Everyone @channel".to_owned()),
        Just("<https://evil.example|click>".to_owned()),
        Just("<at>Everyone</at> < /AT> [click](https://evil.example) www.evil.example".to_owned()),
        Just("{{DATE(2026-11-21T07:00:00Z)}}".to_owned()),
        Just("```".to_owned()),
        Just("`*_~`".to_owned()),
        Just("&lt;&amp;".to_owned()),
        Just("\n> quote\n```\n@".to_owned()),
        Just("👩‍👩‍👧‍👦\u{202e}\u{0}".to_owned()),
        "\\PC{0,40}",
        "[a-z<&]{900,1200}",
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// A report with the same hostile text everywhere it fits, and too much of everything.
pub(crate) fn hostile(texts: Vec<String>, many: usize, outcome: Outcome) -> Report {
    let mut next = texts.iter().cycle().cloned();
    let mut text = move || next.next().unwrap_or_default();
    let mut report = if outcome == Outcome::Inconclusive { inconclusive() } else { found() };
    report.outcome = outcome;
    report.summary = text();
    let mut object = || ObjectRef { cluster: text(), kind: text(), namespace: text(), name: text() };
    let objects: Vec<ObjectRef> = (0..=many).map(|_| object()).collect();
    let cause = Cause { id: text(), category: Category::Code, statement: text(), object: objects[0].clone() };
    report.cause = Some(cause);
    report.affected.workloads = (0..many).map(|_| text()).collect();
    report.affected.shared_factor = Some(text());
    let finding = found().findings[1].clone();
    report.findings = objects
        .iter()
        .map(|object| Finding {
            workloads: Vec::new(),
            object: object.clone(),
            statement: text(),
            evidence: vec![text()],
            ..finding.clone()
        })
        .collect();
    let moment = at("2026-11-21T10:00:00Z");
    report.timeline = (0..many)
        .map(|_| TimelineEntry {
            at: moment,
            what: text(),
            evidence: String::new(),
            kind: Moment::Config,
            trigger: true,
            why: text(),
        })
        .collect();
    report.changed_first = (0..many)
        .map(|_| Changed { why: text(), ..changed("2026-11-21T10:00:00Z", &text(), Near::Itself, i64::MIN) })
        .collect();
    report.evidence = (0..many)
        .map(|n| Evidence { verified: n % 2 == 0, ..evidence(&text(), &text(), &text(), &text()) })
        .collect();
    report.ruled_out =
        (0..many).map(|_| RuledOut { statement: text(), evidence: vec![text(); many] }).collect();
    report.next_steps =
        (0..many).map(|_| NextStep { text: text(), command: text(), risk: Risk::High }).collect();
    report.gaps = (0..many).map(|_| Gap { source: text(), what: text(), why: text() }).collect();
    report.runbook.name = text();
    report.runbook.revision = text();
    report
}
