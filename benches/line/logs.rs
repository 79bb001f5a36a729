//! How well and how fast logs are condensed: grouping accuracy and F1 on the labelled lines of this repository, and
//! on LogHub's where `WHODUNIT_LOGHUB` names a folder with `*_2k.log_structured.csv`; records a second on one core
//! beside drain3 in the same run; tokens of the lines and of their digest.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Instant;

use anyhow::{Context, Result};
use whodunit::evidence::classify::class_and_weight;
use whodunit::logs::digest::Line;
use whodunit::logs::group::{Grouper, MAX_RECORDS};
use whodunit::logs::screen::screen;

#[path = "../../src/logs/tests/labelled.rs"]
mod labelled;

/// Of a digest, as tools ask for it.
const DIGEST_BYTES: usize = 6_000;
/// About what a token is of logs.
const BYTES_PER_TOKEN: usize = 4;
const ROUNDS: usize = 5;

/// Prints all figures.
pub fn print(print: fn(&str, &str)) -> Result<()> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/logs/labelled");
    let all = accuracy("own", &own, print)?;
    match std::env::var_os("WHODUNIT_LOGHUB") {
        Some(folder) => {
            accuracy("LogHub", &PathBuf::from(folder), print)?;
        }
        None => print("grouping on LogHub", "skipped: WHODUNIT_LOGHUB names no folder"),
    }
    let lines: Vec<&str> = all.iter().map(String::as_str).cycle().take(MAX_RECORDS).collect();
    speed(&lines, print);
    drain3(&lines, print)
}

/// Grouping by file; gives the records of all.
fn accuracy(name: &str, folder: &Path, print: fn(&str, &str)) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "csv"));
    files.retain(|file| name == "own" || file.to_string_lossy().ends_with("_2k.log_structured.csv"));
    files.sort();
    let (mut sums, mut all, mut tokens) = ((0.0, 0.0), Vec::new(), (0, 0));
    for file in &files {
        let labelled = labelled::read(file);
        let mut grouper = Grouper::new();
        for (text, _) in &labelled {
            grouper.add(text);
        }
        let labels: Vec<&str> = labelled.iter().map(|(_, label)| label.as_str()).collect();
        let (accuracy, f1) = labelled::fit(&labels, &grouper.finish().of_record);
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        print(&format!("grouping, {name}, {stem}"), &format!("accuracy {accuracy:.3}, F1 {f1:.3}"));
        sums = (sums.0 + accuracy, sums.1 + f1);
        let texts = labelled.into_iter().map(|(text, _)| text).collect::<Vec<String>>();
        let line = |text: &str| Line { at: None, stream: 0, text: text.to_owned() };
        let lines: Vec<Line> = texts.iter().flat_map(|text| text.lines()).map(line).collect();
        tokens.0 += texts.iter().map(String::len).sum::<usize>() / BYTES_PER_TOKEN;
        tokens.1 += screen(&lines, None, class_and_weight, DIGEST_BYTES).len() / BYTES_PER_TOKEN;
        all.extend(texts);
    }
    let count = files.len().max(1) as f64;
    let means =
        format!("accuracy {:.3}, F1 {:.3} over {} files", sums.0 / count, sums.1 / count, files.len());
    print(&format!("grouping, {name}, mean"), &means);
    print(&format!("tokens, {name}"), &format!("{} of lines, {} of digests", tokens.0, tokens.1));
    Ok(all)
}

fn speed(lines: &[&str], print: fn(&str, &str)) {
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let start = cpu_seconds();
        let mut grouper = Grouper::new();
        for line in lines {
            grouper.add(line);
        }
        std::hint::black_box(grouper.finish());
        best = best.min(cpu_seconds() - start);
    }
    let bytes = lines.iter().map(|line| line.len()).sum::<usize>() / lines.len().max(1);
    print(
        &format!("records a second of CPU, {bytes} bytes each, one thread"),
        &format!("{:.0}", lines.len() as f64 / best),
    );
}

/// Of this thread, so that others on the machine do not count; where the kernel does not tell, the wall's.
fn cpu_seconds() -> f64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = told.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok());
    nanos.map_or_else(|| START.elapsed().as_secs_f64(), |nanos| nanos / 1e9)
}

/// drain3 with its usual masks over the same records, with the Python that `WHODUNIT_DRAIN3` names.
fn drain3(lines: &[&str], print: fn(&str, &str)) -> Result<()> {
    let Some(python) = std::env::var_os("WHODUNIT_DRAIN3") else {
        print("drain3", "skipped: WHODUNIT_DRAIN3 names no Python that has it");
        return Ok(());
    };
    let file = tempfile::NamedTempFile::new()?;
    let flat: Vec<String> = lines.iter().map(|line| line.replace('\n', " | ")).collect();
    std::fs::write(file.path(), flat.join("\n"))?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/line/drain3_speed.py");
    let output = Command::new(python).arg(script).arg(file.path()).output()?;
    let text = if output.status.success() { output.stdout } else { output.stderr };
    print("drain3, the same records", String::from_utf8_lossy(&text).trim());
    Ok(())
}
