//! The tools of an investigation in the hands of a caller: what its token sees becomes the bounds that the tools hold
//! every request to, a call goes through the same toolbox, and each is written to the log. It decides no scope of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::sync::{Mutex, Semaphore};

use super::{Answer, Refused, Said};
use crate::api::Caller;
use crate::api::access::Reach;
use crate::llm::{ToolCall, ToolSchema};
use crate::source::kubernetes::kinds;
use crate::source::kubernetes::{Client, Scope};
use crate::tool::{Bounds, Status, Tool, Toolbox};
use crate::workload::Workload;

/// Calls of all callers at the same time: investigations read the same systems.
const AT_ONCE: usize = 8;
/// Namespaces that one token's globs may stand for.
const MAX_NAMESPACES: usize = 200;
/// For so long the cluster's namespaces are taken for what they were.
const NAMESPACES_LAST: Duration = Duration::from_secs(15);
/// The cluster's clock is not waited for any longer; ours is taken then.
const CLOCK_DEADLINE: Duration = Duration::from_secs(2);

/// The live systems, and what they are asked with.
pub struct Cluster {
    toolbox: Toolbox,
    schemas: Vec<ToolSchema>,
    kubernetes: Option<Client>,
    /// Its name, as tokens know it.
    name: String,
    room: Semaphore,
    namespaces: Mutex<Option<(Instant, Vec<String>)>>,
}

impl Cluster {
    /// `deadline` is that of one call.
    pub fn new(
        tools: Vec<Arc<dyn Tool>>,
        kubernetes: Option<Client>,
        name: &str,
        deadline: Duration,
    ) -> Self {
        let tools = tools.into_iter().map(|tool| Box::new(tool) as Box<dyn Tool>).collect();
        let all: [&str; 0] = [];
        let toolbox = Toolbox::new(tools, &all, deadline);
        Self {
            schemas: toolbox.schemas(),
            toolbox,
            kubernetes,
            name: name.to_owned(),
            room: Semaphore::new(AT_ONCE),
            namespaces: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub fn schemas(&self) -> &[ToolSchema] {
        &self.schemas
    }

    /// Is there anything here that such a token may see?
    pub fn serves(&self, reach: &Reach) -> bool {
        reach.sees_cluster(&self.name)
    }

    /// One call, held to what the caller sees.
    pub(super) async fn answer(&self, caller: &Caller, tool: &str, given: &Value) -> Said {
        let Ok(_room) = self.room.try_acquire() else {
            return Err(Refused(format!(
                "{AT_ONCE} calls are under way, which is as many as may be; try again"
            )));
        };
        let bounds = self.bounds(caller.reach()).await?;
        let call = ToolCall { id: String::new(), name: tool.to_owned(), arguments: given.to_string() };
        let outcome = self.toolbox.invoke(&call, &bounds).await;
        let (status, milliseconds) = (outcome.status.as_str(), outcome.milliseconds);
        // Who read what: the query is redacted and bounded already.
        tracing::info!(
            caller = &*caller.name,
            tool,
            status,
            milliseconds,
            query = outcome.query,
            "an agent asked the cluster"
        );
        let place = format!("this token reads {}", bounds.readable());
        match outcome.status {
            Status::Ok => {
                let text = format!(
                    "{}\n\nAsked: {}\nAnswered in {milliseconds} ms; {place}.",
                    outcome.digest.trim_end(),
                    outcome.query
                );
                Ok(Answer { text, structured: None })
            }
            // The tools speak of an investigation; here a token asks.
            Status::Refused => {
                let why = outcome.digest.replace("this investigation", "this token");
                Err(Refused(format!("{why}\n{place}.")))
            }
            _ => Err(Refused(outcome.digest)),
        }
    }

    async fn bounds(&self, reach: &Reach) -> Result<Bounds, Refused> {
        let known = if needs_names(reach, &self.name) { self.all_namespaces().await? } else { Vec::new() };
        let namespaces = readable(reach, &self.name, &known)?;
        let now = self.now().await;
        Ok(Bounds {
            workload: Workload::new(&self.name, "", "", ""),
            // Empty means all, and then nodes are seen too.
            nothing_shared: !namespaces.is_empty(),
            namespaces,
            own_pods_only: false,
            onset: now,
            now,
        })
    }

    async fn now(&self) -> DateTime<Utc> {
        let Some(client) = &self.kubernetes else { return Utc::now() };
        tokio::time::timeout(CLOCK_DEADLINE, client.cluster_time()).await.unwrap_or_else(|_| Utc::now())
    }

    async fn all_namespaces(&self) -> Result<Vec<String>, Refused> {
        let unknown = || {
            let why = "the cluster's namespaces, which this token's globs stand for, cannot be read now";
            Refused(format!("{why}; a token that writes its namespaces out does not need them"))
        };
        // Whoever comes meanwhile waits for the same answer.
        let mut last = self.namespaces.lock().await;
        if let Some((_, names)) = last.as_ref().filter(|(at, _)| at.elapsed() < NAMESPACES_LAST) {
            return Ok(names.clone());
        }
        let client = self.kubernetes.as_ref().ok_or_else(unknown)?;
        let kind = kinds::kind("Namespace").ok_or_else(unknown)?;
        let names = client.scoped(Scope::Cluster).object_names(kind, "").await.map_err(|_error| unknown())?;
        *last = Some((Instant::now(), names.clone()));
        Ok(names)
    }
}

/// What has no namespace is seen by those alone who see everything.
fn sees_all(reach: &Reach, cluster: &str) -> bool {
    reach.sees(cluster, "")
}

fn needs_names(reach: &Reach, cluster: &str) -> bool {
    reach.sees_cluster(cluster) && !sees_all(reach, cluster) && reach.named().is_none()
}

/// The namespaces that a token may read; empty: all of them. `known` are those of the cluster.
fn readable(reach: &Reach, cluster: &str, known: &[String]) -> Result<Vec<String>, Refused> {
    if !reach.sees_cluster(cluster) {
        return Err(Refused("this token does not see this cluster (api.tokens: clusters)".to_owned()));
    }
    if sees_all(reach, cluster) {
        return Ok(Vec::new());
    }
    let named = reach.named().unwrap_or(known);
    let seen: Vec<String> = named.iter().filter(|name| reach.sees(cluster, name)).cloned().collect();
    match seen.len() {
        // An empty list would mean all.
        0 => Err(Refused("this token sees no namespace of this cluster (api.tokens: namespaces)".to_owned())),
        number if number > MAX_NAMESPACES => Err(Refused(format!(
            "this token sees {number} namespaces, and at most {MAX_NAMESPACES} are read at once; give it fewer, or all"
        ))),
        _ => Ok(seen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Tokens;
    use crate::mcp::lessons;
    use crate::settings::{self, Api};
    use crate::source::loki::Loki;
    use crate::source::prometheus::Prometheus;
    use crate::source::tempo::Tempo;
    use crate::tool;

    fn read(token: &str, known: &[&str]) -> Result<Vec<String>, String> {
        let settings: Api =
            serde_saphyr::from_str(&format!("tokens: [{{name: a, token: t{token}}}]")).unwrap();
        let caller = Tokens::new(&settings).unwrap().find(b"t").unwrap();
        let known: Vec<String> = known.iter().map(|name| (*name).to_owned()).collect();
        readable(caller.reach(), "lab", &known).map_err(|Refused(why)| why)
    }

    #[test]
    fn a_token_reads_what_it_sees_and_an_empty_list_is_never_all() {
        let known = ["default", "shop", "shop-db", "web"];
        let cases: [(&str, Result<&[&str], &str>); 10] = [
            ("", Ok(&[])),
            (", namespaces: ['*']", Ok(&[])),
            (", namespaces: [shop]", Ok(&["shop"])),
            (", namespaces: [gone, shop]", Ok(&["gone", "shop"])),
            (", namespaces: ['shop*']", Ok(&["shop", "shop-db"])),
            (", namespaces: ['?*']", Ok(&["default", "shop", "shop-db", "web"])),
            (", namespaces: ['nothing-*']", Err("no namespace of this cluster")),
            (", clusters: [lab]", Ok(&[])),
            (", clusters: [prod]", Err("does not see this cluster")),
            (", clusters: [prod], namespaces: [shop]", Err("does not see this cluster")),
        ];
        for (token, expected) in cases {
            match (read(token, &known), expected) {
                (Ok(seen), Ok(expected)) => assert_eq!(seen, expected, "{token}"),
                (Err(why), Err(part)) => assert!(why.contains(part), "{token}: {why}"),
                (got, expected) => panic!("{token}: {got:?} and not {expected:?}"),
            }
        }
        let many: Vec<String> = (0..=MAX_NAMESPACES).map(|n| format!("n{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(read(", namespaces: ['n*']", &many).unwrap_err().contains("at most 200"));
    }

    #[tokio::test]
    async fn lessons_speak_of_tools_and_arguments_that_there_are() {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(1)).build().unwrap();
        let url = Some("http://127.0.0.1:9".to_owned());
        let source = settings::HttpSource { url: url.clone(), ..settings::HttpSource::default() };
        let kubernetes = settings::Kubernetes { url, ..settings::Kubernetes::default() };
        let client = Client::connect(&kubernetes).await.unwrap();
        let mut tools = tool::kubernetes::tools(&client);
        tools.extend(tool::prometheus::tools(&Prometheus::new(http.clone(), &source).unwrap().unwrap()));
        tools.extend(tool::loki::tools(&Loki::new(http.clone(), &source).unwrap().unwrap()));
        tools.extend(tool::tempo::tools(&Tempo::new(http, &source).unwrap().unwrap()));
        let tools = tools.into_iter().map(Arc::from).collect();
        let cluster = Cluster::new(tools, Some(client), "lab", Duration::from_secs(1));
        assert_eq!(cluster.schemas().len(), lessons::ALL.len());
        for schema in cluster.schemas() {
            let lesson = lessons::of(&schema.name).unwrap_or_else(|| panic!("{} is not taught", schema.name));
            let properties = lessons::taught(schema)["properties"].clone();
            for (argument, words) in lesson.arguments {
                assert_eq!(properties[argument]["description"], *words, "{}: {argument}", schema.name);
            }
        }
    }
}
