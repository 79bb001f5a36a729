//! Text becomes programs, once, when a runbook is loaded: conditions, evidence and every `{{CEL}}` of a
//! template. Out comes a Signature, or every misprint with its place. It never evaluates against facts.

use std::sync::Arc;

use cel::Program;
use serde_saphyr::{Location, Spanned};

use super::needs::{self, Needs};
use super::scope::TABLES;
use super::spec::{FixSpec, ObjectSpec, Spec};
use super::template::{Piece, Template, compile};
use super::{lint, stack};
use crate::report::{Category, Risk};

/// Longest template, in bytes.
const MAX_SOURCE_BYTES: usize = 4000;
/// Depth of an expression's tree: a chain of `+` or `.` is as deep as it is long, and evaluation recurses on
/// the caller's stack.
const MAX_TREE_DEPTH: usize = 64;

/// Something wrong in a signature, at a place in the YAML it came from (1-based).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misprint {
    pub line: u64,
    pub column: u64,
    pub message: String,
}

impl Misprint {
    fn at(location: Location, message: String) -> Self {
        Self { line: location.line(), column: location.column(), message }
    }
}

/// A compiled signature. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Signature {
    pub id: String,
    pub over: &'static str,
    pub category: Category,
    pub rank: i64,
    pub explains: Vec<String>,
    pub not: String,
    /// It says what can be seen and knows no cause.
    pub catch_all: bool,
    pub(super) when: Arc<Program>,
    /// What a row must show before `when` is worth running.
    pub(super) needs: Arc<Needs>,
    pub(super) object: Option<Arc<[Template; 3]>>,
    pub(super) statement: Template,
    pub(super) evidence: Vec<Arc<Program>>,
    pub(super) fix: Vec<Fix>,
    /// Place of each `explains`, for the check against the whole catalogue.
    explains_at: Vec<(u64, u64)>,
    id_at: (u64, u64),
}

#[derive(Debug, Clone)]
pub(super) struct Fix {
    pub text: Template,
    pub command: Option<Template>,
    pub when: Option<Arc<Program>>,
    pub risk: Risk,
}

impl Signature {
    /// Compiles everything; all misprints are told at once.
    pub fn compile(spec: &Spec) -> Result<Self, Vec<Misprint>> {
        stack::deep(|| Self::compile_here(spec)).unwrap_or_else(|why| {
            let message = format!("signature `{}` cannot be compiled: {why}", spec.id.value);
            Err(vec![Misprint::at(spec.id.referenced, message)])
        })
    }

    fn compile_here(spec: &Spec) -> Result<Self, Vec<Misprint>> {
        let mut press = Press { over: "", misprints: Vec::new() };
        let over = TABLES.iter().copied().find(|table| *table == spec.over.value);
        match over {
            Some(table) => press.over = table,
            None => press.complain(
                &spec.over,
                format!("no table `{}`; there are {}", spec.over.value, TABLES.join(", ")),
            ),
        }
        if !is_kebab(&spec.id.value) {
            press.complain(&spec.id, format!("id `{}` is not kebab-case", spec.id.value));
        }
        if spec.over.value == "workload" && spec.evidence.is_empty() {
            press.complain(
                &spec.id,
                "a signature over `workload` needs `evidence`: that row proves nothing".to_owned(),
            );
        }
        if spec.fix.is_empty() {
            press.complain(&spec.id, format!("signature `{}` has an empty `fix`", spec.id.value));
        }
        let when = press.program(&spec.when);
        let object = spec.object.as_ref().map(|object| press.object(object));
        let statement = press.template(&spec.statement);
        let mut evidence: Vec<_> = spec.evidence.iter().map(|source| press.program(source)).collect();
        if evidence.is_empty() {
            evidence.push(press.program(&Spanned::new(
                "row".to_owned(),
                spec.id.referenced,
                spec.id.defined,
            )));
        }
        let fix = spec.fix.iter().map(|fix| press.fix(fix)).collect();
        let place = |text: &Spanned<String>| (text.referenced.line(), text.referenced.column());
        let signature = when.map(|when| Self {
            id: spec.id.value.clone(),
            over: press.over,
            category: spec.category,
            rank: spec.rank,
            explains: spec.explains.iter().map(|id| id.value.clone()).collect(),
            not: spec.not.clone(),
            catch_all: spec.catch_all,
            needs: Arc::new(needs::of(when.expression())),
            when,
            object,
            statement,
            evidence: evidence.into_iter().flatten().collect(),
            fix,
            explains_at: spec.explains.iter().map(place).collect(),
            id_at: place(&spec.id),
        });
        match signature {
            Some(signature) if press.misprints.is_empty() => Ok(signature),
            _ => Err(press.misprints),
        }
    }

    /// Where the id stands in its file: line and column.
    pub fn place(&self) -> (u64, u64) {
        self.id_at
    }

    /// The explained ids, each with its line and column.
    pub fn explains_with_places(&self) -> impl Iterator<Item = (&str, (u64, u64))> {
        self.explains.iter().map(String::as_str).zip(self.explains_at.iter().copied())
    }
}

/// Compiles one signature's texts and collects what is wrong with them.
struct Press {
    over: &'static str,
    misprints: Vec<Misprint>,
}

impl Press {
    fn complain(&mut self, text: &Spanned<String>, message: String) {
        self.misprints.push(Misprint::at(text.referenced, message));
    }

    fn program(&mut self, source: &Spanned<String>) -> Option<Arc<Program>> {
        match compile(&source.value) {
            Ok(program) => {
                if lint::depth(program.expression()) > MAX_TREE_DEPTH {
                    self.complain(
                        source,
                        format!("an expression deeper than {MAX_TREE_DEPTH} steps: split it"),
                    );
                    return None;
                }
                for message in lint::unknown_names(program.expression(), self.over) {
                    self.complain(source, format!("`{}`: {message}", source.value));
                }
                Some(Arc::new(program))
            }
            Err(message) => {
                self.complain(source, message);
                None
            }
        }
    }

    fn template(&mut self, source: &Spanned<String>) -> Template {
        let mut pieces = Vec::new();
        let mut rest = source.value.as_str();
        if rest.len() > MAX_SOURCE_BYTES {
            self.complain(source, format!("longer than {MAX_SOURCE_BYTES} bytes"));
            return Template { pieces: Arc::new(pieces) };
        }
        while let Some((before, after)) = rest.split_once("{{") {
            pieces.push(Piece::Text(before.to_owned()));
            let Some((expression, after)) = after.split_once("}}") else {
                self.complain(source, "`{{` without `}}`".to_owned());
                break;
            };
            let inner = Spanned::new(expression.trim().to_owned(), source.referenced, source.defined);
            pieces.extend(self.program(&inner).map(Piece::Value));
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Template { pieces: Arc::new(pieces) }
    }

    fn object(&mut self, object: &ObjectSpec) -> Arc<[Template; 3]> {
        Arc::new([&object.kind, &object.namespace, &object.name].map(|text| self.template(text)))
    }

    fn fix(&mut self, fix: &FixSpec) -> Fix {
        if fix.text.value.trim().is_empty() {
            self.complain(&fix.text, "a fix needs a text".to_owned());
        }
        Fix {
            text: self.template(&fix.text),
            command: fix.command.as_ref().map(|command| self.template(command)),
            when: fix.when.as_ref().and_then(|when| self.program(when)),
            risk: fix.risk,
        }
    }
}

fn is_kebab(id: &str) -> bool {
    !id.is_empty()
        && !id.starts_with('-')
        && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}
