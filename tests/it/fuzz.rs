//! Every fuzz target over its corpus and over mutations of it, with the stable compiler and in seconds. `scripts/fuzz`
//! runs the real fuzzer, which finds more.

#[path = "../../fuzz/targets.rs"]
mod targets;

use std::path::{Path, PathBuf};

/// Mutations of each file of a corpus.
const MUTATIONS: u64 = 60;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 3, "{target} has a corpus of {}", files.len());
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// xorshift64*: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }
}

fn mutate(original: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 => bytes.truncate(at),
            2 => bytes.insert(at.min(bytes.len()), b"\0\"\\{[\n\xff:-"[random.below(9)]),
            3 => {
                let end = (at + random.below(64)).min(bytes.len());
                let piece = bytes[at.min(end)..end].to_vec();
                bytes.splice(at.min(bytes.len())..at.min(bytes.len()), piece);
            }
            4 => {
                let from = random.below(other.len());
                bytes.extend_from_slice(&other[from..(from + random.below(256)).min(other.len())]);
            }
            _ => {
                let end = (at + random.below(32)).min(bytes.len());
                bytes.drain(at.min(end)..end);
            }
        }
    }
    bytes
}

fn run(target: &str, check: fn(&[u8])) {
    let corpus = corpus(target);
    for (number, file) in corpus.iter().enumerate() {
        check(file);
        for mutation in 0..MUTATIONS {
            let seed = (number as u64 + 1) * 1_000 + mutation + 1;
            let mut random = Random(seed);
            let other = &corpus[random.below(corpus.len())];
            let bytes = mutate(file, other, &mut random);
            let held = std::panic::catch_unwind(|| check(&bytes));
            assert!(held.is_ok(), "{target}, seed {seed}: {:?}", String::from_utf8_lossy(&bytes));
        }
    }
}

#[test]
fn webhook_bodies() {
    run("webhook", targets::webhook);
}

#[test]
fn front_matter_of_runbooks() {
    run("front_matter", targets::front_matter);
}

#[test]
fn redaction() {
    run("redaction", targets::redaction);
}

#[test]
fn digests_of_logs() {
    run("log_digest", targets::log_digest);
}
