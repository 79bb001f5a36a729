//! `whodunit crd`: the definition of the kind InvestigationPolicy, as a cluster wants it. It asks nobody.

use std::process::ExitCode;

use crate::source::kubernetes::policy_object::definition;

pub fn run() -> anyhow::Result<ExitCode> {
    print!("{}", text()?);
    Ok(ExitCode::SUCCESS)
}

/// By way of JSON, whose keys have an order that does not change.
fn text() -> anyhow::Result<String> {
    Ok(serde_saphyr::to_string(&serde_json::to_value(definition())?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_definition_is_the_one_of_this_program() {
        let shipped = include_str!("../../deploy/helm/whodunit/files/crd.yaml");
        let (comment, definition) = shipped.split_once('\n').unwrap();
        assert!(comment.starts_with("# Written by `whodunit crd`"));
        assert_eq!(definition, text().unwrap(), "make deploy-write");
    }
}
