//! Each announcement once, whatever happens between Slack and its row: lost answers, killed and stopped programs,
//! histories that lag or may not be read, tokens that die, and older versions beside us.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use secrecy::SecretString;
use serde_json::{Value, json};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use whodunit::demo::slack::{Injected, Message as Said, SlackStandIn};
use whodunit::slack::blocks::Message;
use whodunit::slack::outbox;
use whodunit::slack::outbox::queue::{self, Kind, Task, Terms};
use whodunit::slack::{Client, Delivery, deliver_once};

use crate::house::{self, CHANNEL, House, HouseOptions, PATIENCE, database};
use crate::news;
use crate::program::{Program, command};

const TOKEN: &str = "xoxb-of-the-stand-in";
const OTHER: &str = "#other";
const ID: &str = "C000000001";
const POST: &str = "chat.postMessage";
const UPDATE: &str = "chat.update";
/// Of one call; with the outbox's own margins a dead poster's row is free 10 s after this.
const TIMEOUT: Duration = Duration::from_secs(2);
const PACE: Duration = Duration::from_millis(20);

/// A database and a workspace, with no service between them.
struct Room {
    pool: PgPool,
    database_url: String,
    slack: Arc<SlackStandIn>,
    slack_url: String,
    shutdown: CancellationToken,
    folder: tempfile::TempDir,
}

impl Room {
    async fn new() -> Self {
        whodunit::app::install_tls();
        let (pool, database_url) = database().await;
        let shutdown = CancellationToken::new();
        let (slack, slack_url) = house::serve_slack(TOKEN, &[CHANNEL, OTHER], &shutdown).await;
        let folder = tempfile::tempdir().unwrap();
        Self { pool, database_url, slack, slack_url: format!("{slack_url}/api"), shutdown, folder }
    }

    fn client(&self) -> Client {
        let http = whodunit::app::http_client().unwrap();
        Client::new(http, &self.slack_url, SecretString::from(TOKEN), TIMEOUT).with_pace(PACE)
    }

    /// A poster in this process.
    fn poster(&self) -> JoinHandle<()> {
        let run =
            whodunit::slack::run(self.pool.clone(), self.client(), Arc::default(), self.shutdown.clone());
        tokio::spawn(run)
    }

    /// The program itself, as a poster.
    fn program(&self, timeout: Duration) -> Program {
        let file: PathBuf = self.folder.path().join("whodunit.yaml");
        let settings = json!({
            "database": {"url": self.database_url},
            "kubernetes": {"enabled": false},
            "slack": {
                "api_url": self.slack_url, "token": TOKEN, "channel": CHANNEL,
                "pace_ms": PACE.as_millis(), "timeout_secs": timeout.as_secs(),
            },
        });
        std::fs::write(&file, settings.to_string()).unwrap();
        let mut command = command(self.folder.path());
        command.arg("--config").arg(file);
        Program::run(command)
    }

    async fn incident(&self) -> Uuid {
        let id = Uuid::now_v7();
        sqlx::query(
            "insert into incidents (id, workload, cluster, namespace, kind, name, state, severity, title, alert_names)
             values ($1, $1::text, '', 'shop', 'Deployment', 'checkout', 'open', 'warning', 't', '{A}')",
        )
        .bind(id)
        .execute(&self.pool)
        .await
        .unwrap();
        id
    }

    async fn say(&self, kind: Kind, incident: Uuid, text: &str) {
        self.say_in(CHANNEL, kind, incident, text).await;
    }

    async fn say_in(&self, channel: &str, kind: Kind, incident: Uuid, text: &str) {
        let section =
            json!({"type": "section", "text": {"type": "mrkdwn", "text": format!("{text}, in blocks")}});
        let message = Message { text: text.to_owned(), blocks: vec![section] };
        let added = match kind {
            Kind::Parent => news::parent(&self.pool, incident, channel, &message).await,
            Kind::Update => news::update(&self.pool, incident, text, channel, &message).await,
            Kind::Resolved => news::resolved(&self.pool, incident, text, channel, &message).await,
            Kind::Summary => {
                let investigation = Uuid::now_v7();
                sqlx::query(
                    "insert into investigations
                         (id, incident_id, state, reason, workload, cluster, namespace, alert_name)
                     values ($1, $2, 'done', 'opened', 'w', '', 'shop', 'A')",
                )
                .bind(investigation)
                .bind(incident)
                .execute(&self.pool)
                .await
                .unwrap();
                let ids = (incident, investigation);
                news::summary(&self.pool, ids, channel, &message).await
            }
        };
        assert!(added.unwrap(), "{text} is new");
    }

    /// Waits for an answer of the database.
    async fn until(&self, what: &str, query: &'static str, wanted: i64) {
        let until = Instant::now() + PATIENCE;
        while self.count(query).await != wanted {
            assert!(Instant::now() < until, "{what} never came: {:#?}", self.rows().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.pool).await.unwrap()
    }

    /// Until everything that was enqueued is said.
    async fn quiet(&self) {
        self.until("the end", "select count(*) from announcements where state <> 'posted'", 0).await;
    }

    async fn rows(&self) -> Vec<(String, String, i32, i32, Option<String>)> {
        sqlx::query_as("select kind, state, attempts, doubts, error from announcements order by id")
            .fetch_all(&self.pool)
            .await
            .unwrap()
    }

    /// Every wait is over: pace, hold, back-off, lease.
    async fn time_passes(&self) {
        for statement in [
            "update announcement_channels set free_at = now() - interval '1 s'",
            "update announcements set next_at = now() - interval '1 s' where state in ('waiting', 'posting')",
        ] {
            sqlx::query(statement).execute(&self.pool).await.unwrap();
        }
    }

    /// One turn of a poster, after every wait.
    async fn turn(&self, client: &Client) -> Delivery {
        self.time_passes().await;
        deliver_once(&self.pool, client).await.unwrap()
    }

    /// How often each text was said, by what is in no update.
    fn said(&self) -> BTreeMap<String, usize> {
        let mut said = BTreeMap::new();
        for Said { text, .. } in self.slack.messages() {
            *said.entry(text).or_default() += 1;
        }
        said
    }

    fn calls(&self, method: &str) -> usize {
        self.slack.arrivals().iter().filter(|arrival| arrival.method == method).count()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

const KINDS: [(Kind, &str); 4] = [
    (Kind::Parent, "parent"),
    (Kind::Summary, "summary"),
    (Kind::Update, "update"),
    (Kind::Resolved, "resolved"),
];

/// `wanted` calls of the method that the kind is told by have been acted on.
async fn arrives(room: &Room, kind: Kind, wanted: usize) {
    let until = Instant::now() + PATIENCE;
    let stored = || match kind {
        Kind::Update => room.slack.updates().len(),
        _ => room.slack.messages().len(),
    };
    while stored() < wanted {
        assert!(Instant::now() < until, "{kind:?} never came");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Each thing was said once, in one thread, and the head shows the update.
fn said_once(room: &Room) {
    let messages = room.slack.messages();
    let texts: Vec<&str> = messages.iter().map(|message| message.text.as_str()).collect();
    assert_eq!(texts, ["update", "summary", "resolved"], "the head shows the update");
    assert_eq!(room.slack.updates().len(), 1);
    assert_eq!(room.slack.threads().len(), 1);
    let head = &messages[0].metadata["event_payload"];
    assert!(head["id"].is_string() && head["update"].is_string() && head["incident"].is_string(), "{head}");
}

/// Kills the program between Slack's answer and its storing, while this kind is told.
async fn killed_while_telling(at: usize) {
    let room = Room::new().await;
    let incident = room.incident().await;
    let (kind, name) = KINDS[at];
    // Long enough to be killed while it waits for the answer, on a busy machine too.
    let timeout = 4 * TIMEOUT;
    let mut program = room.program(timeout);
    for (kind, text) in &KINDS[..at] {
        room.say(*kind, incident, text).await;
    }
    room.quiet().await;
    room.slack.inject(if kind == Kind::Update { UPDATE } else { POST }, Injected::StoredThenHang);
    let before = if kind == Kind::Update { 0 } else { room.slack.messages().len() };
    room.say(kind, incident, name).await;
    arrives(&room, kind, before + 1).await;
    program.child.kill().unwrap();
    program.child.wait().unwrap();
    let killed = Instant::now();
    assert_eq!(room.count("select count(*) from announcements where state = 'posting'").await, 1);
    for (kind, text) in &KINDS[at + 1..] {
        room.say(*kind, incident, text).await;
    }
    let program = room.program(timeout);
    room.quiet().await;
    println!(
        "killed while telling the {name}: everything was said {:.1} s later",
        killed.elapsed().as_secs_f64()
    );
    assert!(killed.elapsed() < Duration::from_secs(60), "no need to wait two minutes");
    said_once(&room);
    drop(program);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_slack_s_answer_and_its_storing_each_kind_is_said_once() {
    futures::future::join_all((0..KINDS.len()).map(killed_while_telling)).await;
}

/// The first call for each kind goes wrong so, under a poster that lives on.
async fn lost_while_telling(injected: Injected, history_lags: Duration) {
    let room = Room::new().await;
    let incident = room.incident().await;
    room.slack.show_after(history_lags);
    let poster = room.poster();
    for (kind, text) in KINDS {
        room.slack.inject(if kind == Kind::Update { UPDATE } else { POST }, injected.clone());
        room.say(kind, incident, text).await;
        room.quiet().await;
    }
    said_once(&room);
    assert_eq!(room.count("select count(*) from announcements where doubts > 0").await, 0, "{injected:?}");
    room.shutdown_poster(poster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unclear_outcome_is_looked_up_and_each_kind_is_said_once() {
    let taken = [Injected::StoredThenHang, Injected::StoredThenStatus(504), Injected::StoredThenStatus(502)];
    let lost = [Injected::Hang, Injected::Error("fatal_error".to_owned())];
    let all = taken.into_iter().chain(lost).map(|injected| lost_while_telling(injected, Duration::ZERO));
    futures::future::join_all(all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_history_shows_late_is_not_posted_again() {
    let lag = queue::SHOWN_AFTER - Duration::from_millis(1500);
    lost_while_telling(Injected::StoredThenStatus(504), lag).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_was_stopped_beyond_its_lease_wakes_and_posts_nothing() {
    let room = Room::new().await;
    let incident = room.incident().await;
    // The claim's answer takes a while: time to stop the program while it waits for it.
    let slow = "create function dawdle() returns trigger language plpgsql as
                    $$ begin perform pg_sleep(3); return new; end $$;
                create trigger dawdle before update on announcements for each row
                    when (old.state = 'waiting' and new.state = 'posting') execute function dawdle()";
    sqlx::raw_sql(slow).execute(&room.pool).await.unwrap();
    let stopped = room.program(TIMEOUT);
    room.say(Kind::Parent, incident, "parent").await;
    let claiming = "select count(*) from pg_stat_activity
                    where datname = current_database() and wait_event = 'PgSleep'";
    room.until("the claim", claiming, 1).await;
    stopped.signal(Signal::STOP);
    // No lock outlives the statement, although nobody reads its answer.
    let claimed = "select count(*) from announcements where state = 'posting' and posting_since is not null";
    room.until("the stopped program's claim", claimed, 1).await;
    sqlx::raw_sql("drop trigger dawdle on announcements").execute(&room.pool).await.unwrap();

    let poster = room.poster();
    room.quiet().await;
    assert_eq!(room.said(), BTreeMap::from([("parent".to_owned(), 1)]));
    let attempts = "select count(*) from announcements where attempts = 2";
    assert_eq!(room.count(attempts).await, 1, "the stopped program's claim, and the other's");
    stopped.signal(Signal::CONT);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(room.said(), BTreeMap::from([("parent".to_owned(), 1)]), "it woke, and kept silent");
    // It is well: it posts what it claims from now on.
    room.shutdown_poster(poster).await;
    room.say(Kind::Summary, incident, "summary").await;
    room.quiet().await;
    assert_eq!(room.calls(POST), 2);
}

impl Room {
    async fn shutdown_poster(&self, poster: JoinHandle<()>) {
        poster.abort();
        let _ = poster.await;
    }
}

#[tokio::test]
async fn the_channel_s_id_is_learnt_listed_or_given() {
    let (room, lost) = (Room::new().await, Injected::StoredThenStatus(504));
    let client = room.client();
    // Nothing was posted there yet: the list of channels knows.
    let first = room.incident().await;
    room.slack.inject(POST, lost.clone());
    room.say(Kind::Parent, first, "listed").await;
    assert!(matches!(room.turn(&client).await, Delivery::InDoubt(_)));
    assert!(matches!(room.turn(&client).await, Delivery::Found(_)));
    assert_eq!(room.calls("conversations.list"), 1);
    // From then on it is known.
    let second = room.incident().await;
    room.slack.inject(POST, lost.clone());
    room.say(Kind::Parent, second, "learnt").await;
    assert!(matches!(room.turn(&client).await, Delivery::InDoubt(_)));
    assert!(matches!(room.turn(&client).await, Delivery::Found(_)));
    assert_eq!(room.calls("conversations.list"), 1);
    // Until it is wrong.
    sqlx::query("update announcement_channels set channel_id = 'C0LONGGONE'")
        .execute(&room.pool)
        .await
        .unwrap();
    let third = room.incident().await;
    room.slack.inject(POST, lost.clone());
    room.say(Kind::Parent, third, "stale").await;
    for wanted in ["InDoubt", "InDoubt", "Found"] {
        let delivery = room.turn(&client).await;
        assert!(format!("{delivery:?}").starts_with(wanted), "{delivery:?} is no {wanted}");
    }
    assert_eq!(room.calls("conversations.list"), 2);
    // A channel that is given by its id needs no list.
    let fourth = room.incident().await;
    room.slack.inject(POST, lost);
    room.say_in(ID, Kind::Parent, fourth, "given").await;
    assert!(matches!(room.turn(&client).await, Delivery::InDoubt(_)));
    assert!(matches!(room.turn(&client).await, Delivery::Found(_)));
    assert_eq!(room.calls("conversations.list"), 2);
    let once = ["given", "learnt", "listed", "stale"].map(|text| (text.to_owned(), 1));
    assert_eq!(room.said(), BTreeMap::from(once));
}

#[tokio::test]
async fn a_message_is_found_on_any_page_and_only_by_its_mark() {
    let room = Room::new().await;
    let client = room.client();
    let incident = room.incident().await;
    room.slack.inject(POST, Injected::StoredThenStatus(504));
    room.say(Kind::Parent, incident, "parent").await;
    assert!(matches!(room.turn(&client).await, Delivery::InDoubt(_)));
    for _ in 0..450 {
        room.slack.seed(CHANNEL, &json!({"text": "parent"}));
    }
    assert!(matches!(room.turn(&client).await, Delivery::Found(_)));
    assert_eq!(room.calls("conversations.history"), 3, "200 a page");
    let ts: String =
        sqlx::query_scalar("select message_ts from announcements").fetch_one(&room.pool).await.unwrap();
    assert_eq!(room.slack.messages()[0].ts, ts);
}

#[tokio::test]
async fn without_the_scope_to_look_an_alert_is_rather_said_twice_than_lost() {
    let room = Room::new().await;
    room.slack.grant(&["chat:write"]);
    let client = room.client();
    let incident = room.incident().await;
    room.slack.inject(POST, Injected::StoredThenStatus(504));
    room.say(Kind::Parent, incident, "parent").await;
    assert!(matches!(room.turn(&client).await, Delivery::InDoubt(_)));
    assert!(matches!(room.turn(&client).await, Delivery::Retried { .. }));
    assert_eq!(client.access().lacks().unreadable[CHANNEL], "missing_scope");
    assert!(matches!(room.turn(&client).await, Delivery::Posted(_)));
    assert_eq!(room.said()["parent"], 2, "that is the price");
    assert_eq!(room.count("select count(*) from announcements where doubts = 1").await, 1);

    // The scopes are granted: from now on it is said once.
    room.slack.grant(&["chat:write", "channels:history", "channels:read"]);
    let incident = room.incident().await;
    room.slack.inject(POST, Injected::StoredThenStatus(504));
    room.say(Kind::Parent, incident, "another").await;
    assert!(matches!(room.turn(&client).await, Delivery::InDoubt(_)));
    assert!(matches!(room.turn(&client).await, Delivery::Found(_)));
    assert_eq!(room.said()["another"], 1);
    assert!(client.access().lacks().unreadable.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_tells_what_scopes_are_missing_and_what_is_held() {
    let mut house = House::start(HouseOptions::default()).await;
    house.slack.grant(&["chat:write", "channels:history"]);
    house.slack.refuse(POST, Some("not_in_channel"));
    house.restart().await;
    house.post("/webhooks/alertmanager", house::recorded_webhooks().swap_remove(0)).await;
    let until = Instant::now() + PATIENCE;
    loop {
        let (status, body) = house.get("/readyz").await;
        let missing = body["slack_lacks"]["scopes"] == json!(["channels:read or groups:read"]);
        let held = body["slack_held"][0]["reason"] == json!("not_in_channel");
        if missing && held {
            assert_eq!((status, &body["ready"]), (200, &json!(true)), "alerts are still taken in");
            assert!(body["slack_held"][0]["waiting"].as_i64().unwrap() >= 1, "{body}");
            break;
        }
        assert!(Instant::now() < until, "{body}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The operator invites the app; a restart need not wait for the next try.
    house.slack.refuse(POST, None);
    house.restart().await;
    house.settle().await;
    assert!(!house.slack.messages().is_empty());
    assert_eq!(house.get("/readyz").await.1["slack_held"], json!([]));
    house.stop().await;
}

#[tokio::test]
async fn what_an_operator_has_to_mend_holds_the_channel_and_loses_nothing() {
    let room = Room::new().await;
    let client = room.client();
    for error in ["invalid_auth", "not_in_channel", "is_archived", "missing_scope"] {
        room.slack.refuse(POST, Some(error));
        let before = room.slack.messages().len();
        let incident = room.incident().await;
        room.say(Kind::Parent, incident, "parent").await;
        room.say(Kind::Summary, incident, "summary").await;
        for _ in 0..3 {
            let held = room.turn(&client).await;
            assert!(matches!(&held, Delivery::Held { reason, .. } if reason == error), "{held:?}");
            assert_eq!(deliver_once(&room.pool, &client).await.unwrap(), Delivery::Idle, "the channel waits");
        }
        let held = outbox::held(&room.pool).await.unwrap();
        assert_eq!((held[0].reason.as_str(), held[0].waiting), (error, 2));
        assert!(held[0].until > held[0].since.unwrap() + chrono::TimeDelta::seconds(30), "rarer and rarer");
        room.slack.refuse(POST, None);
        assert!(matches!(room.turn(&client).await, Delivery::Posted(_)));
        assert!(matches!(room.turn(&client).await, Delivery::Posted(_)));
        assert_eq!(room.slack.messages().len() - before, 2);
        assert!(outbox::held(&room.pool).await.unwrap().is_empty());
        assert!(outbox::failed_reasons(&room.pool).await.unwrap().is_empty());
    }
    assert_eq!(room.count("select count(*) from announcements where attempts <> 1").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_channel_s_name_is_corrected_what_waited_goes_there() {
    let room = Room::new().await;
    let incident = room.incident().await;
    room.say_in("#gone", Kind::Parent, incident, "parent").await;
    room.say_in("#gone", Kind::Summary, incident, "summary").await;
    let held = room.turn(&room.client()).await;
    assert!(matches!(&held, Delivery::Held { reason, .. } if reason == "channel_not_found"), "{held:?}");
    let client = room.client().with_channels(vec![OTHER.to_owned()]);
    let poster =
        tokio::spawn(whodunit::slack::run(room.pool.clone(), client, Arc::default(), room.shutdown.clone()));
    room.quiet().await;
    assert!(room.slack.messages().iter().all(|message| room.slack.channel_name(&message.channel) == OTHER));
    assert_eq!(room.slack.threads().len(), 1);
    room.shutdown_poster(poster).await;
}

#[tokio::test]
async fn blocks_that_slack_refuses_lose_their_form_and_not_their_words() {
    let room = Room::new().await;
    let client = room.client();
    let incident = room.incident().await;
    for (kind, text) in KINDS {
        let method = if kind == Kind::Update { UPDATE } else { POST };
        room.slack.inject(method, Injected::Error("invalid_blocks".to_owned()));
        room.say(kind, incident, text).await;
        assert!(matches!(room.turn(&client).await, Delivery::Retried { .. }), "{text}");
        assert!(matches!(room.turn(&client).await, Delivery::Posted(_)), "{text}");
    }
    let said: Vec<(String, Value)> =
        room.slack.messages().into_iter().map(|message| (message.text, message.blocks)).collect();
    let plain = |text: &str| (format!("{text}, in blocks"), json!([]));
    assert_eq!(said, [plain("update"), plain("summary"), plain("resolved")]);
}

#[tokio::test]
async fn news_of_yesterday_are_told_no_more_and_hold_up_nothing() {
    let room = Room::new().await;
    let client = room.client();
    let (old, new) = (room.incident().await, room.incident().await);
    room.say(Kind::Parent, old, "old").await;
    room.say(Kind::Summary, old, "old summary").await;
    room.say(Kind::Parent, new, "new").await;
    sqlx::query("update announcements set created_at = created_at - interval '25 h' where incident_id = $1")
        .bind(old)
        .execute(&room.pool)
        .await
        .unwrap();
    let mut deliveries = Vec::new();
    for _ in 0..3 {
        deliveries.push(deliver_once(&room.pool, &client).await.unwrap());
    }
    assert!(matches!(
        &deliveries[..],
        [Delivery::Failed { .. }, Delivery::Failed { .. }, Delivery::Posted(_)]
    ));
    assert_eq!(room.said(), BTreeMap::from([("new".to_owned(), 1)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_rate_limits_in_a_row_keep_order_and_are_kept() {
    let room = Room::new().await;
    let incident = room.incident().await;
    for (kind, text) in KINDS {
        room.say(kind, incident, text).await;
    }
    for _ in 0..3 {
        room.slack.inject(POST, Injected::RateLimited { retry_after_secs: 2 });
    }
    let poster = room.poster();
    room.quiet().await;
    said_once(&room);
    let calls: Vec<Instant> = room
        .slack
        .arrivals()
        .iter()
        .filter(|arrival| arrival.method.starts_with("chat."))
        .map(|arrival| arrival.arrived)
        .collect();
    assert_eq!(calls.len(), 7);
    for pair in calls[..4].windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_secs(2), "no sooner than told: {:?}", pair[1] - pair[0]);
    }
    let attempts = "select count(*) from announcements where attempts <> 1";
    assert_eq!(room.count(attempts).await, 0, "being told to wait is no failed try");
    room.shutdown_poster(poster).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_channel_holds_up_no_other() {
    let room = Room::new().await;
    room.slack.slow_down(OTHER, Duration::from_millis(1500));
    for number in 0..6 {
        let (slow, fast) = (room.incident().await, room.incident().await);
        room.say_in(OTHER, Kind::Parent, slow, &format!("slow {number}")).await;
        room.say(Kind::Parent, fast, &format!("fast {number}")).await;
    }
    let poster = room.poster();
    let left = "select count(*) from announcements where state <> 'posted' and channel = '#alerts'";
    room.until("the fast channel", left, 0).await;
    let slow = "select count(*) from announcements where state = 'posted' and channel = '#other'";
    let told = room.count(slow).await;
    assert!(told <= 3, "{told} of a channel that takes 1.5 s each: the fast one waited for it");
    room.shutdown_poster(poster).await;
}

#[tokio::test]
async fn an_update_in_doubt_is_over_before_the_next_one_is_posted() {
    let room = Room::new().await;
    let client = room.client();
    let incident = room.incident().await;
    room.say(Kind::Parent, incident, "head").await;
    assert!(matches!(room.turn(&client).await, Delivery::Posted(_)));
    room.slack.inject(UPDATE, Injected::StoredThenStatus(504));
    room.say(Kind::Update, incident, "first").await;
    room.say(Kind::Update, incident, "second").await;
    assert!(matches!(room.turn(&client).await, Delivery::InDoubt(_)));
    sqlx::query("update announcement_channels set free_at = now()").execute(&room.pool).await.unwrap();
    assert_eq!(deliver_once(&room.pool, &client).await.unwrap(), Delivery::Idle, "the second waits");
    assert!(matches!(room.turn(&client).await, Delivery::Found(_)));
    assert!(matches!(room.turn(&client).await, Delivery::Posted(_)));
    let updates: Vec<String> = room.slack.updates().into_iter().map(|update| update.text).collect();
    assert_eq!(updates, ["first", "second"]);
    assert_eq!(room.slack.messages()[0].text, "second");
}

/// As the version before this one claims, after which it posts without looking.
const OLD_CLAIM: &str = "
    with next as (
        select a.id from announcements a
        where a.state in ('waiting', 'posting') and a.next_at <= now()
          and not exists (select from announcements e
              where e.incident_id = a.incident_id and e.state in ('waiting', 'posting')
                and (e.kind <> 'parent', e.created_at, e.id) < (a.kind <> 'parent', a.created_at, a.id))
          and not exists (select from announcement_channels c where c.channel = a.channel and c.free_at > now())
        order by a.next_at, a.created_at, a.id limit 1 for update of a skip locked)
    update announcements a
    set state = 'posting', attempts = attempts + 1, doubts = a.doubts + (a.state = 'posting')::integer,
        next_at = now() + interval '120 s'
    from next where a.id = next.id returning a.id";

#[tokio::test]
async fn an_older_version_beside_us_claims_what_we_left_and_we_what_it_left() {
    let room = Room::new().await;
    let client = room.client();
    let (ours, theirs) = (room.incident().await, room.incident().await);
    room.say(Kind::Parent, ours, "ours").await;
    let terms = Terms { pace: PACE, timeout: TIMEOUT };
    let claim = queue::claim(&room.pool, terms, &[]).await.unwrap().unwrap();
    assert_eq!(claim.task, Task::Post);
    sqlx::query("update announcement_channels set free_at = now()").execute(&room.pool).await.unwrap();
    let old = || sqlx::query_scalar::<_, Uuid>(OLD_CLAIM).fetch_optional(&room.pool);
    assert_eq!(old().await.unwrap(), None, "our lease holds for it too");
    room.time_passes().await;
    assert_eq!(old().await.unwrap(), Some(claim.id), "and ends");
    // It dies in turn: we look, with what little it left, and post.
    assert!(matches!(room.turn(&client).await, Delivery::Retried { .. }));
    assert!(matches!(room.turn(&client).await, Delivery::Posted(_)));
    room.say(Kind::Parent, theirs, "theirs").await;
    room.time_passes().await;
    let id = old().await.unwrap().unwrap();
    assert_eq!(deliver_once(&room.pool, &client).await.unwrap(), Delivery::Idle, "its lease holds for us");
    let posted = "update announcements set state = 'posted', message_ts = '1.1', channel_id = 'C000000001',
                      posted_at = now(), error = null where id = $1 and state = 'posting'";
    sqlx::query(posted).bind(id).execute(&room.pool).await.unwrap();
    assert_eq!(room.turn(&client).await, Delivery::Idle);
    assert_eq!(room.said(), BTreeMap::from([("ours".to_owned(), 1)]));
}

#[tokio::test]
async fn a_claim_among_ten_thousand_costs_little() {
    let room = Room::new().await;
    let fill = "
        insert into incidents (id, workload, cluster, namespace, kind, name, state, severity, title, alert_names)
        select gen_random_uuid(), n::text, '', 'shop', 'Deployment', n::text, 'open', 'warning', 't', '{A}'
        from generate_series(1, 2500) n;
        insert into announcements (id, incident_id, kind, channel, payload, dedup_key, state)
        select gen_random_uuid(), i.id, k, case when right(i.workload, 1) = '7' then '#b' else '#a' end,
               '{\"text\": \"t\", \"blocks\": []}', k || i.id, 'waiting'
        from incidents i, unnest(array['parent', 'resolved', 'update']) k;
        insert into announcements (id, incident_id, kind, channel, payload, dedup_key, state)
        select gen_random_uuid(), i.id, 'resolved', '#a', '{\"text\": \"t\", \"blocks\": []}', 'second' || i.id, 'waiting'
        from incidents i;
        -- Every head had its chance and waits for another: the worst order there is.
        update announcements set next_at = now() + interval '1 h' where kind = 'parent' and channel = '#a'
            and incident_id not in (select id from incidents order by workload desc limit 50);
        analyze";
    sqlx::raw_sql(fill).execute(&room.pool).await.unwrap();
    assert_eq!(outbox::unsaid(&room.pool).await.unwrap(), 10_000);
    let terms = Terms { pace: Duration::ZERO, timeout: TIMEOUT };
    let mut took = Vec::new();
    for _ in 0..40 {
        let start = Instant::now();
        let claim = queue::claim(&room.pool, terms, &[]).await.unwrap();
        took.push(start.elapsed());
        assert_eq!(claim.unwrap().kind, Kind::Parent);
    }
    took.sort();
    // On a quiet machine about 2 ms; the bound is for a busy one.
    println!("outbox: a claim among 10,000 waiting rows: median {:?}, worst {:?}", took[20], took[39]);
    assert!(took[20] < Duration::from_millis(250), "{:?}", took[20]);
}
