//! Labelled records, and how well a grouping fits their labels: grouping accuracy (a record counts when its group has
//! exactly the records of its label) and F1 over pairs of records.

use std::collections::BTreeMap;
use std::path::Path;

/// Records with their labels, from a file with the columns `Content` and `EventId`.
pub fn read(file: &Path) -> Vec<(String, String)> {
    let rows = rows(&std::fs::read_to_string(file).unwrap_or_default());
    let Some((head, rows)) = rows.split_first() else { return Vec::new() };
    let column = |name: &str| head.iter().position(|own| own.trim_start_matches('\u{feff}') == name);
    let (Some(content), Some(event)) = (column("Content"), column("EventId")) else { return Vec::new() };
    rows.iter().filter_map(|row| Some((row.get(content)?.clone(), row.get(event)?.clone()))).collect()
}

fn rows(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut is_quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if is_quoted && chars.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !is_quoted => {}
            '\n' if !is_quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            c => cell.push(c),
        }
    }
    if !row.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    rows
}

/// Grouping accuracy and F1 over pairs.
pub fn fit(labels: &[&str], groups: &[usize]) -> (f64, f64) {
    let mut of_label: BTreeMap<&str, usize> = BTreeMap::new();
    let mut of_group: BTreeMap<usize, usize> = BTreeMap::new();
    let mut both: BTreeMap<(&str, usize), usize> = BTreeMap::new();
    for (label, group) in labels.iter().zip(groups) {
        *of_label.entry(label).or_default() += 1;
        *of_group.entry(*group).or_default() += 1;
        *both.entry((label, *group)).or_default() += 1;
    }
    let is_exact = |((label, group), count): &(&(&str, usize), &usize)| {
        of_label.get(label) == Some(count) && of_group.get(group) == Some(count)
    };
    let exact: usize = both.iter().filter(is_exact).map(|(_, count)| count).sum();
    let pairs = |counts: &mut dyn Iterator<Item = &usize>| -> f64 {
        counts.map(|count| (count * (count - 1) / 2) as f64).sum()
    };
    let right = pairs(&mut both.values());
    let sum = pairs(&mut of_label.values()) + pairs(&mut of_group.values());
    (exact as f64 / labels.len().max(1) as f64, if sum > 0.0 { 2.0 * right / sum } else { 1.0 })
}
