//! What outlets are told, and how it reads for a machine: an incident and what became of it go in, the JSON of a webhook
//! comes out, in the fields and words of the REST API. Pure.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::incident::store::Record;
use crate::report::{Before, Ending, Report};

/// A receiver may refuse a longer body; a report that makes it longer is left out, and read over the API.
pub(super) const MAX_PAYLOAD_BYTES: usize = 256 * 1024;

/// What kind of thing happened, as in the settings and in `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    Opened,
    Reopened,
    Finished,
    Resolved,
}

impl Topic {
    pub const ALL: [Self; 4] = [Self::Opened, Self::Reopened, Self::Finished, Self::Resolved];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "incident.opened",
            Self::Reopened => "incident.reopened",
            Self::Finished => "investigation.finished",
            Self::Resolved => "incident.resolved",
        }
    }
}

/// Something that happened to an incident.
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    /// As it is now.
    pub incident: &'a Record,
    pub what: What<'a>,
    pub at: DateTime<Utc>,
    /// Our page about it, where `server.public_url` is set.
    pub url: Option<&'a str>,
    /// The last time that the workload was investigated.
    pub before: Option<&'a Before>,
}

#[derive(Debug, Clone, Copy)]
pub enum What<'a> {
    Opened,
    /// Resolved before, and back.
    Reopened,
    Finished {
        investigation: Uuid,
        ending: Ending<'a>,
    },
    Resolved {
        /// What was found last.
        report: Option<&'a Report>,
        /// Its alerts were about another workload: they go on there.
        joined: Option<Uuid>,
    },
}

impl Event<'_> {
    pub fn topic(&self) -> Topic {
        match self.what {
            What::Opened => Topic::Opened,
            What::Reopened => Topic::Reopened,
            What::Finished { .. } => Topic::Finished,
            What::Resolved { .. } => Topic::Resolved,
        }
    }

    /// What tells it from all others: it is queued once for each outlet.
    pub(super) fn key(&self) -> String {
        let (incident, turn) = (self.incident.id, self.at.timestamp_micros());
        match self.what {
            What::Opened => format!("opened:{incident}"),
            What::Reopened => format!("reopened:{incident}:{turn}"),
            What::Finished { investigation, .. } => format!("finished:{investigation}"),
            What::Resolved { .. } => format!("resolved:{incident}:{turn}"),
        }
    }
}

/// The body of a webhook.
pub(super) fn payload(event: &Event<'_>) -> String {
    let whole = json_of(event, true);
    if whole.len() <= MAX_PAYLOAD_BYTES { whole } else { json_of(event, false) }
}

fn json_of(event: &Event<'_>, with_report: bool) -> String {
    let mut data = json!({"incident": incident(event.incident), "url": event.url});
    match event.what {
        What::Opened | What::Reopened => {}
        What::Finished { investigation, ending } => {
            data["investigation"] = investigated(event.incident, investigation, ending, with_report);
        }
        What::Resolved { joined, .. } => data["joined_incident_id"] = json!(joined),
    }
    json!({"type": event.topic().as_str(), "timestamp": moment(event.at), "data": data}).to_string()
}

fn incident(incident: &Record) -> Value {
    let workload = &incident.workload;
    json!({
        "id": incident.id, "workload": workload.key(), "cluster": workload.cluster,
        "namespace": workload.namespace, "kind": workload.kind, "name": workload.name,
        "state": if incident.open { "open" } else { "resolved" }, "severity": incident.severity.as_str(),
        "title": incident.title, "alert_names": incident.alert_names, "alerts": incident.alerts,
        "opened_at": incident.opened_at, "resolved_at": incident.resolved_at,
    })
}

fn investigated(incident: &Record, id: Uuid, ending: Ending<'_>, with_report: bool) -> Value {
    let (state, report, error) = match ending {
        Ending::Reported { report, .. } => ("done", Some(report), None),
        Ending::GaveUp(error) => ("dead", None, Some(error)),
    };
    let workload = &incident.workload;
    json!({
        "id": id, "incident_id": incident.id, "workload": workload.key(), "cluster": workload.cluster,
        "namespace": workload.namespace, "state": state, "error": error,
        "outcome": report.map(|report| report.outcome),
        "cause_id": report.and_then(|report| report.cause.as_ref()).map(|cause| &cause.id),
        "summary": report.map(|report| &report.summary),
        "report": report.filter(|_| with_report),
        "report_omitted": report.is_some() && !with_report,
    })
}

fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}
