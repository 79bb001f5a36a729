//! ConfigMaps, Secrets, ServiceAccounts and classes that the pods name, and whether they are there. Secrets are
//! never read: only a kubelet's or a controller's own words say that one is missing. Pure.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{KeyToPath, PodSpec};

use super::focus::Focus;
use super::ledger::{Ledger, Quote};
use super::objects::Objects;
use crate::facts::{ContainerFact, EventFact, ReferenceFact};

/// Most names that look alike.
const MAX_SIMILAR: usize = 5;
/// Edits by which a name still looks like another.
const SIMILAR_EDITS: usize = 3;

/// One place in a pod spec that names another object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    pub kind: &'static str,
    pub name: String,
    pub key: String,
    pub optional: bool,
    pub used_by: String,
}

/// Every reference of a pod spec. The token volume that each pod gets is left out.
pub fn uses(spec: &PodSpec) -> Vec<Use> {
    let mut uses = Vec::new();
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    for container in containers {
        for variable in container.env.iter().flatten() {
            let Some(source) = &variable.value_from else { continue };
            let used_by = format!("env {} of container {}", variable.name, container.name);
            if let Some(r) = &source.config_map_key_ref {
                uses.push(one("ConfigMap", &r.name, &r.key, r.optional, &used_by));
            }
            if let Some(r) = &source.secret_key_ref {
                uses.push(one("Secret", &r.name, &r.key, r.optional, &used_by));
            }
        }
        for source in container.env_from.iter().flatten() {
            let used_by = format!("envFrom of container {}", container.name);
            if let Some(r) = &source.config_map_ref {
                uses.push(one("ConfigMap", &r.name, "", r.optional, &used_by));
            }
            if let Some(r) = &source.secret_ref {
                uses.push(one("Secret", &r.name, "", r.optional, &used_by));
            }
        }
    }
    for volume in spec.volumes.iter().flatten() {
        let used_by = format!("volume {}", volume.name);
        if let Some(map) = &volume.config_map {
            uses.extend(of_volume("ConfigMap", &map.name, map.items.as_deref(), map.optional, &used_by));
        }
        if let Some(secret) = &volume.secret {
            let name = secret.secret_name.as_deref().unwrap_or_default();
            uses.extend(of_volume("Secret", name, secret.items.as_deref(), secret.optional, &used_by));
        }
        let projected = volume.projected.as_ref().and_then(|projected| projected.sources.as_deref());
        for source in projected.filter(|_| !volume.name.starts_with("kube-api-access-")).unwrap_or_default() {
            if let Some(map) = &source.config_map {
                uses.extend(of_volume("ConfigMap", &map.name, map.items.as_deref(), map.optional, &used_by));
            }
            if let Some(secret) = &source.secret {
                let items = secret.items.as_deref();
                uses.extend(of_volume("Secret", &secret.name, items, secret.optional, &used_by));
            }
        }
    }
    for secret in spec.image_pull_secrets.iter().flatten() {
        uses.push(one("Secret", &secret.name, "", Some(true), "imagePullSecrets"));
    }
    if let Some(account) = spec.service_account_name.as_deref().filter(|name| *name != "default") {
        uses.push(one("ServiceAccount", account, "", None, "serviceAccountName"));
    }
    if let Some(class) = spec.priority_class_name.as_deref() {
        uses.push(one("PriorityClass", class, "", None, "priorityClassName"));
    }
    if let Some(class) = spec.runtime_class_name.as_deref() {
        uses.push(one("RuntimeClass", class, "", None, "runtimeClassName"));
    }
    uses.retain(|reference| !reference.name.is_empty());
    uses.sort();
    uses.dedup();
    uses
}

fn one(kind: &'static str, name: &str, key: &str, optional: Option<bool>, used_by: &str) -> Use {
    Use {
        kind,
        name: name.to_owned(),
        key: key.to_owned(),
        optional: optional.unwrap_or(false),
        used_by: used_by.to_owned(),
    }
}

/// A volume names the whole object, or single keys of it.
fn of_volume(
    kind: &'static str,
    name: &str,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    used_by: &str,
) -> Vec<Use> {
    match items {
        None | Some([]) => vec![one(kind, name, "", optional, used_by)],
        Some(items) => items.iter().map(|item| one(kind, name, &item.key, optional, used_by)).collect(),
    }
}

/// References of all pods (and the template when there are no pods), each once.
pub fn all_uses(focus: &Focus<'_>) -> BTreeSet<Use> {
    let specs = focus.pods.iter().filter_map(|pod| pod.spec.as_ref());
    specs.chain(focus.spec).flat_map(uses).collect()
}

pub fn rows(
    objects: &Objects,
    focus: &Focus<'_>,
    said: &Said<'_>,
    ledger: &mut Ledger,
) -> Vec<ReferenceFact> {
    let mut pages = BTreeMap::new();
    let mut write = |query: &str, text: &str| {
        let page = *pages.entry(query.to_owned()).or_insert_with(|| ledger.open("kubernetes", query, 0));
        ledger.line(page, text)
    };
    all_uses(focus).iter().map(|reference| row(objects, reference, said, &mut write)).collect()
}

/// Rows in which the kubelet or a controller may have said that something is missing.
pub struct Said<'a> {
    pub containers: &'a [ContainerFact],
    pub events: &'a [EventFact],
}

fn row(
    objects: &Objects,
    reference: &Use,
    said: &Said<'_>,
    write: &mut impl FnMut(&str, &str) -> Quote,
) -> ReferenceFact {
    let missing = said.missing(reference);
    let missing_key = said.missing_key(reference);
    let looked_up = match reference.kind {
        "ConfigMap" => objects.config_maps.get(&reference.name),
        "ServiceAccount" => objects.service_accounts.get(&reference.name),
        _ => None,
    };
    let answered = looked_up.map(|existence| existence.exists);
    // The API's answer is newer than an event's words.
    let exists = match (answered, &missing, &missing_key) {
        (Some(true), ..) | (None, None, Some(_)) => "yes",
        (Some(false), ..) | (None, Some(_), _) => "no",
        (None, None, None) => "unknown",
    };
    let key_exists = match (reference.key.is_empty(), answered, &missing_key) {
        (false, Some(true), _) => {
            let keys = looked_up.map(|existence| &existence.keys);
            if keys.is_some_and(|keys| keys.contains(&reference.key)) { "yes" } else { "no" }
        }
        (_, _, Some(_)) => "no",
        _ => "unknown",
    };
    let similar = if exists == "no" && reference.kind == "ConfigMap" {
        similar(&reference.name, &objects.config_map_names)
    } else {
        Vec::new()
    };
    let cluster_wide = matches!(reference.kind, "PriorityClass" | "RuntimeClass");
    let mut row = ReferenceFact {
        kind: reference.kind.to_owned(),
        name: reference.name.clone(),
        namespace: if cluster_wide { String::new() } else { objects.namespace.clone() },
        used_by: reference.used_by.clone(),
        key: reference.key.clone(),
        optional: reference.optional,
        exists: exists.to_owned(),
        key_exists: key_exists.to_owned(),
        waiting_pods: said.waiting_pods(reference),
        similar,
        ..ReferenceFact::default()
    };
    let spoken = if exists == "no" { missing } else { missing_key.filter(|_| key_exists == "no") };
    let quote = spoken.unwrap_or_else(|| {
        let query = looked_up.map_or("", |existence| existence.query.as_str());
        let query = if query.is_empty() { objects.pods.query.as_str() } else { query };
        write(query, &line(&row))
    });
    (row.evidence, row.quote) = (quote.evidence, quote.text);
    row
}

fn line(row: &ReferenceFact) -> String {
    let key = if row.key.is_empty() { String::new() } else { format!(" key {}", row.key) };
    let state = match (row.exists.as_str(), row.key_exists.as_str()) {
        ("no", _) => "does not exist".to_owned(),
        ("yes", "no") => format!("exists without key {}", row.key),
        ("yes", _) => "exists".to_owned(),
        _ if matches!(row.kind.as_str(), "Secret" | "PriorityClass" | "RuntimeClass") => {
            "is not read".to_owned()
        }
        _ => "could not be read".to_owned(),
    };
    let similar =
        if row.similar.is_empty() { String::new() } else { format!("; similar: {}", row.similar.join(", ")) };
    format!("{} {}{key}, used by {}: {state}{similar}", row.kind, row.name, row.used_by)
}

impl Said<'_> {
    fn missing(&self, reference: &Use) -> Option<Quote> {
        let words = format!("{} \"{}\" not found", reference.kind.to_lowercase(), reference.name);
        let words = words.to_lowercase();
        let no_priority = format!("no priorityclass with name {} was found", reference.name.to_lowercase());
        self.quote(&|text| {
            let lower = text.to_lowercase();
            // `Unable to retrieve some image pull secrets (a, b); …`
            let listed = lower.split_once("image pull secrets (").and_then(|(_, rest)| rest.split_once(')'));
            let pull = reference.used_by == "imagePullSecrets"
                && listed.is_some_and(|(names, _)| names.split(", ").any(|name| name == reference.name));
            pull || lower.contains(&words)
                || reference.kind == "PriorityClass" && lower.contains(&no_priority)
        })
    }

    fn missing_key(&self, reference: &Use) -> Option<Quote> {
        self.quote(&|text| lacks_key(text, reference))
    }

    fn quote(&self, says: &dyn Fn(&str) -> bool) -> Option<Quote> {
        let container = self.containers.iter().find(|row| says(&row.waiting_message));
        let from =
            |evidence: &String, text: &String| Quote { evidence: evidence.clone(), text: text.clone() };
        container.map(|row| from(&row.evidence, &row.quote)).or_else(|| {
            let events = self.events.iter().rev();
            let event = events.filter(|row| row.level == "Warning").find(|row| says(&row.message));
            event.map(|row| from(&row.evidence, &row.quote))
        })
    }

    fn waiting_pods(&self, reference: &Use) -> Vec<String> {
        let words = format!("{} \"{}\"", reference.kind.to_lowercase(), reference.name);
        let names = |text: &str| text.to_lowercase().contains(&words) || lacks_key(text, reference);
        let waiting = self.containers.iter().filter(|row| row.state == "waiting");
        let by_message = waiting.clone().filter(|row| names(&row.waiting_message)).map(|row| row.pod.clone());
        let named = self.events.iter().filter(|row| row.kind == "Pod" && row.level == "Warning");
        let by_event = named.filter(|row| names(&row.message)).map(|row| row.name.clone());
        let still: BTreeSet<String> = waiting.map(|row| row.pod.clone()).collect();
        let pods: BTreeSet<String> = by_message.chain(by_event).filter(|pod| still.contains(pod)).collect();
        pods.into_iter().collect()
    }
}

/// `couldn't find key K in ConfigMap NS/NAME` of a variable, or of a volume `MountVolume.SetUp failed for
/// volume "V" : configmap references non-existent config key: K` (`… : references non-existent secret key: K`).
fn lacks_key(text: &str, reference: &Use) -> bool {
    if reference.key.is_empty() {
        return false;
    }
    let kind = reference.kind.to_lowercase();
    let by_variable = text.contains(&format!("couldn't find key {} in", reference.key))
        && text.to_lowercase().contains(&kind)
        && text.contains(&format!("/{}", reference.name));
    let what = if reference.kind == "ConfigMap" { "config" } else { "secret" };
    let by_volume = reference.used_by.strip_prefix("volume ").is_some_and(|volume| {
        text.contains(&format!("volume \"{volume}\""))
            && text.ends_with(&format!("references non-existent {what} key: {}", reference.key))
    });
    by_variable || by_volume
}

/// Names within a few edits, or of which one begins with the other.
pub fn similar(name: &str, others: &[String]) -> Vec<String> {
    let alike = |other: &&String| {
        other.as_str() != name
            && (edits(name, other) <= SIMILAR_EDITS.min(name.len() / 2)
                || other.len() >= 4 && name.starts_with(other.as_str())
                || name.len() >= 4 && other.starts_with(name))
    };
    let mut found: Vec<String> = others.iter().filter(alike).cloned().collect();
    found.sort_by_key(|other| edits(name, other));
    found.truncate(MAX_SIMILAR);
    found
}

/// Levenshtein distance.
pub fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_alike() {
        let others: Vec<String> =
            ["search-config", "kube-root-ca.crt", "serach-config-v2", "db"].map(str::to_owned).to_vec();
        assert_eq!(similar("search-config-v2", &others), ["serach-config-v2", "search-config"]);
        assert_eq!(edits("kitten", "sitting"), 3);
        assert!(similar("ab", &["xy".to_owned()]).is_empty());
    }
}
