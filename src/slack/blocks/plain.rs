//! A message whose blocks Slack refuses, as words: what the blocks say goes in, a text within the limits comes out.
//! It escapes nothing, because what stands in blocks is escaped already.

use serde_json::Value;

use super::{Message, escape};

/// `chat.update` takes 4,000 characters of text.
const MAX_PLAIN: usize = 3_900;

/// The words of all blocks, whole paragraphs only, from the top.
pub(in crate::slack) fn plain(message: &Message) -> String {
    let mut text = String::new();
    for words in message.blocks.iter().flat_map(words) {
        let gap = usize::from(!text.is_empty());
        if escape::length(&text) + gap + escape::length(words) > MAX_PLAIN {
            break;
        }
        if gap == 1 {
            text.push('\n');
        }
        text.push_str(words);
    }
    if text.is_empty() { message.text.clone() } else { text }
}

fn words(block: &Value) -> Vec<&str> {
    let elements = block["elements"].as_array().into_iter().flatten();
    let own = block["text"]["text"].as_str();
    own.into_iter().chain(elements.filter_map(|element| element["text"].as_str())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn section(text: &str) -> Value {
        json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})
    }

    #[test]
    fn the_words_of_blocks_stay_in_their_order() {
        let context = json!({"type": "context", "elements": [{"type": "mrkdwn", "text": "c"}]});
        let header = json!({"type": "header", "text": {"type": "plain_text", "text": "a"}});
        let blocks = vec![header, section("b"), json!({"type": "divider"}), context];
        assert_eq!(plain(&Message { text: "t".to_owned(), blocks }), "a\nb\nc");
        assert_eq!(plain(&Message { text: "t".to_owned(), blocks: vec![] }), "t");
    }

    #[test]
    fn a_long_message_loses_its_end_and_no_half_paragraph() {
        let blocks = (0..3).map(|_| section(&"x".repeat(1_900))).collect();
        let text = plain(&Message { text: "t".to_owned(), blocks });
        assert_eq!(text.len(), 1_900 * 2 + 1);
    }
}
