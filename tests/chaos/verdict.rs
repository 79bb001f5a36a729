//! After a scenario: what was sent is compared with what stands in the database and in the channel. Counts come
//! out, and a sentence for each thing that must not be.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;

use crate::house::House;
use crate::stand_ins::Said;

/// Examples named of each violation.
const EXAMPLES: usize = 3;

#[derive(Debug, Default)]
pub struct Outcome {
    /// What was done, in words.
    pub size: String,
    pub lost: usize,
    pub announced_twice: usize,
    pub ended_twice: usize,
    /// Beside the counts.
    pub figures: Vec<String>,
    pub violations: Vec<String>,
    pub took: Duration,
}

impl Outcome {
    pub fn new(size: impl Into<String>) -> Self {
        Self { size: size.into(), ..Self::default() }
    }

    pub fn figure(&mut self, figure: impl Into<String>) {
        self.figures.push(figure.into());
    }

    /// Notes what must not be.
    pub fn demand(&mut self, holds: bool, otherwise: impl Into<String>) {
        if !holds {
            self.violations.push(otherwise.into());
        }
    }

    fn none(&mut self, what: &str, which: &[String]) {
        let some = which.iter().take(EXAMPLES).cloned().collect::<Vec<_>>().join(", ");
        self.demand(which.is_empty(), format!("{what}: {} ({some})", which.len()));
    }
}

/// What a scenario sent and had acknowledged.
pub struct Sent<'a> {
    pub workloads: &'a [String],
    /// Distinct occurrences, over all workloads.
    pub alerts: i64,
    /// Messages under each thread's head.
    pub replies: usize,
}

impl Outcome {
    /// Looks for each workload that was sent, in the database and in the channel.
    pub async fn judge(&mut self, house: &House, sent: &Sent<'_>) -> Result<()> {
        let said = house.slack.messages().await?;
        let (unseen, short, twice) = compare(sent, &said);
        let stored = house.count("select count(*) from alerts").await?;
        self.demand(stored == sent.alerts, format!("{} alerts were sent, {stored} are stored", sent.alerts));
        self.lost += unseen.len() + short.len() + usize::try_from((sent.alerts - stored).max(0))?;
        self.announced_twice += twice.len();
        self.none("workloads without a thread", &unseen);
        self.none("threads without their report", &short);
        self.none("announced twice", &twice);
        self.ends(house).await?;
        let unfinished =
            house.count("select count(*) from investigations where state in ('queued', 'running')").await?;
        self.demand(unfinished == 0, format!("{unfinished} investigations did not end"));
        Ok(())
    }

    /// What the database's witness saw.
    async fn ends(&mut self, house: &House) -> Result<()> {
        let twice = house
            .count("select count(*) from (select 1 from chaos.ends group by investigation_id having count(*) > 1) t")
            .await?;
        self.ended_twice += usize::try_from(twice)?;
        self.demand(twice == 0, format!("ended twice: {twice} investigations"));
        let stale = house
            .count(
                "select count(*) from steps s join chaos.ends e using (investigation_id) where s.attempt <> e.attempt",
            )
            .await?;
        self.demand(
            stale == 0,
            format!("{stale} rows were written by an attempt that did not end its investigation"),
        );
        let again = house
            .count(
                "select count(*) from (select incident_id from investigations group by 1 having count(*) > 1) t",
            )
            .await?;
        self.demand(again == 0, format!("investigated twice: {again} incidents"));
        let dead = house.count("select count(*) from investigations where state = 'dead'").await?;
        self.demand(dead == 0, format!("given up: {dead} investigations"));
        Ok(())
    }
}

/// Workloads without a thread, those whose thread lacks a reply, and those that were told of twice.
fn compare(sent: &Sent<'_>, said: &[Said]) -> (Vec<String>, Vec<String>, Vec<String>) {
    let mut heads: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut replies: HashMap<&str, usize> = HashMap::new();
    for message in said {
        match &message.thread {
            Some(thread) => *replies.entry(thread).or_default() += 1,
            None => {
                for workload in &message.about {
                    heads.entry(workload).or_default().push(&message.ts);
                }
            }
        }
    }
    let (mut unseen, mut short, mut twice) = (Vec::new(), Vec::new(), Vec::new());
    for workload in sent.workloads {
        let threads = heads.get(workload.as_str()).map(Vec::as_slice).unwrap_or_default();
        let count: usize = threads.iter().map(|ts| replies.get(ts).copied().unwrap_or(0)).sum();
        match threads.len() {
            0 => unseen.push(workload.clone()),
            _ if count < sent.replies => short.push(workload.clone()),
            1 if count == sent.replies => {}
            _ => twice.push(format!("{workload}: {} threads, {count} replies", threads.len())),
        }
    }
    (unseen, short, twice)
}

/// The workloads that a message names, each once: they begin with `w` and end with `w`.
pub fn names(text: &str) -> Vec<String> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
    let mut found: Vec<String> = words.filter(|word| is_name(word)).map(str::to_owned).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn is_name(word: &str) -> bool {
    let inner = word.strip_prefix('w').and_then(|rest| rest.strip_suffix('w'));
    inner.is_some_and(|inner| {
        !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
    })
}

/// The name of a workload.
pub fn workload(group: usize, number: usize) -> String {
    format!("w{group}-{number}w")
}
