//! The picture of a thread for the README: the service's real payloads, drawn as Slack shows them. It is no test of the
//! drawing; `scripts/slack-picture` runs it and photographs the page.

use serde_json::Value;
use whodunit::demo::slack::Message;
use whodunit::settings::Settings;

use crate::house::{House, HouseOptions, fixture};

const ALERT: &str = "webhooks/alertmanager/006-firing-KubePodCrashLooping-n1.json";
const STYLE: &str = "body{margin:0;padding:20px 24px;width:760px;background:#fff;color:#1d1c1d;\
    font:15px/1.46 Lato,'Noto Sans','DejaVu Sans',sans-serif}\
    .m{display:flex;gap:10px;margin:0 0 14px}.i{flex:0 0 36px;height:36px;border-radius:6px;background:#1264a3;\
    color:#fff;font-weight:700;text-align:center;line-height:36px}.b{min-width:0;flex:1}.n{font-weight:700}\
    .t{color:#616061;font-size:12px;margin-left:6px}h1{font-size:18px;margin:2px 0 6px}\
    .s{margin:0 0 8px;white-space:pre-wrap;overflow-wrap:anywhere}.c{color:#616061;font-size:13px;white-space:pre-wrap}\
    pre{background:#f8f8f8;border:1px solid #ddd;border-radius:4px;padding:8px;margin:4px 0;font-size:12px;\
    white-space:pre-wrap;overflow-wrap:anywhere}code{background:#f8f8f8;border:1px solid #ddd;border-radius:3px;\
    color:#c01343;font-size:12px;padding:1px 3px}a{color:#1264a3}.r{border-top:1px solid #ddd;color:#616061;\
    font-size:13px;margin:0 0 14px;padding-top:6px}button{background:#fff;border:1px solid #bbb;border-radius:4px;\
    font:inherit;font-size:13px;font-weight:700;margin:2px 6px 2px 0;padding:4px 10px}";

/// Slack's markup as HTML. Its escapes are HTML's.
fn html(text: &str) -> String {
    let mut out = String::new();
    for (at, part) in text.split("```").enumerate() {
        if at % 2 == 1 {
            out.push_str(&format!("<pre>{}</pre>", part.trim_matches('\n')));
            continue;
        }
        for (at, part) in part.trim_matches('\n').split('`').enumerate() {
            match at % 2 {
                1 => out.push_str(&format!("<code>{part}</code>")),
                _ => out.push_str(&links(&bold(part))),
            }
        }
    }
    out.replace(":arrow_right:", "➡️")
}

fn bold(text: &str) -> String {
    let parts = text.split('*').enumerate();
    parts.map(|(at, part)| if at % 2 == 1 { format!("<b>{part}</b>") } else { part.to_owned() }).collect()
}

fn links(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once("<http") {
        let (link, after) = tail.split_once('>').unwrap();
        let (_, label) = link.split_once('|').unwrap();
        out.push_str(&format!("{before}<a>{label}</a>"));
        rest = after;
    }
    out + rest
}

fn block(block: &Value) -> String {
    let text = |value: &Value| html(value["text"].as_str().unwrap_or_default());
    let elements = || block["elements"].as_array().into_iter().flatten();
    match block["type"].as_str().unwrap() {
        "header" => format!("<h1>{}</h1>", text(&block["text"])),
        "section" => format!("<div class=s>{}</div>", text(&block["text"])),
        "context" => elements().map(|one| format!("<div class=c>{}</div>", text(one))).collect(),
        "actions" => elements().map(|one| format!("<button>{}</button>", text(&one["text"]))).collect(),
        other => panic!("{other} is not drawn"),
    }
}

fn message(message: &Message) -> String {
    let seconds: i64 = message.ts.split_once('.').unwrap().0.parse().unwrap();
    let at = chrono::DateTime::from_timestamp(seconds, 0).unwrap().format("%H:%M");
    let blocks: String = message.blocks.as_array().unwrap().iter().map(block).collect();
    format!(
        "<div class=m><div class=i>w</div><div class=b><span class=n>whodunit</span><span class=t>APP {at}</span>{blocks}</div></div>"
    )
}

fn page(thread: &[Message]) -> String {
    let (head, replies) = thread.split_first().unwrap();
    let replies: Vec<String> = replies.iter().map(message).collect();
    format!(
        "<!doctype html><meta charset=utf-8><style>{STYLE}</style>{}<div class=r>{}</div>{}",
        message(head),
        if replies.len() == 1 { "1 reply".to_owned() } else { format!("{} replies", replies.len()) },
        replies.concat()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_can_be_drawn_from_its_payloads() {
    let adjust: fn(&mut Settings) = |settings| {
        settings.slack.signing_secret = Some("secret".into());
        settings.server.public_url = "https://whodunit.example.com".to_owned();
    };
    let house = House::start(HouseOptions { adjust: Some(adjust), ..HouseOptions::default() }).await;
    assert_eq!(house.post("/webhooks/alertmanager", fixture(ALERT)).await.0, 202);
    house.settle().await;
    let page = page(&house.slack.threads()[0]);
    assert!(page.contains("<pre>") && page.contains("<button>") && page.contains("<a>"), "{page}");
    if let Ok(file) = std::env::var("WHODUNIT_PICTURE") {
        std::fs::write(file, page).unwrap();
    }
}
