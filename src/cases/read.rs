//! Finds case folders and reads them: folders come in, cases ready to be replayed go out, and every fault
//! with its place. What a case is based on is read once. It follows no symbolic link and changes nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use chrono::{DateTime, Utc};

use super::case::{AlertSpec, Case, Origin, workload};
use super::files::{self, Parsed};
use super::objects::{Placed, key};
use super::{check, patch};
use crate::demo::{Described, Said};
use crate::runbook::{CASES_FOLDER, Fault};

/// Case folders below all given ones.
const MAX_CASES: usize = 5_000;
/// Folders within folders.
const MAX_DEPTH: usize = 6;
/// Cases of which each is based on the next.
const MAX_BASES: usize = 4;

/// What to read.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Folders of runbooks.
    pub roots: Vec<PathBuf>,
    cases: Vec<PathBuf>,
    faults: Vec<Fault>,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub cases: Vec<Case>,
    pub faults: Vec<Fault>,
}

/// A folder is one of runbooks, with its cases below `cases`, or lies below one, or is a case itself.
pub(super) fn places(folders: &[PathBuf]) -> Places {
    let mut places = Places::default();
    for folder in folders {
        let below = folder.join(CASES_FOLDER);
        let (root, start) = if below.is_dir() {
            (folder.clone(), below)
        } else {
            let above = folder.ancestors().find(|above| above.ends_with(CASES_FOLDER));
            let root = above.and_then(Path::parent).unwrap_or(folder);
            (root.to_owned(), folder.clone())
        };
        let root = if root.as_os_str().is_empty() { PathBuf::from(".") } else { root };
        if !places.roots.contains(&root) {
            places.roots.push(root);
        }
        places.walk(&start, MAX_DEPTH);
    }
    places.cases.sort();
    places.cases.dedup();
    places
}

impl Places {
    fn walk(&mut self, folder: &Path, depth: usize) {
        if folder.join(files::CASE).is_file() {
            if self.cases.len() < MAX_CASES {
                self.cases.push(folder.to_owned());
            } else if self.cases.len() == MAX_CASES {
                self.complain(folder, format!("more than {MAX_CASES} cases: the rest is left out"));
            }
            return;
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) if depth > 0 => entries,
            Ok(_) => return self.complain(folder, format!("deeper than {MAX_DEPTH} folders")),
            Err(error) => return self.complain(folder, format!("cannot be read: {error}")),
        };
        let mut below: Vec<PathBuf> = Vec::new();
        let mut has_files = false;
        for entry in entries.flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !entry.file_name().as_encoded_bytes().starts_with(b".") => {
                    below.push(entry.path());
                }
                Ok(kind) => has_files |= kind.is_file() && entry.file_name() == files::OBJECTS,
                Err(_) => {}
            }
        }
        if has_files {
            self.complain(folder, format!("{} without a {}", files::OBJECTS, files::CASE));
        }
        below.sort();
        below.iter().for_each(|folder| self.walk(folder, depth - 1));
    }

    fn complain(&mut self, path: &Path, message: String) {
        self.faults.push(Fault { path: path.display().to_string(), line: 1, column: 1, message });
    }
}

/// Reads the cases whose `family/name` holds `wanted`, on all cores.
pub(super) fn all(places: &Places, wanted: &str) -> Read {
    let folders: Vec<&PathBuf> = places
        .cases
        .iter()
        .filter(|folder| {
            let (family, name) = names(folder);
            format!("{family}/{name}").contains(wanted)
        })
        .collect();
    let shelf = Shelf::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = folders.len().div_ceil(threads).max(1);
    let read: Vec<Result<Case, Vec<Fault>>> = std::thread::scope(|scope| {
        let shelf = &shelf;
        let parts: Vec<_> = folders
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(|folder| shelf.case(folder)).collect::<Vec<_>>()))
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
    });
    let mut all = Read { cases: Vec::new(), faults: places.faults.clone() };
    for case in read {
        match case {
            Ok(case) => all.cases.push(case),
            Err(faults) => all.faults.extend(faults),
        }
    }
    all.faults.sort();
    all.faults.dedup();
    all
}

/// The folder above, and the folder.
fn names(folder: &Path) -> (String, String) {
    let full = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let name = |path: Option<&Path>| {
        let name = path.and_then(Path::file_name).unwrap_or_default();
        name.to_string_lossy().into_owned()
    };
    (name(full.parent()), name(Some(&full)))
}

type Slot = Arc<OnceLock<Result<Parsed, Vec<Fault>>>>;

/// Folders as they were read.
#[derive(Default)]
struct Shelf {
    known: Mutex<BTreeMap<PathBuf, Slot>>,
}

/// A case with everything that it is based on.
struct Whole {
    objects: Vec<Placed>,
    logs: BTreeMap<String, Vec<u8>>,
    readyz: Option<String>,
    prometheus: Option<Vec<Said>>,
    loki: Option<Vec<Said>>,
    now: Option<DateTime<Utc>>,
    workload: Option<String>,
    alerts: Vec<AlertSpec>,
}

impl Shelf {
    fn slot(&self, folder: &Path) -> Slot {
        let real = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(real).or_default())
    }

    fn case(&self, folder: &Path) -> Result<Case, Vec<Fault>> {
        let path = folder.join(files::CASE).display().to_string();
        let slot = self.slot(folder);
        let parsed = slot.get_or_init(|| files::parse(folder)).as_ref().map_err(Clone::clone)?;
        let whole = self.whole(folder, parsed, MAX_BASES)?;
        let fault = |place: Option<serde_saphyr::Location>, message: String| {
            let (line, column) = place.map_or((1, 1), |place| (place.line(), place.column()));
            vec![Fault { path: path.clone(), line, column, message }]
        };
        let Some(now) = whole.now else { return Err(fault(None, "`now` is missing".to_owned())) };
        let named = parsed.file.workload.as_ref().map(|workload| workload.referenced);
        let Some(text) = whole.workload else { return Err(fault(named, "`workload` is missing".to_owned())) };
        let Some(workload) = workload(&text) else {
            let how = "write NAMESPACE/KIND/NAME, Namespace/NAME or Node/NAME";
            return Err(fault(named, format!("`{text}` is no workload: {how}")));
        };
        let cluster = Described {
            objects: whole.objects.into_iter().map(|placed| placed.value).collect(),
            logs: whole.logs,
            readyz: whole.readyz,
            now,
        };
        let shared = (now, workload, whole.alerts.as_slice());
        let mut case = Case::new(&path, names(folder), &parsed.file, shared, cluster);
        (case.prometheus, case.loki) = (whole.prometheus, whole.loki);
        Ok(case)
    }

    /// What the case is based on first, then its own files, then its changes.
    fn whole(&self, folder: &Path, parsed: &Parsed, bases: usize) -> Result<Whole, Vec<Fault>> {
        let path = folder.join(files::CASE).display().to_string();
        let at = |place: serde_saphyr::Location, message: String| {
            vec![Fault { path: path.clone(), line: place.line(), column: place.column(), message }]
        };
        let mut whole = match &parsed.file.based_on {
            None => Whole::nothing(),
            Some(base) if bases == 0 => {
                let message = format!("based on more than {MAX_BASES} cases, or on itself");
                return Err(at(base.referenced, message));
            }
            Some(base) => {
                let below = folder.join(&base.value);
                if !below.join(files::CASE).is_file() {
                    return Err(at(base.referenced, format!("there is no case {}", base.value)));
                }
                let slot = self.slot(&below);
                let base = slot.get_or_init(|| files::parse(&below)).as_ref().map_err(Clone::clone)?;
                self.whole(&below, base, bases - 1)?
            }
        };
        whole.take(parsed);
        for (key, change) in &parsed.file.changes {
            change_object(&mut whole.objects, key, &change.value, parsed.file.origin)
                .map_err(|message| at(change.referenced, format!("{key}: {message}")))?;
        }
        let faults = files::stray_logs(folder, parsed, &whole.objects);
        if faults.is_empty() { Ok(whole) } else { Err(faults) }
    }
}

impl Whole {
    fn nothing() -> Self {
        Self {
            objects: Vec::new(),
            logs: BTreeMap::new(),
            readyz: None,
            prometheus: None,
            loki: None,
            now: None,
            workload: None,
            alerts: Vec::new(),
        }
    }

    fn take(&mut self, parsed: &Parsed) {
        for own in &parsed.objects {
            self.objects.retain(|known| known.key != own.key);
            self.objects.push(own.clone());
        }
        self.logs.extend(parsed.logs.iter().map(|(key, text)| (key.clone(), text.clone())));
        self.readyz = parsed.readyz.clone().or(self.readyz.take());
        self.prometheus = parsed.prometheus.clone().or(self.prometheus.take());
        self.loki = parsed.loki.clone().or(self.loki.take());
        let file = &parsed.file;
        self.now = file.now.or(self.now);
        self.workload = file.workload.as_ref().map(|text| text.value.clone()).or(self.workload.take());
        if let Some(alerts) = &file.alerts {
            self.alerts.clone_from(alerts);
        }
    }
}

fn change_object(
    objects: &mut Vec<Placed>,
    wanted: &str,
    change: &serde_json::Value,
    origin: Origin,
) -> Result<(), String> {
    let Some(index) = objects.iter().position(|known| known.key == wanted) else {
        return Err("there is no such object; write `Kind namespace/name` or `Kind name`".to_owned());
    };
    if change.is_null() {
        objects.remove(index);
        return Ok(());
    }
    patch::apply(&mut objects[index].value, change)?;
    objects[index].key = key(&objects[index].value);
    let wrong = check::object(&objects[index].value, origin);
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}
