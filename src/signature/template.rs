//! Programs and texts with `{{CEL}}` in them: source comes in at load, values and text go out at evaluation.
//! A value is data: it is put on one line, cut at a length, and quoted where a shell would read it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cel::common::value::Val;
use cel::{Context, ExecutionError, Program, Value};

use super::functions::environment;

/// Longest expression, in bytes.
const MAX_EXPRESSION_BYTES: usize = 1500;
const MAX_NESTING: usize = 16;
/// Characters that one `{{…}}` may put into a text: logs and events are data of unknown length.
const MAX_VALUE_CHARS: usize = 300;

/// Depth of brackets, and the longest run of `!` and `-` or chain of `?:`: parser and interpreter recurse, and
/// a stack that overflows cannot be caught.
fn too_deep(source: &str) -> bool {
    let (mut depth, mut run, mut choices) = (0_usize, 0_usize, 0_usize);
    for character in source.chars() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '?' => choices += 1,
            _ => {}
        }
        run = if matches!(character, '!' | '-') { run + 1 } else { 0 };
        if depth.max(run).max(choices) > MAX_NESTING {
            return true;
        }
    }
    false
}

pub(super) fn compile(source: &str) -> Result<Program, String> {
    if source.len() > MAX_EXPRESSION_BYTES {
        return Err(format!("an expression longer than {MAX_EXPRESSION_BYTES} bytes"));
    }
    if too_deep(source) {
        return Err(format!("an expression nested deeper than {MAX_NESTING}"));
    }
    environment()
        .compile(source)
        .map_err(|fault| format!("`{source}` is not CEL: {}", one_line(&fault.to_string())))
}

/// Runs a program; a panic inside the interpreter is an error like any other.
pub(super) fn evaluate(program: &Program, context: &Context<'_, '_>) -> Result<Value, String> {
    look(program, context, |value| Value::try_from(value))
}

/// The same, with a look at the value instead of a copy.
pub(super) fn look<T>(
    program: &Program,
    context: &Context<'_, '_>,
    mut at: impl FnMut(&dyn Val) -> Result<T, ExecutionError>,
) -> Result<T, String> {
    let run = || Value::resolve_val(program.expression(), context).and_then(|value| at(value.as_ref()));
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(fault)) => Err(one_line(&fault.to_string())),
        Err(_) => Err("the interpreter gave up".to_owned()),
    }
}

/// Text with `{{CEL}}` in it.
#[derive(Debug, Clone)]
pub(super) struct Template {
    pub pieces: Arc<Vec<Piece>>,
}

#[derive(Debug)]
pub(super) enum Piece {
    Text(String),
    Value(Arc<Program>),
}

impl Template {
    /// For people to read: values on one line, cut at a length.
    pub fn render(&self, context: &Context<'_, '_>) -> Result<String, String> {
        self.fill(context, |value| cut(&one_space(&one_line(value))))
    }

    /// For a shell: a value of anything but plain name characters is put in single quotes.
    pub fn render_command(&self, context: &Context<'_, '_>) -> Result<String, String> {
        self.fill(context, |value| shell_word(&cut(&one_line(value))))
    }

    fn fill(&self, context: &Context<'_, '_>, shape: impl Fn(&str) -> String) -> Result<String, String> {
        let mut text = String::new();
        for piece in self.pieces.iter() {
            match piece {
                // A message that ends with its own full stop gets no second one.
                Piece::Text(words) => {
                    let ended = text.ends_with('.') && !text.ends_with("...");
                    text.push_str(words.strip_prefix('.').filter(|_| ended).unwrap_or(words));
                }
                Piece::Value(program) => text.push_str(&shape(&as_text(&evaluate(program, context)?)?)),
            }
        }
        Ok(text)
    }
}

fn as_text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.to_string()),
        Value::Int(number) => Ok(number.to_string()),
        Value::UInt(number) => Ok(number.to_string()),
        Value::Float(number) => Ok(number.to_string()),
        Value::Bool(truth) => Ok(truth.to_string()),
        Value::Null => Ok(String::new()),
        Value::List(items) => Ok(items.iter().map(as_text).collect::<Result<Vec<_>, _>>()?.join(", ")),
        _ => Err("a template wants a text, a number or a list of them".to_owned()),
    }
}

fn one_line(text: &str) -> String {
    text.split(['\n', '\r', '\t', '\0']).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Indentation and line ends of a message leave one space, also at its ends. The scheduler ends with two full stops.
fn one_space(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if !(c == ' ' && out.ends_with(' ')) {
            out.push(c);
        }
    }
    if out.ends_with("..") && !out.ends_with("...") {
        out.pop();
    }
    out
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_VALUE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn shell_word(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/:@=,+".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', r"'\''"))
    }
}
