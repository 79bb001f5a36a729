//! Checks quotes: what a finding claims to have read must stand, character for character, in the stored
//! observation; what a model claims may differ in white space, and in nothing else. Pure. What is not there is
//! struck, whoever wrote it.

use std::collections::HashMap;

use serde::Deserialize;

use crate::facts::Observation;
use crate::report::{Evidence, Finding};

/// Lists the evidence of `findings` in order, each quote checked; a finding keeps only ids whose quote holds.
pub fn verify(findings: &mut Vec<Finding>, observations: &[Observation]) -> Vec<Evidence> {
    let ledger: HashMap<&str, &Observation> =
        observations.iter().map(|observation| (observation.id.as_str(), observation)).collect();
    let mut evidence: Vec<Evidence> = Vec::new();
    for finding in findings.iter_mut() {
        let mut held = Vec::new();
        for (id, quote) in &finding.quotes {
            let Some(observation) = ledger.get(id.as_str()) else { continue };
            if quote.trim().is_empty() || !observation.text.contains(quote.as_str()) {
                continue;
            }
            if !held.contains(id) {
                held.push(id.clone());
            }
            let known = evidence.iter().any(|one| one.id == *id && one.quote == *quote);
            if !known {
                evidence.push(Evidence {
                    id: id.clone(),
                    source: observation.source.clone(),
                    query: observation.query.clone(),
                    quote: quote.clone(),
                    verified: true,
                });
            }
        }
        finding.evidence = held;
    }
    // A claim without a quote that holds is no claim.
    findings.retain(|finding| !finding.evidence.is_empty());
    evidence
}

/// Shorter quotes stand in every text and prove nothing.
const MIN_QUOTE_CHARS: usize = 4;
/// Longer ones are no quotes but copies.
const MAX_QUOTE_CHARS: usize = 1_000;

/// What a model says it read, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Quoted {
    pub id: String,
    pub quote: String,
}

/// A quote that does not hold, and why, in words for the model and the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Struck {
    pub quoted: Quoted,
    pub why: &'static str,
}

/// Sorts what a model quotes into what stands in the ledger and what does not.
pub fn check(quoted: &[Quoted], observations: &[Observation]) -> (Vec<Evidence>, Vec<Struck>) {
    let mut held: Vec<Evidence> = Vec::new();
    let mut struck = Vec::new();
    for one in quoted {
        match look_up(one, observations) {
            Ok(observation) => {
                let evidence = Evidence {
                    id: observation.id.clone(),
                    source: observation.source.clone(),
                    query: observation.query.clone(),
                    quote: one_spaced(&one.quote),
                    verified: true,
                };
                if !held.contains(&evidence) {
                    held.push(evidence);
                }
            }
            Err(why) => struck.push(Struck { quoted: one.clone(), why }),
        }
    }
    (held, struck)
}

fn look_up<'o>(quoted: &Quoted, observations: &'o [Observation]) -> Result<&'o Observation, &'static str> {
    let id = quoted.id.trim_matches(|c: char| c.is_whitespace() || c == '[' || c == ']');
    let observation = observations
        .iter()
        .find(|observation| observation.id.eq_ignore_ascii_case(id))
        .ok_or("no observation has this id")?;
    let chars = quoted.quote.chars().filter(|c| !c.is_whitespace()).take(MAX_QUOTE_CHARS + 1).count();
    if chars < MIN_QUOTE_CHARS {
        Err("too short to prove anything")
    } else if chars > MAX_QUOTE_CHARS {
        Err("too long for a quote")
    } else if stands_in(&quoted.quote, &observation.text) {
        Ok(observation)
    } else {
        Err("these words do not stand in that observation")
    }
}

/// Does the quote stand in the text, white space aside, and without cutting a word or a number in two?
/// `exit code 13` does not stand in `exit code 137`.
pub fn stands_in(quote: &str, text: &str) -> bool {
    let quote = one_spaced(quote);
    let text = one_spaced(text);
    !quote.is_empty()
        && text.match_indices(&quote).any(|(at, _)| {
            let (before, after) = (&text[..at], &text[at + quote.len()..]);
            starts_whole(before, &quote) && ends_whole(&quote, after)
        })
}

fn one_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn starts_whole(before: &str, quote: &str) -> bool {
    let mut back = before.chars().rev();
    let (Some(first), Some(last)) = (quote.chars().next(), back.next()) else { return true };
    let number = first.is_ascii_digit();
    let next = back.next();
    match last {
        _ if first.is_alphanumeric() && last.is_alphanumeric() => false,
        '.' | ',' if number => !next.is_some_and(|c| c.is_ascii_digit()),
        // `5` of `-5` says the opposite; the dash in `web-5` is none.
        '-' | '+' if number => next.is_some_and(|c| !c.is_whitespace()),
        _ => true,
    }
}

fn ends_whole(quote: &str, after: &str) -> bool {
    let mut ahead = after.chars();
    let (Some(last), Some(next)) = (quote.chars().next_back(), ahead.next()) else { return true };
    match next {
        _ if last.is_alphanumeric() && next.is_alphanumeric() => false,
        '.' | ',' if last.is_ascii_digit() => !ahead.next().is_some_and(|c| c.is_ascii_digit()),
        '%' if last.is_ascii_digit() => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Category, Role};
    use crate::workload::ObjectRef;

    fn finding(quotes: &[(&str, &str)]) -> Finding {
        Finding {
            workloads: Vec::new(),
            signature: "secret-missing".to_owned(),
            role: Role::Primary,
            category: Category::Configuration,
            object: ObjectRef::default(),
            statement: "…".to_owned(),
            evidence: Vec::new(),
            quotes: quotes.iter().map(|(id, quote)| ((*id).to_owned(), (*quote).to_owned())).collect(),
            next_steps: Vec::new(),
            explains: Vec::new(),
        }
    }

    fn observation() -> Observation {
        Observation {
            id: "E1".to_owned(),
            source: "kubernetes".to_owned(),
            query: "GET /x".to_owned(),
            text: "one\nsecret \"db\" not found\n".to_owned(),
            milliseconds: 1,
        }
    }

    #[test]
    fn a_quote_that_stands_there_is_kept_and_marked() {
        let mut findings = vec![finding(&[("E1", "secret \"db\" not found")])];
        let evidence = verify(&mut findings, &[observation()]);
        assert_eq!(findings[0].evidence, ["E1"]);
        assert!(evidence.len() == 1 && evidence[0].verified && evidence[0].query == "GET /x");
    }

    #[test]
    fn an_invented_quote_or_observation_strikes_the_finding() {
        for bad in [("E1", "secret \"other\" not found"), ("E2", "one"), ("E1", " ")] {
            let mut findings = vec![finding(&[bad])];
            assert!(verify(&mut findings, &[observation()]).is_empty());
            assert!(findings.is_empty(), "{bad:?}");
        }
    }

    #[test]
    fn a_models_quote_may_differ_in_white_space_and_in_nothing_else() {
        let text = "E 12:01 Back-off\n  restarting   failed container\tapp in pod web-7f9-abcde, took 137.5 ms (exit code 137, 12%)\n";
        for held in [
            "Back-off restarting failed container app",
            "Back-off\n restarting\n\nfailed  container app in pod web-7f9-abcde",
            "  exit code 137 ",
            "took 137.5 ms",
            "pod web-7f9",
            "(exit code 137, 12%)",
        ] {
            assert!(stands_in(held, text), "{held}");
        }
        for lie in [
            "back-off restarting failed container",
            "Back-off restarting failed container app in pod web-7f9-abcdf",
            "exit code 138",
            "exit code 13",
            "took 137",
            "7.5 ms",
            "7f9-abcd",
            "estarting failed",
            "exit code 137, 12",
            "Back-off restarting … container",
            "Backoff restarting failed container",
            "Back-off restarting failed container\u{200b} app",
            "",
        ] {
            assert!(!stands_in(lie, text), "{lie}");
        }
        assert!(!stands_in("5 degrees", "at -5 degrees") && stands_in("5 degrees", "web-5 degrees"));
    }

    #[test]
    fn ids_are_read_as_models_write_them_and_struck_quotes_say_why() {
        let quoted = |id: &str, quote: &str| Quoted { id: id.to_owned(), quote: quote.to_owned() };
        let given = [
            quoted("[e1]", "secret \"db\"   not found"),
            quoted("E1", "secret \"db\" not found"),
            quoted("E1", "one"),
            quoted("E9", "secret"),
            quoted("E1", &"one ".repeat(400)),
        ];
        let (held, struck) = check(&given, &[observation()]);
        assert_eq!(held.len(), 1, "the same quote twice is one: {held:?}");
        assert!(held.iter().all(|one| one.id == "E1" && one.verified));
        let why: Vec<_> = struck.iter().map(|one| one.why).collect();
        assert_eq!(
            why,
            ["too short to prove anything", "no observation has this id", "too long for a quote"]
        );
    }

    proptest::proptest! {
        /// Whatever is cut out of a text at word boundaries holds; with one digit changed it does not, unless
        /// that other number stands there too.
        #[test]
        fn one_changed_digit_strikes_a_quote(
            words in proptest::collection::vec("[a-z]{2,6}|[0-9]{2,6}", 6..20), from in 0_usize..5, position in 0_usize..64,
        ) {
            let text = words.join("  ");
            let quote = words[from..].join(" ");
            proptest::prop_assert!(stands_in(&quote, &text));
            let digits: Vec<usize> = quote.char_indices().filter(|(_, c)| c.is_ascii_digit()).map(|(at, _)| at).collect();
            if let Some(at) = digits.get(position % digits.len().max(1)) {
                let digit = quote.as_bytes()[*at];
                let other = if digit == b'9' { b'0' } else { digit + 1 };
                let mut bytes = quote.clone().into_bytes();
                bytes[*at] = other;
                let lie = String::from_utf8(bytes).unwrap();
                proptest::prop_assert!(!stands_in(&lie, &text), "{} in {}", lie, text);
            }
        }
    }
}
