use super::*;

#[test]
fn the_built_in_runbooks_have_no_fault() {
    let faults = check(&[]);
    let text: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert!(text.is_empty(), "{}", text.join("\n"));
    assert!(Catalogue::builtin().faults().is_empty());
}
