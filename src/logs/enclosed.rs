//! Where something ends that begins here: a quote, a bracket, an address whose parts stand between colons. Bytes and
//! a place come in, a place goes out; nothing is searched beyond a bound.

/// How far a quote or a bracket may reach.
const MAX_ENCLOSED_BYTES: usize = 600;

/// The end of a hardware address or one of IPv6: groups of hex digits between colons.
pub fn address(bytes: &[u8], start: usize) -> Option<usize> {
    const MIN_COLONS: usize = 3;
    const MIN_FULL_COLONS: usize = 5;
    const MAX_BYTES: usize = 48;
    let (mut at, mut group, mut colons, mut doubled) = (start, 0, 0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b':' => {
                doubled += usize::from(bytes.get(at + 1) == Some(&b':'));
                (colons, group) = (colons + 1, 0);
            }
            byte if byte.is_ascii_hexdigit() => group += 1,
            _ => break,
        }
        if group > 4 || at - start > MAX_BYTES {
            return None;
        }
        at += 1;
    }
    let is_over = !bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
    // The colon after an address is the sentence's.
    let is_address = is_over && colons >= MIN_COLONS && (colons >= MIN_FULL_COLONS || doubled > 0);
    is_address.then(|| if bytes[at - 1] == b':' { at - 1 } else { at })
}

/// The quote that closes this one.
pub fn closing_quote(bytes: &[u8], open: usize) -> Option<usize> {
    let quote = bytes[open];
    let limit = bytes.len().min(open + MAX_ENCLOSED_BYTES);
    let mut at = open + 1;
    while at < limit {
        match bytes[at] {
            b'\\' => at += 1,
            byte if byte == quote => {
                let next = bytes.get(at + 1).copied().unwrap_or(b' ');
                if quote != b'\'' || !next.is_ascii_alphanumeric() {
                    return Some(at);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The bracket that closes this one, others within it closed.
pub fn closing_bracket(bytes: &[u8], open: usize) -> Option<usize> {
    let limit = bytes.len().min(open + MAX_ENCLOSED_BYTES);
    let mut depth = 0_usize;
    for (at, byte) in bytes.iter().enumerate().take(limit).skip(open) {
        match byte {
            b'[' | b'{' | b'(' => depth += 1,
            b']' | b'}' | b')' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}
