//! `config/whodunit.yaml` is the documentation of the settings: it may neither lack a key nor lie about a default.

use std::path::Path;

use whodunit::settings::Settings;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn the_documented_settings_are_the_defaults() {
    let settings: Settings = serde_saphyr::from_str(&read("config/whodunit.yaml")).unwrap();
    assert_eq!(format!("{settings:#?}"), format!("{:#?}", Settings::default()));
}

#[test]
fn every_setting_is_documented() {
    let documented = read("config/whodunit.yaml");
    let source = read("src/settings.rs");
    let keys: Vec<&str> = source
        .lines()
        .filter_map(|line| line.strip_prefix("    pub ")?.split_once(": "))
        .map(|(key, _)| key)
        .filter(|key| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .collect();
    assert!(keys.len() > 40, "found only {} keys in src/settings.rs", keys.len());
    let missing: Vec<&&str> = keys
        .iter()
        .filter(|key| !documented.lines().any(|line| line.trim_start().starts_with(&format!("{key}:"))))
        .collect();
    assert!(missing.is_empty(), "config/whodunit.yaml says nothing of {missing:?}");
}
