//! Who posts what and when: `claim` hands out the announcement that is due, under a lease; `outcome` stores what became
//! of it, if the lease is still its own. It asks Slack nothing.
//!
//! A row is `posting` from before the call to Slack until its outcome is known. When its lease has run out, nobody
//! knows: the poster died, or never heard the answer. Such a row is handed out to be looked for in Slack first.
//! Every statement stands for itself: a process that is stopped in between holds no lock.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::PgExecutor;
use sqlx::types::Json;
use uuid::Uuid;

pub use super::outcome::{Again, again, doubt, fail, posted, skip};
use crate::slack::blocks::Message;
use crate::slack::client::Posted;

/// Sending begins within this after the claim was asked for, or not at all.
pub const SEND_WITHIN: Duration = Duration::from_secs(5);
/// Slack may show in a channel's history only later what it took: "not there" is believed this long after the
/// call can have ended. With `SEND_WITHIN` and the call's time-out it makes up the lease.
pub const SHOWN_AFTER: Duration = Duration::from_secs(5);
/// Looking for one message ends within this.
pub const LOOK_DEADLINE: Duration = Duration::from_secs(20);
/// Lease of a look: its deadline, and time to store what was seen.
const LOOK_LEASE: Duration = Duration::from_secs(30);
/// News that could not be told for so long are told no more.
const WORTH_SAYING: Duration = Duration::from_secs(24 * 3600);

/// One announcement, taken to be posted or looked for.
#[derive(Debug, Clone)]
pub struct Claim {
    pub id: Uuid,
    pub incident: Uuid,
    pub kind: Kind,
    pub channel: String,
    /// The channel's id, where it is known.
    pub channel_id: Option<String>,
    pub message: Message,
    /// Only the message's words.
    pub plain: bool,
    /// The incident's first message, for replies and updates: its announcement, and where it stands.
    pub parent: Option<(Uuid, Posted)>,
    /// That message is another bot's.
    pub adopted: bool,
    pub task: Task,
    /// Posts so far, this one included.
    pub attempts: i32,
    /// Posts whose outcome nobody knows and nobody could look up.
    pub doubts: i32,
    /// The channel's faults since its last success.
    pub faults: i32,
    /// Until when the channel is taken for this message, if it is.
    pub(super) turn: Option<DateTime<Utc>>,
    /// Until when the row is ours; also what tells our claim from a later one.
    pub(super) lease: DateTime<Utc>,
    /// By the process's own clock, before the claim was asked for.
    asked: Instant,
}

/// What is to be done with a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    Post,
    /// The last post may stand in Slack.
    Look(Doubt),
    /// It will never be posted: its thread never came to be, or it is old.
    Drop(String),
    /// The thread says the same already, and the head is not ours to change.
    Skip,
}

/// What is known of a post whose outcome is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The post may have reached Slack between these, by the database's clock.
    pub since: DateTime<Utc>,
    pub until: DateTime<Utc>,
    /// Slack said that it failed.
    pub answered: bool,
    /// Looks so far, this one included.
    pub looks: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum Kind {
    /// The head of the thread.
    Parent,
    /// A report, in the thread.
    Summary,
    /// The head of the thread, replaced.
    Update,
    /// The note at the end of the thread.
    Resolved,
}

/// How a poster works.
#[derive(Debug, Clone, Copy)]
pub struct Terms {
    /// Time between two messages to one channel.
    pub pace: Duration,
    /// The longest that one call to Slack takes.
    pub timeout: Duration,
}

impl Claim {
    /// Whether sending may begin now. Checked right before: a process that was stopped in between, or a database
    /// that was slow, finds that the time is over, long before anybody else may post the row.
    pub fn may_send(&self) -> bool {
        self.asked.elapsed() <= SEND_WITHIN
    }

    /// It replaces a message instead of adding one.
    pub fn changes_head(&self) -> bool {
        self.kind == Kind::Update && !self.adopted
    }
}

#[cfg(test)]
impl Claim {
    /// A first post of this kind, with blocks.
    pub(in crate::slack) fn sample(kind: Kind) -> Self {
        Self {
            id: Uuid::now_v7(),
            incident: Uuid::now_v7(),
            kind,
            channel: "#alerts".to_owned(),
            channel_id: None,
            message: Message { text: "t".to_owned(), blocks: vec![serde_json::json!({"type": "divider"})] },
            plain: false,
            parent: None,
            adopted: false,
            task: Task::Post,
            attempts: 1,
            doubts: 0,
            faults: 0,
            turn: None,
            lease: DateTime::UNIX_EPOCH,
            asked: Instant::now(),
        }
    }
}

impl Terms {
    /// A call that begins in time has ended before the lease has, and what it brought about is to be seen.
    pub fn lease(self) -> Duration {
        SEND_WITHIN + self.timeout + SHOWN_AFTER
    }
}

/// What `take` brings.
struct Taken {
    id: Uuid,
    incident: Uuid,
    kind: Kind,
    channel: String,
    channel_id: Option<String>,
    message: Json<Message>,
    plain: bool,
    /// It waited: it is to be posted.
    sends: bool,
    attempts: i32,
    doubts: i32,
    faults: i32,
    looks: i32,
    answered: bool,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    lease: DateTime<Utc>,
    turn: Option<DateTime<Utc>>,
    old: bool,
    parent: Option<Uuid>,
    parent_state: Option<String>,
    parent_error: Option<String>,
    parent_ts: Option<String>,
    parent_channel: Option<String>,
    adopted: bool,
    in_thread: bool,
}

/// Takes the next announcement that is due, of a channel that is free and not in `busy`. What is in doubt comes
/// before what waits. Within an incident nothing overtakes: the head of the thread first, then the order in which
/// they were enqueued. One turn a pace and channel, over all replicas.
pub async fn claim(
    db: impl PgExecutor<'_>,
    terms: Terms,
    busy: &[String],
) -> sqlx::Result<Option<Box<Claim>>> {
    let asked = Instant::now();
    let Some(row) = take(db, terms, busy).await? else { return Ok(None) };
    let task = row.task();
    let place = row.parent_ts.zip(row.parent_channel).map(|(ts, channel)| Posted { channel, ts });
    Ok(Some(Box::new(Claim {
        id: row.id,
        incident: row.incident,
        kind: row.kind,
        channel: row.channel,
        channel_id: row.channel_id,
        message: row.message.0,
        plain: row.plain,
        parent: row.parent.zip(place),
        adopted: row.adopted,
        task,
        attempts: row.attempts,
        doubts: row.doubts,
        faults: row.faults,
        turn: row.turn,
        lease: row.lease,
        asked,
    })))
}

impl Taken {
    fn task(&self) -> Task {
        match orphaned(self.kind, self.parent_state.as_deref(), self.parent_error.as_deref()) {
            Some(reason) => Task::Drop(reason),
            None if self.adopted && self.in_thread && self.kind == Kind::Update => Task::Skip,
            None if !self.sends => Task::Look(Doubt {
                since: self.since,
                until: self.until,
                answered: self.answered,
                looks: self.looks,
            }),
            None if self.old => Task::Drop("it could not be posted for a day".to_owned()),
            None => Task::Post,
        }
    }
}

/// One statement: a process that is stopped within it holds no lock.
async fn take(db: impl PgExecutor<'_>, terms: Terms, busy: &[String]) -> sqlx::Result<Option<Taken>> {
    sqlx::query_as!(
        Taken,
        r#"with recursive channels as (
               (select channel from announcements where state in ('waiting', 'posting')
                order by channel limit 1)
               union all
               select (select a.channel from announcements a
                       where a.state in ('waiting', 'posting') and a.channel > n.channel
                       order by a.channel limit 1)
               from channels n where n.channel is not null
           ), free as (
               select n.channel, c.channel_id, coalesce(c.faults, 0) as faults
               from channels n left join announcement_channels c on c.channel = n.channel
               where n.channel is not null and n.channel <> all($1) and coalesce(c.free_at <= now(), true)
               order by c.free_at nulls first
           ), next as (
               select d.id, d.channel, d.state = 'waiting' as sends, f.channel_id, f.faults
               from free f cross join lateral (
                   select a.id, a.channel, a.state from announcements a
                   where a.channel = f.channel and a.state in ('waiting', 'posting') and a.next_at <= now()
                     and not exists (select from announcements e
                         where e.incident_id = a.incident_id and e.state in ('waiting', 'posting')
                           and (e.kind <> 'parent', e.created_at, e.id)
                             < (a.kind <> 'parent', a.created_at, a.id))
                   order by a.state, a.next_at, a.created_at, a.id
                   limit 1
                   for update of a skip locked) d
               limit 1
           ), turn as (
               insert into announcement_channels as c (channel, free_at)
               select channel, now() + make_interval(secs => $2) from next where sends
               on conflict (channel) do update set free_at = excluded.free_at where c.free_at <= now()
               returning c.free_at
           ), taken as (
               update announcements a set
                   state = 'posting',
                   attempts = a.attempts + n.sends::integer,
                   looks = case when n.sends then 0 else a.looks + 1 end,
                   answered = a.answered and not n.sends,
                   posting_since = case when n.sends then now() else a.posting_since end,
                   posting_until = case when n.sends then now() + make_interval(secs => $3)
                                        else coalesce(a.posting_until, a.next_at) end,
                   next_at = now() + make_interval(secs => case when n.sends then $3 else $4 end)
               from next n
               where a.id = n.id and (not n.sends or exists (select from turn))
               returning a.*, n.sends, n.channel_id as known_id, n.faults, (select free_at from turn) as turn
           )
           select t.id as "id!", t.incident_id as "incident!", t.kind as "kind!: Kind", t.channel as "channel!",
                  t.payload as "message!: Json<Message>", t.plain as "plain!", t.sends as "sends!",
                  t.attempts as "attempts!", t.doubts as "doubts!", t.looks as "looks!",
                  t.answered as "answered!", coalesce(t.posting_since, t.created_at) as "since!",
                  t.posting_until as "until!", t.next_at as "lease!", t.known_id as "channel_id?",
                  t.faults as "faults!", t.turn as "turn?", t.created_at < now() - make_interval(secs => $5) as "old!",
                  p.id as "parent?", p.state as "parent_state?", p.error as parent_error,
                  coalesce(p.thread = 'adopted', false) as "adopted!", t.in_thread as "in_thread!",
                  p.message_ts as "parent_ts?", coalesce(p.channel_id, p.channel) as "parent_channel?"
           from taken t
           left join announcements p on p.incident_id = t.incident_id and p.kind = 'parent' and t.kind <> 'parent'"#,
        busy,
        terms.pace.as_secs_f64(),
        terms.lease().as_secs_f64(),
        LOOK_LEASE.as_secs_f64(),
        WORTH_SAYING.as_secs_f64(),
    )
    .fetch_optional(db)
    .await
}

/// Why an announcement has no thread to go to. A summary without any first message (Slack was configured
/// after the incident began) stands on its own.
fn orphaned(kind: Kind, parent_state: Option<&str>, parent_error: Option<&str>) -> Option<String> {
    match (kind, parent_state) {
        (Kind::Parent, _) | (_, Some("posted")) | (Kind::Summary, None) => None,
        (_, None) => Some("the incident has no first message".to_owned()),
        (_, Some(_)) => {
            let why = parent_error.unwrap_or("unknown reason");
            Some(format!("the incident's first message was not posted: {why}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_replies_can_be_orphans() {
        assert_eq!(orphaned(Kind::Parent, None, None), None);
        assert_eq!(orphaned(Kind::Summary, Some("posted"), None), None);
        assert_eq!(orphaned(Kind::Summary, None, None), None, "stands on its own");
        assert!(orphaned(Kind::Update, None, None).unwrap().contains("no first message"));
        let reason = orphaned(Kind::Summary, Some("failed"), Some("channel_not_found")).unwrap();
        assert!(reason.ends_with("channel_not_found"), "{reason}");
    }

    #[test]
    fn a_call_that_begins_in_time_ends_before_anybody_looks_for_it() {
        let terms = Terms { pace: Duration::from_secs(1), timeout: Duration::from_secs(10) };
        assert_eq!(terms.lease(), Duration::from_secs(20));
        assert!(LOOK_DEADLINE < LOOK_LEASE);
    }
}
