//! Misprints that CEL itself would only find while running: an unknown variable, function or field.
//! An expression comes in, messages go out. What it cannot follow it passes over in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, IdedExpr};

use super::functions::{NAMES, VARIABLES};
use super::scope::{TABLES, field_names};

/// Fields per table, as Facts serialise.
static FIELDS: LazyLock<BTreeMap<&'static str, BTreeSet<String>>> =
    LazyLock::new(|| TABLES.iter().map(|table| (*table, field_names(table))).collect());

/// What is known about the type of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Facts,
    Rows(&'static str),
    Row(&'static str),
    Log,
    Unknown,
}

pub(super) fn unknown_names(expression: &IdedExpr, over: &'static str) -> Vec<String> {
    let mut walk = Walk { over, bound: Vec::new(), messages: Vec::new() };
    walk.visit(expression);
    walk.messages.dedup();
    walk.messages
}

/// Steps from the root of an expression to its deepest leaf.
pub(super) fn depth(node: &IdedExpr) -> usize {
    let deepest = |nodes: &[&IdedExpr]| nodes.iter().map(|node| depth(node)).max().unwrap_or(0);
    1 + match &node.expr {
        Expr::Select(select) => depth(&select.operand),
        Expr::Call(call) => {
            deepest(&call.target.iter().map(AsRef::as_ref).chain(&call.args).collect::<Vec<_>>())
        }
        Expr::Comprehension(inner) => {
            deepest(&[&inner.iter_range, &inner.accu_init, &inner.loop_cond, &inner.loop_step, &inner.result])
        }
        Expr::List(list) => deepest(&list.elements.iter().collect::<Vec<_>>()),
        Expr::Map(map) => {
            deepest(&map.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect::<Vec<_>>())
        }
        Expr::Struct(made) => {
            deepest(&made.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect::<Vec<_>>())
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => 0,
    }
}

fn entry_parts(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
        EntryExpr::StructField(field) => vec![&field.value],
    }
}

struct Walk {
    over: &'static str,
    /// Variables of the macros around this place (`facts.events.filter(e, …)` binds `e`).
    bound: Vec<(String, Shape)>,
    messages: Vec<String>,
}

impl Walk {
    fn visit(&mut self, node: &IdedExpr) -> Shape {
        match &node.expr {
            Expr::Ident(name) => self.variable(name),
            Expr::Select(select) => {
                let shape = self.visit(&select.operand);
                self.field(shape, &select.field)
            }
            Expr::Call(call) => {
                let operator = !call.func_name.starts_with(|c: char| c.is_ascii_alphabetic());
                if !operator && !NAMES.contains(&call.func_name.as_str()) {
                    self.messages.push(format!("unknown function `{}`", call.func_name));
                }
                let target = call.target.as_ref().map(|target| self.visit(target));
                let shapes: Vec<Shape> = call.args.iter().map(|arg| self.visit(arg)).collect();
                match (call.func_name.as_str(), shapes.first().copied().or(target)) {
                    ("_[_]", Some(Shape::Rows(table))) => Shape::Row(table),
                    _ => Shape::Unknown,
                }
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::List(list) => {
                list.elements.iter().for_each(|element| {
                    self.visit(element);
                });
                Shape::Unknown
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.visit(&entry.key);
                        self.visit(&entry.value);
                    }
                }
                Shape::Unknown
            }
            Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => Shape::Unknown,
        }
    }

    fn comprehension(&mut self, inner: &ComprehensionExpr) -> Shape {
        let element = match self.visit(&inner.iter_range) {
            Shape::Rows(table) => Shape::Row(table),
            _ => Shape::Unknown,
        };
        self.visit(&inner.accu_init);
        let outer = self.bound.len();
        self.bound.push((inner.iter_var.clone(), element));
        self.bound.extend(inner.iter_var2.iter().map(|name| (name.clone(), Shape::Unknown)));
        self.bound.push((inner.accu_var.clone(), Shape::Unknown));
        self.visit(&inner.loop_cond);
        self.visit(&inner.loop_step);
        self.visit(&inner.result);
        self.bound.truncate(outer);
        Shape::Unknown
    }

    fn variable(&mut self, name: &str) -> Shape {
        if let Some((_, shape)) = self.bound.iter().rev().find(|(bound, _)| bound == name) {
            return *shape;
        }
        match name {
            "facts" => Shape::Facts,
            "row" if !self.over.is_empty() => Shape::Row(self.over),
            "pod" => Shape::Row("pods"),
            "rollout" => Shape::Row("rollouts"),
            "workload" => Shape::Row("workload"),
            "log" => Shape::Log,
            _ => {
                if !VARIABLES.contains(&name) {
                    self.messages.push(format!("unknown variable `{name}`"));
                }
                Shape::Unknown
            }
        }
    }

    fn field(&mut self, shape: Shape, field: &str) -> Shape {
        match shape {
            Shape::Facts => match TABLES.iter().find(|table| **table == field) {
                Some(table) if *table == "workload" => Shape::Row(table),
                Some(table) => Shape::Rows(table),
                None => {
                    self.messages.push(format!("facts have no table `{field}`"));
                    Shape::Unknown
                }
            },
            Shape::Row(table) => {
                if !FIELDS.get(table).is_some_and(|fields| fields.contains(field)) {
                    self.messages.push(format!("rows of {table} have no field `{field}`"));
                }
                Shape::Unknown
            }
            Shape::Log if field != "evidence" && field != "quote" => {
                self.messages.push(format!("log has no field `{field}`"));
                Shape::Unknown
            }
            _ => Shape::Unknown,
        }
    }
}
