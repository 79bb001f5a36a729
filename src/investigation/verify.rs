//! Checks quotes: what a finding claims to have read must stand, character for character, in the stored
//! observation. Pure. What is not there is struck, whoever wrote it.

use std::collections::HashMap;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Category, Role};
    use crate::workload::ObjectRef;

    fn finding(quotes: &[(&str, &str)]) -> Finding {
        Finding {
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
}
