//! Claims that wait for a volume which nobody makes for them, against each PersistentVolume there is: one row
//! for each reason, and which of them is all that stands between the claim and a volume. Pure. Claims that a
//! provisioner serves are not its business, nor is waiting for a first consumer.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::claims;
use super::focus::name_of;
use super::ledger::Ledger;
use super::objects::Objects;
use super::placement::labels;
use super::units;
use crate::facts::{ClaimFact, VolumeFact};

/// Volumes that a row names.
const MAX_NAMED: usize = 20;
/// Provisioner of classes whose volumes people make.
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
/// Set on volumes that were not made by people.
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const FILESYSTEM: &str = "Filesystem";

/// One reason for which one volume does not fit, with what is wanted and what is there.
struct Misfit {
    why: &'static str,
    wants: String,
    has: String,
}

pub fn rows(objects: &Objects, claims: &[ClaimFact], ledger: &mut Ledger) -> Vec<VolumeFact> {
    if !objects.volumes.known {
        return Vec::new();
    }
    let waiting = claims.iter().filter(|row| row.exists && row.phase == "Pending");
    let mut rows: Vec<VolumeFact> = Vec::new();
    for row in waiting {
        let claim = objects.claims.items.iter().find(|claim| name_of(&claim.metadata) == row.name);
        if let Some(claim) = claim.filter(|_| is_static(objects, row)) {
            rows.extend(of_claim(objects, row, claim));
        }
    }
    if rows.is_empty() {
        return rows;
    }
    let page = ledger.open("kubernetes", &objects.volumes.query, objects.volumes.milliseconds);
    for row in &mut rows {
        let quote = ledger.line(page, &line(row));
        (row.evidence, row.quote) = (quote.evidence, quote.text);
    }
    rows
}

/// The volumes that a claim may have which is not bound and for which nobody makes one; None for all others.
pub fn free_for<'o>(objects: &'o Objects, name: &str) -> Option<Vec<&'o PersistentVolume>> {
    let claim = objects.claims.items.iter().find(|claim| name_of(&claim.metadata) == name)?;
    let row = claims::row(objects, name, Some(claim));
    let waits = objects.volumes.known && row.phase == "Pending" && is_static(objects, &row);
    let all = objects.volumes.items.iter();
    waits.then(|| all.filter(|volume| misfits(&row, claim, volume).is_empty()).collect())
}

/// Nobody makes a volume for it: it names one, or no class, or one without provisioner, or one that only volumes name.
fn is_static(objects: &Objects, row: &ClaimFact) -> bool {
    if !row.volume.is_empty() {
        return true;
    }
    if row.storage_class.is_empty() {
        return row.static_only || row.default_class.is_empty();
    }
    let class = objects.storage_classes.items.iter().find(|one| name_of(&one.metadata) == row.storage_class);
    match class {
        Some(class) => class.provisioner == NO_PROVISIONER,
        None => {
            let named =
                |volume: &PersistentVolume| class_of(volume) == row.storage_class && !is_provisioned(volume);
            objects.storage_classes.known && objects.volumes.items.iter().any(named)
        }
    }
}

/// A provisioner made it, so its class was one that provisions, even if it has been deleted since.
fn is_provisioned(volume: &PersistentVolume) -> bool {
    volume.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(PROVISIONED_BY))
}

fn class_of(volume: &PersistentVolume) -> &str {
    volume.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref()).unwrap_or_default()
}

fn of_claim(objects: &Objects, row: &ClaimFact, claim: &PersistentVolumeClaim) -> Vec<VolumeFact> {
    let volumes = &objects.volumes.items;
    let base = VolumeFact {
        claim: row.name.clone(),
        namespace: row.namespace.clone(),
        total: count(volumes.len()),
        pods: row.pods.clone(),
        ..VolumeFact::default()
    };
    if volumes.is_empty() {
        return vec![VolumeFact { mismatch: "none".to_owned(), decides: true, ..base }];
    }
    let misfits: Vec<Vec<Misfit>> = volumes.iter().map(|volume| misfits(row, claim, volume)).collect();
    // A volume fits: the binder has only not looked yet.
    if misfits.iter().any(Vec::is_empty) {
        return Vec::new();
    }
    let mut by_reason: BTreeMap<&'static str, Vec<usize>> = BTreeMap::new();
    for (index, all) in misfits.iter().enumerate() {
        all.iter().for_each(|one| by_reason.entry(one.why).or_default().push(index));
    }
    let alone = |index: &usize| misfits[*index].len() == 1;
    let deciding: Vec<&str> =
        by_reason.iter().filter(|(_, failing)| failing.iter().any(alone)).map(|(why, _)| *why).collect();
    // Volumes of other claims stand in every cluster: they are the cause only when nothing else is.
    let only_taken = deciding == ["taken"];
    let rows = by_reason.iter().map(|(why, failing)| {
        let nearest = failing.iter().max_by_key(|index| (alone(index), capacity(&volumes[**index])));
        let nearest = nearest.copied().unwrap_or_default();
        let misfit = misfits[nearest].iter().find(|one| one.why == *why);
        VolumeFact {
            mismatch: (*why).to_owned(),
            wants: misfit.map(|one| one.wants.clone()).unwrap_or_default(),
            has: misfit.map(|one| one.has.clone()).unwrap_or_default(),
            volumes: failing
                .iter()
                .take(MAX_NAMED)
                .map(|index| name_of(&volumes[*index].metadata).to_owned())
                .collect(),
            failing: count(failing.len()),
            decides: deciding.contains(why) && (*why != "taken" || only_taken),
            nearest: name_of(&volumes[nearest].metadata).to_owned(),
            nearest_claim: owner(&volumes[nearest]),
            ..base.clone()
        }
    });
    rows.collect()
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn capacity(volume: &PersistentVolume) -> i64 {
    let capacity = volume.spec.as_ref().and_then(|spec| spec.capacity.as_ref());
    units::millis(units::quantity(capacity, "storage"))
}

/// `shop/data-db-0`: the claim that a volume belongs or belonged to.
fn owner(volume: &PersistentVolume) -> String {
    let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    claim.map(|claim| format!("{}/{}", text(&claim.namespace), text(&claim.name))).unwrap_or_default()
}

fn misfits(row: &ClaimFact, claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> Vec<Misfit> {
    let mut all = Vec::new();
    let mut add = |why, wants: String, has: String| all.push(Misfit { why, wants, has });
    let (spec, own) = (claim.spec.clone().unwrap_or_default(), volume.spec.clone().unwrap_or_default());
    let name = name_of(&volume.metadata);
    if !row.volume.is_empty() && row.volume != name {
        add("name", row.volume.clone(), name.to_owned());
    }
    if let Some((why, has)) = not_free(row, claim, volume) {
        add(why, format!("{}/{}", row.namespace, row.name), has);
    }
    let (wanted, offered) = (spec.access_modes.unwrap_or_default(), own.access_modes.unwrap_or_default());
    if wanted.iter().any(|mode| !offered.contains(mode)) {
        add("access-mode", wanted.join(", "), offered.join(", "));
    }
    let requests = spec.resources.as_ref().and_then(|resources| resources.requests.as_ref());
    let (asked, has) =
        (units::quantity(requests, "storage"), units::quantity(own.capacity.as_ref(), "storage"));
    if units::millis(asked) > units::millis(has) {
        add("capacity", asked.to_owned(), has.to_owned());
    }
    let none = labels::Labels::new();
    let carried = volume.metadata.labels.as_ref().unwrap_or(&none);
    if spec.selector.is_some() && !labels::selects(spec.selector.as_ref(), carried) {
        let has: Vec<String> = carried.iter().map(|(key, value)| format!("{key}={value}")).collect();
        add("selector", labels::selector_words(spec.selector.as_ref()), has.join(","));
    }
    if row.storage_class != class_of(volume) {
        add("class", row.storage_class.clone(), class_of(volume).to_owned());
    }
    let mode = |mode: Option<String>| mode.unwrap_or_else(|| FILESYSTEM.to_owned());
    let (wanted, offered) = (mode(spec.volume_mode), mode(own.volume_mode));
    if wanted != offered {
        add("volume-mode", wanted, offered);
    }
    all
}

/// It belongs to another claim, or still to one that is gone, or could not be reclaimed.
fn not_free(
    row: &ClaimFact,
    claim: &PersistentVolumeClaim,
    volume: &PersistentVolume,
) -> Option<(&'static str, String)> {
    let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
    let by = owner(volume);
    let uid = reference.and_then(|reference| reference.uid.as_deref()).unwrap_or_default();
    let same_name = by == format!("{}/{}", row.namespace, row.name);
    let is_own = same_name && (uid.is_empty() || claim.metadata.uid.as_deref() == Some(uid));
    match (phase, reference.is_some()) {
        ("Failed", _) => Some(("failed", by)),
        ("Released", _) => Some(("released", by)),
        (_, true) if is_own => None,
        // A claim of the same name that was deleted: the volume waits for one that never comes back.
        (_, true) if same_name => Some(("released", by)),
        (_, true) | ("Bound", _) => Some(("taken", by)),
        _ => None,
    }
}

fn line(row: &VolumeFact) -> String {
    if row.mismatch == "none" {
        return format!("claim {}: there is no PersistentVolume at all", row.claim);
    }
    let decides = if row.decides { ", and nothing else is wrong with" } else { "; the nearest is" };
    let owner = if row.nearest_claim.is_empty() {
        String::new()
    } else {
        format!(" (of claim {})", row.nearest_claim)
    };
    format!(
        "claim {}: {} of {} volumes do not fit by {} (wants {}, has {}){decides} {}{owner}",
        row.claim, row.failing, row.total, row.mismatch, row.wants, row.has, row.nearest
    )
}
