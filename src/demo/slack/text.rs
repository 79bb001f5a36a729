//! A Slack thread as plain text for a terminal: block kit and mrkdwn come in, wrapped lines between rules
//! go out. Control characters never do, because the texts carry what a cluster said. Pure.

use serde_json::Value;
use unicode_segmentation::UnicodeSegmentation;

use super::Message;

/// Narrower than this nothing reads well, in columns.
const MIN_WIDTH: usize = 40;

/// A thread under its channel's name, within `width` columns. Ends with a line break.
pub fn render_thread(channel: &str, thread: &[Message], width: usize) -> String {
    let width = width.max(MIN_WIDTH);
    let mut out = rule(&format!("╭─ {channel} "), width);
    for (at, message) in thread.iter().enumerate() {
        let indent = if at == 0 { "" } else { "  " };
        if at > 0 {
            let edited = if message.is_edited { " (edited)" } else { "" };
            out.push_str(&rule(&format!("├─ reply{edited} "), width));
        }
        for line in lines_of(message, width - 2 - indent.len()) {
            let line = format!("│ {indent}{line}");
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    out.push_str(&rule("╰", width));
    out
}

fn rule(start: &str, width: usize) -> String {
    let rest = width.saturating_sub(columns(start));
    format!("{start}{}\n", "─".repeat(rest))
}

/// A message's blocks, or its text where it has none, then its attachments.
fn lines_of(message: &Message, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    match message.blocks.as_array() {
        Some(blocks) if !blocks.is_empty() => {
            blocks.iter().for_each(|block| add_block(block, width, &mut lines))
        }
        _ => lines.extend(paragraph(&message.text, width)),
    }
    for attachment in message.attachments.as_array().into_iter().flatten() {
        for block in attachment["blocks"].as_array().into_iter().flatten() {
            add_block(block, width, &mut lines);
        }
        if let Some(text) = attachment["text"].as_str() {
            lines.extend(paragraph(text, width));
        }
    }
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

fn add_block(block: &Value, width: usize, lines: &mut Vec<String>) {
    let kind = block["type"].as_str().unwrap_or_default();
    // A context line belongs to what stands above it.
    if !lines.is_empty() && kind != "context" {
        lines.push(String::new());
    }
    match kind {
        "header" => {
            let title = paragraph(text_of(block), width);
            let longest = title.iter().map(|line| columns(line)).max().unwrap_or(0);
            lines.extend(title);
            lines.push("═".repeat(longest));
        }
        "section" => {
            lines.extend(paragraph(text_of(block), width));
            for field in block["fields"].as_array().into_iter().flatten() {
                let joined = field["text"].as_str().unwrap_or_default().replace('\n', " ");
                lines.extend(paragraph(&joined, width));
            }
        }
        "context" | "actions" => {
            let parts: Vec<String> =
                elements(block).iter().map(element).filter(|part| !part.is_empty()).collect();
            lines.extend(paragraph(&parts.join(" · "), width));
        }
        "divider" => lines.push("┄".repeat(width.min(60))),
        "image" => lines.push(format!("[image: {}]", plain(block["alt_text"].as_str().unwrap_or_default()))),
        "markdown" => lines.extend(paragraph(block["text"].as_str().unwrap_or_default(), width)),
        "rich_text" => {
            let mut text = String::new();
            rich_text(block, &mut text);
            lines.extend(paragraph(&text, width));
        }
        other => lines.push(format!("[{}]", plain(other))),
    }
}

fn elements(block: &Value) -> &[Value] {
    block["elements"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text_of(block: &Value) -> &str {
    block["text"]["text"].as_str().unwrap_or_default()
}

fn element(element: &Value) -> String {
    match element["type"].as_str() {
        Some("button") => format!("[{}]", text_of(element)),
        Some("image") => format!("[{}]", element["alt_text"].as_str().unwrap_or("image")),
        _ => element["text"].as_str().unwrap_or_default().to_owned(),
    }
}

fn rich_text(value: &Value, text: &mut String) {
    match value["type"].as_str() {
        Some("text") => text.push_str(value["text"].as_str().unwrap_or_default()),
        Some("link") => text.push_str(value["text"].as_str().or(value["url"].as_str()).unwrap_or_default()),
        Some("emoji") => text.push_str(&format!(":{}:", value["name"].as_str().unwrap_or_default())),
        Some("rich_text_list") => {
            for item in elements(value) {
                text.push_str("• ");
                rich_text(item, text);
            }
        }
        Some("rich_text_preformatted") => {
            text.push_str("```\n");
            elements(value).iter().for_each(|part| rich_text(part, text));
            text.push_str("\n```\n");
        }
        _ => {
            elements(value).iter().for_each(|part| rich_text(part, text));
            if value["type"] == "rich_text_section" && !text.ends_with('\n') {
                text.push('\n');
            }
        }
    }
}

/// Lines of mrkdwn, wrapped; code blocks are indented instead of fenced.
fn paragraph(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if text.is_empty() {
        return lines;
    }
    for (at, part) in text.split("```").enumerate() {
        let is_code = at % 2 == 1;
        if is_code {
            let code = part.strip_prefix('\n').unwrap_or(part);
            for line in code.trim_end_matches('\n').split('\n') {
                let pieces = chop(&unescape(line), width.saturating_sub(4).max(1));
                lines.extend(pieces.into_iter().map(|piece| format!("    {piece}")));
            }
            continue;
        }
        // The breaks beside a fence are the fence's own.
        let part = if at > 0 { part.strip_prefix('\n').unwrap_or(part) } else { part };
        let part =
            if text.matches("```").count() > at { part.strip_suffix('\n').unwrap_or(part) } else { part };
        if part.is_empty() && at > 0 {
            continue;
        }
        for line in part.split('\n') {
            wrap(&readable(line), width, &mut lines);
        }
    }
    lines
}

/// `<https://x|label>` → `label (https://x)`, `<!here>` → `@here`, `&lt;` → `<`.
fn readable(line: &str) -> String {
    let mut out = String::new();
    let mut rest = line;
    while let Some((before, tail)) = rest.split_once('<') {
        out.push_str(before);
        let Some((inside, after)) = tail.split_once('>') else {
            out.push('<');
            rest = tail;
            continue;
        };
        let (target, label) = inside.split_once('|').unwrap_or((inside, ""));
        match target.chars().next() {
            Some('!') => out.push_str(&format!("@{}", target.trim_start_matches('!'))),
            Some('#') => out.push_str(&format!("#{}", if label.is_empty() { &target[1..] } else { label })),
            Some('@') => out.push_str(target),
            _ if label.is_empty() || label == target => out.push_str(target),
            _ => out.push_str(&format!("{label} ({target})")),
        }
        rest = after;
    }
    out.push_str(rest);
    unescape(&out)
}

fn unescape(text: &str) -> String {
    plain(&text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
}

/// Without control characters: a log line must not move the reader's cursor.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c == '\t' { ' ' } else { c }).filter(|c| !c.is_control()).collect()
}

/// Breaks between words; what follows a break stands under the text of the line's bullet or quote.
fn wrap(line: &str, width: usize, lines: &mut Vec<String>) {
    let body = line.trim_start_matches([' ', '•', '-', '>']);
    let numbered = body.find(". ").filter(|&at| at <= 2 && body[..at].chars().all(|c| c.is_ascii_digit()));
    let start = line.len() - body.len() + numbered.map_or(0, |at| at + 2);
    let hang = columns(&line[..start]).min(width / 2);
    let mut current = line[..start].to_owned();
    let mut is_fresh = true;
    for word in line[start..].split(' ') {
        let space = usize::from(!is_fresh);
        if !is_fresh && columns(&current) + space + columns(word) > width {
            lines.push(std::mem::replace(&mut current, " ".repeat(hang)));
            is_fresh = true;
        }
        if !is_fresh {
            current.push(' ');
        }
        current.push_str(word);
        is_fresh = false;
        // A word longer than a line is cut where the line ends.
        while columns(&current) > width {
            let mut pieces = chop(&current, width).into_iter();
            lines.push(pieces.next().unwrap_or_default());
            current = format!("{}{}", " ".repeat(hang), pieces.collect::<String>());
        }
    }
    lines.push(current);
}

/// Pieces of at most `width` columns; never within a grapheme.
fn chop(text: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for grapheme in text.graphemes(true) {
        let wide = columns(grapheme);
        if used + wide > width && used > 0 {
            pieces.push(String::new());
            used = 0;
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push_str(grapheme);
        }
        used += wide;
    }
    pieces
}

/// Columns that a text takes; emoji and CJK take two.
fn columns(text: &str) -> usize {
    let wide = |first: char| matches!(first, '\u{1100}'..='\u{115F}' | '\u{2E80}'..='\u{A4CF}' | '\u{AC00}'..='\u{D7A3}' | '\u{F900}'..='\u{FAFF}' | '\u{FF00}'..='\u{FF60}' | '\u{1F000}'..='\u{1FAFF}');
    text.graphemes(true)
        .map(|grapheme| {
            let is_emoji = grapheme.contains('\u{FE0F}');
            1 + usize::from(is_emoji || grapheme.chars().next().is_some_and(wide))
        })
        .sum()
}
