//! Container logs: the recorded lines, cut as the request asks. They were recorded with timestamps, which
//! go out only when asked for. Where the recorded server had no log to give, its refusal goes out.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::objects::Cluster;
use super::{Answer, Query, status};

pub(super) fn answer(
    cluster: &Cluster,
    namespace: &str,
    pod: &str,
    query: &Query,
    now: DateTime<Utc>,
) -> Answer {
    read(cluster, (namespace, pod), query, now).unwrap_or_else(|refusal| refusal)
}

fn read(
    cluster: &Cluster,
    (namespace, name): (&str, &str),
    query: &Query,
    now: DateTime<Utc>,
) -> Result<Answer, Answer> {
    let pods = cluster.resource("/api/v1", "pods").ok_or_else(status::unknown_path)?;
    let pod = pods.item(namespace, name).ok_or_else(|| status::not_found(pods, name))?;
    let container = container(pod, name, query.value("container"))?;
    let which = if query.is_set("previous") { "previous" } else { "current" };
    // A container that waits to be started again has no log but the dead instance's.
    let dead = || match which {
        "current" if is_waiting(pod, &container) => cluster.log(namespace, name, &container, "previous"),
        _ => None,
    };
    let Some((code, recorded)) = cluster.log(namespace, name, &container, which).or_else(dead) else {
        let message =
            format!("the recording holds no {which} log of container \"{container}\" in pod \"{name}\"");
        return Err(status::bad_request(&message));
    };
    match *code {
        200 => {}
        204 => return Ok(Answer::text(204, Vec::new())),
        code => {
            let content_type = "application/json".to_owned();
            return Ok(Answer { status: code, content_type, body: recorded.clone() });
        }
    }
    let since = since(query, now)?;
    let tail = query.number("tailLines", 0)?.and_then(|lines| usize::try_from(lines).ok());
    let limit = query.number("limitBytes", 1)?.and_then(|bytes| usize::try_from(bytes).ok());
    let mut body =
        cut(&String::from_utf8_lossy(recorded), since, tail, query.is_set("timestamps")).into_bytes();
    // Like the kubelet: the tail is chosen first, then reading stops at the limit, even within a line.
    body.truncate(limit.unwrap_or(usize::MAX));
    Ok(Answer { status: 200, content_type: "text/plain".to_owned(), body })
}

fn is_waiting(pod: &Value, container: &str) -> bool {
    let statuses = ["containerStatuses", "initContainerStatuses"].map(|field| &pod["status"][field]);
    let mut all = statuses.into_iter().filter_map(Value::as_array).flatten();
    all.any(|status| status["name"] == container && status["state"]["waiting"].is_object())
}

fn since(query: &Query, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, Answer> {
    if let Some(seconds) = query.number("sinceSeconds", 1)? {
        return Ok(TimeDelta::try_seconds(seconds).and_then(|ago| now.checked_sub_signed(ago)));
    }
    let Some(text) = query.value("sinceTime") else { return Ok(None) };
    text.parse().map(Some).map_err(|_| status::bad_request(&format!("sinceTime: Invalid value: \"{text}\"")))
}

/// The lines at or after `since`, the last `tail` of them, each with its end of line.
fn cut(recorded: &str, since: Option<DateTime<Utc>>, tail: Option<usize>, with_timestamps: bool) -> String {
    let lines: Vec<(&str, &str)> = recorded
        .lines()
        .map(|line| (line, line.split_once(' ').map_or("", |(_, text)| text)))
        .filter(|(line, _)| {
            let at = line.split(' ').next().and_then(|at| at.parse::<DateTime<Utc>>().ok());
            since.is_none_or(|since| at.is_none_or(|at| at >= since))
        })
        .collect();
    let first = tail.map_or(0, |tail| lines.len().saturating_sub(tail));
    lines
        .get(first..)
        .unwrap_or_default()
        .iter()
        .flat_map(|(line, text)| [if with_timestamps { *line } else { *text }, "\n"])
        .collect()
}

/// The container asked for, or the only one.
fn container(pod: &Value, name: &str, wanted: Option<&str>) -> Result<String, Answer> {
    let names = |field: &str| -> Vec<&str> {
        let containers = pod["spec"][field].as_array().into_iter().flatten();
        containers.filter_map(|container| container["name"].as_str()).collect()
    };
    let (regular, init, ephemeral) =
        (names("containers"), names("initContainers"), names("ephemeralContainers"));
    match (wanted, regular.as_slice()) {
        (Some(wanted), _) => {
            if [&regular, &init, &ephemeral].into_iter().any(|names| names.contains(&wanted)) {
                Ok(wanted.to_owned())
            } else {
                Err(status::bad_request(&format!("container {wanted} is not valid for pod {name}")))
            }
        }
        (None, [only]) => Ok((*only).to_owned()),
        (None, several) => {
            let mut message = format!(
                "a container name must be specified for pod {name}, choose one of: [{}]",
                several.join(" ")
            );
            if !init.is_empty() {
                message.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(status::bad_request(&message))
        }
    }
}
