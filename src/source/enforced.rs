//! Labels that every query is held to, where one source holds the data of several clusters: a query comes in, and goes
//! out with the labels on each of its selectors. Pure. PromQL is written from its tree, and what is sent is read again
//! to see that each selector has them; what cannot be read so is refused, never sent.

use std::collections::BTreeMap;
use std::panic::catch_unwind;

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::{Expr, VectorSelector, parse};

use super::http::{Error, quote};

/// Longest query of which a tree is made, in bytes, and most brackets and operators: each may nest it one deeper.
const MAX_QUERY_BYTES: usize = 64 * 1024;
const MAX_SIGNS: usize = 2_000;

/// Label and value of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Enforced(Vec<(String, String)>);

impl Enforced {
    /// # Errors
    /// A label that is none, or without a value.
    pub(super) fn new(selector: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        for (label, value) in selector {
            let mut letters = label.bytes();
            let begins = letters.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
            let goes_on = letters.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            anyhow::ensure!(begins && goes_on, "selector: `{label}` is no label's name");
            anyhow::ensure!(!value.is_empty(), "selector: {label} has no value");
        }
        Ok(Self(selector.iter().map(|(label, value)| (label.clone(), value.clone())).collect()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something with these labels may be seen.
    pub(super) fn allows(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(label, value)| labels.get(label) == Some(value))
    }

    /// Whether these labels say that it is another's. What says nothing is not.
    pub(super) fn contradicts(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().any(|(label, value)| labels.get(label).is_some_and(|other| other != value))
    }

    /// `{cluster="a"}`.
    pub(super) fn selector(&self) -> String {
        format!("{{{}}}", self.matchers())
    }

    fn matchers(&self) -> String {
        let each = self.0.iter().map(|(label, value)| format!("{label}={}", quote(value)));
        each.collect::<Vec<_>>().join(",")
    }

    /// # Errors
    /// A query that cannot be held to them.
    pub(super) fn promql(&self, query: &str) -> Result<String, Error> {
        if self.is_empty() {
            return Ok(query.to_owned());
        }
        let mut tree = read(query)?;
        hold(&mut tree, &mut |selector| self.add(selector))?;
        let text = tree.to_string();
        // What is sent must say what was decided.
        let mut again = read(&text)?;
        hold(&mut again, &mut |selector| {
            let has = |(label, value): &(String, String)| {
                let same =
                    |one: &&Matcher| one.name == *label && one.op == MatchOp::Equal && one.value == *value;
                selector.matchers.matchers.iter().any(|one| same(&one))
            };
            if self.0.iter().all(has) { Ok(()) } else { Err(refused("it changes when it is written anew")) }
        })?;
        Ok(text)
    }

    fn add(&self, selector: &mut VectorSelector) -> Result<(), Error> {
        if !selector.matchers.or_matchers.is_empty() {
            return Err(refused("`or` between the matchers of a selector"));
        }
        for (label, value) in &self.0 {
            selector.matchers.matchers.push(Matcher::new(MatchOp::Equal, label, value));
        }
        selector.matchers.matchers.sort_by_cached_key(ToString::to_string);
        Ok(())
    }

    /// Of LogQL every brace outside of a string opens a selector of streams.
    ///
    /// # Errors
    /// A query without a selector, or with a string that does not end.
    pub(super) fn logql(&self, query: &str) -> Result<String, Error> {
        if self.is_empty() {
            return Ok(query.to_owned());
        }
        let mut text = String::with_capacity(query.len() + 64);
        let (mut letters, mut selectors, mut open) = (query.chars().peekable(), 0, false);
        while let Some(letter) = letters.next() {
            text.push(letter);
            match letter {
                '"' | '`' => string(letter, &mut letters, &mut text)?,
                '#' => return Err(refused("it holds a comment")),
                '{' if open => return Err(refused("a brace within a selector")),
                '{' => {
                    (open, selectors) = (true, selectors + 1);
                    text.push_str(&self.matchers());
                    while letters.next_if(|next| next.is_whitespace()).is_some() {}
                    if letters.peek() != Some(&'}') {
                        text.push(',');
                    }
                }
                '}' => open = false,
                _ => {}
            }
        }
        if selectors == 0 || open { Err(refused("it has no selector of streams")) } else { Ok(text) }
    }
}

/// The rest of a string that `mark` opened.
fn string(
    mark: char,
    letters: &mut std::iter::Peekable<std::str::Chars<'_>>,
    text: &mut String,
) -> Result<(), Error> {
    while let Some(letter) = letters.next() {
        text.push(letter);
        if letter == mark {
            return Ok(());
        }
        if letter == '\\' && mark == '"' {
            text.extend(letters.next());
        }
    }
    Err(refused("a string in it does not end"))
}

fn read(query: &str) -> Result<Expr, Error> {
    let signs = query.bytes().filter(|byte| b"([{+-*/%^<>=!".contains(byte)).count();
    if query.len() > MAX_QUERY_BYTES || signs > MAX_SIGNS {
        return Err(refused("it is too long"));
    }
    // The parser panics on durations that no duration can hold.
    let parsed = catch_unwind(|| parse(query)).unwrap_or_else(|_panic| Err("out of range".to_owned()));
    parsed.map_err(|message| refused(&message))
}

/// Visits every selector.
fn hold(
    expr: &mut Expr,
    visit: &mut impl FnMut(&mut VectorSelector) -> Result<(), Error>,
) -> Result<(), Error> {
    match expr {
        Expr::VectorSelector(selector) => visit(selector),
        Expr::MatrixSelector(matrix) => visit(&mut matrix.vs),
        Expr::Aggregate(node) => {
            if let Some(param) = &mut node.param {
                hold(param, visit)?;
            }
            hold(&mut node.expr, visit)
        }
        Expr::Unary(node) => hold(&mut node.expr, visit),
        Expr::Binary(node) => {
            hold(&mut node.lhs, visit)?;
            hold(&mut node.rhs, visit)
        }
        Expr::Paren(node) => hold(&mut node.expr, visit),
        Expr::Subquery(node) => hold(&mut node.expr, visit),
        // It joins series that no selector names.
        Expr::Call(node) if node.func.name == "info" => Err(refused("info() reads series of any cluster")),
        Expr::Call(node) => node.args.args.iter_mut().try_for_each(|arg| hold(arg, visit)),
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(()),
        Expr::Extension(_) => Err(refused("this kind of expression is not known")),
    }
}

fn refused(why: &str) -> Error {
    Error::BadQuery { status: 400, message: format!("not sent: it cannot be held to one cluster: {why}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Enforced {
        let pairs = pairs.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned()));
        Enforced::new(&pairs.collect()).unwrap()
    }

    #[test]
    fn every_selector_of_a_query_gets_the_labels() {
        let a = of(&[("cluster", "a")]);
        for (query, sent) in [
            ("up", r#"up{cluster="a"}"#),
            (r#"up{job="x"}"#, r#"up{cluster="a",job="x"}"#),
            (r#"{__name__=~"kube_.*"}"#, r#"{__name__=~"kube_.*",cluster="a"}"#),
            (
                "sum by (pod) (rate(a[5m])) / on (pod) b",
                r#"sum by (pod) (rate(a{cluster="a"}[5m])) / on (pod) b{cluster="a"}"#,
            ),
            (
                "topk(scalar(c), max_over_time(d[1h:5m]))",
                r#"topk(scalar(c{cluster="a"}), max_over_time(d{cluster="a"}[1h:5m]))"#,
            ),
            // Who names another cluster finds nothing: both labels have to hold.
            (r#"up{cluster="b"}"#, r#"up{cluster="a",cluster="b"}"#),
            (r#"up{cluster!="a"} or up"#, r#"up{cluster!="a",cluster="a"} or up{cluster="a"}"#),
            ("vector(1)", "vector(1)"),
        ] {
            assert_eq!(a.promql(query).unwrap(), sent);
        }
        for (query, sent) in [
            (r#"{pod="x"}"#, r#"{cluster="a",pod="x"}"#),
            ("{ }", r#"{cluster="a"}"#),
            (
                r#"{pod="x"} |= "{pod=\"y\"}" | line_format `{{.a}}`"#,
                r#"{cluster="a",pod="x"} |= "{pod=\"y\"}" | line_format `{{.a}}`"#,
            ),
            (
                r#"sum(count_over_time({pod="x"} [60s])) / sum(count_over_time({pod="y"}[1m]))"#,
                r#"sum(count_over_time({cluster="a",pod="x"} [60s])) / sum(count_over_time({cluster="a",pod="y"}[1m]))"#,
            ),
        ] {
            assert_eq!(a.logql(query).unwrap(), sent);
        }
        let none = Enforced::default();
        assert_eq!((none.promql("(").unwrap(), none.logql("x").unwrap()), ("(".to_owned(), "x".to_owned()));
    }

    #[test]
    fn what_cannot_be_held_to_one_cluster_is_not_sent() {
        let a = of(&[("cluster", "a")]);
        for query in ["", "up{", "info(up)", r#"{a="b" or c="d"}"#] {
            assert!(matches!(a.promql(query), Err(Error::BadQuery { .. })), "{query}: {:?}", a.promql(query));
        }
        for query in ["", "vector(1)", r#"{pod="x"#, r#"{pod="x"} |= "y"#, "{a=\"b\" # }\n}", "{{"] {
            assert!(matches!(a.logql(query), Err(Error::BadQuery { .. })), "{query}: {:?}", a.logql(query));
        }
        assert!(Enforced::new(&[("a-b".to_owned(), "c".to_owned())].into()).is_err());
        assert!(Enforced::new(&[("a".to_owned(), String::new())].into()).is_err());
    }

    proptest! {
        /// A value of the settings leaves its matcher as little as one of a label does.
        #[test]
        fn a_value_stays_in_its_matcher(value in "[^\0]{1,20}", pod in any::<String>()) {
            let enforced = of(&[("cluster", &value)]);
            let asked = format!("{{pod={}}}", quote(&pod));
            let sent = enforced.logql(&asked).unwrap();
            prop_assert_eq!(sent, format!("{{cluster={},pod={}}}", quote(&value), quote(&pod)));
        }
    }
}
