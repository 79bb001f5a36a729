//! The configured servers and the tools that each offered last: settings come in, tools for a run go out. A
//! server that is away keeps its last list, and holds up neither the start nor a run.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use futures::future::join_all;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Server, connect};
use crate::settings::McpServer;
use crate::tool::Tool;

/// Servers are asked for their tools this often.
const REFRESH_INTERVAL: Duration = Duration::from_secs(300);
/// A run waits this long for servers that were not asked yet.
const FIRST_ANSWERS_WAIT: Duration = Duration::from_secs(15);

/// All of `mcp_servers`.
#[derive(Default)]
pub struct Servers {
    settings: Vec<McpServer>,
    http: reqwest::Client,
    /// By the server's name.
    offered: Mutex<BTreeMap<String, Offered>>,
    /// True once all servers answered or failed to.
    asked: watch::Sender<bool>,
}

/// What one server said last.
#[derive(Default, Clone)]
struct Offered {
    tools: Vec<Arc<dyn Tool>>,
    /// One sentence each; told again only when they change.
    problems: Vec<String>,
}

impl Servers {
    /// Speaks to nobody yet.
    ///
    /// # Errors
    /// Settings that cannot work, by server and setting.
    pub fn new(settings: &[McpServer], http: &reqwest::Client) -> anyhow::Result<Self> {
        for (index, server) in settings.iter().enumerate() {
            Server::new(server, http)?;
            let twice = settings[..index].iter().any(|earlier| earlier.name == server.name);
            ensure!(!twice, "mcp_servers: the name {} is given twice", server.name);
        }
        Ok(Self { settings: settings.to_vec(), http: http.clone(), ..Self::default() })
    }

    /// What may be used now, of all servers. The first run after the start waits for their first answers.
    pub async fn tools(&self) -> Vec<Arc<dyn Tool>> {
        if !self.settings.is_empty() {
            let mut asked = self.asked.subscribe();
            // Without an answer in time it goes on without their tools.
            let _ = tokio::time::timeout(FIRST_ANSWERS_WAIT, asked.wait_for(|asked| *asked)).await;
        }
        let offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        offered.values().flat_map(|offered| offered.tools.iter().cloned()).collect()
    }

    /// What each server offers or lacks, a line a server or fault, for people.
    pub fn report(&self) -> Vec<String> {
        let offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = Vec::new();
        for (name, offered) in offered.iter() {
            let tools: Vec<&str> = offered.tools.iter().map(|tool| tool.schema().name.as_str()).collect();
            if !tools.is_empty() {
                lines.push(format!("MCP server {name}: {}", tools.join(", ")));
            }
            lines.extend(offered.problems.iter().cloned());
        }
        lines
    }

    /// Asks all servers, each within its own deadline.
    pub async fn ask(&self) {
        let asked =
            self.settings.iter().map(|server| async move { (server, connect(server, &self.http).await) });
        for (server, answer) in join_all(asked).await {
            let mut offered = self.offered.lock().unwrap_or_else(PoisonError::into_inner);
            let known = offered.entry(server.name.clone()).or_default();
            let problems = match answer {
                Ok(offer) => {
                    known.tools =
                        offer.tools.into_iter().map(|tool| Arc::new(tool) as Arc<dyn Tool>).collect();
                    offer.problems
                }
                Err(error) => vec![format!("{error:#}")],
            };
            if problems != known.problems {
                for problem in &problems {
                    tracing::warn!(%problem, "tools of an MCP server are not to be had");
                }
                known.problems = problems;
            }
        }
        self.asked.send_replace(true);
    }

    /// Asks again and again, from now until `shutdown`.
    pub async fn keep_fresh(self: Arc<Self>, shutdown: CancellationToken) {
        while !self.settings.is_empty() {
            let round = async {
                self.ask().await;
                tokio::time::sleep(REFRESH_INTERVAL).await;
            };
            if shutdown.run_until_cancelled(round).await.is_none() {
                return;
            }
        }
    }
}
