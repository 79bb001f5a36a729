//! The same report in other languages: the fixed words change, what runbooks and the cluster said does not.

use super::payloads::shown;
use super::*;

#[test]
fn a_report_in_korean() {
    let last = before(found());
    let telling = Telling { words: Words::of("ko"), ..full(&last) };
    insta::assert_snapshot!(shown(&blocks::summary(telling, &workload(), &found())), @"");
}

#[test]
fn a_report_in_japanese() {
    let telling = Telling { words: Words::of("ja-JP"), ..telling(Some(URL)) };
    let checkout = Workload::new("lab", "shop", "Deployment", "checkout");
    insta::assert_snapshot!(shown(&blocks::summary(telling, &checkout, &inconclusive())), @"");
    let names = vec!["KubePodNotReady".to_owned()];
    let view = view(&checkout, &names);
    let at = at("2026-11-21T12:30:20Z");
    let resolved = Standing::Resolved { at, report: Some(&found()) };
    insta::assert_snapshot!(shown(&blocks::parent(telling, &view, resolved)), @"");
}
