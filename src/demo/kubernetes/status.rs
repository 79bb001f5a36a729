//! The Status objects that an API server answers with when it has nothing else, in the words of the
//! recorded one.

use serde_json::{Value, json};

use super::Answer;
use super::objects::{Resource, Target};

fn failure(code: u16, reason: &str, message: &str, details: Option<Value>) -> Answer {
    let mut status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Failure", "message": message, "reason": reason, "code": code,
    });
    if let Some(details) = details {
        status["details"] = details;
    }
    Answer::json(code, &status)
}

pub(super) fn bad_request(message: &str) -> Answer {
    failure(400, "BadRequest", message, None)
}

pub(super) fn unauthorized() -> Answer {
    failure(401, "Unauthorized", "Unauthorized", None)
}

pub(super) fn method_not_allowed() -> Answer {
    let message = "the server does not allow this method on the requested resource";
    failure(405, "MethodNotAllowed", message, Some(json!({})))
}

/// What a test asked for with `Fault::Status`.
pub(super) fn injected(code: u16) -> Answer {
    let (reason, message) = match code {
        403 => ("Forbidden", "the recorded role may not read this"),
        410 => ("Expired", "The provided continue parameter is too old to display a consistent list result."),
        429 => (
            "TooManyRequests",
            "the server has received too many requests and has asked us to try again later",
        ),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        _ => ("InternalError", "an error on the server has prevented the request from succeeding"),
    };
    failure(code, reason, message, None)
}

/// Not a Status: what the mux below the API says.
pub(super) fn unknown_path() -> Answer {
    Answer::text(404, b"404 page not found\n".to_vec())
}

pub(super) fn not_found(resource: &Resource, name: &str) -> Answer {
    let message = format!("{} \"{name}\" not found", resource.qualified());
    let mut details = json!({"name": name, "kind": resource.plural});
    if !resource.group.is_empty() {
        details["group"] = resource.group.as_str().into();
    }
    failure(404, "NotFound", &message, Some(details))
}

/// The recorded role may not read this resource.
pub(super) fn forbidden(resource: &Resource, target: &Target) -> Answer {
    let (plural, group) = (&resource.plural, &resource.group);
    let scope = match &target.namespace {
        Some(namespace) => format!("in the namespace \"{namespace}\""),
        None => "at the cluster scope".to_owned(),
    };
    let (object, verb) = match &target.name {
        Some(name) => (format!("{} \"{name}\"", resource.qualified()), "get"),
        None => (resource.qualified(), "list"),
    };
    let message = format!(
        "{object} is forbidden: User \"system:serviceaccount:kube-system:investigator\" cannot {verb} \
         resource \"{plural}\" in API group \"{group}\" {scope}"
    );
    let mut details = json!({"kind": plural});
    if let Some(name) = &target.name {
        details["name"] = name.as_str().into();
    }
    failure(403, "Forbidden", &message, Some(details))
}
