//! The files of one case folder: a folder comes in, its parsed content or every fault goes out. It reads
//! nothing outside the folder, and no file larger than its bound.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde_saphyr::options;

use super::case::CaseFile;
use super::objects::{self, Placed, yaml_fault};
use crate::demo::Said;
use crate::runbook::Fault;

pub(super) const CASE: &str = "case.yaml";
pub(super) const OBJECTS: &str = "objects.yaml";
const LOGS: &str = "logs";
const READYZ: &str = "readyz.txt";
const PROMETHEUS: &str = "prometheus.yaml";
const LOKI: &str = "loki.yaml";
/// Largest file of a case, in bytes.
const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;
/// Log files of one case.
const MAX_LOGS: usize = 1_000;

/// One folder's own content.
#[derive(Debug)]
pub(super) struct Parsed {
    pub file: CaseFile,
    pub objects: Vec<Placed>,
    /// `namespace/pod.container.current` → text.
    pub logs: BTreeMap<String, Vec<u8>>,
    pub readyz: Option<String>,
    pub prometheus: Option<Vec<Said>>,
    pub loki: Option<Vec<Said>>,
}

pub(super) fn parse(folder: &Path) -> Result<Parsed, Vec<Fault>> {
    let names = names(folder)?;
    let has = |name: &str| names.iter().any(|known| known == name);
    let file: CaseFile = yaml(&folder.join(CASE))?;
    let objects = if has(OBJECTS) {
        let path = folder.join(OBJECTS);
        objects::read(&path.display().to_string(), &text(&path)?, file.origin)?
    } else if file.based_on.is_some() {
        Vec::new()
    } else {
        return Err(fault(folder, 1, format!("there is neither {OBJECTS} nor `based_on`")));
    };
    Ok(Parsed {
        file,
        objects,
        logs: if has(LOGS) { logs(&folder.join(LOGS))? } else { BTreeMap::new() },
        readyz: if has(READYZ) { Some(text(&folder.join(READYZ))?) } else { None },
        prometheus: if has(PROMETHEUS) { Some(yaml(&folder.join(PROMETHEUS))?) } else { None },
        loki: if has(LOKI) { Some(yaml(&folder.join(LOKI))?) } else { None },
    })
}

/// A misspelt file would be a case that says less than its author thinks.
fn names(folder: &Path) -> Result<Vec<String>, Vec<Fault>> {
    let known = [CASE, OBJECTS, LOGS, READYZ, PROMETHEUS, LOKI];
    let mut names = Vec::new();
    for path in entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            if !known.contains(&name.as_str()) {
                let known = known.join(", ");
                return Err(fault(&path, 1, format!("no file of a case; there are {known}")));
            }
            names.push(name);
        }
    }
    Ok(names)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Vec<Fault>> {
    let cannot = |error: std::io::Error| fault(folder, 1, format!("cannot be read: {error}"));
    let entries = fs::read_dir(folder).map_err(cannot)?;
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.map_err(cannot)?;
        if entry.file_type().map_err(cannot)?.is_symlink() {
            return Err(fault(&entry.path(), 1, "a case holds no symbolic links".to_owned()));
        }
        paths.push(entry.path());
    }
    paths.sort();
    Ok(paths)
}

fn text(path: &Path) -> Result<String, Vec<Fault>> {
    let cannot = |error: std::io::Error| fault(path, 1, format!("cannot be read: {error}"));
    let mut text = String::new();
    let file = fs::File::open(path).map_err(cannot)?;
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(fault(path, 1, format!("larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(text)
}

fn yaml<T: DeserializeOwned>(path: &Path) -> Result<T, Vec<Fault>> {
    serde_saphyr::from_str_with_options(&text(path)?, options! {})
        .map_err(|error| vec![yaml_fault(&path.display().to_string(), &error)])
}

/// `logs/NAMESPACE/POD.CONTAINER.current.log` and `….previous.log`.
fn logs(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>, Vec<Fault>> {
    let mut logs = BTreeMap::new();
    for namespace in entries(folder)? {
        for path in entries(&namespace)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let stem = name.strip_suffix(".log");
            let stem = stem.filter(|stem| stem.ends_with(".current") || stem.ends_with(".previous"));
            let Some(stem) = stem else {
                let how = "a log is POD.CONTAINER.current.log or POD.CONTAINER.previous.log";
                return Err(fault(&path, 1, how.to_owned()));
            };
            if logs.len() >= MAX_LOGS {
                return Err(fault(&path, 1, format!("more than {MAX_LOGS} logs")));
            }
            let text = text(&path)?;
            let has_time =
                |line: &str| line.split(' ').next().is_some_and(|at| at.parse::<DateTime<Utc>>().is_ok());
            if let Some(index) = text.lines().position(|line| !line.is_empty() && !has_time(line)) {
                let how = "a line begins with its time, as `kubectl logs --timestamps` prints it";
                return Err(fault(&path, index as u64 + 1, how.to_owned()));
            }
            let namespace = namespace.file_name().unwrap_or_default().to_string_lossy();
            logs.insert(format!("{namespace}/{stem}"), text.into_bytes());
        }
    }
    Ok(logs)
}

/// A log of a container that does not exist would never be read.
pub(super) fn stray_logs(folder: &Path, parsed: &Parsed, objects: &[Placed]) -> Vec<Fault> {
    let mut containers: Vec<String> = Vec::new();
    for pod in objects.iter().filter_map(|placed| placed.key.strip_prefix("Pod ").map(|key| (key, placed))) {
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            let named = pod.1.value["spec"][list].as_array().into_iter().flatten();
            let names = named.filter_map(|container| container["name"].as_str());
            containers.extend(names.map(|name| format!("{}.{name}", pod.0)));
        }
    }
    let mut faults = Vec::new();
    for key in parsed.logs.keys() {
        let of = key.strip_suffix(".current").or_else(|| key.strip_suffix(".previous")).unwrap_or(key);
        if !containers.iter().any(|container| container == of) {
            let path = folder.join(LOGS).join(format!("{key}.log"));
            faults.extend(fault(&path, 1, "no pod of this case has such a container".to_owned()));
        }
    }
    faults
}

fn fault(path: &Path, line: u64, message: String) -> Vec<Fault> {
    vec![Fault { path: path.display().to_string(), line, column: 1, message }]
}
