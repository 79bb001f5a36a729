//! Storms in `incidents`: who came within the window, who folds into whom, which storm is over. Inside the caller's
//! transaction; whoever began an investigation meanwhile keeps it.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use super::{Crowd, Fold, Member};
use crate::alert::Severity;
use crate::incident::store::lock;
use crate::workload::Workload;

/// Incidents looked at in one round; more have to wait for the next.
const MAX_MEMBERS: i64 = 5_000;
/// A storm is over when no more than this share of what folded into it still fires.
const STILL_FIRING: f64 = 0.2;

/// Incidents of workloads that opened within `window` and are open on their own, and the storms that go on.
///
/// # Errors
/// The database's.
pub async fn crowd(executor: &mut PgConnection, window: Duration) -> Result<Crowd, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select i.id, i.cluster, i.namespace, i.kind, i.name, i.severity,
                  exists (select from investigations v where v.incident_id = i.id and v.state = 'queued') as "waits!"
           from incidents i
           where i.state = 'open' and i.folded_into is null and i.namespace <> ''
             and i.opened_at > now() - make_interval(secs => $1)
           order by i.opened_at limit $2"#,
        window.as_secs_f64(),
        MAX_MEMBERS
    )
    .fetch_all(&mut *executor)
    .await?;
    let members = rows.into_iter().map(|row| Member {
        id: row.id,
        workload: Workload::new(row.cluster, row.namespace, row.kind, row.name),
        severity: Severity::from_word(&row.severity),
        waits: row.waits,
    });
    let parents = sqlx::query!(
        "select distinct p.cluster, p.namespace, p.kind, p.name
         from incidents m join incidents p on p.id = m.folded_into where m.state = 'open' and p.state = 'open'"
    )
    .fetch_all(&mut *executor)
    .await?;
    let parents =
        parents.into_iter().map(|row| Workload::new(row.cluster, row.namespace, row.kind, row.name));
    Ok(Crowd { members: members.collect(), parents: parents.collect::<BTreeSet<_>>() })
}

/// What a fold came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    pub parent: Uuid,
    /// The parent was opened for it, and nobody looks at it yet.
    pub opened: bool,
    /// Whose look was spared.
    pub members: Vec<Uuid>,
}

/// Folds incidents into the one of what they share, which is opened where it is not. `None`: all of them were
/// quicker.
///
/// # Errors
/// The database's.
pub async fn fold(transaction: &mut PgConnection, fold: &Fold) -> Result<Option<Folded>, sqlx::Error> {
    lock(&mut *transaction, &[fold.into.key()]).await?;
    let members = sqlx::query_scalar!(
        "update investigations set state = 'cancelled', finished_at = now(), error = $2
         where incident_id = any($1) and state = 'queued' returning incident_id",
        &fold.members,
        format!("one of many at once: looked at together, as {}", fold.into.short())
    )
    .fetch_all(&mut *transaction)
    .await?;
    if members.is_empty() {
        return Ok(None);
    }
    let open = sqlx::query_scalar!(
        "select id from incidents where workload = $1 and state = 'open'",
        fold.into.key()
    );
    let known = open.fetch_optional(&mut *transaction).await?;
    let parent = match known {
        Some(parent) => parent,
        None => open_parent(transaction, fold).await?,
    };
    sqlx::query!("update incidents set folded_into = $2 where id = any($1)", &members, parent)
        .execute(&mut *transaction)
        .await?;
    entitle(transaction, parent, fold).await?;
    Ok(Some(Folded { parent, opened: known.is_none(), members }))
}

async fn open_parent(transaction: &mut PgConnection, fold: &Fold) -> Result<Uuid, sqlx::Error> {
    let id = Uuid::now_v7();
    sqlx::query!(
        "insert into incidents (id, workload, cluster, namespace, kind, name, state, severity, title, alert_names,
                                investigated_at)
         values ($1, $2, $3, $4, $5, $6, 'open', $7, '', '{}', now())",
        id,
        fold.into.key(),
        fold.into.cluster,
        fold.into.namespace,
        fold.into.kind,
        fold.into.name,
        fold.severity.as_str()
    )
    .execute(transaction)
    .await?;
    Ok(id)
}

/// The parent says how many it stands for, and under which alerts.
async fn entitle(transaction: &mut PgConnection, parent: Uuid, fold: &Fold) -> Result<(), sqlx::Error> {
    let what = fold.into.short();
    sqlx::query!(
        "with all_of as (
           select count(*) as workloads, coalesce(sum(m.alerts), 0)::int as alerts,
                  array(select distinct unnest(n.alert_names) from incidents n where n.folded_into = $1
                        order by 1) as names
           from incidents m where m.folded_into = $1)
         update incidents p set updated_at = now(),
                title = case when p.firing > 0 then p.title
                             else all_of.workloads || ' workloads in trouble at once: ' || $2 end,
                severity = case when p.firing > 0 then p.severity else $3 end,
                alerts = case when p.firing > 0 then p.alerts else all_of.alerts end,
                alert_names = case when p.firing > 0 then p.alert_names else all_of.names end
         from all_of where p.id = $1",
        parent,
        what,
        fold.severity.as_str()
    )
    .execute(transaction)
    .await?;
    Ok(())
}

/// Storms that are over, and what of them still fires and now needs a look of its own.
#[derive(Debug, Default)]
pub struct Over {
    pub parents: Vec<Uuid>,
    pub still_firing: Vec<Uuid>,
}

/// Closes the parents of storms of which little is left, unless they have firing alerts of their own, and lets go
/// of members that still fire.
///
/// # Errors
/// The database's.
pub async fn end(executor: impl PgExecutor<'_>) -> Result<Over, sqlx::Error> {
    let rows = sqlx::query!(
        r#"with storms as (
             select p.id, count(*) filter (where m.state = 'open') as open, count(*) as workloads
             from incidents p join incidents m on m.folded_into = p.id
             where p.state = 'open' and p.firing = 0 group by p.id),
           over as (
             update incidents p set state = 'resolved', resolved_at = now(), updated_at = now()
             from storms s where s.id = p.id and p.state = 'open' and p.firing = 0
               and s.open <= s.workloads * $1::float8
             returning p.id),
           -- Also of parents that were closed otherwise: resolved themselves, or stale.
           free as (
             update incidents m set folded_into = null from incidents p
             where p.id = m.folded_into and m.state = 'open'
               and (p.state = 'resolved' or p.id in (select id from over))
             returning m.id)
           select id as "id!", true as "parent!" from over union all select id, false from free"#,
        STILL_FIRING
    )
    .fetch_all(executor)
    .await?;
    let mut over = Over::default();
    for row in rows {
        if row.parent { over.parents.push(row.id) } else { over.still_firing.push(row.id) }
    }
    Ok(over)
}
