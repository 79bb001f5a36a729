//! What is ruled out would not have been true, and most rows are ruled out.

use std::fs;

use cel::Value as Cel;
use serde_json::json;

use super::super::functions::environment;
use super::super::template::evaluate;
use super::super::tests::{CASES, case, catalogue};
use super::*;
use crate::facts::Facts;
use crate::workload::Workload;

#[test]
fn no_signature_is_ruled_out_where_the_interpreter_finds_it() {
    let catalogue = catalogue();
    let (mut asked, mut ruled_out, mut wrong) = (0, 0, Vec::new());
    for entry in fs::read_dir(CASES).unwrap() {
        let id = entry.unwrap().file_name().into_string().unwrap();
        for name in ["match.json", "miss.json"] {
            let facts = case(&id, name).facts;
            let tables = Tables::new(&facts).unwrap();
            let root = tables.context();
            for signature in &catalogue {
                for row in tables.rows(signature.over) {
                    asked += 1;
                    if signature.needs.allow(&row.fields, &tables) {
                        continue;
                    }
                    ruled_out += 1;
                    if evaluate(&signature.when, &tables.bind(&root, row)) != Ok(Cel::Bool(false)) {
                        wrong.push(format!("{} in {id}/{name}", signature.id));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(asked > 10_000 && ruled_out * 100 > asked * 80, "{ruled_out} of {asked} rows were ruled out");
}

/// Whether a condition over containers is worth running, for one container beside one event.
fn allows(condition: &str) -> bool {
    let workload = Workload::new("lab", "shop", "Deployment", "app");
    let at = chrono::DateTime::UNIX_EPOCH;
    let mut facts = serde_json::to_value(Facts::empty(workload, at)).unwrap();
    facts["containers"] = json!([{"pod": "a", "name": "c", "failing": true, "exit_code": 137,
        "exit_reason": "OOMKilled", "waiting_message": "Pulling ", "exit_message": "Image"}]);
    facts["events"] = json!([{"reason": "Killing", "age_seconds": 90, "message": "a"}]);
    facts["pods"] = json!([{"name": "a", "blocked_by": ["cpu"]}]);
    let facts: Facts = serde_json::from_value(facts).unwrap();
    let tables = Tables::new(&facts).unwrap();
    let program = environment().compile(condition).unwrap();
    let needs = of(program.expression());
    let allowed = needs.allow(&tables.rows("containers")[0].fields, &tables);
    let answer = evaluate(&program, &tables.bind(&tables.context(), &tables.rows("containers")[0]));
    assert!(allowed || answer == Ok(Cel::Bool(false)), "{condition}: {answer:?}");
    allowed
}

#[test]
fn plain_fields_decide_and_what_they_cannot_tell_is_left_to_the_interpreter() {
    for ruled_out in [
        "!row.failing",
        "row.failing && row.exit_code == 1 && row.nothing.here > 1",
        "row.exit_code < 137 || row.exit_code >= 138",
        "!(row.exit_code <= 137 && row.exit_code > 136)",
        "row.exit_reason != 'OOMKilled'",
        "row.exit_reason in ['Error', 'Completed']",
        "!(row.exit_reason in ['Error', 'OOMKilled'])",
        "(row.waiting_message + row.exit_message).mentions(['x', 'pulling an'])",
        "row.waiting_message.contains('pulling')",
        "row.exit_message.matches('^x')",
        "(row.waiting_message + row.exit_message).extract('Pulling (x)') != ''",
        "facts.events.exists(e, e.reason == 'Pulled')",
        "facts.events.exists(e, e.reason == 'Killing' && e.age_seconds < 90)",
        "facts.pods.exists(p, 'memory' in p.blocked_by)",
        "facts.nodes.exists(n, n.anything(1))",
    ] {
        assert!(!allows(ruled_out), "{ruled_out}");
    }
    for left in [
        "row.failing",
        "row.exit_code == 137 && row.exit_code != 138",
        "row.exit_code == 137.0",
        "row.exit_code != '137'",
        "row.exit_code in [1, '137']",
        "row.failing == 1",
        "row.exit_reason > 5",
        "row.missing == 'x'",
        "pod.name == 'b'",
        "(row.waiting_message + row.exit_message).mentions(['PULLING im'])",
        "facts.events.exists(e, e.reason == row.exit_reason)",
        "!facts.events.exists(e, e.reason == 'Pulled')",
        "facts.events.exists(row, row.reason == 'Killing')",
        "facts.events.all(e, e.reason == 'Pulled')",
        "facts.events.exists_one(e, e.reason == 'Pulled')",
        "facts.events.exists(facts, facts.nodes.exists(n, true))",
        "size(facts.nodes) == 0",
        "row.exit_message.matches('^I')",
        "row.exit_message.matches(row.exit_message)",
        "row.exit_message.extract('I(m)') != ''",
        "row.exit_message.extract('x') == ''",
    ] {
        assert!(allows(left), "{left}");
    }
}
