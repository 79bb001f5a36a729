//! What a query would cost the server, estimated from its tree: points and samples a series, without asking.
//! A query that is too dear is refused with the step or range that would do. Pure.

use std::time::Duration;

use promql_parser::parser::Expr;

use super::super::Refusal;

/// Most points a series: Prometheus' own limit.
pub const MAX_POINTS: u64 = 11_000;
/// Distance of samples where nothing better is known, in seconds.
const SCRAPE_SECS: u64 = 15;
/// Prometheus' default step of a subquery, in seconds.
const SUBQUERY_STEP_SECS: u64 = 60;

/// Refuses a tree that reads more than `MAX_POINTS` samples or evaluates more than `MAX_POINTS` points of one
/// series, over a window of this length (zero for an instant).
pub fn check(tree: &Expr, window: Duration, step: Duration) -> Result<(), Refusal> {
    if let Some(points) = window.as_millis().checked_div(step.as_millis())
        && points > u128::from(MAX_POINTS)
    {
        return Err(Refusal::TooMuch(format!(
            "{points} points a series, at most {MAX_POINTS}: take a step of {} s or more, or fewer minutes",
            window.as_secs().div_ceil(MAX_POINTS)
        )));
    }
    ranges(tree, window)
}

/// `span` is the time over which this part is evaluated.
fn ranges(expr: &Expr, span: Duration) -> Result<(), Refusal> {
    match expr {
        Expr::MatrixSelector(matrix) => {
            let samples = span.saturating_add(matrix.range).as_secs() / SCRAPE_SECS;
            if samples > MAX_POINTS {
                return Err(Refusal::TooMuch(format!(
                    "`{matrix}` reads about {samples} samples a series, at most {MAX_POINTS}: range and \
                     window together up to {} hours",
                    MAX_POINTS * SCRAPE_SECS / 3600
                )));
            }
            Ok(())
        }
        Expr::Subquery(sub) => {
            let step = sub.step.unwrap_or(Duration::from_secs(SUBQUERY_STEP_SECS));
            let span = span.saturating_add(sub.range);
            let points = span.as_millis() / step.as_millis().max(1);
            if points > u128::from(MAX_POINTS) {
                return Err(Refusal::TooMuch(format!(
                    "the subquery is evaluated at {points} points, at most {MAX_POINTS}: take a step of {} s \
                     or more in [range:step], or a shorter range",
                    span.as_secs().div_ceil(MAX_POINTS)
                )));
            }
            ranges(&sub.expr, span)
        }
        Expr::Aggregate(node) => {
            node.param.as_deref().map_or(Ok(()), |param| ranges(param, span))?;
            ranges(&node.expr, span)
        }
        Expr::Unary(node) => ranges(&node.expr, span),
        Expr::Paren(node) => ranges(&node.expr, span),
        Expr::Binary(node) => {
            ranges(&node.lhs, span)?;
            ranges(&node.rhs, span)
        }
        Expr::Call(node) => node.args.args.iter().try_for_each(|arg| ranges(arg, span)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) | Expr::VectorSelector(_) | Expr::Extension(_) => {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use promql_parser::parser::parse;

    use super::*;

    fn cost(promql: &str, minutes: u64, step_secs: u64) -> String {
        let (window, step) = (Duration::from_secs(minutes * 60), Duration::from_secs(step_secs));
        check(&parse(promql).unwrap(), window, step).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn dear_queries_are_refused_with_what_would_do() {
        assert!(cost("up", 60 * 24 * 30, 1).contains("2592000 points a series"));
        assert!(cost("up", 60 * 24 * 30, 1).contains("a step of 236 s or more"));
        assert!(cost("rate(x[30d])", 0, 0).contains("`x[30d]` reads about 172800 samples a series"));
        assert!(cost("max_over_time(x[1h:1ms])", 0, 0).contains("evaluated at 3600000 points"));
        assert!(cost("max_over_time(rate(x[5m])[1d:1s])", 60, 60).contains("a step of 9 s or more"));
        // Nested spans add up.
        assert!(cost("max_over_time(max_over_time(x[1d:1m])[7d:1m])", 0, 0).contains("11520 points"));
        assert!(cost("sum(a) / sum(max_over_time(x[4w:1s]))", 0, 0).contains("too much"));
        assert!(cost("topk(scalar(max_over_time(x[4w:1s])), up)", 0, 0).contains("too much"));
    }

    #[test]
    fn usual_queries_are_not() {
        for promql in
            ["up", "rate(x[5m])", "max_over_time(rate(x[5m])[1h:1m])", "x offset 1w", "increase(x[1d])"]
        {
            assert_eq!(cost(promql, 60, 15), "", "{promql}");
        }
    }
}
