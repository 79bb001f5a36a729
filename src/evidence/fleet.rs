//! Which sources an incident's cluster has: its own, and never another's. A cluster's name comes in; what can be asked
//! of it goes out, or nothing where nobody knows it.

use std::collections::BTreeMap;

use super::Sources;

/// The sources of each cluster.
#[derive(Debug, Clone)]
pub enum Fleet {
    /// Of the only cluster there is, whatever alerts call it.
    One(Box<Sources>),
    /// By name.
    Many(BTreeMap<String, Sources>),
}

impl Fleet {
    /// None: there are several, and none has this name.
    pub fn of(&self, cluster: &str) -> Option<&Sources> {
        match self {
            Self::One(sources) => Some(sources),
            Self::Many(clusters) => clusters.get(cluster),
        }
    }

    /// Each with its name, "" for the only one.
    pub fn iter(&self) -> Box<dyn Iterator<Item = (&str, &Sources)> + '_> {
        match self {
            Self::One(sources) => Box::new(std::iter::once(("", &**sources))),
            Self::Many(clusters) => Box::new(clusters.iter().map(|(name, sources)| (name.as_str(), sources))),
        }
    }
}

impl Default for Fleet {
    /// No cluster.
    fn default() -> Self {
        Self::Many(BTreeMap::new())
    }
}

impl From<Sources> for Fleet {
    fn from(sources: Sources) -> Self {
        Self::One(Box::new(sources))
    }
}
