//! A file's text becomes a Runbook, or every fault in it with line and column. Reads YAML front matter and
//! the header of STCLab's style (`## Meta`). Pure; a text of any size or shape is an answer, never a panic.

use std::fmt::Write as _;

use globset::Glob;
use serde_saphyr::{Budget as YamlBudget, options};

use super::header::{Header, Match, Scope, Tool};
use super::{Fault, Runbook};
use crate::signature::Signature;

/// Largest runbook, in bytes.
pub const MAX_RUNBOOK_BYTES: usize = 256 * 1024;
/// YAML nodes of one header: enough for fifty signatures.
const MAX_YAML_NODES: usize = 10_000;
const MAX_YAML_DEPTH: usize = 16;
/// Aliases are not needed in a header; few are allowed.
const MAX_YAML_ALIASES: usize = 16;
/// Longest name, in characters.
const MAX_NAME_CHARS: usize = 100;

const FENCE: &str = "---";

/// `path` names the file in faults and, by its stem, a runbook without a `name`.
pub fn parse(path: &str, text: &str, builtin: bool) -> Result<Runbook, Vec<Fault>> {
    let fault = |line, column, message: String| Fault { path: path.to_owned(), line, column, message };
    if text.len() > MAX_RUNBOOK_BYTES {
        return Err(vec![fault(1, 1, format!("larger than {MAX_RUNBOOK_BYTES} bytes"))]);
    }
    let (header, body) = match split(text) {
        Split::Yaml { yaml, body } => (read_yaml(yaml, &fault)?, body),
        Split::Unclosed => {
            return Err(vec![fault(1, 1, "the header that `---` opens is not closed by another".to_owned())]);
        }
        Split::NoHeader => (read_meta(text, &fault)?, text),
    };
    let mut faults = Vec::new();
    let matches = check_match(&header, &mut faults, &fault);
    let name = check_name(path, &header, &mut faults, &fault);
    let mut signatures = Vec::new();
    for spec in &header.signatures {
        match Signature::compile(spec) {
            Ok(signature) => signatures.push(signature),
            // The YAML begins on the file's second line.
            Err(misprints) => faults.extend(
                misprints.into_iter().map(|found| fault(found.line + 1, found.column, found.message)),
            ),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(Runbook {
        name,
        path: path.to_owned(),
        builtin,
        matches,
        scope: header.scope,
        tools: if header.tools.is_empty() { Tool::ALL.to_vec() } else { header.tools },
        cautions: header.cautions,
        budget: header.budget,
        signatures,
        owner: header.owner,
        text: body.trim().to_owned(),
        revision: revision(text),
    })
}

enum Split<'a> {
    Yaml { yaml: &'a str, body: &'a str },
    Unclosed,
    NoHeader,
}

fn split(text: &str) -> Split<'_> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Some(start) = text.strip_prefix(FENCE).and_then(|rest| {
        let line = rest.find('\n')?;
        rest[..line].trim().is_empty().then(|| &rest[line + 1..])
    }) else {
        return Split::NoHeader;
    };
    let mut offset = 0;
    for line in start.split_inclusive('\n') {
        if line.trim_end() == FENCE {
            return Split::Yaml { yaml: &start[..offset], body: &start[offset + line.len()..] };
        }
        offset += line.len();
    }
    Split::Unclosed
}

fn read_yaml(yaml: &str, fault: &impl Fn(u64, u64, String) -> Fault) -> Result<Header, Vec<Fault>> {
    if yaml.trim().is_empty() {
        return Ok(Header::default());
    }
    let mut budget = YamlBudget::default();
    budget.max_nodes = MAX_YAML_NODES;
    budget.max_depth = MAX_YAML_DEPTH;
    budget.max_aliases = MAX_YAML_ALIASES;
    let options = options! { budget: Some(budget) };
    serde_saphyr::from_str_with_options(yaml, options).map_err(|error| {
        let place = error.location();
        let line = place.map_or(1, |place| place.line() + 1);
        let column = place.map_or(1, |place| place.column());
        let message = error.without_snippet().to_string();
        let message = message.lines().next().unwrap_or("not YAML");
        // It counts lines of the header, we those of the file.
        let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
        vec![fault(line, column, message.to_owned())]
    })
}

/// STCLab's style: under `## Meta`, lines of `key: value`, bare, as a list or in bold.
fn read_meta(text: &str, fault: &impl Fn(u64, u64, String) -> Fault) -> Result<Header, Vec<Fault>> {
    let mut header = Header::default();
    let mut matches = Match::default();
    let mut faults = Vec::new();
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        let place = index as u64 + 1;
        if line.starts_with('#') {
            if inside {
                break;
            }
            inside = line.trim_start_matches('#').trim().eq_ignore_ascii_case("meta");
            continue;
        }
        let plain = line.replace("**", "").replace('`', "");
        let plain = plain.trim().trim_start_matches(['-', '*']).trim();
        let Some((key, value)) = plain.split_once(':').filter(|_| inside) else { continue };
        let list = || value.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty());
        match key.trim().to_ascii_lowercase().as_str() {
            "scope" => match value.trim().to_ascii_lowercase().as_str() {
                "workload" => header.scope = Scope::Workload,
                "namespace" => header.scope = Scope::Namespace,
                "cluster" => header.scope = Scope::Cluster,
                other => faults.push(fault(
                    place,
                    1,
                    format!("scope is workload, namespace or cluster, not `{other}`"),
                )),
            },
            "tools" => {
                for name in list() {
                    match Tool::try_from(name.to_ascii_lowercase()) {
                        Ok(tool) => header.tools.push(tool),
                        Err(message) => faults.push(fault(place, 1, message)),
                    }
                }
            }
            "caution" | "cautions" => header.cautions.push(value.trim().to_owned()),
            "alerts" => matches.alerts.extend(list()),
            "namespaces" => matches.namespaces.extend(list()),
            "owner" => header.owner = value.trim().to_owned(),
            other => faults.push(fault(place, 1, format!("unknown key `{other}` in the Meta section"))),
        }
    }
    if !matches.is_empty() {
        let nowhere = serde_saphyr::Location::UNKNOWN;
        header.matches = Some(serde_saphyr::Spanned::new(matches, nowhere, nowhere));
    }
    if faults.is_empty() { Ok(header) } else { Err(faults) }
}

fn check_match(
    header: &Header,
    faults: &mut Vec<Fault>,
    fault: &impl Fn(u64, u64, String) -> Fault,
) -> Match {
    let Some(spanned) = &header.matches else { return Match::default() };
    for glob in spanned.value.globs() {
        if let Err(error) = Glob::new(glob) {
            let place = spanned.referenced;
            faults.push(fault(
                place.line() + 1,
                place.column().max(1),
                format!("`{glob}` is not a glob: {error}"),
            ));
        }
    }
    spanned.value.clone()
}

fn check_name(
    path: &str,
    header: &Header,
    faults: &mut Vec<Fault>,
    fault: &impl Fn(u64, u64, String) -> Fault,
) -> String {
    let Some(name) = &header.name else {
        let file = path.rsplit('/').next().unwrap_or(path);
        return file.strip_suffix(".md").unwrap_or(file).to_owned();
    };
    let count = name.value.chars().count();
    if name.value.trim().is_empty() || count > MAX_NAME_CHARS {
        let place = name.referenced;
        let message = format!("a name has 1 to {MAX_NAME_CHARS} characters, this one {count}");
        faults.push(fault(place.line() + 1, place.column(), message));
    }
    name.value.clone()
}

/// FNV-1a over the content, 16 hex digits: tells one state of a file from another.
pub(super) fn revision(text: &str) -> String {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let hash = text.bytes().fold(OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    let mut digits = String::new();
    // Writing to a String cannot fail.
    let _ = write!(digits, "{hash:016x}");
    digits
}
