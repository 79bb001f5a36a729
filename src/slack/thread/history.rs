//! The newest messages of a channel, for those whose thread is looked for: a channel goes in, candidates come out. One
//! read serves all of a channel for a while; pages, time and Slack's own pace bound it. It writes nothing.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::message::{Candidate, moment};
use crate::slack::client::Client;
use crate::slack::fault::Fault;
use crate::slack::look::{channel_id, next_cursor, slack_time};

/// Reading one channel ends within this.
pub(super) const READ_DEADLINE: Duration = Duration::from_secs(10);
/// What was read is as good as new for so long: 30 reads a minute of one channel, where Slack takes 50.
const FRESH: Duration = Duration::from_secs(2);
/// A channel that may not be read is asked again after this.
const UNREADABLE_FOR: Duration = Duration::from_secs(60);
/// Slack fails, or does not answer.
const AFTER_FAULT: Duration = Duration::from_secs(2);
/// Messages on a page, and pages: 1,000 messages.
const PAGE: &str = "200";
const MAX_PAGES: usize = 5;
/// Threads in which a bot gathers alerts, the newest, and pages of each.
const MAX_SUMMARIES: usize = 3;
const MAX_REPLY_PAGES: usize = 2;
/// Channels remembered.
const MAX_CHANNELS: usize = 200;

/// What a channel holds.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub(super) id: String,
    /// Newest first; whatever is older than was asked for may be missing.
    pub(super) candidates: Vec<Candidate>,
    oldest: DateTime<Utc>,
    read_at: Instant,
}

/// Why there is nothing to choose from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unread {
    /// Nobody lets us.
    Forbidden(String),
    /// Not before this has passed.
    Later(Duration, String),
}

/// What was read, and what may not be read now.
#[derive(Default)]
pub(super) struct Reader {
    channels: HashMap<String, Channel>,
    forbidden: HashMap<String, (Instant, String)>,
    /// Slack's own word, for all channels.
    not_before: Option<Instant>,
}

impl Reader {
    /// Messages since `oldest`, and at least the newest page.
    pub(super) async fn read(
        &mut self,
        client: &Client,
        (channel, known): (&str, Option<&str>),
        oldest: DateTime<Utc>,
    ) -> Result<&Channel, Unread> {
        let fresh = |one: &Channel| one.read_at.elapsed() < FRESH && one.oldest <= oldest;
        if !self.channels.get(channel).is_some_and(fresh) {
            self.may_read(channel)?;
            let known =
                known.map(str::to_owned).or_else(|| self.channels.get(channel).map(|one| one.id.clone()));
            let read =
                tokio::time::timeout(READ_DEADLINE, self.fetch(client, channel, known.as_deref(), oldest));
            let read = match read.await {
                Ok(Ok(read)) => read,
                Ok(Err(fault)) => return Err(self.refused(channel, fault)),
                Err(_) => {
                    return Err(Unread::Later(AFTER_FAULT, "reading the channel took too long".to_owned()));
                }
            };
            if self.channels.len() >= MAX_CHANNELS {
                self.channels.clear();
            }
            self.channels.insert(channel.to_owned(), read);
        }
        self.channels.get(channel).ok_or_else(|| Unread::Later(AFTER_FAULT, "nothing was read".to_owned()))
    }

    fn may_read(&mut self, channel: &str) -> Result<(), Unread> {
        match self.forbidden.get(channel) {
            Some((since, why)) if since.elapsed() < UNREADABLE_FOR => {
                return Err(Unread::Forbidden(why.clone()));
            }
            Some(_) => drop(self.forbidden.remove(channel)),
            None => {}
        }
        let wait = self.not_before.map(|at| at.saturating_duration_since(Instant::now())).unwrap_or_default();
        if wait.is_zero() { Ok(()) } else { Err(Unread::Later(wait, "Slack limits reading".to_owned())) }
    }

    fn refused(&mut self, channel: &str, fault: Fault) -> Unread {
        match fault {
            fault if fault.is_about_reading() => {
                if self.forbidden.len() >= MAX_CHANNELS {
                    self.forbidden.clear();
                }
                self.forbidden.insert(channel.to_owned(), (Instant::now(), fault.to_string()));
                Unread::Forbidden(fault.to_string())
            }
            Fault::RateLimited { retry_after } => {
                self.limited(retry_after);
                Unread::Later(retry_after, "Slack limits reading".to_owned())
            }
            fault => Unread::Later(AFTER_FAULT, fault.to_string()),
        }
    }

    fn limited(&mut self, retry_after: Duration) {
        self.not_before = Instant::now().checked_add(retry_after);
    }

    async fn fetch(
        &mut self,
        client: &Client,
        channel: &str,
        known: Option<&str>,
        oldest: DateTime<Utc>,
    ) -> Result<Channel, Fault> {
        let read_at = Instant::now();
        let unknown = || Fault::Rejected("no channel of this name is listed".to_owned());
        let id = channel_id(client, channel, known).await?.ok_or_else(unknown)?;
        let (mut candidates, mut summaries) = (Vec::new(), Vec::new());
        let mut cursor = String::new();
        for page_number in 0..MAX_PAGES {
            let mut parameters =
                vec![("channel", id.as_str()), ("include_all_metadata", "true"), ("limit", PAGE)];
            if !cursor.is_empty() {
                parameters.push(("cursor", &cursor));
            }
            let page = match client.read("conversations.history", &parameters).await {
                Ok(page) => page,
                // The newest page is better than nothing: what is waited for is new.
                Err(Fault::RateLimited { retry_after }) if page_number > 0 => {
                    self.limited(retry_after);
                    break;
                }
                Err(fault) => return Err(fault),
            };
            take(&page, &mut candidates, &mut summaries, oldest);
            match next_cursor(&page) {
                Some(next) if reaches_back_to(&page).is_some_and(|last| last > oldest) => cursor = next,
                _ => break,
            }
        }
        for summary in summaries.iter().take(MAX_SUMMARIES) {
            match replies(client, &id, summary, oldest).await {
                Ok(found) => candidates.extend(found),
                Err(Fault::RateLimited { retry_after }) => {
                    self.limited(retry_after);
                    break;
                }
                // It was deleted meanwhile.
                Err(Fault::Rejected(_)) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(Channel { id, candidates, oldest, read_at })
    }
}

/// Candidates of a page, and the threads in which others may stand.
fn take(page: &Value, candidates: &mut Vec<Candidate>, summaries: &mut Vec<String>, oldest: DateTime<Utc>) {
    for message in page["messages"].as_array().into_iter().flatten() {
        let Some(candidate) = Candidate::of(message) else { continue };
        let latest = message["latest_reply"].as_str().and_then(moment);
        let answered = message["reply_count"].as_u64().is_some_and(|count| count > 0);
        if candidate.is_summary && answered && latest.is_none_or(|at| at >= oldest) {
            summaries.push(candidate.ts.clone());
        }
        candidates.push(candidate);
    }
}

fn reaches_back_to(page: &Value) -> Option<DateTime<Utc>> {
    moment(page["messages"].as_array()?.last()?["ts"].as_str()?)
}

async fn replies(
    client: &Client,
    channel: &str,
    thread: &str,
    oldest: DateTime<Utc>,
) -> Result<Vec<Candidate>, Fault> {
    let oldest = slack_time(oldest);
    let mut found = Vec::new();
    let mut cursor = String::new();
    for _ in 0..MAX_REPLY_PAGES {
        let mut parameters = vec![
            ("channel", channel),
            ("ts", thread),
            ("include_all_metadata", "true"),
            ("oldest", oldest.as_str()),
            ("limit", PAGE),
        ];
        if !cursor.is_empty() {
            parameters.push(("cursor", &cursor));
        }
        let page = client.read("conversations.replies", &parameters).await?;
        let messages = page["messages"].as_array().into_iter().flatten();
        found.extend(messages.filter_map(Candidate::of).filter(|reply| reply.ts != thread));
        match next_cursor(&page) {
            Some(next) => cursor = next,
            None => break,
        }
    }
    Ok(found)
}
