//! Slack's markup as words: a text goes in; its words, its links and its `name: value` lines come out. It knows no
//! sender. Pure.

/// Without escapes and links, and the addresses that were linked.
pub(super) fn readable(text: &str) -> (String, Vec<String>) {
    let (mut words, mut urls) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once('<') {
        words.push_str(before);
        let Some((inside, after)) = tail.split_once('>') else {
            words.push('<');
            rest = tail;
            continue;
        };
        let (target, label) = inside.split_once('|').unwrap_or((inside, ""));
        if target.contains("://") {
            urls.push(unescaped(target));
        }
        words.push_str(if label.is_empty() { target } else { label });
        rest = after;
    }
    words.push_str(rest);
    (unescaped(&words), urls)
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// `● name `value``, ` - name = value`, `• *name:* `value`` as a name and a value.
pub(super) fn pair(line: &str) -> Option<(String, String)> {
    let line = line.trim().trim_start_matches(['●', '•', '◦', '–', '-', '*', '`', ' ']);
    let end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    if name.is_empty() {
        return None;
    }
    let marks: &[char] = &['*', '`', ' '];
    let value = rest.trim_start_matches(marks);
    let value = match value.strip_prefix([':', '=']) {
        Some(value) => value,
        // Without a sign between them only a quoted value counts.
        None if rest.trim_start().starts_with('`') && rest.trim_end().ends_with('`') => value,
        None => return None,
    };
    Some((name.to_owned(), value.trim_matches(marks).to_owned()))
}

/// Whether `word` stands in `text` for itself, not within a longer name.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    if word.is_empty() {
        return false;
    }
    let of_name = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let mut after = text[at + word.len()..].chars();
        let (next, second) = (after.next(), after.next());
        let dotted = next == Some('.') && second.is_some_and(of_name);
        !before.is_some_and(|c| of_name(c) || c == '.') && !next.is_some_and(of_name) && !dotted
    })
}

pub(super) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex =
            |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let mut ahead = rest.clone();
        match (byte, hex(ahead.next()), hex(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(high * 16 + low);
                rest = ahead;
            }
            (b'+', ..) => bytes.push(b' '),
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_in_every_template_s_form() {
        for line in [
            "● alertname `X`",
            " - alertname = X",
            "• *alertname:* `X`",
            "*alertname*: X",
            "alertname: X",
            "- `alertname` = `X`",
        ] {
            assert_eq!(pair(line), Some(("alertname".to_owned(), "X".to_owned())), "{line}");
        }
        for line in ["Pod shop/x is down", "", "  ", "`code` and `more` words"] {
            assert_eq!(pair(line), None, "{line}");
        }
    }

    #[test]
    fn a_word_is_no_part_of_a_longer_name() {
        for text in ["Pod shop/checkout (app)", "checkout", "`checkout`.", "checkout: down"] {
            assert!(has_word(text, "checkout"), "{text}");
        }
        for text in ["checkout-7d9c", "pre-checkout", "checkout.shop", "checkouts", "my.checkout"] {
            assert!(!has_word(text, "checkout"), "{text}");
        }
    }

    #[test]
    fn links_leave_their_label_and_addresses_are_decoded() {
        let (words, urls) = readable("<https://x/?a=%5B%22c%22%5D&amp;b=1|*Title*> &lt;ok&gt; <!here> a < b");
        assert_eq!(words, "*Title* <ok> !here a < b");
        assert_eq!(urls, ["https://x/?a=%5B%22c%22%5D&b=1"]);
        assert_eq!(percent_decoded("%5B%22c%22%5D+é%zz%"), "[\"c\"] é%zz%");
    }
}
