//! When the trouble began: what was seen of it and the alert come in, one moment goes out. An alert fires late, after
//! its rule has waited; the first symptom that leads up to it without a long pause says more. Pure.

use chrono::{DateTime, TimeDelta, Utc};

/// Symptoms further apart than this are of different troubles, in minutes.
const PAUSE_MINUTES: i64 = 60;
/// What had begun so long before the alert is no sign of what it tells of, in hours: nobody was alerted to it.
const CHRONIC_HOURS: i64 = 6;

/// A sign of trouble, from when to when it was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symptom {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

/// The alert's own time, corrected by the symptoms that led up to it. Without an alert, the newest trouble is the one
/// that is asked about. None where there is neither.
pub fn onset(symptoms: &[Symptom], alert: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
    let mut symptoms: Vec<Symptom> = symptoms.to_vec();
    if let Some(alert) = alert {
        symptoms.retain(|one| one.from >= alert - TimeDelta::hours(CHRONIC_HOURS));
    }
    symptoms.sort_by_key(|one| std::cmp::Reverse((one.to, one.from)));
    let mut began = alert.or_else(|| symptoms.first().map(|one| one.to))?;
    for symptom in symptoms {
        if symptom.to < began - TimeDelta::minutes(PAUSE_MINUTES) {
            break;
        }
        began = began.min(symptom.from);
    }
    Some(began)
}
