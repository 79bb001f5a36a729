//! Jobs and CronJobs of the workload. Pure.

use chrono::{DateTime, Utc};
use k8s_openapi::api::batch::v1::{CronJob, Job};

use super::focus::{Focus, name_of};
use super::ledger::{Ledger, clean};
use super::objects::Objects;
use super::units::{self, clock};
use crate::facts::{CronJobFact, JobFact};
use crate::source::kubernetes::controller;

/// Most Jobs that become rows, newest first.
const MAX_JOBS: usize = 20;

pub fn jobs(objects: &Objects, focus: &Focus<'_>, ledger: &mut Ledger) -> Vec<JobFact> {
    let concerned = |job: &&Job| focus.concerns("Job", name_of(&job.metadata));
    let mut own: Vec<&Job> = objects.jobs.items.iter().filter(concerned).collect();
    // For a node they are known for their pods' sake alone.
    if own.is_empty() || !objects.jobs.known {
        return Vec::new();
    }
    own.sort_by_key(|job| std::cmp::Reverse(created_at(job)));
    let page = ledger.open("kubernetes", &objects.jobs.query, objects.jobs.milliseconds);
    let rows = own.into_iter().take(MAX_JOBS).map(|job| {
        let mut row = job_row(objects, job);
        let quote = ledger.line(page, &job_line(&row, objects.now));
        (row.evidence, row.quote) = (quote.evidence, quote.text);
        row
    });
    rows.collect()
}

pub fn cronjobs(objects: &Objects, focus: &Focus<'_>, ledger: &mut Ledger) -> Vec<CronJobFact> {
    let concerned = |cronjob: &&CronJob| focus.concerns("CronJob", name_of(&cronjob.metadata));
    let own: Vec<&CronJob> = objects.cron_jobs.items.iter().filter(concerned).collect();
    if own.is_empty() {
        return Vec::new();
    }
    let page = ledger.open("kubernetes", &objects.cron_jobs.query, objects.cron_jobs.milliseconds);
    let rows = own.into_iter().map(|cronjob| {
        let status = cronjob.status.as_ref();
        let active = status.and_then(|status| status.active.as_ref()).map_or(0, Vec::len);
        let mut row = CronJobFact {
            name: name_of(&cronjob.metadata).to_owned(),
            namespace: cronjob.metadata.namespace.clone().unwrap_or_default(),
            schedule: cronjob.spec.schedule.clone(),
            suspended: cronjob.spec.suspend.unwrap_or(false),
            active: i64::try_from(active).unwrap_or(i64::MAX),
            last_scheduled_at: status.and_then(|s| s.last_schedule_time.as_ref()).and_then(units::time),
            last_success_at: status.and_then(|s| s.last_successful_time.as_ref()).and_then(units::time),
            ..CronJobFact::default()
        };
        let at = |at: Option<DateTime<Utc>>| at.map_or("never".to_owned(), |at| clock(at, objects.now));
        let suspended = if row.suspended { ", suspended" } else { "" };
        let text = format!(
            "cronjob {}: \"{}\", {} active, last scheduled {}, last success {}{suspended}",
            row.name,
            row.schedule,
            row.active,
            at(row.last_scheduled_at),
            at(row.last_success_at)
        );
        let quote = ledger.line(page, &text);
        (row.evidence, row.quote) = (quote.evidence, quote.text);
        row
    });
    rows.collect()
}

fn created_at(job: &Job) -> Option<DateTime<Utc>> {
    job.metadata.creation_timestamp.as_ref().and_then(units::time)
}

fn job_row(objects: &Objects, job: &Job) -> JobFact {
    let (spec, status) = (job.spec.as_ref(), job.status.as_ref());
    let conditions = status.and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let condition = |kind: &str| conditions.iter().find(|c| c.type_ == kind && c.status == "True");
    let failed = condition("Failed").or_else(|| condition("FailureTarget"));
    let count = |count: Option<i32>| i64::from(count.unwrap_or(0));
    let cronjob = controller(&job.metadata).filter(|owner| owner.kind == "CronJob").map(|owner| owner.name);
    let newest = cronjob.as_ref().is_none_or(|cronjob| {
        let siblings = objects.jobs.items.iter().filter(|other| {
            controller(&other.metadata).is_some_and(|owner| owner.kind == "CronJob" && owner.name == *cronjob)
        });
        siblings.map(created_at).max().is_none_or(|newest| newest <= created_at(job))
    });
    let ended = condition("Failed").and_then(|c| c.last_transition_time.as_ref()).and_then(units::time);
    let completed = status.and_then(|status| status.completion_time.as_ref()).and_then(units::time);
    JobFact {
        name: name_of(&job.metadata).to_owned(),
        namespace: job.metadata.namespace.clone().unwrap_or_default(),
        failed: failed.is_some(),
        failed_reason: failed.and_then(|c| c.reason.clone()).unwrap_or_default(),
        failed_message: clean(failed.and_then(|c| c.message.as_deref()).unwrap_or_default()),
        complete: condition("Complete").is_some(),
        suspended: spec.is_some_and(|spec| spec.suspend == Some(true)),
        active: count(status.and_then(|status| status.active)),
        succeeded: count(status.and_then(|status| status.succeeded)),
        failed_pods: count(status.and_then(|status| status.failed)),
        backoff_limit: i64::from(spec.and_then(|spec| spec.backoff_limit).unwrap_or(6)),
        started_at: status.and_then(|status| status.start_time.as_ref()).and_then(units::time),
        finished_at: completed.or(ended),
        cronjob: cronjob.unwrap_or_default(),
        newest,
        ..JobFact::default()
    }
}

fn job_line(row: &JobFact, now: DateTime<Utc>) -> String {
    let state = match (row.failed, row.complete, row.suspended) {
        (true, ..) => format!("failed ({}: {})", row.failed_reason, row.failed_message),
        (_, true, _) => "complete".to_owned(),
        (.., true) => "suspended".to_owned(),
        _ => "running".to_owned(),
    };
    let mut line = format!(
        "job {}: {state}, {} active, {} succeeded, {} failed pods, backoff limit {}",
        row.name, row.active, row.succeeded, row.failed_pods, row.backoff_limit
    );
    for (what, at) in [("started", row.started_at), ("finished", row.finished_at)] {
        if let Some(at) = at {
            line.push_str(&format!(", {what} {}", clock(at, now)));
        }
    }
    line
}
