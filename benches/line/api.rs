//! The API over 100,000 investigations of 2,000 workloads: each question is asked again and again over one connection,
//! with rare and with frequent words, and the slowest answers are what counts.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::load::percentile;
use crate::report::database;
use crate::service::{Service, client};

const ASKED: usize = 200;
const WARM_UP: usize = 10;

/// Name and path of each question.
const QUESTIONS: &[(&str, &str)] = &[
    ("list, first page", "/api/v1/investigations"),
    ("list of one namespace", "/api/v1/investigations?namespace=n7"),
    ("list of one workload", "/api/v1/investigations?workload=lab/n7/Deployment/d7"),
    ("list of one cause", "/api/v1/investigations?cause=secret-missing-77"),
    ("list, deep page", "/api/v1/investigations?until=2026-01-20T00:00:00Z&limit=200"),
    ("list by severity that is nowhere", "/api/v1/investigations?severity=info"),
    ("search, a word of every report", "/api/v1/investigations?q=pods"),
    ("search, a word of 50 reports", "/api/v1/investigations?q=unique77"),
    ("search, a word of no report", "/api/v1/investigations?q=zebra"),
    ("search, two words and a namespace", "/api/v1/investigations?q=pods+unique77&namespace=n7"),
    ("incidents, first page", "/api/v1/incidents"),
    ("runbooks over 365 days", "/api/v1/runbooks?days=365"),
    ("figures of 12 weeks", "/api/v1/stats"),
];

/// p50 and p99 of each question.
pub async fn figures(service: &Service, sockets: &Path) -> Result<Vec<(&'static str, Duration, Duration)>> {
    seed(sockets).await?;
    let http = client()?;
    let mut figures = Vec::new();
    for (name, path) in QUESTIONS {
        let mut times = Vec::with_capacity(ASKED);
        for turn in 0..WARM_UP + ASKED {
            let asked = Instant::now();
            let answer = http.get(format!("{}{path}", service.url)).send().await?;
            ensure!(answer.status().is_success(), "{path}: {}", answer.status());
            answer.bytes().await?;
            if turn >= WARM_UP {
                times.push(asked.elapsed());
            }
        }
        times.sort();
        figures.push((*name, percentile(&times, 50), percentile(&times, 99)));
    }
    Ok(figures)
}

/// One every five minutes of the last year, with reports of the usual size.
async fn seed(sockets: &Path) -> Result<()> {
    let pool = database(sockets).await?;
    for statement in [
        "insert into incidents (id, workload, cluster, namespace, kind, name, state, severity, title, alert_names,
                                opened_at, resolved_at)
         select gen_random_uuid(), 'lab/n' || n % 40 || '/Deployment/d' || n, 'lab', 'n' || n % 40, 'Deployment', 'd' || n,
                'resolved', 'warning', 'KubePodCrashLooping', '{KubePodCrashLooping}',
                now() - make_interval(mins => n * 250), now() from generate_series(0, 1999) n",
        "insert into investigations (id, incident_id, state, reason, workload, cluster, namespace, alert_name, runbook,
                                     outcome, cause_id, summary, report, created_at, started_at, finished_at)
         select gen_random_uuid(), i.id, 'done', 'opened', i.workload, i.cluster, i.namespace, 'KubePodCrashLooping',
                'configuration', case when n % 5 = 0 then 'inconclusive' else 'known_pattern' end,
                'secret-missing-' || n % 200, 'Pods of ' || i.name || ' wait for unique' || n % 2000,
                jsonb_build_object('runbook', jsonb_build_object('coverage', 'partial'), 'evidence', '[]'::jsonb,
                                   'timeline', (select jsonb_agg(md5((n * k)::text)) from generate_series(1, 40) k)),
                t, t, t + interval '1 second'
         from generate_series(0, 99999) n
         join incidents i on i.name = 'd' || n % 2000, lateral (select now() - make_interval(mins => n * 5) as t) clock",
        "analyze",
    ] {
        sqlx::query(statement).execute(&pool).await?;
    }
    Ok(())
}
