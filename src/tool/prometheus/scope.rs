//! A model's PromQL is parsed, narrowed to the namespaces that may be read, and its cost estimated, before
//! anything is sent. What is sent is written from the parsed tree, never from the text that came in. Pure.

use std::panic::catch_unwind;

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{Expr, VectorSelector, parse};

use super::super::{Bounds, Refusal};
use super::fault;

/// Longest query, in bytes.
const MAX_QUERY_BYTES: usize = 2000;
/// Most brackets and operators: each may nest the tree one deeper, and a tree is walked on the stack.
const MAX_SIGNS: usize = 200;
/// Deepest tree.
const MAX_DEPTH: usize = 100;

const NAMESPACE: &str = "namespace";

/// Metrics about nodes, the control plane and cluster DNS. Their `namespace` label, where they have one, is
/// that of the exporter, so they may be read without it. Only a selector with such a name in full is exempt.
pub const CLUSTER_METRICS: [&str; 6] =
    ["node_", "kube_node_", "machine_", "kubelet_", "apiserver_", "coredns_"];
/// Begins like a cluster metric, yet tells of one namespace's objects.
const NAMESPACED_ALL_THE_SAME: [&str; 2] = ["kubelet_volume_stats_", "kubelet_container_log_"];
/// Tell of the cluster where they have no namespace label, else of that namespace: read for both.
const MIXED_METRICS: [&str; 3] = ["up", "ALERTS", "ALERTS_FOR_STATE"];

/// A query that may be sent.
#[derive(Debug, Clone)]
pub struct Scoped {
    pub promql: String,
    /// Selectors to which a namespace was added.
    pub narrowed: usize,
    pub tree: Expr,
}

impl Scoped {
    /// For the digest: what was done to the query, if anything.
    pub fn note(&self, namespaces: &[String]) -> String {
        if self.narrowed == 0 {
            return String::new();
        }
        format!("only namespace {} was read: {} narrowed\n", namespaces.join(", "), {
            super::super::request::count(self.narrowed, "selector was", "selectors were")
        })
    }
}

/// Parses and narrows. No namespaces: everything may be read. Where nothing is shared, metrics about the cluster
/// are narrowed as well.
pub fn narrow(promql: &str, bounds: &Bounds) -> Result<Scoped, Refusal> {
    let (namespaces, strictly) = (bounds.namespaces.as_slice(), bounds.nothing_shared);
    let mut tree = read(promql)?;
    if namespaces.is_empty() {
        return Ok(Scoped { promql: promql.trim().to_owned(), narrowed: 0, tree });
    }
    let mut narrowed = 0;
    walk(&mut tree, &mut |part| match part {
        Part::Selector(selector) => {
            narrowed += usize::from(narrow_selector(selector, namespaces, strictly)?);
            // In the order in which they are written.
            selector.matchers.matchers.sort_by_cached_key(ToString::to_string);
            Ok(())
        }
        // It joins series that no selector names.
        Part::Function("info") => Err(Refusal::Scope(
            "info() reads series of any namespace; join the metric you need with `* on (…) group_left (…)`"
                .to_owned(),
        )),
        Part::Function(_) => Ok(()),
    })?;
    let promql = tree.to_string();
    // What is sent must say what was decided.
    if read(&promql)? != tree {
        return Err(Refusal::Arguments("this query cannot be narrowed safely; write it simpler".to_owned()));
    }
    Ok(Scoped { promql, narrowed, tree })
}

fn read(promql: &str) -> Result<Expr, Refusal> {
    let signs = promql.bytes().filter(|byte| b"([{+-*/%^<>=!".contains(byte)).count();
    if promql.len() > MAX_QUERY_BYTES || signs > MAX_SIGNS {
        let size = promql.len();
        return Err(Refusal::Arguments(format!(
            "the query has {size} bytes and {signs} brackets and operators; at most {MAX_QUERY_BYTES} and \
             {MAX_SIGNS} are read"
        )));
    }
    // The parser panics on durations that no duration can hold.
    let parsed = catch_unwind(|| parse(promql))
        .unwrap_or_else(|_panic| Err("a number or duration is out of range".to_owned()));
    let tree = parsed.map_err(|message| Refusal::Arguments(fault::told(promql, &message)))?;
    match depth(&tree) {
        deep if deep > MAX_DEPTH => {
            Err(Refusal::Arguments(format!("the query nests {deep} deep, at most {MAX_DEPTH} is read")))
        }
        _ => Ok(tree),
    }
}

/// What decides about a query's scope.
enum Part<'a> {
    Selector(&'a mut VectorSelector),
    Function(&'a str),
}

/// The direct parts of an expression.
fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Aggregate(node) => node.param.as_deref().into_iter().chain([&*node.expr]).collect(),
        Expr::Unary(node) => vec![&node.expr],
        Expr::Binary(node) => vec![&node.lhs, &node.rhs],
        Expr::Paren(node) => vec![&node.expr],
        Expr::Subquery(node) => vec![&node.expr],
        Expr::Call(node) => node.args.args.iter().map(|arg| &**arg).collect(),
        Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => Vec::new(),
    }
}

fn depth(tree: &Expr) -> usize {
    let mut waiting = vec![(tree, 1)];
    let mut deepest = 0;
    while let Some((expr, level)) = waiting.pop() {
        deepest = deepest.max(level);
        waiting.extend(children(expr).into_iter().map(|child| (child, level + 1)));
    }
    deepest
}

fn walk(expr: &mut Expr, visit: &mut impl FnMut(Part<'_>) -> Result<(), Refusal>) -> Result<(), Refusal> {
    match expr {
        Expr::VectorSelector(selector) => visit(Part::Selector(selector)),
        Expr::MatrixSelector(matrix) => visit(Part::Selector(&mut matrix.vs)),
        Expr::Aggregate(node) => {
            if let Some(param) = &mut node.param {
                walk(param, visit)?;
            }
            walk(&mut node.expr, visit)
        }
        Expr::Unary(node) => walk(&mut node.expr, visit),
        Expr::Binary(node) => {
            walk(&mut node.lhs, visit)?;
            walk(&mut node.rhs, visit)
        }
        Expr::Paren(node) => walk(&mut node.expr, visit),
        Expr::Subquery(node) => walk(&mut node.expr, visit),
        Expr::Call(node) => {
            visit(Part::Function(node.func.name))?;
            node.args.args.iter_mut().try_for_each(|arg| walk(arg, visit))
        }
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(()),
        Expr::Extension(_) => Err(Refusal::Scope("this kind of expression is not known".to_owned())),
    }
}

/// `true`: a matcher was added.
fn narrow_selector(
    selector: &mut VectorSelector,
    namespaces: &[String],
    strictly: bool,
) -> Result<bool, Refusal> {
    if !selector.matchers.or_matchers.is_empty() {
        return Err(Refusal::Scope(
            "`or` between the matchers of a selector; use a regular expression, or `or` between selectors"
                .to_owned(),
        ));
    }
    let name = exact_name(selector);
    let matchers = &mut selector.matchers.matchers;
    for matcher in matchers.iter().filter(|matcher| matcher.name == NAMESPACE) {
        check(matcher, namespaces)?;
    }
    let told = matchers.iter().any(|matcher| matcher.name == NAMESPACE && matcher.op == MatchOp::Equal);
    if told || !strictly && name.as_deref().is_some_and(is_cluster_metric) {
        return Ok(false);
    }
    let mixed = !strictly && name.as_deref().is_some_and(|name| MIXED_METRICS.contains(&name));
    matchers.push(own(namespaces, mixed)?);
    Ok(true)
}

/// The name that a selector can match, where it is a single one.
fn exact_name(selector: &VectorSelector) -> Option<String> {
    let named = |matcher: &&Matcher| matcher.name == "__name__" && matcher.op == MatchOp::Equal;
    selector.name.clone().or_else(|| selector.matchers.matchers.iter().find(named).map(|m| m.value.clone()))
}

fn is_cluster_metric(name: &str) -> bool {
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    // Recorded sums may be of anything: `node_namespace_pod_container:container_cpu_usage_seconds_total:sum_irate`.
    begins(&CLUSTER_METRICS) && !begins(&NAMESPACED_ALL_THE_SAME) && !name.contains(':')
}

/// A matcher that the query brought itself. A pattern is no fault: the own matcher narrows it.
fn check(matcher: &Matcher, namespaces: &[String]) -> Result<(), Refusal> {
    let names = match &matcher.op {
        MatchOp::Equal => vec![matcher.value.as_str()],
        MatchOp::Re(_) => matcher.value.split('|').filter(|part| is_name(part)).collect(),
        MatchOp::NotEqual | MatchOp::NotRe(_) => {
            return Err(Refusal::Scope(format!(
                "`{matcher}` asks for other namespaces; this investigation reads {}",
                namespaces.join(", ")
            )));
        }
    };
    match names.iter().find(|name| !namespaces.iter().any(|own| own == *name)) {
        None => Ok(()),
        Some(other) => Err(Refusal::Scope(format!(
            "namespace `{other}`; this investigation reads {}",
            namespaces.join(", ")
        ))),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn own(namespaces: &[String], mixed: bool) -> Result<Matcher, Refusal> {
    // A namespace comes from an alert's label: what is no name must not become a pattern.
    if let Some(odd) = namespaces.iter().find(|name| !is_name(name)) {
        return Err(Refusal::Scope(format!("`{odd}` is no namespace's name, so nothing can be read of it")));
    }
    if let ([only], false) = (namespaces, mixed) {
        return Ok(Matcher::new(MatchOp::Equal, NAMESPACE, only));
    }
    let mut pattern = namespaces.join("|");
    if mixed {
        pattern.push('|');
    }
    let op = regex::Regex::new(&format!("^(?:{pattern})$"))
        .map_err(|error| Refusal::Scope(format!("no pattern of {pattern}: {error}")))?;
    Ok(Matcher::new(MatchOp::Re(op), NAMESPACE, &pattern))
}

#[cfg(test)]
mod tests;
