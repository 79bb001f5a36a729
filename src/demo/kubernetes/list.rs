//! Lists: of one namespace or of all, narrowed by selectors, in pages. The continue token has the API
//! server's own form, so that clients meet what they meet in a cluster.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::objects::Resource;
use super::selector::{FieldSelector, LabelSelector};
use super::{Answer, Query, status};

/// Where the next page starts; opaque to clients.
#[derive(Serialize, Deserialize)]
struct Continue {
    v: String,
    rv: u64,
    start: String,
}

pub(super) fn answer(resource: &Resource, namespace: Option<&str>, query: &Query) -> Answer {
    page(resource, namespace, query).unwrap_or_else(|refusal| refusal)
}

fn page(resource: &Resource, namespace: Option<&str>, query: &Query) -> Result<Answer, Answer> {
    let refuse = |message: String| status::bad_request(&message);
    let labels = LabelSelector::parse(query.value("labelSelector").unwrap_or_default()).map_err(refuse)?;
    let fields = query.value("fieldSelector").unwrap_or_default();
    let fields = FieldSelector::parse(fields, &resource.plural, &resource.group).map_err(refuse)?;
    let limit = query.number("limit", 0)?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(0);
    let start = query.value("continue").map(start_of).transpose().map_err(refuse)?.unwrap_or_default();

    // Keys within the list: `/name` in a namespace, `/namespace/name` over all of them.
    let prefix = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
    let items = resource
        .items
        .iter()
        .filter_map(|(key, item)| Some((format!("/{}", key.strip_prefix(&prefix)?), item)));
    let found: Vec<(String, &Value)> =
        items.filter(|(key, item)| *key >= start && labels.matches(item) && fields.matches(item)).collect();

    let shown = if limit == 0 { found.len() } else { limit.min(found.len()) };
    let mut metadata = json!({"resourceVersion": resource.resource_version});
    if let (true, Some((last, _))) =
        (shown < found.len(), shown.checked_sub(1).and_then(|last| found.get(last)))
    {
        metadata["continue"] = token(resource, last).into();
        // With a selector the server does not know how many are left.
        if query.value("labelSelector").is_none() && query.value("fieldSelector").is_none() {
            metadata["remainingItemCount"] = (found.len() - shown).into();
        }
    }
    let items: Vec<&Value> = found.iter().take(shown).map(|(_, item)| *item).collect();
    let list = json!({
        "kind": format!("{}List", resource.kind),
        "apiVersion": resource.api_version,
        "metadata": metadata,
        "items": items,
    });
    Ok(Answer::json(200, &list))
}

fn token(resource: &Resource, last: &str) -> String {
    let rv = resource.resource_version.parse().unwrap_or(1);
    let next = Continue { v: "meta.k8s.io/v1".to_owned(), rv, start: format!("{last}\0") };
    let json = serde_json::to_vec(&next).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(json)
}

fn start_of(token: &str) -> Result<String, String> {
    let invalid = |why: String| format!("invalid continue token: continue key is not valid: {why}");
    // Go counts the bytes of whole groups of four, hence `bogus` fails at byte 4.
    let at = token.len() / 4 * 4;
    let json = URL_SAFE_NO_PAD
        .decode(token)
        .map_err(|_| invalid(format!("illegal base64 data at input byte {at}")))?;
    let next: Continue = serde_json::from_slice(&json).map_err(|error| invalid(error.to_string()))?;
    if next.v == "meta.k8s.io/v1" { Ok(next.start) } else { Err(invalid("unknown version".to_owned())) }
}
