//! One set of tools over all clusters: where a caller sees more than one, a call names the one it is about, and each
//! tool says which there are. A cluster that a caller does not see is not named to it.

use serde_json::{Value, json};

use super::{Cluster, Refused, Said};
use crate::api::Caller;
use crate::api::access::Reach;
use crate::llm::ToolSchema;

/// The argument that is added.
const CLUSTER: &str = "cluster";

/// Each with its own tools, bounds and room.
pub struct Clusters(Vec<Cluster>);

impl Clusters {
    pub fn new(each: Vec<Cluster>) -> Self {
        Self(each)
    }

    /// The tools that such a caller may use.
    pub(super) fn schemas(&self, reach: &Reach) -> Vec<ToolSchema> {
        let seen = self.seen(reach);
        let mut all: Vec<(ToolSchema, Vec<&str>)> = Vec::new();
        for cluster in &seen {
            for schema in cluster.schemas() {
                match all.iter_mut().find(|(known, _)| known.name == schema.name) {
                    Some((_, names)) => names.push(cluster.name()),
                    None => all.push((schema.clone(), vec![cluster.name()])),
                }
            }
        }
        if seen.len() > 1 {
            for (schema, names) in &mut all {
                ask_for_cluster(&mut schema.parameters, names);
            }
        }
        all.into_iter().map(|(schema, _)| schema).collect()
    }

    /// One call, in the cluster that it names.
    pub(super) async fn answer(&self, caller: &Caller, tool: &str, mut given: Value) -> Said {
        let seen = self.seen(caller.reach());
        let cluster = match seen.as_slice() {
            [] => return Err(Refused("nothing is connected".to_owned())),
            [only] => only,
            several => {
                let named = given.as_object_mut().and_then(|given| given.remove(CLUSTER));
                let named = named.as_ref().and_then(Value::as_str);
                let found = several.iter().find(|cluster| Some(cluster.name()) == named);
                found.ok_or_else(|| {
                    let names: Vec<&str> = several.iter().map(|cluster| cluster.name()).collect();
                    Refused(format!("say which cluster: `cluster` is one of {}", names.join(", ")))
                })?
            }
        };
        cluster.answer(caller, tool, &given).await
    }

    fn seen(&self, reach: &Reach) -> Vec<&Cluster> {
        self.0.iter().filter(|cluster| cluster.serves(reach)).collect()
    }
}

fn ask_for_cluster(parameters: &mut Value, names: &[&str]) {
    parameters["properties"][CLUSTER] =
        json!({"type": "string", "enum": names, "description": "which cluster is asked"});
    match parameters["required"].as_array_mut() {
        Some(required) => required.push(json!(CLUSTER)),
        None => parameters["required"] = json!([CLUSTER]),
    }
}
