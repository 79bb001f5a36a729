//! Claims that wait for their first consumer and for a volume that people made: the free volumes that fit, and
//! the nodes that reach none of them. Pure; where no free volume fits at all, that is the claim's trouble and
//! no node's.

use k8s_openapi::api::core::v1::{Node, PersistentVolume, Pod};

use super::{Failure, labels};
use crate::evidence::focus::{claims_of, name_of};
use crate::evidence::objects::Objects;
use crate::evidence::volumes;

/// Free volumes whose place a detail tells.
const MAX_TOLD: usize = 3;

/// A claim, and the volumes that it may have.
pub struct Free<'a> {
    claim: &'a str,
    volumes: Vec<&'a PersistentVolume>,
}

pub fn free<'a>(objects: &'a Objects, pod: &'a Pod) -> Vec<Free<'a>> {
    let claims = claims_of(pod).filter_map(|claim| {
        let volumes = volumes::free_for(objects, claim)?;
        (!volumes.is_empty()).then_some(Free { claim, volumes })
    });
    claims.collect()
}

/// One failure for each claim none of whose volumes can be reached from the node.
pub fn failures(free: &[Free<'_>], node: &Node) -> Vec<Failure> {
    let away = free.iter().filter(|one| !one.volumes.iter().any(|volume| reaches(volume, node)));
    away.map(|one| {
        let places = one.volumes.iter().take(MAX_TOLD).filter_map(|volume| {
            let required = volume.spec.as_ref()?.node_affinity.as_ref()?.required.as_ref()?;
            Some(format!("volume {} needs {}", name_of(&volume.metadata), labels::words(required)))
        });
        let places = places.collect::<Vec<_>>().join(", ");
        Failure::new("volume-affinity", &format!("claim {}: {places}", one.claim))
    })
    .collect()
}

fn reaches(volume: &PersistentVolume, node: &Node) -> bool {
    let required = volume.spec.as_ref().and_then(|spec| spec.node_affinity.as_ref()?.required.as_ref());
    required.is_none_or(|required| labels::node_selects(required, node))
}
