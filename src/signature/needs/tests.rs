//! What plain fields decide, and what is left to the interpreter; nothing is ruled out that would be true.

use cel::Value as Cel;
use serde_json::json;

use super::super::functions::environment;
use super::super::template::evaluate;
use super::*;
use crate::facts::Facts;
use crate::workload::Workload;

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
