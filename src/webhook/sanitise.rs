//! Makes any bytes safe for serde and Postgres without parsing them: out comes JSON text that is valid
//! UTF-8, not too deep, free of NUL, lone surrogates and numbers that no machine holds. Everything else
//! stays as it is, escapes included; whether the text is JSON at all is for serde to say.

use std::borrow::Cow;

use super::rejection::Rejection;

/// Deepest nesting of arrays and objects. Alertmanager needs 4, Robusta's enrichments about 10.
const MAX_DEPTH: usize = 64;
const REPLACEMENT: &str = "\\ufffd";
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The JSON text of a body. Borrows where nothing had to change, which is nearly always.
pub(super) fn json_text(bytes: &[u8]) -> Result<Cow<'_, str>, Rejection> {
    match String::from_utf8_lossy(bytes) {
        Cow::Borrowed(text) => clean(text),
        Cow::Owned(text) => Ok(Cow::Owned(clean(&text)?.into_owned())),
    }
}

fn clean(text: &str) -> Result<Cow<'_, str>, Rejection> {
    let text = text.trim_start_matches(BYTE_ORDER_MARK);
    let mut pass = Pass { text, kept: 0, out: None };
    let mut at = 0;
    let mut depth = 0_usize;
    while let Some(&byte) = text.as_bytes().get(at) {
        match byte {
            b'"' => {
                at = pass.string(at + 1);
                continue;
            }
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Rejection::Malformed(format!("nested deeper than {MAX_DEPTH} levels")));
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'-' | b'0'..=b'9' => {
                at = pass.number(at);
                continue;
            }
            0 => pass.replace(at, at + 1, " "),
            _ => {}
        }
        at += 1;
    }
    Ok(pass.finish())
}

/// One pass over a text that copies only from the first change on.
struct Pass<'t> {
    text: &'t str,
    /// Up to here the text is in `out`.
    kept: usize,
    out: Option<String>,
}

impl<'t> Pass<'t> {
    fn replace(&mut self, from: usize, to: usize, with: &str) {
        let out = self.out.get_or_insert_with(|| String::with_capacity(self.text.len()));
        out.push_str(&self.text[self.kept..from]);
        out.push_str(with);
        self.kept = to;
    }

    fn finish(self) -> Cow<'t, str> {
        match self.out {
            None => Cow::Borrowed(self.text),
            Some(mut out) => {
                out.push_str(&self.text[self.kept..]);
                Cow::Owned(out)
            }
        }
    }

    /// Walks through a string from behind its opening quote; answers where the text goes on.
    fn string(&mut self, mut at: usize) -> usize {
        while let Some(&byte) = self.text.as_bytes().get(at) {
            match byte {
                b'"' => return at + 1,
                b'\\' => at = self.escape(at),
                0 => {
                    self.replace(at, at + 1, REPLACEMENT);
                    at += 1;
                }
                // Not legal JSON, but hand-written payload templates put raw line ends into strings.
                1..=0x1f => {
                    self.replace(at, at + 1, &format!("\\u{byte:04x}"));
                    at += 1;
                }
                _ => at += 1,
            }
        }
        at
    }

    /// Looks at the escape that starts here; answers where the text goes on.
    fn escape(&mut self, at: usize) -> usize {
        let bytes = self.text.as_bytes();
        let Some(unit) = utf16_escape(bytes, at) else {
            // `\"`, `\\` and the like; or what serde will refuse. Never step over a control character.
            return if bytes.get(at + 1).is_some_and(|byte| *byte >= b' ') { at + 2 } else { at + 1 };
        };
        let pair_follows = || matches!(utf16_escape(bytes, at + 6), Some(0xdc00..=0xdfff));
        match unit {
            0xd800..=0xdbff if pair_follows() => at + 12,
            0 | 0xd800..=0xdfff => {
                self.replace(at, at + 6, REPLACEMENT);
                at + 6
            }
            _ => at + 6,
        }
    }

    /// Puts `null` for a number beyond what a float can hold: serde would refuse the whole body for it.
    fn number(&mut self, from: usize) -> usize {
        let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        let to = from + self.text.as_bytes()[from..].iter().take_while(is_part).count();
        if self.text[from..to].parse::<f64>().is_ok_and(f64::is_infinite) {
            self.replace(from, to, "null");
        }
        to
    }
}

/// The code unit of a `\uXXXX` that starts at `at`.
fn utf16_escape(bytes: &[u8], at: usize) -> Option<u16> {
    let escape = bytes.get(at..at + 6)?;
    if escape[..2] != *b"\\u" || !escape[2..].iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(&escape[2..]).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn cleaned(text: &str) -> String {
        json_text(text.as_bytes()).unwrap().into_owned()
    }

    #[test]
    fn a_clean_text_is_borrowed() {
        let text = r#"{"a":"b\\u0000 \" \ud83d\ude00 \u00e9","n":[1,-2.5e3,null]}"#;
        assert!(matches!(json_text(text.as_bytes()), Ok(Cow::Borrowed(same)) if same == text));
    }

    #[test]
    fn nul_is_replaced_and_an_escaped_backslash_before_u0000_is_not_nul() {
        assert_eq!(cleaned(r#""\u0000""#), r#""\ufffd""#);
        assert_eq!(cleaned(r#""\\u0000""#), r#""\\u0000""#);
        assert_eq!(cleaned(r#""\\\u0000""#), r#""\\\ufffd""#);
        assert_eq!(cleaned("{\0\"a\0b\":\0 1}"), "{ \"a\\ufffdb\":  1}");
        assert_eq!(cleaned("\"\\\0\""), "\"\\\\ufffd\"", "a broken escape stays broken or becomes text");
    }

    #[test]
    fn lone_surrogates_are_replaced_and_pairs_are_kept() {
        for (given, expected) in [
            (r#""\ud800""#, r#""\ufffd""#),
            (r#""\uDC00x""#, r#""\ufffdx""#),
            (r#""\ud800\ud800""#, r#""\ufffd\ufffd""#),
            (r#""\ud800\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#),
            (r#""\ud800\u0000""#, r#""\ufffd\ufffd""#),
            (r#""\ud83d\ude00""#, r#""\ud83d\ude00""#),
            (r#""\ud800\n""#, r#""\ufffd\n""#),
        ] {
            assert_eq!(cleaned(given), expected);
        }
    }

    #[test]
    fn raw_line_ends_in_strings_are_escaped_and_outside_kept() {
        assert_eq!(cleaned("{\n\"a\":\"b\n\tc\"\n}"), "{\n\"a\":\"b\\u000a\\u0009c\"\n}");
    }

    #[test]
    fn numbers_that_no_machine_holds_become_null() {
        let digits = "9".repeat(400);
        assert_eq!(cleaned(&format!("[1e999999,-1e400,{digits},1e308,12]")), "[null,null,null,1e308,12]");
        assert_eq!(cleaned(r#"{"a":"1e999999"}"#), r#"{"a":"1e999999"}"#);
    }

    #[test]
    fn depth_is_limited_before_serde_recurses() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(json_text(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(matches!(json_text(nested(MAX_DEPTH + 1).as_bytes()), Err(Rejection::Malformed(_))));
        assert!(matches!(json_text(nested(100_000).as_bytes()), Err(Rejection::Malformed(_))));
        assert!(json_text(format!("\"{}\"", "[".repeat(1000)).as_bytes()).is_ok(), "brackets in strings");
    }

    #[test]
    fn invalid_utf8_and_a_byte_order_mark_are_no_reason_to_refuse() {
        assert_eq!(json_text(b"\"a\xff\xc3\"").unwrap(), "\"a\u{fffd}\u{fffd}\"");
        assert_eq!(json_text(b"\xef\xbb\xbf{}").unwrap(), "{}");
    }

    fn no_nul(value: &Value) -> bool {
        match value {
            Value::String(text) => !text.contains('\0'),
            Value::Array(items) => items.iter().all(no_nul),
            Value::Object(fields) => fields.iter().all(|(key, value)| !key.contains('\0') && no_nul(value)),
            _ => true,
        }
    }

    /// Pieces that make strings, escapes and structure likely.
    fn pieces() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            &b"\""[..],
            b"\\",
            b"u0000",
            b"\\u0000",
            b"\\ud800",
            b"\\udc00",
            b"\0",
            b"{",
            b"}",
            b"[",
            b"]",
            b":",
            b",",
            b"\"a\"",
            b"1e9999",
            b"-",
            b"\xff",
            b"\xe2\x82",
            b"\n",
            b"\\\"",
            b"true",
            b"\xf0\x9f\x98\x80",
        ]);
        prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn whatever_comes_the_result_holds_no_nul_and_cleaning_again_changes_nothing(
            bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..300), pieces()]
        ) {
            if let Ok(text) = json_text(&bytes) {
                prop_assert!(!text.contains('\0'));
                prop_assert_eq!(&json_text(text.as_bytes()).unwrap(), &text);
                if let Ok(value) = serde_json::from_str::<Value>(&text) {
                    prop_assert!(no_nul(&value));
                }
            }
        }

        #[test]
        fn any_string_of_escapes_reads_as_text_without_nul(
            parts in prop::collection::vec(prop::sample::select(vec![
                "\\u0000", "\\ud800", "\\udc00", "\\ud83d", "\\ude00", "\\\\", "\\\"", "u0000", "\0", "\n", "a", "é",
            ]), 0..12)
        ) {
            let json = format!("{{\"{0}\":[\"{0}\"]}}", parts.concat());
            let value: Value = serde_json::from_str(&cleaned(&json)).unwrap();
            prop_assert!(no_nul(&value));
        }

        #[test]
        fn json_of_any_value_means_the_same_after_cleaning_but_for_nul(text in any::<String>()) {
            let json = serde_json::to_string(&text).unwrap();
            let read: String = serde_json::from_str(&cleaned(&json)).unwrap();
            prop_assert_eq!(read, text.replace('\0', "\u{fffd}"));
        }
    }
}
