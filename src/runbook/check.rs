//! The lint behind `whodunit runbooks check`: folders come in, every fault with path, line and column goes
//! out, in the order of the files. It reads files and changes nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::catalogue::Origin;
use super::folder::{File, read_folders};
use super::{Fault, Runbook, builtin};

/// Checks the runbooks of these folders, each on its own and all together with the built-in ones.
pub fn check(folders: &[PathBuf]) -> Vec<Fault> {
    let (files, unreadable) = read_folders(folders);
    check_files(&files, unreadable)
}

/// Checks files that were read already, with what could not be read.
pub(super) fn check_files(files: &[File], unreadable: Vec<Fault>) -> Vec<Fault> {
    let mut faults = unreadable;
    let mut runbooks: Vec<Runbook> = Vec::new();
    for (path, text) in builtin::FILES {
        match super::parse(&builtin::path(path), text, true) {
            Ok(runbook) => runbooks.push(runbook),
            Err(found) => faults.extend(found),
        }
    }
    for file in files {
        match super::parse(&file.path, &file.text, false) {
            Ok(runbook) => runbooks.push(runbook),
            Err(found) => faults.extend(found),
        }
    }
    faults.extend(together(&runbooks));
    faults.sort();
    faults
}

/// What only shows across files: ids and names given twice, explanations of nothing.
pub(super) fn together(runbooks: &[Runbook]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut ids: BTreeMap<&str, (&Runbook, Origin)> = BTreeMap::new();
    let mut names: BTreeMap<&str, &Runbook> = BTreeMap::new();
    for runbook in runbooks {
        let mut complain = |(line, column): (u64, u64), message: String| {
            faults.push(Fault { path: runbook.path.clone(), line: line + 1, column, message });
        };
        let origin = Origin::of(runbook);
        if let Some(first) = names.get(runbook.name.as_str()).filter(|first| Origin::of(first) == origin) {
            complain((0, 1), format!("the name `{}` is taken by {}", runbook.name, first.path));
        }
        names.insert(&runbook.name, runbook);
        for signature in &runbook.signatures {
            // A folder's signature may replace a built-in one of the same id; two of one origin may not clash.
            match ids.get(signature.id.as_str()) {
                Some((first, known)) if *known == origin => {
                    complain(
                        signature.place(),
                        format!("signature `{}` is also in {}", signature.id, first.path),
                    );
                }
                _ => {
                    ids.insert(&signature.id, (runbook, origin));
                }
            }
        }
    }
    for runbook in runbooks {
        for signature in &runbook.signatures {
            for (id, (line, column)) in signature.explains_with_places() {
                if !ids.contains_key(id) {
                    let message = format!("signature `{}` explains `{id}`, which is not known", signature.id);
                    faults.push(Fault { path: runbook.path.clone(), line: line + 1, column, message });
                }
            }
        }
    }
    faults
}
