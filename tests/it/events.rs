//! The progress of an investigation as a stream of events over HTTP: live from another process, from the
//! beginning, from the middle, never, and until the service ends.

use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use whodunit::api::{ApiState, Ready, Tokens, router};
use whodunit::settings::Settings;
use whodunit::telemetry;

use crate::house::{self, House, HouseOptions, PATIENCE, fixture};
use crate::model::{ModelServer, Said, call, conclusion, quotable};

const WEBHOOK: &str = "recording/alertmanager/webhooks/004-firing-PaymentServiceDown-n1.json";
/// A stream stays silent for so long when there is nothing to tell.
const SILENCE: Duration = Duration::from_millis(1_500);

#[derive(Debug, Clone, PartialEq)]
struct Event {
    id: i64,
    name: String,
    data: Value,
}

/// A reader of one stream.
struct Events {
    answer: reqwest::Response,
    text: String,
}

impl Events {
    async fn open(base_url: &str, id: &str, after: Option<&str>) -> Self {
        let answer = ask(base_url, id, after).await;
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        Self { answer, text: String::new() }
    }

    /// None: the stream ended.
    async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    block
                        .lines()
                        .find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned()))
                };
                let data = field("data").map(|data| serde_json::from_str(&data).unwrap());
                let event = data.map(|data| Event {
                    id: field("id").unwrap().parse().unwrap(),
                    name: field("event").unwrap(),
                    data,
                });
                self.text = rest.to_owned();
                if event.is_some() {
                    return event;
                }
            }
            let chunk = timeout(PATIENCE, self.answer.chunk()).await.expect("no event").unwrap()?;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }

    async fn rest(mut self) -> Vec<Event> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }
}

async fn ask(base_url: &str, id: &str, after: Option<&str>) -> reqwest::Response {
    let mut request = house::http().get(format!("{base_url}/api/v1/investigations/{id}/events"));
    if let Some(after) = after {
        request = request.header("last-event-id", after);
    }
    request.send().await.unwrap()
}

/// A problem of RFC 9457: its status and detail.
async fn problem(answer: reqwest::Response) -> (u16, String) {
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let body: Value = answer.json().await.unwrap();
    (status, body["detail"].as_str().unwrap().to_owned())
}

/// The API over this house's rows as another process has it, with nothing else in common.
async fn another_process(house: &House) -> String {
    let runbooks = watch::channel(Default::default()).1;
    let ready = Ready {
        draining: CancellationToken::new(),
        runbooks,
        slack: Default::default(),
        clusters: Default::default(),
    };
    let state = ApiState {
        pool: house.pool.clone(),
        tokens: Arc::new(Tokens::new(&Default::default()).unwrap()),
        ready,
        metrics: telemetry::recorder().unwrap().handle(),
        wake: Arc::default(),
        catalogue: watch::channel(Arc::default()).1,
        open: Arc::new(|_, _| Box::pin(async { anyhow::bail!("nobody opens") })),
    };
    let (listener, url) = house::listen().await;
    tokio::spawn(async move { axum::serve(listener, router(state)).await.unwrap() });
    url
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

/// A house whose model answers each question when it is let, and the only investigation of it.
async fn gated() -> (House, mpsc::Sender<()>, String) {
    let (open, gate) = mpsc::channel();
    let gate = Mutex::new(gate);
    let server = ModelServer::start(Arc::new(move |number, request| {
        tokio::task::block_in_place(|| gate.lock().unwrap().recv_timeout(PATIENCE)).unwrap();
        match number {
            0 => Said::Calls(vec![
                call("kubernetes_list", &json!({"kind": "pods"})),
                call("kubectl_delete", &json!({"password": "hunter-two-5"})),
            ]),
            1 => Said::Text("It is DNS."),
            _ => {
                let (id, quote) = quotable(request["messages"][1]["content"].as_str().unwrap());
                Said::Calls(vec![call("conclude", &conclusion(&id, &quote))])
            }
        }
    }))
    .await;
    let options = HouseOptions {
        models: vec![server.settings()],
        adjust: Some(|settings: &mut Settings| settings.runbooks.without_builtin = true),
        ..HouseOptions::default()
    };
    let house = House::start(options).await;
    assert_eq!(house.post("/webhooks/alertmanager", fixture(WEBHOOK)).await.0, 202);
    let (_, list) = house.get("/api/v1/investigations").await;
    let id = list["items"][0]["id"].as_str().unwrap().to_owned();
    (house, open, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_sees_each_step_when_it_is_done_and_the_end() {
    let (house, open, id) = gated().await;
    let mut events = Events::open(&another_process(&house).await, &id, None).await;
    let mut seen = vec![events.next().await.unwrap(), events.next().await.unwrap()];
    assert_eq!(names(&seen), ["queued", "claimed"]);
    assert_eq!(seen[0].data["alert_name"], "PaymentServiceDown");
    for step in 1..=3 {
        assert!(timeout(SILENCE, events.next()).await.is_err(), "an event before step {step} was done");
        open.send(()).unwrap();
        let event = events.next().await.unwrap();
        assert_eq!((event.name.as_str(), &event.data["step"]), ("step", &json!(step)));
        // The scripted server counts the same for each question.
        assert_eq!(event.data["input_tokens"], json!(3_000 * step));
        assert_eq!(event.data["output_tokens"], json!(100 * step));
        let usd = event.data["usd"].as_f64().unwrap();
        assert!((usd - f64::from(step) * 0.0105).abs() < 1e-9, "{usd}");
        seen.push(event);
    }
    seen.extend(events.rest().await);
    assert_eq!(names(&seen), ["queued", "claimed", "step", "step", "step", "done"]);
    assert!(seen.windows(2).all(|pair| pair[0].id < pair[1].id), "{seen:?}");

    let calls = &seen[2].data["calls"];
    assert_eq!(calls[0]["tool"], "kubernetes_list");
    assert_eq!((&calls[0]["arguments"], &calls[0]["status"]), (&json!({"kind": "pods"}), &json!("observed")));
    assert!(calls[0]["milliseconds"].is_number() && calls[0]["evidence"].is_string(), "{calls}");
    assert_eq!((&calls[1]["tool"], &calls[1]["status"]), (&json!("kubectl_delete"), &json!("failed")));
    assert!(!format!("{seen:?}").contains("hunter-two-5"), "{seen:?}");
    assert_eq!(seen[3].data["calls"], json!([]));
    assert_eq!(seen[4].data["calls"][0]["status"], "accepted");
    let done = &seen[5].data;
    assert_eq!((&done["state"], &done["outcome"]), (&json!("done"), &json!("root_cause")), "{done}");
    assert_eq!((&done["steps"], &done["input_tokens"]), (&json!(3), &json!(9_000)));

    // Who comes later hears the same from the beginning, in the process that did the work as well.
    let again = Events::open(&house.base_url, &id, None).await.rest().await;
    assert_eq!(again, seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_broke_goes_on_after_the_last_event_that_was_read() {
    let (house, open, id) = gated().await;
    let mut events = Events::open(&house.base_url, &id, None).await;
    open.send(()).unwrap();
    let mut seen = Vec::new();
    while seen.last().is_none_or(|event: &Event| event.name != "step") {
        seen.push(events.next().await.unwrap());
    }
    drop(events);
    let last = seen[2].id.to_string();
    let events = Events::open(&another_process(&house).await, &id, Some(&last)).await;
    open.send(()).unwrap();
    open.send(()).unwrap();
    let rest = events.rest().await;
    assert_eq!(names(&rest), ["step", "step", "done"]);
    assert_eq!(rest.iter().map(|event| &event.data["step"]).take(2).collect::<Vec<_>>(), [2, 3]);
    assert!(rest[0].id > seen[2].id);

    // After the end there is nothing, which a browser takes as: do not come back.
    let end = rest[2].id.to_string();
    assert_eq!(ask(&house.base_url, &id, Some(&end)).await.status(), 204);
    for wrong in ["x", "-1", ""] {
        let (status, detail) = problem(ask(&house.base_url, &id, Some(wrong)).await).await;
        assert!(status == 400 && detail.contains("Last-Event-ID"), "{wrong:?}: {status} {detail}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_streamed_is_a_problem_before_the_stream() {
    let options = HouseOptions {
        without_slack: true,
        adjust: Some(|settings: &mut Settings| settings.api.tokens = vec!["t".into()]),
        ..HouseOptions::default()
    };
    let house = House::start(options).await;
    let unknown = Uuid::now_v7().to_string();
    assert_eq!(problem(ask(&house.base_url, &unknown, None).await).await.0, 401);
    let open = another_process(&house).await;
    let (status, detail) = problem(ask(&open, &unknown, None).await).await;
    assert_eq!((status, detail.as_str()), (404, "There is no investigation with this id."));
    assert_eq!(problem(ask(&open, "7", None).await).await.0, 400);
}

/// A house in which one investigation waits for an hour.
async fn waiting() -> (House, String) {
    let options = HouseOptions { without_slack: true, settle_secs: 3_600, ..HouseOptions::default() };
    let house = House::start(options).await;
    let alert = json!({
        "status": "firing", "startsAt": "2026-11-21T07:00:00Z", "endsAt": "0001-01-01T00:00:00Z",
        "labels": {"alertname": "A", "severity": "warning", "namespace": "n", "deployment": "d"},
        "annotations": {},
    });
    let body =
        json!({"version": "4", "status": "firing", "receiver": "r", "groupKey": "g", "alerts": [alert]});
    assert_eq!(house.post("/webhooks/alertmanager", body.to_string()).await.0, 202);
    let id: Uuid = sqlx::query_scalar("select id from investigations").fetch_one(&house.pool).await.unwrap();
    (house, id.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_streams_are_open_at_once() {
    let (house, id) = waiting().await;
    let mut open = Vec::new();
    for _ in 0..64 {
        open.push(Events::open(&house.base_url, &id, None).await);
    }
    let answer = ask(&house.base_url, &id, None).await;
    assert_eq!(answer.headers()["retry-after"], "5");
    let (status, detail) = problem(answer).await;
    assert!(status == 503 && detail.contains("streams of events"), "{status} {detail}");
    // The other paths are as open as ever, and a reader that leaves makes room.
    assert_eq!(house.get(&format!("/api/v1/investigations/{id}")).await.0, 200);
    open.pop();
    let until = Instant::now() + PATIENCE;
    while ask(&house.base_url, &id, None).await.status() != 200 {
        assert!(Instant::now() < until, "no room was made");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_the_streams_and_is_not_held_up_by_them() {
    let (mut house, id) = waiting().await;
    let mut events = Events::open(&house.base_url, &id, None).await;
    assert_eq!(events.next().await.unwrap().name, "queued");
    assert!(timeout(SILENCE, events.next()).await.is_err(), "there was something to tell");
    let began = Instant::now();
    house.stop().await;
    let took = began.elapsed();
    assert_eq!(events.next().await, None);
    // Connections that do not end are cut after 5 s.
    assert!(took < Duration::from_secs(4), "{took:?}");
}
