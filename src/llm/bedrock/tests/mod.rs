//! Bedrock against a scripted server that recomputes each signature.

pub(in crate::llm::bedrock) mod server;
mod signature;
mod wire;

use std::time::Instant;

use serde_json::{Value, json};

use super::super::{Message, Stop, ToolChoice, ToolSchema};
use super::*;
use server::{Answer, Seen, Server, client, environment};

const CLAUDE: &str = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0";
const KEYS: [(&str, &str); 3] = [
    ("AWS_REGION", "eu-central-1"),
    ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
];
const HELLO: &str = r#"{"output":{"message":{"role":"assistant","content":[{"text":"Hello"}]}},
    "stopReason":"end_turn","usage":{"inputTokens":10,"outputTokens":2,"totalTokens":12,
    "cacheReadInputTokens":90,"cacheWriteInputTokens":5},"metrics":{"latencyMs":7}}"#;

fn settings(text: &str) -> settings::Model {
    let mut model = json!({"name": "sonnet", "provider": "bedrock", "model": CLAUDE});
    let more: Value = serde_saphyr::from_str(text).unwrap();
    model.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(model).unwrap()
}

fn model(base_url: &str, more: &str, variables: &[(&str, &str)]) -> Bedrock {
    let settings = settings(&format!("base_url: \"{base_url}\"\n{more}"));
    Bedrock::within(&settings, &client(), environment(variables), Endpoints::default()).unwrap()
}

fn request() -> Request {
    Request {
        system: "You investigate.".to_owned(),
        messages: vec![Message::User("What broke?".to_owned())],
        tools: vec![ToolSchema {
            name: "kubernetes_logs".to_owned(),
            description: "Reads logs.".to_owned(),
            parameters: json!({"type": "object", "properties": {"pod": {"type": "string"}}}),
        }],
        choice: ToolChoice::Auto,
        max_output_tokens: 900,
    }
}

#[tokio::test]
async fn a_question_is_sent_as_converse_has_it_and_signed() {
    let server = Server::start(|_| Answer::ok(HELLO)).await;
    let model = model(&server.url, "headers: {x-team: sre}", &KEYS);
    let reply = model.ask(&request()).await.unwrap();
    assert_eq!(reply.turn.text, "Hello");
    assert_eq!((reply.stop, reply.model.as_str()), (Stop::Done, "sonnet"));
    assert_eq!(reply.usage, Usage { input: 105, cached: 90, output: 2 });

    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].path, "/model/eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse");
    assert_eq!((seen[0].method.as_str(), seen[0].header("content-type")), ("POST", "application/json"));
    assert_eq!(seen[0].header("x-team"), "sre");
    let (_, id, secret) = (KEYS[0], KEYS[1].1, KEYS[2].1);
    assert_eq!(
        seen[0].header("authorization"),
        signature::authorization(&seen[0], id, secret, "eu-central-1")
    );
    assert_ne!(
        seen[0].header("authorization"),
        signature::authorization(&seen[0], id, "another secret", "eu-central-1")
    );
    assert!(seen[0].header("authorization").contains("SignedHeaders=content-type;host;x-amz-date,"));
    let body: Value = serde_json::from_slice(&seen[0].body).unwrap();
    assert_eq!(
        body,
        json!({
            "system": [{"text": "You investigate."}, {"cachePoint": {"type": "default"}}],
            "messages": [{"role": "user", "content": [
                {"text": "What broke?"}, {"cachePoint": {"type": "default"}}]}],
            "toolConfig": {
                "tools": [{"toolSpec": {"name": "kubernetes_logs", "description": "Reads logs.",
                    "inputSchema": {"json": {"type": "object", "properties": {"pod": {"type": "string"}}}}}}],
                "toolChoice": {"auto": {}},
            },
            "inferenceConfig": {"maxTokens": 900},
        })
    );
}

#[tokio::test]
async fn the_arn_of_a_profile_and_a_session_token_are_signed_too() {
    let server = Server::start(|_| Answer::ok(HELLO)).await;
    let arn = "arn:aws:bedrock:eu-central-1:123456789012:application-inference-profile/abc";
    let variables = [&KEYS[..], &[("AWS_SESSION_TOKEN", "a/session+token==")]].concat();
    model(&server.url, &format!("model: \"{arn}\""), &variables).ask(&request()).await.unwrap();
    let seen = &server.seen()[0];
    assert_eq!(
        seen.path,
        "/model/arn%3Aaws%3Abedrock%3Aeu-central-1%3A123456789012%3Aapplication-inference-profile%2Fabc/converse"
    );
    assert_eq!(seen.header("x-amz-security-token"), "a/session+token==");
    assert!(seen.header("authorization").contains(";x-amz-security-token,"));
    assert_eq!(
        seen.header("authorization"),
        signature::authorization(seen, KEYS[1].1, KEYS[2].1, "eu-central-1")
    );
}

#[tokio::test]
async fn an_api_key_goes_before_keys_to_sign_with() {
    let server = Server::start(|_| Answer::ok(HELLO)).await;
    let variables = [&KEYS[..], &[("AWS_BEARER_TOKEN_BEDROCK", "from-environment")]].concat();
    model(&server.url, "", &variables).ask(&request()).await.unwrap();
    model(&server.url, "api_key: from-settings", &variables).ask(&request()).await.unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "from-file\n").unwrap();
    let from_file = format!("api_key_file: \"{}\"", file.path().display());
    model(&server.url, &from_file, &variables).ask(&request()).await.unwrap();
    let sent: Vec<String> =
        server.seen().iter().map(|seen| seen.header("authorization").to_owned()).collect();
    assert_eq!(sent, ["Bearer from-environment", "Bearer from-settings", "Bearer from-file"]);
    assert!(server.seen().iter().all(|seen| seen.header("x-amz-date").is_empty()));
}

#[test]
fn settings_that_cannot_work_are_named() {
    let http = client();
    let build = |text: &str, variables: &[(&str, &str)]| {
        Bedrock::within(&settings(text), &http, environment(variables), Endpoints::default())
    };
    let error =
        |text: &str, variables: &[(&str, &str)]| format!("{:#}", build(text, variables).err().unwrap());
    for (text, variables, expected) in [
        ("{}", [].as_slice(), "`region` is needed"),
        ("{base_url: 'http://127.0.0.1:1'}", &[], "`region` is needed to sign"),
        ("{region: 'eu.evil/'}", &[], "no AWS region"),
        ("{region: eu-west-1, base_url: 'nowhere'}", &[], "`base_url` \"nowhere\""),
        ("{region: eu-west-1, base_url: 'ftp://x'}", &[], "not http(s)"),
        ("{region: eu-west-1, api_key_file: /nowhere/key}", &[], "`api_key_file` /nowhere/key"),
        ("{region: eu-west-1, headers: {'a b': x}}", &[], "not a header name: a b"),
        ("{region: eu-west-1, model: ''}", &[], "`model` is empty"),
    ] {
        let error = error(text, variables);
        assert!(error.contains(expected) && error.contains("model sonnet"), "{text}: {error}");
    }
    let url = |text: &str, variables: &[(&str, &str)]| build(text, variables).unwrap().url.to_string();
    let path = "model/eu.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse";
    assert_eq!(url("{}", &KEYS), format!("https://bedrock-runtime.eu-central-1.amazonaws.com/{path}"));
    assert_eq!(
        url("{region: cn-north-1}", &KEYS),
        format!("https://bedrock-runtime.cn-north-1.amazonaws.com.cn/{path}")
    );
    assert_eq!(url("{base_url: 'http://a:1/b/', path: x/y}", &KEYS), "http://a:1/b/x/y");
}

#[tokio::test]
async fn refusals_become_faults() {
    let server = Server::start(|seen: &Seen| match String::from_utf8_lossy(&seen.body) {
        body if body.contains("throttle") => Answer::Say(
            429,
            &[("x-amzn-errortype", "ThrottlingException:http://internal/"), ("retry-after", "3")],
            br#"{"message":"Too many requests, please wait before trying again."}"#.to_vec(),
        ),
        body if body.contains("long") => Answer::Say(
            400,
            &[("x-amzn-errortype", "ValidationException")],
            br#"{"message":"Input is too long for requested model."}"#.to_vec(),
        ),
        body if body.contains("expired") => Answer::Say(
            403,
            &[("x-amzn-errortype", "ExpiredTokenException")],
            br#"{"message":"The security token included in the request is expired"}"#.to_vec(),
        ),
        body if body.contains("flood") => Answer::Flood,
        _ => Answer::ok("<html>"),
    })
    .await;
    let model = model(&server.url, "", &KEYS);
    let ask = async |text: &str| {
        let request = Request { messages: vec![Message::User(text.to_owned())], ..request() };
        model.ask(&request).await.unwrap_err()
    };
    assert_eq!(
        ask("throttle").await,
        Fault::Transient {
            detail: "HTTP 429 ThrottlingException: Too many requests, please wait before trying again."
                .to_owned(),
            retry_after: Some(Duration::from_secs(3)),
        }
    );
    assert!(matches!(ask("long").await, Fault::TooLong { .. }));
    // Keys of the environment cannot be fetched anew.
    assert!(matches!(ask("expired").await, Fault::Unusable { .. }));
    let Fault::Garbage { detail } = ask("flood").await else { panic!("not garbage") };
    assert!(detail.contains("larger than"), "{detail}");
    assert!(matches!(ask("html").await, Fault::Garbage { .. }));
}

#[tokio::test]
async fn silence_and_a_stall_end_with_their_deadlines() {
    let server = Server::start(|seen: &Seen| {
        if seen.path.contains("silent") { Answer::Silence } else { Answer::Stall("{\"output\":") }
    })
    .await;
    for (more, expected) in [
        ("{model: silent, total_secs: 1}", "no answer within 1 s"),
        ("{model: stalls, total_secs: 60, idle_secs: 1}", "nothing received for 1 s"),
    ] {
        let mut settings = settings(more);
        settings.base_url = Some(server.url.clone());
        let model = Bedrock::within(&settings, &client(), environment(&KEYS), Endpoints::default()).unwrap();
        let began = Instant::now();
        let fault = model.ask(&request()).await.unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        assert_eq!(fault, Fault::Transient { detail: expected.to_owned(), retry_after: None });
    }
    let nobody = model("http://127.0.0.1:9", "", &KEYS).ask(&request()).await.unwrap_err();
    assert!(matches!(&nobody, Fault::Transient { detail, .. } if detail.contains("connect")), "{nobody}");
}

#[tokio::test]
async fn without_credentials_the_fault_names_every_place() {
    let bedrock = Server::start(|_| Answer::ok(HELLO)).await;
    let settings = settings(&format!("base_url: \"{}\"", bedrock.url));
    let endpoints = Endpoints { instance: "http://127.0.0.1:9".to_owned(), ..Endpoints::default() };
    let model = Bedrock::within(&settings, &client(), environment(&KEYS[..1]), endpoints).unwrap();
    let Fault::Unusable { detail } = model.ask(&request()).await.unwrap_err() else { panic!("usable") };
    for place in ["environment", "profile files", "web identity", "container", "instance metadata"] {
        assert!(detail.contains(&format!("{place}: ")), "{detail}");
    }
    assert!(bedrock.seen().is_empty());
}

#[tokio::test]
async fn expired_credentials_are_fetched_anew_for_the_next_question() {
    let sent = std::sync::atomic::AtomicUsize::new(0);
    let agent = Server::start(move |_| {
        let number = sent.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Answer::ok(&format!(
            r#"{{"AccessKeyId":"ID{number}","SecretAccessKey":"s","Token":"t","Expiration":"2099-01-01T00:00:00Z"}}"#
        ))
    })
    .await;
    let bedrock = Server::start(|seen: &Seen| {
        if seen.header("authorization").contains("Credential=ID0/") {
            return Answer::Say(403, &[("x-amzn-errortype", "ExpiredTokenException")], b"{}".to_vec());
        }
        Answer::ok(HELLO)
    })
    .await;
    let variables =
        [("AWS_REGION", "eu-central-1"), ("AWS_CONTAINER_CREDENTIALS_FULL_URI", agent.url.as_str())];
    let model = model(&bedrock.url, "", &variables);
    assert!(matches!(model.ask(&request()).await, Err(Fault::Transient { .. })));
    model.ask(&request()).await.unwrap();
    model.ask(&request()).await.unwrap();
    assert_eq!((agent.seen().len(), bedrock.seen().len()), (2, 3));
}

#[test]
fn what_was_cached_costs_what_it_costs() {
    let usage = Usage { input: 1_000_000, cached: 400_000, output: 100_000 };
    let dollars = |more: &str| model("http://127.0.0.1:9", more, &KEYS).usd(usage);
    assert!((dollars("usd_per_million: {input: 3, output: 15, cached: 0.3}") - 3.42).abs() < 1e-9);
    assert!((dollars("usd_per_million: {input: 3, output: 15}") - 4.5).abs() < 1e-9);
    assert!(dollars("").abs() < 1e-9);
}
