//! Understands which object is meant, as kubectl would: `po`, `Deployments`, `deploy/x`, `apps/v1/deployments`,
//! `shop/Deployment/x`, `pod/x -n shop -c app`. Words come in, a kind of the closed list with name and
//! namespace goes out; a Secret is refused in every spelling. Pure.

use std::collections::BTreeMap;

use crate::inert::inert;
use crate::source::kubernetes::kinds::{self, KINDS, Kind};
use crate::tool::Refusal;
use crate::tool::nearest::nearest;

/// Longest text that names an object.
const MAX_TEXT_BYTES: usize = 1_000;
/// kubectl's flags that say something about the object, with the name under which they are kept; flags that
/// only shape kubectl's output are kept as "".
const FLAGS: [(&str, &str); 18] = [
    ("-n", "namespace"),
    ("--namespace", "namespace"),
    ("-l", "labels"),
    ("--selector", "labels"),
    ("--field-selector", "fields"),
    ("--sort-by", "sort"),
    ("-c", "container"),
    ("--container", "container"),
    ("--tail", "tail"),
    ("--since", "since"),
    ("--since-time", "since"),
    ("-o", ""),
    ("--output", ""),
    ("-A", "all"),
    ("--all-namespaces", "all"),
    ("-p", "previous"),
    ("--previous", "previous"),
    ("--show-labels", "shown"),
];
const SWITCHES: [&str; 3] = ["all", "previous", "shown"];
const VERBS: [&str; 7] = ["get", "describe", "logs", "events", "top", "rollout", "history"];

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub kind: &'static Kind,
    /// "" when no name was given.
    pub name: String,
    pub place: Place,
    /// The other flags, by the names of `FLAGS`.
    pub flags: BTreeMap<&'static str, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Not said: the alert's own namespace.
    Own,
    Namespace(String),
    All,
}

/// The texts that say which object.
#[derive(Debug, Clone, Copy, Default)]
pub struct Words<'a> {
    pub kind: Option<&'a str>,
    /// A name, or kind and name.
    pub name: Option<&'a str>,
    pub namespace: Option<&'a str>,
    /// The kind of a bare name.
    pub default_kind: &'static str,
}

impl Asked {
    pub fn understand(words: &Words<'_>) -> Result<Self, Refusal> {
        let texts = [words.kind, words.name, words.namespace];
        if texts.into_iter().flatten().any(|text| text.len() > MAX_TEXT_BYTES) {
            return Err(arguments(format!("longer than {MAX_TEXT_BYTES} bytes is no object's name")));
        }
        let mut flags = BTreeMap::new();
        let kind_words = positionals(words.kind.unwrap_or_default(), &mut flags)?;
        let name_words = positionals(words.name.unwrap_or_default(), &mut flags)?;
        let mut object = Object::default();
        let mut rest = kind_words.iter().chain(&name_words);
        if let Some(first) = kind_words.first() {
            object.take_kind(first)?;
            rest.next();
        } else if let [first, _second, ..] = name_words.as_slice() {
            object.take_kind(first)?;
            rest.next();
        }
        for word in rest {
            object.take_name(word)?;
        }
        let kind = match object.kind {
            Some(kind) => kind,
            None => known(words.default_kind)?,
        };
        let place = place(words.namespace, &object, &mut flags)?;
        Ok(Self { kind, name: object.name, place, flags })
    }

    /// Refuses a question that names no object.
    pub fn named(self) -> Result<Self, Refusal> {
        if self.name.is_empty() {
            let kind = self.kind.name;
            return Err(arguments(format!("the name of the {kind} is missing; kubernetes_list lists them")));
        }
        Ok(self)
    }
}

#[derive(Default)]
struct Object {
    kind: Option<&'static Kind>,
    name: String,
    namespace: Option<String>,
}

impl Object {
    /// `deploy`, `deploy/x`, `apps/v1/deployments`, `shop/Deployment/x`.
    fn take_kind(&mut self, word: &str) -> Result<(), Refusal> {
        if word.contains(',') {
            return Err(arguments(format!("one kind at a time, not {word:?}")));
        }
        let segments = segments(word);
        match segments.as_slice() {
            [kind] => self.kind = Some(known(kind)?),
            [kind, name] => self.set(known(kind)?, name)?,
            [.., namespace, kind, name] => {
                self.set(known(kind)?, name)?;
                self.namespace = Some((*namespace).to_owned());
            }
            [] => return Err(arguments("the kind is missing")),
        }
        Ok(())
    }

    /// `x`, `deploy/x`, `shop/x`, `shop/Deployment/x`.
    fn take_name(&mut self, word: &str) -> Result<(), Refusal> {
        let segments = segments(word);
        match segments.as_slice() {
            [name] => self.set_name(name),
            [first, name] => {
                refuse_secrets(first)?;
                match kinds::kind(first_part(first)) {
                    Some(kind) => self.set(kind, name),
                    None => {
                        self.namespace = Some((*first).to_owned());
                        self.set_name(name)
                    }
                }
            }
            [_, _, ..] => self.take_kind(word),
            [] => Ok(()),
        }
    }

    fn set(&mut self, kind: &'static Kind, name: &str) -> Result<(), Refusal> {
        if let Some(before) = self.kind.filter(|before| *before != kind) {
            return Err(arguments(format!("is it a {} or a {}?", before.name, kind.name)));
        }
        self.kind = Some(kind);
        self.set_name(name)
    }

    fn set_name(&mut self, name: &str) -> Result<(), Refusal> {
        if !self.name.is_empty() && self.name != name {
            return Err(arguments(format!("one object at a time, not {} and {name}", self.name)));
        }
        name.clone_into(&mut self.name);
        Ok(())
    }
}

/// The parts of a path without its API version: `apps/v1/deployments` is `deployments`.
fn segments(word: &str) -> Vec<&str> {
    let all: Vec<&str> = word.split('/').filter(|part| !part.is_empty()).collect();
    let is_version = |part: &&str| {
        part.strip_prefix('v').is_some_and(|rest| {
            let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            digits.len() < rest.len()
                && digits
                    .trim_start_matches("alpha")
                    .trim_start_matches("beta")
                    .bytes()
                    .all(|b| b.is_ascii_digit())
        })
    };
    // A version stands first or behind its group; further back it is a name.
    match all.iter().take(2).position(is_version) {
        Some(at) if at + 1 < all.len() => all[at + 1..].to_vec(),
        _ => all,
    }
}

/// `deployments.v1.apps` is `deployments`.
fn first_part(word: &str) -> &str {
    word.split('.').next().unwrap_or_default()
}

fn known(word: &str) -> Result<&'static Kind, Refusal> {
    refuse_secrets(word)?;
    let part = first_part(word);
    if let Some(kind) = kinds::kind(part) {
        return Ok(kind);
    }
    let spellings = KINDS.iter().flat_map(|kind| [kind.plural].into_iter().chain(kind.short.iter().copied()));
    let meant = nearest(part, spellings).map(|meant| format!(" Did you mean {meant}?")).unwrap_or_default();
    let all: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let shown: String = word.chars().take(60).collect();
    Err(arguments(format!("kind {shown:?} cannot be read here.{meant} Kinds: {}", all.join(", "))))
}

fn refuse_secrets(word: &str) -> Result<(), Refusal> {
    let word = first_part(word).to_ascii_lowercase();
    if matches!(word.as_str(), "secret" | "secrets" | "sec" | "secretlist") {
        let words = "Secrets are never read. Whether one is missing shows in the events of the pods that \
                     name it";
        return Err(Refusal::Scope(words.to_owned()));
    }
    Ok(())
}

/// The words that are no flags; flags go into `flags`.
fn positionals(text: &str, flags: &mut BTreeMap<&'static str, String>) -> Result<Vec<String>, Refusal> {
    let text = inert(text);
    let mut words = text.split_whitespace().map(|word| word.trim_matches(['"', '\'', '`']));
    let mut found: Vec<String> = Vec::new();
    while let Some(word) = words.next() {
        if !word.starts_with('-') || word == "-" {
            found.push(word.to_owned());
            continue;
        }
        let (flag, value) = word.split_once('=').map_or((word, None), |(flag, value)| (flag, Some(value)));
        let Some((_, name)) = FLAGS.iter().find(|(known, _)| *known == flag) else {
            return Err(arguments(format!("kubectl's flag {flag} is not understood here")));
        };
        let value = match value {
            Some(value) => value,
            None if SWITCHES.contains(name) => "true",
            None => words.next().ok_or_else(|| arguments(format!("{flag} needs a value")))?,
        };
        flags.insert(name, value.to_owned());
    }
    if found.first().is_some_and(|word| word == "kubectl") {
        let verbs = found.iter().skip(1).take_while(|word| VERBS.contains(&word.as_str())).count();
        found.drain(..=verbs);
    }
    Ok(found)
}

fn place(
    namespace: Option<&str>,
    object: &Object,
    flags: &mut BTreeMap<&'static str, String>,
) -> Result<Place, Refusal> {
    let given = namespace.map(|text| inert(text.trim()).into_owned()).filter(|text| !text.is_empty());
    let given = given.map(|text| {
        let bare = text.strip_prefix("ns/").or_else(|| text.strip_prefix("namespace/"));
        bare.map_or(text.clone(), str::to_owned)
    });
    let all = flags.remove("all").is_some();
    let flag = flags.remove("namespace");
    let mut names: Vec<String> = [given, flag, object.namespace.clone()].into_iter().flatten().collect();
    names.dedup();
    match names.as_slice() {
        [] if all => Ok(Place::All),
        [] => Ok(Place::Own),
        [one] if matches!(one.as_str(), "*" | "all" | "-A" | "--all-namespaces") => Ok(Place::All),
        [one] => Ok(Place::Namespace(one.clone())),
        several => Err(arguments(format!("which namespace: {}?", several.join(" or ")))),
    }
}

fn arguments(text: impl Into<String>) -> Refusal {
    Refusal::Arguments(text.into())
}

#[cfg(test)]
mod tests;
