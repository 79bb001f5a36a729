//! `config/whodunit.yaml` is the documentation of the settings: it may neither lack a key nor lie about a default.
//! The README's table of alerts is what the program says.

use std::path::Path;

use whodunit::settings::{OutletKind, Settings};

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn the_documented_settings_are_the_defaults() {
    let settings: Settings = serde_saphyr::from_str(&read("config/whodunit.yaml")).unwrap();
    assert_eq!(format!("{settings:#?}"), format!("{:#?}", Settings::default()));
}

/// Examples of lists whose default is empty stand in comments: the text as it is without their marks.
fn examples() -> String {
    let text = read("config/whodunit.yaml");
    let example = |list: &str| -> String {
        let start =
            text.find(list).unwrap_or_else(|| panic!("config/whodunit.yaml shows no example of {list}"));
        let lines = text[start..].lines().map_while(|line| line.strip_prefix('#'));
        lines.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect()
    };
    ["alertmanagers", "clusters", "models", "policies", "quotas", "slack", "outlets", "api"]
        .map(|list| example(&format!("# {list}:\n")))
        .concat()
}

#[test]
fn the_commented_example_of_models_can_be_read_and_names_each_provider() {
    let settings: Settings = serde_saphyr::from_str(&examples()).unwrap();
    let providers: Vec<String> =
        settings.models.iter().map(|model| format!("{:?}", model.provider)).collect();
    assert_eq!(providers, ["Anthropic", "OpenAi", "OpenAi", "Bedrock"]);
    // Values in the example that are defaults are the true ones: a model that says nothing has them.
    let bare: Settings = serde_saphyr::from_str("models: [{name: a, provider: openai, model: m}]").unwrap();
    let (bare, full) = (&bare.models[0], &settings.models[0]);
    assert_eq!(
        (bare.max_output_tokens, bare.idle_secs, bare.total_secs),
        (full.max_output_tokens, full.idle_secs, full.total_secs)
    );
    let default = format!("# default: {}\n", bare.context_tokens);
    assert!(examples().contains(&default), "the example says another default of context_tokens");
}

#[test]
fn the_commented_example_of_routes_works() {
    let settings: Settings = serde_saphyr::from_str(&examples()).unwrap();
    assert_eq!(settings.slack.routes.len(), 1);
    whodunit::slack::Routes::new(&settings.slack).unwrap();
}

#[test]
fn the_commented_examples_of_policies_and_clusters_work() {
    let settings: Settings = serde_saphyr::from_str(&examples()).unwrap();
    assert_eq!((settings.policies.len(), settings.quotas.len(), settings.clusters.len()), (1, 2, 2));
    whodunit::policy::Policies::new(&settings).unwrap();
    whodunit::incident::cluster::Belonging::new(&settings).unwrap();
}

#[test]
fn the_commented_example_of_outlets_shows_each_kind_and_can_be_read() {
    let settings: Settings = serde_saphyr::from_str(&examples()).unwrap();
    let kinds: Vec<OutletKind> = settings.outlets.iter().map(|outlet| outlet.kind).collect();
    assert_eq!(kinds, [OutletKind::Teams, OutletKind::Webhook]);
    let bare: Settings = serde_saphyr::from_str("outlets: [{name: a, kind: teams}]").unwrap();
    assert!(settings.outlets.iter().all(|outlet| outlet.timeout_secs == bare.outlets[0].timeout_secs));
}

#[test]
fn every_setting_is_documented() {
    let documented = read("config/whodunit.yaml") + &examples();
    let parts = [
        "settings.rs",
        "settings/telemetry.rs",
        "settings/git.rs",
        "settings/report.rs",
        "settings/slack.rs",
        "settings/source.rs",
        "settings/clusters.rs",
        "settings/policy.rs",
        "settings/outlets.rs",
        "settings/api.rs",
    ];
    let source: String = parts.iter().map(|part| read(&format!("src/{part}"))).collect();
    let keys: Vec<&str> = source
        .lines()
        .filter_map(|line| line.strip_prefix("    pub ")?.split_once(": "))
        .map(|(key, _)| if key == "matches" { "match" } else { key })
        .filter(|key| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .collect();
    assert!(keys.len() > 40, "found only {} keys in src/settings.rs", keys.len());
    let is_documented = |key: &str| {
        let opens = |line: &str| {
            let line = line.trim_start();
            line.trim_start_matches("- ").starts_with(&format!("{key}:"))
        };
        // `{input: 3, output: 15}` documents its keys too.
        let inline =
            |line: &str| line.contains(&format!("{{{key}: ")) || line.contains(&format!(", {key}: "));
        documented.lines().any(|line| opens(line) || (!line.trim_start().starts_with('#') && inline(line)))
    };
    let missing: Vec<&&str> = keys.iter().filter(|key| !is_documented(key)).collect();
    assert!(missing.is_empty(), "config/whodunit.yaml says nothing of {missing:?}");
}

#[test]
fn the_table_of_alerts_in_the_readme_is_what_the_program_says() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_whodunit"));
    let output = command.args(["runbooks", "alerts", "--markdown"]).output().unwrap();
    assert!(output.status.success());
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.lines().count() > 40, "{table}");
    let readme = read("README.md");
    let (_, rest) = readme.split_once("held by a test -->\n").expect("README.md has no table of alerts");
    let (written, _) = rest.split_once("<!-- end of alerts -->").expect("the table of alerts has no end");
    assert!(
        written == table,
        "write the table of README.md anew: whodunit runbooks alerts --markdown\n{table}"
    );
}
