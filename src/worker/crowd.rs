//! How many investigations of each cluster this process works on: claims come in, the clusters of which it may take no
//! more go out. One cluster that does not answer never takes every place.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::investigation::queue::Claim;
use crate::workload::Workload;

/// Counts by cluster.
#[derive(Debug, Clone, Default)]
pub struct Crowd {
    /// Of one cluster; None: as many as there are places.
    most: Option<usize>,
    running: Arc<Mutex<BTreeMap<String, usize>>>,
}

/// One investigation under way; it is over when this is dropped.
pub(super) struct Place {
    cluster: String,
    running: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Crowd {
    /// `per_cluster` 0: where there are several `clusters`, each leaves one place of `concurrency` to others.
    pub fn new(per_cluster: usize, concurrency: usize, clusters: usize) -> Self {
        let most = match per_cluster {
            0 => (clusters > 1 && concurrency > 1).then(|| concurrency - 1),
            most => Some(most),
        };
        Self { most, ..Self::default() }
    }

    pub(super) fn full(&self) -> Vec<String> {
        let Some(most) = self.most else { return Vec::new() };
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.iter().filter(|(_, count)| **count >= most).map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn enter(&self, claim: &Claim) -> Place {
        let cluster = claim.workload.parse::<Workload>().map(|workload| workload.cluster).unwrap_or_default();
        *self.running.lock().unwrap_or_else(PoisonError::into_inner).entry(cluster.clone()).or_default() += 1;
        Place { cluster, running: Arc::clone(&self.running) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = running.get_mut(&self.cluster) {
            *count = count.saturating_sub(1);
        }
        running.retain(|_, count| *count > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(cluster: &str) -> Claim {
        let workload = Workload::new(cluster, "shop", "Deployment", "web").key();
        let none = uuid::Uuid::nil();
        let text = String::new;
        Claim { id: none, incident_id: none, attempt: 1, workload, alert_name: text(), reason: text() }
    }

    #[test]
    fn one_cluster_leaves_a_place_to_others_and_gives_back_what_it_had() {
        let crowd = Crowd::new(0, 3, 2);
        let first = crowd.enter(&claim("a"));
        assert!(crowd.full().is_empty());
        let _second = crowd.enter(&claim("a"));
        let _other = crowd.enter(&claim("b"));
        assert_eq!(crowd.full(), ["a"]);
        drop(first);
        assert!(crowd.full().is_empty());
        let (alone, single) = (Crowd::new(0, 4, 1), Crowd::new(0, 1, 2));
        let _places = [alone.enter(&claim("a")), single.enter(&claim("a"))];
        assert!(alone.full().is_empty() && single.full().is_empty(), "a single place is for whoever comes");
        let one = Crowd::new(1, 4, 1);
        let _place = one.enter(&claim("a"));
        assert_eq!(one.full(), ["a"]);
    }
}
