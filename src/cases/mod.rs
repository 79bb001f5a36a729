//! Cases: what a cluster looked like, and what must be found in it. Folders come in; each is served as a
//! cluster over HTTP on loopback and investigated as in life, without a model; verdicts go out. It writes
//! nothing, and a case that cannot be read is a fault with its place, never a case left out in silence.

mod capture;
mod case;
mod check;
mod files;
mod objects;
mod patch;
mod read;
mod redacted;
mod replay;
mod show;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use serde::Serialize;

use crate::runbook::{BUILTIN_FOLDER, Catalogue, Fault};
use crate::signature::Signature;

pub use self::capture::{Captured, capture};
pub use self::case::Case;
pub use self::show::{Detail, text};
pub use self::verdict::Verdict;

/// Cases under investigation at the same time; each has a listener and a few connections.
const CONCURRENT_CASES: usize = 16;

/// What was tested, and what came of it.
#[derive(Debug, Serialize)]
pub struct Tested {
    pub verdicts: Vec<Verdict>,
    /// Cases and runbooks that cannot be read, and signatures that no case expects.
    #[serde(serialize_with = "as_text")]
    pub faults: Vec<Fault>,
    /// Signatures of the folders, not those of the binary.
    pub signatures: usize,
    /// Ids of the folders' signatures that no case expects.
    pub without_match: Vec<String>,
    /// Ids of the folders' signatures that no case rules out.
    pub without_near_miss: Vec<String>,
    pub seconds: f64,
}

impl Tested {
    pub fn passed(&self) -> bool {
        self.faults.is_empty() && self.verdicts.iter().all(Verdict::passed)
    }

    /// Every signature of the folders has a near miss too.
    pub fn complete(&self) -> bool {
        self.without_near_miss.is_empty()
    }
}

fn as_text<S: serde::Serializer>(faults: &[Fault], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(faults.iter().map(ToString::to_string))
}

/// What all replays need.
struct Shared {
    catalogue: Arc<Catalogue>,
    /// Ids of signatures that know no cause.
    catch_alls: BTreeSet<String>,
    http: reqwest::Client,
    deadline: Duration,
}

impl Shared {
    async fn verdict(&self, case: &Case) -> Verdict {
        match replay::replay(case, &self.catalogue, &self.http, self.deadline).await {
            Ok(report) => verdict::judge(case, &report, &self.catch_alls),
            Err(error) => Verdict::broken(case, format!("{error:#}")),
        }
    }
}

/// Signatures of these folders that no case expects, at their places in the runbooks, and cases that cannot
/// be read.
pub fn uncovered(folders: &[PathBuf]) -> Vec<Fault> {
    if folders.is_empty() {
        return Vec::new();
    }
    let catalogue = Catalogue::rehearse(folders);
    let read = read::all(&read::places(folders), "");
    let mut warnings = read.faults;
    for (id, (signature, path)) in own(&catalogue) {
        if !read.cases.iter().any(|case| case.finds(id)) {
            warnings.push(untested(signature, path));
        }
    }
    warnings.sort();
    warnings
}

/// The fault of a signature that no case expects: nobody knows whether it finds anything.
fn untested(signature: &Signature, path: &str) -> Fault {
    let (line, column) = signature.place();
    let message = format!("no case expects signature `{}`; add one below cases/", signature.id);
    Fault { path: path.to_owned(), line: line + 1, column, message }
}

/// Signatures of the folders, not those of the binary.
fn own(catalogue: &Catalogue) -> BTreeMap<&str, (&Signature, &str)> {
    let mut all = catalogue.all_signatures();
    all.retain(|_, (_, path)| !path.is_empty() && !path.starts_with(BUILTIN_FOLDER));
    all
}

/// Runs the cases of these folders whose `family/name` holds `filter`, each within `deadline`.
pub async fn test(
    folders: &[PathBuf],
    filter: &str,
    http: &reqwest::Client,
    deadline: Duration,
) -> anyhow::Result<Tested> {
    let began = Instant::now();
    let at = read::places(folders);
    let (roots, wanted) = (at.roots.clone(), filter.to_owned());
    // Both read files and compile; neither waits for the other.
    let catalogue = tokio::task::spawn_blocking(move || Catalogue::rehearse(&roots));
    let cases = tokio::task::spawn_blocking(move || read::all(&at, &wanted));
    let (catalogue, read) = (Arc::new(catalogue.await?), cases.await?);
    let mut faults = catalogue.faults().to_vec();
    faults.extend(read.faults);
    let known = catalogue.all_signatures();
    let mut cases = Vec::with_capacity(read.cases.len());
    for case in read.cases {
        let misprints = case.unknown_ids(|id| known.contains_key(id));
        if misprints.is_empty() {
            cases.push(case);
        } else {
            faults.extend(misprints);
        }
    }
    let catch_alls = known.iter().filter(|(_, (one, _))| one.catch_all).map(|(id, _)| (*id).to_owned());
    let shared = Arc::new(Shared {
        catalogue: Arc::clone(&catalogue),
        catch_alls: catch_alls.collect(),
        http: http.clone(),
        deadline,
    });
    let cases: Vec<Arc<Case>> = cases.into_iter().map(Arc::new).collect();
    let replays = cases.iter().map(|case| {
        let (case, shared) = (Arc::clone(case), Arc::clone(&shared));
        // A task of its own, so that all cores replay; one that panics is told as a fault of its case.
        let task = tokio::spawn({
            let case = Arc::clone(&case);
            async move { shared.verdict(&case).await }
        });
        async move { task.await.unwrap_or_else(|error| Verdict::broken(&case, format!("{error}"))) }
    });
    let mut verdicts: Vec<Verdict> =
        futures::stream::iter(replays).buffer_unordered(CONCURRENT_CASES).collect().await;
    verdicts.sort_by(|a, b| (&a.family, &a.name).cmp(&(&b.family, &b.name)));
    let own = own(&catalogue);
    // Of cases that were left out nobody can say what they cover.
    let own_ids: Vec<&str> = if filter.is_empty() { own.keys().copied().collect() } else { Vec::new() };
    let without = |has: &dyn Fn(&Case, &str) -> bool| -> Vec<String> {
        let lacking = own_ids.iter().filter(|id| !cases.iter().any(|case| has(case, id)));
        lacking.map(|id| (*id).to_owned()).collect()
    };
    let without_match = without(&Case::finds);
    let lacking = without_match.iter().filter_map(|id| own.get(id.as_str()));
    faults.extend(lacking.map(|(signature, path)| untested(signature, path)));
    Ok(Tested {
        without_match,
        without_near_miss: without(&|case, id| case.near_miss_of.as_deref() == Some(id)),
        signatures: own.len(),
        verdicts,
        faults,
        seconds: began.elapsed().as_secs_f64(),
    })
}
