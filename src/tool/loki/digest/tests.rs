//! Lines of logs as a model reads them: templates, counts, what was left out.

use super::*;

fn found(lines: &[(i64, usize, &str)]) -> Found {
    let stream = |pod: &str| {
        [("pod", pod), ("container", "app"), ("namespace", "shop")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into_iter()
            .collect()
    };
    let line = |(second, stream, text): &(i64, usize, &str)| StreamLine {
        at: DateTime::from_timestamp(1_795_244_400 + second, 0).unwrap(),
        text: (*text).to_owned(),
        stream: *stream,
    };
    Found {
        lines: lines.iter().map(line).collect(),
        streams: vec![stream("a-1"), stream("a-2")],
        query: "GET /x".to_owned(),
        milliseconds: 1,
    }
}

fn since() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_244_400 + 51, 0).unwrap()
}

#[test]
fn trouble_comes_first_then_what_is_rare() {
    let mut lines: Vec<(i64, usize, &str)> = Vec::new();
    let served: Vec<String> = (0..50).map(|n| format!("served request {n} in {} ms", n * 3)).collect();
    lines.extend(served.iter().enumerate().map(|(n, text)| (n as i64, n % 2, text.as_str())));
    lines.push((51, 0, "config reloaded"));
    lines.push((52, 1, "ERROR: Connection refused - database unreachable"));
    lines.push((60, 0, "ERROR: Connection refused - database unreachable"));
    assert_eq!(
        digest(&found(&lines), since()),
        "53 lines in 2 streams, 3 kinds; trouble first, then new and rare ones\n\
         2× 07:00:52–07:01:00 new [2 streams] ERROR: Connection refused - database unreachable\n\
         07:00:51 new [a-1/app] config reloaded\n\
         50× 07:00:00–07:00:49 gone [2 streams] served request 49 in 147 ms\n"
    );
}

#[test]
fn what_is_left_out_is_counted_and_long_lines_say_so() {
    let words: Vec<String> = (0..30).map(|n| "again ".repeat(n + 1)).collect();
    let long = "é".repeat(400);
    let mut lines: Vec<(i64, usize, &str)> =
        words.iter().enumerate().map(|(n, text)| (n as i64, 0, text.as_str())).collect();
    lines.push((99, 0, &long));
    let text = digest(&found(&lines), since());
    assert!(text.contains("left out: 17 more kinds of lines (17 lines), 0 of them trouble"), "{text}");
    assert!(text.contains("… 200 more bytes"), "{text}");
    assert_eq!(full(&found(&lines)).lines().count(), 31);
    assert!(full(&found(&lines)).contains(&long));
}
