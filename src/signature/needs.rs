//! What a row must show so that a condition can be true at all: a condition's tree comes in when it is compiled,
//! a test over plain fields goes out. It rules rows out without the interpreter, which most of a cluster's rows
//! never need to see; what it cannot follow it lets pass. It never says that a condition is true.

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, operators};
use regex::Regex;
use serde_json::{Map, Value};

use super::functions::pattern_of;
use super::scope::TABLES;
use super::tables::Tables;

/// The fields of a row as they serialise.
pub(super) type Fields = Map<String, Value>;

#[derive(Debug, Clone)]
pub(super) enum Needs {
    /// Only the interpreter can tell.
    Anything,
    All(Vec<Needs>),
    Any(Vec<Needs>),
    /// The test gives this answer.
    Test(Test, bool),
    /// `facts.table.exists(one, …)`: a row of the table may show it.
    Some(&'static str, Box<Needs>),
}

#[derive(Debug, Clone)]
pub(super) enum Test {
    /// The field is true.
    Is(String),
    /// The field is one of these.
    OneOf(String, Vec<Value>),
    /// The field is a number, compared by the operator.
    Number(String, &'static str, i64),
    /// The field is a list that has it.
    Has(String, Value),
    /// The texts, one behind the other, contain one of these.
    Contains(Vec<String>, Vec<String>),
    /// The same without regard to case; words are in small letters.
    Mentions(Vec<String>, Vec<String>),
    /// The expression is found in them. The interpreter would compile it for every row.
    Matches(Vec<String>, Regex),
}

/// What must hold where `row` is to make the condition true.
pub(super) fn of(condition: &IdedExpr) -> Needs {
    needs(condition, "row", true)
}

impl Needs {
    /// False: the condition is not true of this row, whatever else the facts hold.
    pub(super) fn allow(&self, row: &Fields, tables: &Tables<'_>) -> bool {
        match self {
            Self::Anything => true,
            Self::All(all) => all.iter().all(|one| one.allow(row, tables)),
            Self::Any(any) => any.iter().any(|one| one.allow(row, tables)),
            Self::Test(test, wanted) => test.answer(row).is_none_or(|answer| answer == *wanted),
            Self::Some(table, one) => tables.rows(table).iter().any(|row| one.allow(&row.fields, tables)),
        }
    }
}

impl Test {
    /// None: not for this test to tell, as where a field is of another type.
    fn answer(&self, row: &Fields) -> Option<bool> {
        match self {
            Self::Is(field) => row.get(field)?.as_bool(),
            Self::OneOf(field, values) => {
                let field = row.get(field)?;
                // CEL compares fractions with whole numbers, JSON's terms do not.
                let alike = |value: &Value| {
                    std::mem::discriminant(value) == std::mem::discriminant(field) && !field.is_f64()
                };
                values.iter().all(alike).then(|| values.contains(field))
            }
            Self::Number(field, operator, number) => {
                let field = row.get(field)?.as_i64()?;
                Some(match *operator {
                    operators::LESS => field < *number,
                    operators::LESS_EQUALS => field <= *number,
                    operators::GREATER => field > *number,
                    _ => field >= *number,
                })
            }
            Self::Has(field, value) => Some(row.get(field)?.as_array()?.contains(value)),
            Self::Contains(fields, words) => {
                let text = joined(row, fields)?;
                Some(words.iter().any(|word| text.contains(word)))
            }
            Self::Mentions(fields, words) => {
                let text = joined(row, fields)?.to_lowercase();
                Some(words.iter().any(|word| text.contains(word)))
            }
            Self::Matches(fields, regex) => Some(regex.is_match(&joined(row, fields)?)),
        }
    }
}

fn joined(row: &Fields, fields: &[String]) -> Option<String> {
    fields.iter().map(|field| row.get(field)?.as_str()).collect()
}

/// What must hold for `expression` to be `truth`, where `one` is the row at hand. What is an error is neither
/// true nor false, and both `&&` and `||` pass over it where the other side decides.
fn needs(expression: &IdedExpr, one: &str, truth: bool) -> Needs {
    match &expression.expr {
        Expr::Select(_) => {
            field(expression, one).map_or(Needs::Anything, |name| Needs::Test(Test::Is(name), truth))
        }
        Expr::Call(call) => {
            let sides = || call.args.iter().map(|side| needs(side, one, truth)).collect();
            match (call.func_name.as_str(), truth) {
                (operators::LOGICAL_AND, true) | (operators::LOGICAL_OR, false) => Needs::All(sides()),
                (operators::LOGICAL_AND, false) | (operators::LOGICAL_OR, true) => Needs::Any(sides()),
                (operators::LOGICAL_NOT, _) => {
                    call.args.first().map_or(Needs::Anything, |inner| needs(inner, one, !truth))
                }
                // What is to be taken from a text must be in it.
                (operators::NOT_EQUALS, true) if let Some(test) = extracted(call, one) => {
                    Needs::Test(test, true)
                }
                (operators::NOT_EQUALS, _) => {
                    equal(call, one).map_or(Needs::Anything, |test| Needs::Test(test, !truth))
                }
                _ => test(call, one).map_or(Needs::Anything, |test| Needs::Test(test, truth)),
            }
        }
        Expr::Comprehension(inner) if truth => exists(inner).unwrap_or(Needs::Anything),
        _ => Needs::Anything,
    }
}

fn test(call: &CallExpr, one: &str) -> Option<Test> {
    match (call.func_name.as_str(), &call.target, call.args.as_slice()) {
        (operators::EQUALS, ..) => equal(call, one),
        (operators::IN, None, [left, right]) => match literal(left) {
            Some(value) => Some(Test::Has(field(right, one)?, value)),
            None => Some(Test::OneOf(field(left, one)?, literals(right)?)),
        },
        (name, None, [left, right]) => {
            let operator =
                [operators::LESS, operators::LESS_EQUALS, operators::GREATER, operators::GREATER_EQUALS]
                    .into_iter()
                    .find(|operator| *operator == name)?;
            Some(Test::Number(field(left, one)?, operator, literal(right)?.as_i64()?))
        }
        ("contains", Some(text), [word]) => {
            let word = literal(word)?.as_str()?.to_owned();
            Some(Test::Contains(texts(text, one)?, vec![word]))
        }
        ("mentions", Some(text), [words]) => {
            let words = literals(words)?;
            let words = words.iter().map(|word| word.as_str().map(str::to_lowercase));
            Some(Test::Mentions(texts(text, one)?, words.collect::<Option<_>>()?))
        }
        ("matches", Some(text), [pattern]) => matches(text, pattern, one),
        _ => None,
    }
}

/// `text.extract(pattern)` beside `""`.
fn extracted(call: &CallExpr, one: &str) -> Option<Test> {
    let [left, right] = call.args.as_slice() else { return None };
    let Expr::Call(inner) = &left.expr else { return None };
    match (inner.func_name.as_str(), &inner.target, inner.args.as_slice()) {
        ("extract", Some(text), [pattern]) if literal(right)? == "" => matches(text, pattern, one),
        _ => None,
    }
}

fn matches(text: &IdedExpr, pattern: &IdedExpr, one: &str) -> Option<Test> {
    let regex = pattern_of(literal(pattern)?.as_str()?).ok()?;
    Some(Test::Matches(texts(text, one)?, regex))
}

/// `row.field == literal`.
fn equal(call: &CallExpr, one: &str) -> Option<Test> {
    let [left, right] = call.args.as_slice() else { return None };
    Some(Test::OneOf(field(left, one)?, vec![literal(right)?]))
}

/// `facts.table.exists(other, condition)`, as the macro writes it out.
fn exists(inner: &ComprehensionExpr) -> Option<Needs> {
    let table = field(&inner.iter_range, "facts")?;
    let table = TABLES.iter().copied().find(|known| *known == table && *known != "workload")?;
    let from_false =
        matches!(&inner.accu_init.expr, Expr::Literal(LiteralValue::Boolean(bool)) if !bool.inner());
    let Expr::Call(step) = &inner.loop_step.expr else { return None };
    let [so_far, condition] = step.args.as_slice() else { return None };
    let is_result = |node: &IdedExpr| matches!(&node.expr, Expr::Ident(name) if *name == inner.accu_var);
    let is_exists = step.func_name == operators::LOGICAL_OR
        && from_false
        && is_result(so_far)
        && is_result(&inner.result)
        && inner.iter_var2.is_none();
    // A row named `facts` would hide the tables.
    (is_exists && inner.iter_var != "facts")
        .then(|| Needs::Some(table, Box::new(needs(condition, &inner.iter_var, true))))
}

/// The name of a field of `one`.
fn field(expression: &IdedExpr, one: &str) -> Option<String> {
    let Expr::Select(select) = &expression.expr else { return None };
    let of_one = matches!(&select.operand.expr, Expr::Ident(name) if name == one);
    (of_one && !select.test).then(|| select.field.clone())
}

/// The fields of `row.a + row.b`.
fn texts(expression: &IdedExpr, one: &str) -> Option<Vec<String>> {
    match &expression.expr {
        Expr::Call(call) if call.func_name == operators::ADD => {
            let sides = call.args.iter().map(|side| texts(side, one));
            Some(sides.collect::<Option<Vec<_>>>()?.concat())
        }
        _ => Some(vec![field(expression, one)?]),
    }
}

fn literal(expression: &IdedExpr) -> Option<Value> {
    match &expression.expr {
        Expr::Literal(LiteralValue::Boolean(value)) => Some(Value::from(*value.inner())),
        Expr::Literal(LiteralValue::Int(value)) => Some(Value::from(*value.inner())),
        Expr::Literal(LiteralValue::String(value)) => Some(Value::from(value.inner())),
        _ => None,
    }
}

fn literals(expression: &IdedExpr) -> Option<Vec<Value>> {
    let Expr::List(list) = &expression.expr else { return None };
    list.elements.iter().map(literal).collect()
}

#[cfg(test)]
mod tests;
