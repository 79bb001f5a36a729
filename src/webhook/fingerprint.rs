//! Alertmanager's identity of a label set: FNV-1a 64 over the sorted labels, as 16 hex digits. Computed
//! for senders that leave it out, so that the same labels always mean the same alert.

use std::collections::BTreeMap;

const OFFSET: u64 = 14_695_981_039_346_656_037;
const PRIME: u64 = 1_099_511_628_211;
/// Stands after each name and each value; no UTF-8 text holds it.
const SEPARATOR: u8 = 0xff;
/// Longest fingerprint taken over from a sender, in bytes (Robusta sends 64): it is part of an index key.
const MAX_FINGERPRINT_BYTES: usize = 128;

fn fnv1a(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(OFFSET, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(PRIME))
}

/// The fingerprint of a label set.
pub(super) fn of_labels(labels: &BTreeMap<String, String>) -> String {
    let bytes = labels
        .iter()
        .flat_map(|(name, value)| name.bytes().chain([SEPARATOR]).chain(value.bytes()).chain([SEPARATOR]));
    format!("{:016x}", fnv1a(bytes))
}

/// The hash of any text, in the same form.
pub(super) fn of_text(text: &str) -> String {
    format!("{:016x}", fnv1a(text.bytes()))
}

/// What the sender says, unless it says nothing or something that no index can hold.
pub(super) fn given_or_computed(given: String, labels: &BTreeMap<String, String>) -> String {
    if given.is_empty() || given.len() > MAX_FINGERPRINT_BYTES { of_labels(labels) } else { given }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_label_set_has_the_offset_as_its_fingerprint() {
        assert_eq!(of_labels(&BTreeMap::new()), "cbf29ce484222325");
    }

    #[test]
    fn a_name_and_a_value_cannot_flow_into_each_other() {
        let one = BTreeMap::from([("ab".to_owned(), "c".to_owned())]);
        let other = BTreeMap::from([("a".to_owned(), "bc".to_owned())]);
        assert_ne!(of_labels(&one), of_labels(&other));
    }

    #[test]
    fn a_fingerprint_too_long_for_an_index_is_replaced() {
        let labels = BTreeMap::from([("alertname".to_owned(), "A".to_owned())]);
        assert_eq!(given_or_computed("f".repeat(128), &labels), "f".repeat(128));
        assert_eq!(given_or_computed("f".repeat(129), &labels), of_labels(&labels));
        assert_eq!(given_or_computed(String::new(), &labels), of_labels(&labels));
    }
}
