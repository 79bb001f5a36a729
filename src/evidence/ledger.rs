//! The observations of one investigation: every line that facts quote is written here first, redacted,
//! and handed back as it was stored. So a quote always stands verbatim in its observation.

use std::collections::{BTreeMap, HashSet};

use crate::facts::Observation;
use crate::redact::{redact, redact_pair};

/// Longest line; what is cut off is marked.
const MAX_LINE_CHARS: usize = 1_500;

/// Where a row was read, and the line that says so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quote {
    pub evidence: String,
    pub text: String,
}

#[derive(Debug, Default)]
pub struct Ledger {
    observations: Vec<Observation>,
    /// Lines of the observations that were there before the last `look_again`, in their order.
    known: Vec<HashSet<String>>,
}

/// An observation that is being written.
#[derive(Debug, Clone, Copy)]
pub struct Page(usize);

impl Ledger {
    /// From here on the same request is the same observation: what was read once is looked at again for
    /// another workload, and only lines that are not there yet are added.
    pub fn look_again(&mut self) {
        for observation in self.observations.iter().skip(self.known.len()) {
            self.known.push(observation.text.lines().map(str::to_owned).collect());
        }
    }

    /// What is written now is a part of something that was looked at as a whole.
    pub fn looks_again(&self) -> bool {
        !self.known.is_empty()
    }

    pub fn open(&mut self, source: &str, query: &str, milliseconds: u64) -> Page {
        let query = redact(query);
        let again = self.observations.iter().take(self.known.len());
        let mut again = again.enumerate().filter(|(_, one)| one.source == source && one.query == query);
        if let Some((index, _)) = again.next() {
            return Page(index);
        }
        self.observations.push(Observation {
            id: format!("E{}", self.observations.len() + 1),
            source: source.to_owned(),
            query: query.into_owned(),
            text: String::new(),
            milliseconds,
        });
        Page(self.observations.len() - 1)
    }

    /// Writes one line and returns it as it stands in the observation.
    pub fn line(&mut self, page: Page, text: &str) -> Quote {
        let observation = &mut self.observations[page.0];
        let one_line = flat(text);
        let text = cut(&redact(&one_line));
        if let Some(known) = self.known.get_mut(page.0)
            && !known.insert(text.clone())
        {
            return Quote { evidence: observation.id.clone(), text };
        }
        observation.text.push_str(&text);
        observation.text.push('\n');
        Quote { evidence: observation.id.clone(), text }
    }

    pub fn finish(mut self) -> Vec<Observation> {
        for observation in &mut self.observations {
            if observation.text.is_empty() {
                observation.text = "(nothing that concerns this workload)\n".to_owned();
            }
        }
        self.observations
    }
}

/// Redacted, on one line, cut to the longest line: for the fields of a row.
pub fn clean(text: &str) -> String {
    cut(&redact(&flat(text)))
}

/// The same for labels, whose names tell what their values are.
pub fn clean_labels(labels: Option<&BTreeMap<String, String>>) -> BTreeMap<String, String> {
    let each = labels.into_iter().flatten();
    each.map(|(key, value)| (clean(key), cut(&flat(&redact_pair(key, value))))).collect()
}

fn flat(text: &str) -> String {
    text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_LINE_CHARS {
        return text.to_owned();
    }
    let head: String = text.chars().take(MAX_LINE_CHARS).collect();
    format!("{head}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_what_was_stored() {
        let mut ledger = Ledger::default();
        let page = ledger.open("kubernetes", "GET /x", 3);
        let quotes = [
            ledger.line(page, "first\nline password=hunter2 end"),
            ledger.line(page, &"x".repeat(5_000)),
            ledger.line(page, ""),
        ];
        ledger.open("loki", "GET /y", 0);
        let observations = ledger.finish();
        for quote in quotes {
            assert_eq!(quote.evidence, "E1");
            assert!(observations[0].text.contains(&quote.text));
        }
        assert!(!observations[0].text.contains("hunter2"));
        assert_eq!(observations[1].id, "E2");
        assert!(!observations[1].text.is_empty());
    }

    #[test]
    fn what_is_looked_at_again_is_written_once() {
        let mut ledger = Ledger::default();
        for text in ["a", "a", "b"] {
            let page = ledger.open("kubernetes", "GET /x", 3);
            ledger.line(page, text);
        }
        ledger.look_again();
        for text in ["b", "c"] {
            let page = ledger.open("kubernetes", "GET /x", 3);
            assert_eq!(ledger.line(page, text), Quote { evidence: "E1".to_owned(), text: text.to_owned() });
        }
        let observations = ledger.finish();
        let texts: Vec<&str> = observations.iter().map(|one| one.text.as_str()).collect();
        assert_eq!(texts, ["a\nb\nc\n", "a\n", "b\n"]);
    }
}
