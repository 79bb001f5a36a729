//! Takes an answer's bytes as they come, in whatever pieces, and gives server-sent events, or the whole body
//! where the server ignored the wish to stream. It knows no provider and never fails on what it reads.

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A whole thing that was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// The data of one event; its name and id are not kept, since every provider repeats the name in the data.
    Event(String),
    /// An answer that is no event stream: JSON, or some proxy's page.
    Whole(Vec<u8>),
}

/// The state between two pieces. The caller bounds how much is pushed.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    form: Form,
    /// Of an event stream: the line that is not whole yet. Of a whole body: all of it.
    buffer: Vec<u8>,
    /// How much of `buffer` holds no line end.
    scanned: usize,
    event: Event,
    any: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Form {
    #[default]
    Unknown,
    Events,
    Whole,
}

#[derive(Debug, Default)]
struct Event {
    data: Option<String>,
    /// A line that belongs to no event stream was read.
    foreign: bool,
}

impl Decoder {
    pub fn push(&mut self, piece: &[u8]) -> Vec<Part> {
        self.buffer.extend_from_slice(piece);
        if self.form == Form::Unknown {
            self.form = form(&mut self.buffer);
        }
        let mut events = Vec::new();
        if self.form == Form::Events {
            let mut from = 0;
            while let Some((end, after)) = line(&self.buffer, from.max(self.scanned)) {
                events.extend(self.event.take(&self.buffer[from..end]).map(Part::Event));
                (from, self.scanned) = (after, after);
            }
            self.buffer.drain(..from);
            // A carriage return at the end is looked at again: a line feed may belong to it.
            self.scanned = self.buffer.len() - usize::from(self.buffer.ends_with(b"\r"));
        }
        self.any |= !events.is_empty();
        events
    }

    /// What the end of the answer makes whole. A line that broke off is dropped.
    pub fn end(mut self) -> Option<Part> {
        if self.form == Form::Whole {
            return Some(Part::Whole(self.buffer));
        }
        let last = self.buffer.strip_suffix(b"\r").and_then(|line| self.event.take(line));
        match last.or(self.event.data) {
            Some(data) => Some(Part::Event(data)),
            None => (self.event.foreign && !self.any).then(|| Part::Whole(Vec::new())),
        }
    }
}

/// Where the next line ends and where the one after it begins; LF, CR and CRLF end a line.
fn line(buffer: &[u8], from: usize) -> Option<(usize, usize)> {
    let end = from + buffer.get(from..)?.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
    match (buffer[end], buffer.get(end + 1)) {
        (b'\r', None) => None,
        (b'\r', Some(b'\n')) => Some((end, end + 2)),
        _ => Some((end, end + 1)),
    }
}

impl Event {
    /// Takes one line; the blank one after data makes an event.
    fn take(&mut self, line: &[u8]) -> Option<String> {
        let line = String::from_utf8_lossy(line);
        if line.is_empty() {
            // Some servers keep a connection alive with empty data.
            return self.data.take().filter(|data| !data.trim().is_empty());
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        match field {
            "data" => {
                let value = value.strip_prefix(' ').unwrap_or(value);
                match &mut self.data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                    None => self.data = Some(value.to_owned()),
                }
            }
            "" | "event" | "id" | "retry" => {}
            _ => self.foreign = true,
        }
        None
    }
}

/// The first byte that means something tells JSON and HTML from events: no field's name begins with it. What
/// comes before it is dropped.
fn form(bytes: &mut Vec<u8>) -> Form {
    loop {
        let blanks = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let mark = if bytes[blanks..].starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
        bytes.drain(..blanks + mark);
        if mark == 0 {
            break;
        }
    }
    match bytes.first() {
        // Nothing, or the beginning of a mark.
        _ if BYTE_ORDER_MARK.starts_with(bytes) => Form::Unknown,
        Some(b'{' | b'[' | b'<' | b'"') => Form::Whole,
        _ => Form::Events,
    }
}

/// All parts of a text that comes in these pieces.
#[cfg(test)]
pub(super) fn parts<'p>(pieces: impl IntoIterator<Item = &'p [u8]>) -> Vec<Part> {
    let mut decoder = Decoder::default();
    let mut parts: Vec<Part> = pieces.into_iter().flat_map(|piece| decoder.push(piece)).collect();
    parts.extend(decoder.end());
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn events(text: &str) -> Vec<String> {
        parts([text.as_bytes()])
            .into_iter()
            .map(|part| match part {
                Part::Event(data) => data,
                Part::Whole(bytes) => format!("whole: {}", String::from_utf8_lossy(&bytes)),
            })
            .collect()
    }

    #[test]
    fn events_are_read_with_any_line_end_and_without_the_last_blank_line() {
        for text in [
            "event: a\ndata: one\n\n: ping\n\ndata:two\ndata: lines\n\ndata: end\n",
            "event: a\r\ndata: one\r\n\r\n: ping\r\n\r\ndata:two\r\ndata: lines\r\n\r\ndata: end\r\n",
            "\u{feff}event: a\rdata: one\r\r: ping\r\rdata:two\rdata: lines\r\rdata: end\r",
        ] {
            assert_eq!(events(text), ["one", "two\nlines", "end"], "{text:?}");
        }
        assert_eq!(events("data:\n\ndata: one\n\ndata: tw"), ["one"], "what broke off is no event");
    }

    #[test]
    fn an_answer_that_is_no_stream_comes_whole() {
        assert_eq!(events("{\"a\": 1}\n\n"), ["whole: {\"a\": 1}\n\n"]);
        assert_eq!(parts([&b" "[..], b"\n", b"[1]"]), [Part::Whole(b"[1]".to_vec())]);
        assert_eq!(events("<html>"), ["whole: <html>"]);
        assert_eq!(events("upstream went away\n"), ["whole: "], "neither JSON nor events");
        assert_eq!(events(": only a comment\n\n"), [""; 0]);
        assert_eq!(events(""), [""; 0]);
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(
            text in "(\u{feff})?((data|event|x): ?[a-zé\u{1f600}]{0,4}(\r\n|\n|\r)|\r|\n|\\{){0,12}",
            cuts in prop::collection::vec(0usize..200, 0..8),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % (bytes.len() + 1)).collect();
            cuts.sort_unstable();
            cuts.push(bytes.len());
            let mut from = 0;
            let pieces: Vec<&[u8]> = cuts
                .into_iter()
                .map(|cut| { let piece = &bytes[from..cut]; from = cut; piece })
                .collect();
            prop_assert_eq!(parts(pieces), parts([bytes]));
        }
    }
}
