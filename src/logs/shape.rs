//! What a piece of a message is by its form: which bytes divide pieces, which words are values or units, and
//! which look like names rather than language. Only tables and small questions.

pub const DIVIDER: u8 = 0;
pub const DIGIT: u8 = 1;
pub const LETTER: u8 = 2;
pub const SLASH: u8 = 3;
pub const AT: u8 = 4;
const OTHER: u8 = 5;

/// `worker12`: the letters stay, unless there are fewer than these or more digits than those.
pub const MIN_PREFIX_CHARS: usize = 3;
pub const MAX_SUFFIX_DIGITS: usize = 4;

/// What each byte is.
pub const CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [OTHER; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            0..=b' ' | 0x7f => DIVIDER,
            b',' | b';' | b':' | b'=' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'"' | b'\'' | b'`'
            | b'<' | b'>' | b'|' => DIVIDER,
            b'0'..=b'9' => DIGIT,
            b'a'..=b'z' | b'A'..=b'Z' | 0x80..=0xff => LETTER,
            b'/' | b'\\' => SLASH,
            b'@' => AT,
            _ => OTHER,
        };
        byte += 1;
    }
    table
}

pub fn divides(byte: u8) -> bool {
    CLASS[byte as usize] == DIVIDER
}

/// `GET`
pub fn is_method(word: &[u8]) -> bool {
    matches!(word, b"GET" | b"POST" | b"PUT" | b"DELETE" | b"PATCH" | b"HEAD" | b"OPTIONS" | b"CONNECT")
}

/// `Nov`
pub fn is_month(word: &[u8]) -> bool {
    const MONTHS: [&[u8]; 12] =
        [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
    MONTHS.contains(&word)
}

/// Words that only ever stand for a value.
pub fn is_value(word: &[u8]) -> bool {
    match word.len() {
        3 => {
            matches!(
                word,
                b"nil"
                    | b"NaN"
                    | b"N/A"
                    | b"n/a"
                    | b"Mon"
                    | b"Tue"
                    | b"Wed"
                    | b"Thu"
                    | b"Fri"
                    | b"Sat"
                    | b"Sun"
                    | b"UTC"
                    | b"GMT"
            ) || is_month(word)
        }
        4 => matches!(word, b"true" | b"True" | b"TRUE" | b"null" | b"NULL" | b"None"),
        5 => matches!(word, b"false" | b"False" | b"FALSE"),
        _ => false,
    }
}

/// `5 ms`, `1.16 KB`
pub fn is_unit(word: &[u8]) -> bool {
    matches!(
        word,
        b"ns"
            | b"us"
            | b"ms"
            | b"s"
            | b"sec"
            | b"secs"
            | b"second"
            | b"seconds"
            | b"millis"
            | b"milliseconds"
            | b"min"
            | b"mins"
            | b"minute"
            | b"minutes"
            | b"hour"
            | b"hours"
            | b"day"
            | b"days"
            | b"h"
            | b"m"
            | b"d"
            | b"B"
            | b"byte"
            | b"bytes"
            | b"KB"
            | b"kB"
            | b"MB"
            | b"GB"
            | b"TB"
            | b"KiB"
            | b"MiB"
            | b"GiB"
            | b"TiB"
    )
}

/// A name or an id rather than a word of the language: `checkout-api`, `payments.svc`, `userService`.
pub fn is_name(word: &str) -> bool {
    let bytes = word.as_bytes();
    if word.ends_with("Exception") || word.ends_with("Error") {
        return false;
    }
    let has_mark = bytes.iter().any(|b| matches!(b, b'-' | b'_' | b'.' | b'/' | b'@' | b'$' | b'#'));
    let humps = bytes.windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
    has_mark || humps
}

/// Words after which a name stands.
pub fn introduces(word: &str) -> bool {
    matches!(
        word,
        "user"
            | "User"
            | "for"
            | "by"
            | "from"
            | "host"
            | "named"
            | "name"
            | "node"
            | "pod"
            | "service"
            | "container"
            | "namespace"
            | "database"
            | "table"
            | "role"
            | "queue"
            | "topic"
            | "group"
            | "zone"
            | "domain"
            | "image"
            | "plugin"
            | "device"
            | "account"
            | "index"
            | "key"
            | "member"
            | "partition"
            | "cluster"
            | "resource"
            | "process"
            | "program"
            | "client"
            | "interface"
            | "job"
            | "task"
            | "module"
    )
}

/// Words of a message that tells of a failure; what follows its colon is the cause.
pub fn is_trouble(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    [
        "fail",
        "error",
        "cannot",
        "unable",
        "could",
        "abort",
        "refus",
        "reject",
        "denied",
        "lost",
        "fatal",
        "panic",
        "killed",
        "crash",
        "exception",
        "timeout",
        "unreachable",
    ]
    .iter()
    .any(|stem| lower.starts_with(stem))
}
