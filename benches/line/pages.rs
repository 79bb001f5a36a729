//! The pages with a hundred thousand investigations stored: real reports of the recorded cluster, written again under
//! other names and times, and what they read. Each page is asked for one after the other; its weight is what is sent.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use sqlx::PgPool;

use crate::load::percentile;
use crate::report;
use crate::service::{Service, client};

const STORED: i32 = 100_000;
/// Each incident has as many investigations.
const LOOKS: i32 = 4;
const OPEN: i32 = 60;
/// The newest whose observations are there too; older ones are past retention.
const WITH_OBSERVATIONS: i64 = 5_000;
const REQUESTS: usize = 400;
const WARM_UP: usize = 20;
/// From words that stand in most summaries to one that stands in none.
const QUERIES: [&str; 8] = [
    "container",
    "pods unhealthy",
    "secret",
    "OOMKilled",
    "payment-service",
    "\"does not exist\" -claim",
    "probe OR quota",
    "zebra",
];

/// One kind of page.
pub struct Figure {
    pub name: &'static str,
    pub p50: Duration,
    pub p99: Duration,
    /// The heaviest, in bytes.
    pub weight: usize,
}

/// Investigates the recorded cluster, multiplies what was found and asks for pages.
pub async fn figures(service: &Service, sockets: &Path) -> Result<(i64, Vec<Figure>)> {
    report::times(service, sockets).await?;
    let pool = report::database(sockets).await?;
    let stored = seed(&pool).await?;
    let ids: Vec<uuid::Uuid> = sqlx::query_scalar(
        "select id from investigations where state = 'done' order by created_at desc limit 2000",
    )
    .fetch_all(&pool)
    .await?;
    let investigation = |at: usize| format!("/investigations/{}", ids[at * 7 % ids.len()]);
    let word = |at: usize| {
        format!("/search?q={}", QUERIES[at % QUERIES.len()].replace(' ', "+").replace('"', "%22"))
    };
    let figures = vec![
        ask(service, "/", |_| "/".to_owned()).await?,
        ask(service, "/investigations/{id}", investigation).await?,
        ask(service, "/search?q=", word).await?,
        ask(service, "/search, filters only", |_| "/search?namespace=n7&outcome=known_pattern".to_owned())
            .await?,
    ];
    pool.close().await;
    Ok((stored, figures))
}

async fn seed(pool: &PgPool) -> Result<i64> {
    let statements = [
        format!(
            "insert into incidents (id, workload, cluster, namespace, kind, name, state, severity, title, alert_names,
                 alerts, opened_at, resolved_at)
             select gen_random_uuid(), 'seed/n' || n % 50 || '/Deployment/d' || n, 'seed', 'n' || n % 50, 'Deployment',
                 'd' || n, case when n <= {OPEN} then 'open' else 'resolved' end,
                 (array['critical', 'warning', 'info'])[1 + n % 3], 'Something is wrong', '{{KubePodCrashLooping}}', 3,
                 now() - make_interval(mins => n), case when n > {OPEN} then now() - make_interval(mins => n - 9) end
             from generate_series(1, {STORED} / {LOOKS}) n"
        ),
        format!(
            "with real as (
                 select row_number() over (order by id) - 1 as place, count(*) over () as kinds, * from investigations
                 where report is not null)
             insert into investigations (id, incident_id, state, reason, attempt, workload, cluster, namespace, alert_name,
                 runbook, runbook_revision, outcome, cause_id, summary, report, steps, created_at, started_at, finished_at)
             select gen_random_uuid(), i.id, 'done', 'opened', 1, i.workload, i.cluster, i.namespace, r.alert_name, r.runbook,
                 r.runbook_revision, r.outcome, r.cause_id, r.summary, r.report, r.steps, t, t, t + interval '1 second'
             from (select *, row_number() over (order by opened_at) as n from incidents where cluster = 'seed') i
             cross join generate_series(1, {LOOKS}) look
             join real r on r.place = (i.n + look) % r.kinds
             cross join lateral (select i.opened_at + make_interval(secs => look * 60) as t) times"
        ),
        format!(
            "with real as materialized (select id, summary from investigations where cluster <> 'seed' and summary is not null),
             newest as materialized (
                 select id, summary, created_at from investigations where cluster = 'seed'
                 order by created_at desc limit {WITH_OBSERVATIONS}),
             pair as materialized (
                 select n.id, n.created_at, (select r.id from real r where r.summary = n.summary limit 1) as real
                 from newest n)
             insert into steps
             select p.id, 1, s.evidence, s.source, s.query, s.observation, s.milliseconds, p.created_at
             from pair p join steps s on s.investigation_id = p.real on conflict do nothing"
        ),
        "analyze".to_owned(),
    ];
    for statement in statements {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(pool).await?;
    }
    Ok(sqlx::query_scalar("select count(*) from investigations").fetch_one(pool).await?)
}

async fn ask(service: &Service, name: &'static str, path: impl Fn(usize) -> String) -> Result<Figure> {
    let client = client()?;
    let (mut times, mut weight) = (Vec::new(), 0);
    for at in 0..WARM_UP + REQUESTS {
        let url = format!("{}{}", service.url, path(at));
        let asked = Instant::now();
        let answer = client.get(&url).send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        ensure!(status.is_success(), "{url} was answered with {status}");
        if at >= WARM_UP {
            times.push(asked.elapsed());
        }
        weight = weight.max(body.len());
    }
    Ok(Figure { name, p50: percentile(&times, 50), p99: percentile(&times, 99), weight })
}
