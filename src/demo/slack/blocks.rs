//! Slack's limits on what is posted, as its API enforces them: a text and blocks come in, Slack's error
//! goes out. Pure.

use serde_json::{Value, json};

/// Characters of the top-level text.
const TEXT_CHARS: usize = 40_000;
const BLOCKS: usize = 50;
const SECTION_CHARS: usize = 3_000;
const FIELD_CHARS: usize = 2_000;
const HEADER_CHARS: usize = 150;
const BUTTON_CHARS: usize = 75;
const URL_CHARS: usize = 3_000;
const BLOCK_ID_CHARS: usize = 255;
const FIELDS: usize = 10;
const CONTEXT_ELEMENTS: usize = 10;
const ACTIONS: usize = 25;
const MARKDOWN_CHARS: usize = 12_000;

/// What Slack answers beside `"ok": false`.
pub(super) fn check(text: &str, blocks: Option<&Value>, attachments: Option<&Value>) -> Result<(), Value> {
    if text.chars().count() > TEXT_CHARS {
        return Err(json!({"error": "msg_too_long"}));
    }
    let mut faults = Vec::new();
    if let Some(blocks) = blocks {
        check_blocks(blocks, &mut faults);
    }
    for attachment in attachments.and_then(Value::as_array).into_iter().flatten() {
        if let Some(blocks) = attachment.get("blocks") {
            check_blocks(blocks, &mut faults);
        }
    }
    let is_empty = |value: Option<&Value>| value.and_then(Value::as_array).is_none_or(Vec::is_empty);
    if !faults.is_empty() {
        let errors: Vec<&str> = faults.iter().map(String::as_str).collect();
        let messages: Vec<String> = faults.iter().map(|fault| format!("[ERROR] {fault}")).collect();
        return Err(json!({
            "error": "invalid_blocks", "errors": errors, "response_metadata": {"messages": messages},
        }));
    }
    if text.is_empty() && is_empty(blocks) && is_empty(attachments) {
        return Err(json!({"error": "no_text"}));
    }
    Ok(())
}

fn check_blocks(blocks: &Value, faults: &mut Vec<String>) {
    let Some(blocks) = blocks.as_array() else {
        faults.push("must be an array [json-pointer:/blocks]".to_owned());
        return;
    };
    if blocks.len() > BLOCKS {
        faults.push(format!("no more than {BLOCKS} items allowed [json-pointer:/blocks]"));
    }
    let mut ids: Vec<&str> = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let before = faults.len();
        check_block(block, faults);
        if let Some(id) = block["block_id"].as_str() {
            at_most(id, BLOCK_ID_CHARS, "block_id", faults);
            if ids.contains(&id) {
                faults.push("block_id must be unique".to_owned());
            }
            ids.push(id);
        }
        for fault in faults.iter_mut().skip(before) {
            fault.push_str(&format!(" [json-pointer:/blocks/{at}]"));
        }
    }
}

fn check_block(block: &Value, faults: &mut Vec<String>) {
    match block["type"].as_str().unwrap_or_default() {
        "section" => {
            let fields = elements(block, "fields", FIELDS, faults);
            if block["text"].is_null() && fields.is_empty() {
                faults.push("missing required field: text".to_owned());
            } else if !block["text"].is_null() {
                check_text(&block["text"], SECTION_CHARS, faults);
            }
            for field in fields {
                check_text(field, FIELD_CHARS, faults);
            }
        }
        "header" => {
            check_text(&block["text"], HEADER_CHARS, faults);
            if block["text"]["type"] != "plain_text" {
                faults.push("header text must be plain_text".to_owned());
            }
        }
        "context" => {
            let elements = elements(block, "elements", CONTEXT_ELEMENTS, faults);
            if elements.is_empty() {
                faults.push("missing required field: elements".to_owned());
            }
            for element in elements.iter().filter(|element| element["type"] != "image") {
                check_text(element, SECTION_CHARS, faults);
            }
        }
        "actions" => {
            for action in elements(block, "elements", ACTIONS, faults) {
                if action["type"] == "button" {
                    check_text(&action["text"], BUTTON_CHARS, faults);
                }
                at_most(action["url"].as_str().unwrap_or_default(), URL_CHARS, "url", faults);
            }
        }
        "markdown" => at_most(block["text"].as_str().unwrap_or_default(), MARKDOWN_CHARS, "text", faults),
        "divider" | "image" | "rich_text" => {}
        other => faults.push(format!("unsupported type: {other}")),
    }
}

fn elements<'a>(block: &'a Value, field: &str, most: usize, faults: &mut Vec<String>) -> &'a [Value] {
    let elements = block[field].as_array().map(Vec::as_slice).unwrap_or_default();
    if elements.len() > most {
        faults.push(format!("no more than {most} items allowed in {field}"));
    }
    elements
}

fn check_text(object: &Value, most: usize, faults: &mut Vec<String>) {
    if !matches!(object["type"].as_str(), Some("mrkdwn" | "plain_text")) {
        faults.push("text must be a mrkdwn or plain_text object".to_owned());
        return;
    }
    let text = object["text"].as_str().unwrap_or_default();
    if text.is_empty() {
        faults.push("must be more than 0 characters".to_owned());
    }
    at_most(text, most, "text", faults);
}

fn at_most(text: &str, most: usize, field: &str, faults: &mut Vec<String>) {
    if text.chars().count() > most {
        faults.push(format!("{field} must be less than {} characters", most + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(text: &str) -> Value {
        json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})
    }

    fn error(text: &str, blocks: &Value) -> Option<String> {
        let refusal = check(text, Some(blocks), None).err()?;
        Some(refusal["error"].as_str().unwrap().to_owned())
    }

    #[test]
    fn each_limit_holds_at_its_edge() {
        let header = |text: &str| json!([{"type": "header", "text": {"type": "plain_text", "text": text}}]);
        let invalid = Some("invalid_blocks".to_owned());
        for (blocks, expected) in [
            (json!([section(&"é".repeat(3000))]), None),
            (json!([section(&"é".repeat(3001))]), invalid.clone()),
            (header(&"x".repeat(150)), None),
            (header(&"x".repeat(151)), invalid.clone()),
            (json!(vec![json!({"type": "divider"}); 50]), None),
            (json!(vec![json!({"type": "divider"}); 51]), invalid.clone()),
            (json!([section("")]), invalid.clone()),
            (json!([{"type": "section"}]), invalid.clone()),
            (json!([{"type": "context", "elements": []}]), invalid.clone()),
            (json!([{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}]), invalid.clone()),
            (
                json!([{"type": "divider", "block_id": "a"}, {"type": "divider", "block_id": "a"}]),
                invalid.clone(),
            ),
            (json!([{"type": "novelty"}]), invalid.clone()),
            (json!("not a list"), invalid),
        ] {
            assert_eq!(error("text", &blocks), expected, "{blocks:.80}");
        }
        assert_eq!(error(&"x".repeat(40_000), &json!([])), None);
        assert_eq!(error(&"x".repeat(40_001), &json!([])), Some("msg_too_long".to_owned()));
        assert_eq!(error("", &json!([])), Some("no_text".to_owned()));
    }

    #[test]
    fn a_refusal_names_the_block() {
        let refusal = check("", Some(&json!([section("ok"), section("")])), None).unwrap_err();
        assert_eq!(refusal["errors"], json!(["must be more than 0 characters [json-pointer:/blocks/1]"]));
    }
}
