//! The table at the end: one line for each scenario, figures and violations under it.

use crate::verdict::Outcome;

pub fn print(outcomes: &[(&str, Outcome)]) {
    println!(
        "\n{:<10} {:>6}  {:>6} {:>15} {:>11} {:>7}  what was done",
        "scenario", "", "lost", "announced twice", "ended twice", "seconds"
    );
    for (name, outcome) in outcomes {
        let verdict = if outcome.violations.is_empty() { "ok" } else { "FAILED" };
        println!(
            "{name:<10} {verdict:>6}  {:>6} {:>15} {:>11} {:>7.1}  {}",
            outcome.lost,
            outcome.announced_twice,
            outcome.ended_twice,
            outcome.took.as_secs_f64(),
            outcome.size
        );
        for figure in &outcome.figures {
            println!("{:19}{figure}", "");
        }
        for violation in &outcome.violations {
            println!("{:19}VIOLATED: {violation}", "");
        }
    }
}
