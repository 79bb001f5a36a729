//! The same report in other languages: the fixed words change, what runbooks and the cluster said does not.

use super::payloads::shown;
use super::*;

#[test]
fn what_changed_first_is_told_in_every_language() {
    let mut report = found();
    let rollout = "rollout of revision 7 (image a:1 → a:2)";
    report.changed_first = vec![
        Changed {
            why: "only pods of this revision fail".to_owned(),
            ..changed("2026-11-21T10:02:11Z", rollout, Near::Itself, 180)
        },
        changed("2026-11-21T10:05:11Z", "Node n1 stopped being ready (KubeletNotReady)", Near::Node, 0),
        changed("2026-11-21T10:05:12Z", "no relation known", Near::Neighbour, 0),
        changed("2026-11-21T10:06:11Z", "rollout of Deployment cart revision 2", Near::Callee, -60),
        changed("2026-11-21T10:06:12Z", "a fourth", Near::Caller, -61),
    ];
    report.timeline[0].trigger = true;
    report.timeline[0].why = "said above".to_owned();
    let lines = |tag: &str| {
        let telling = Telling { words: Words::of(tag), ..telling(None) };
        let text = shown(&blocks::summary(telling, &workload(), &report));
        assert!(
            !["a fourth", "said above", "no relation known"].iter().any(|one| text.contains(one)),
            "{text}"
        );
        assert!(text.contains(":arrow_right: 10:02:11"), "{text}");
        let title = format!("*{}*", Words::of(tag).what_changed);
        let told = text.lines().skip_while(|line| !line.contains(&title)).skip(1).take(3);
        told.map(|line| line.trim_start_matches([' ', '|']).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        lines("en"),
        [
            format!(
                "1. {rollout}, 3 min before the onset, the workload itself; only pods of this revision fail"
            ),
            "2. Node n1 stopped being ready (KubeletNotReady), at the onset, a node it runs on".to_owned(),
            "3. rollout of Deployment cart revision 2, 1 min after the onset, something it calls".to_owned(),
        ]
    );
    assert_eq!(
        lines("ko")[0],
        format!("1. {rollout}, 이상 시작 3분 전, 워크로드 자체; only pods of this revision fail")
    );
    assert_eq!(
        lines("ja")[2],
        "3. rollout of Deployment cart revision 2、異常開始の1分後、ワークロードの呼び出し先"
    );
}

#[test]
fn what_has_no_relation_is_told_where_nothing_else_changed() {
    let mut report = found();
    report.changed_first = vec![changed("2026-11-21T10:05:12Z", "rollout of cart", Near::Neighbour, 0)];
    let text = shown(&blocks::summary(telling(None), &workload(), &report));
    assert!(text.contains("1. rollout of cart, at the onset, no relation known"), "{text}");
}

#[test]
fn a_report_in_korean() {
    let last = before(found());
    let telling = Telling { words: Words::of("ko"), ..full(&last) };
    insta::assert_snapshot!(shown(&blocks::summary(telling, &workload(), &found())), @r#"
    text: 원인 확인: Deployment prod-api/user-service. Both pods of user-service cannot start: a Secret that they need is missing. 이유: Secret prod-api/db-credentials does not exist; container user reads DATABASE_URL from it. 다음: Look whether the Secret has another name.
    {"text":{"emoji":false,"text":null,"type":"plain_text"},"type":"header"}
      | 원인 확인: Deployment prod-api/user-service
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | Both pods of user-service cannot start: a Secret that they need is missing.
      | *이유:* Secret prod-api/db-credentials does not exist; container user reads DATABASE_URL from it
      | *문제 대상:* `Secret prod-api/db-credentials` (설정)
      | *영향 범위:* 이 워크로드만; 파드 2개 중 2개 비정상
      | *확신도:* 높음, 인용 2건 중 2건이 원문과 일치
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *근거* (2026년 11월 21일 10:13:02 UTC에 읽음)
      | E3, kubernetes, 2026년 11월 21일 10:02:14 UTC: `GET /api/v1/namespaces/prod-api/events`
      | ```
      | Error: secret "db-credentials" not found
      | ```
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | E2, kubernetes: `GET /apis/apps/v1/namespaces/prod-api/deployments/user-service`
      | ```
      | ProgressDeadlineExceeded
      | ```
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *시간순 경과* (2026-11-21, UTC)
      | • 10:02:11  revision 7 rolled out: containers[user].env DATABASE_URL
      | • 10:02:14  first warning: Error: secret "db-credentials" not found
      | • 10:12:20  alert KubeDeploymentRolloutStuck fired
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *다음 조치*
      | 1. Look whether the Secret has another name. (변경 없음)
      | ```
      | kubectl -n prod-api get secret
      | ```
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | 2. Go back to the last working revision. (위험 낮음)
      | ```
      | kubectl -n prod-api rollout undo deployment/user-service
      | ```
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *함께 관찰됨*
      | • `Deployment prod-api/user-service`: the rollout has made no progress for 10 min
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *확인하지 못한 것*
      | • loki, logs of user-service: not configured
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *이전 발생*
      | 2026년 11월 20일 08:00:05 UTC: 같은 원인. 18분 후 종료되었습니다.
      | 당시 권고: Look whether the Secret has another name.
      | 당시 메모: We put the Secret back by hand.
      | <https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000002|당시 보고서>
    {"elements":[{"text":null,"type":"mrkdwn","verbatim":true}],"type":"context"}
      | 런북 pod-not-starting (1f2e3d4c5b6a): 일반 런북이며 이 알림을 위한 문서는 아직 없습니다.
      | 조사: 0.8초, 모델 사용 안 함, $0.00.
      | <https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000001|전체 보고서>
      [👍 도움됨] "whodunit_helpful"
      [👎 도움 안 됨] "whodunit_not_helpful"
      [다시 조사] "whodunit_rerun"
      [문제 아님] "whodunit_not_a_problem"
      [근거 보기] "whodunit_evidence"
    "#);
}

#[test]
fn a_report_in_japanese() {
    let telling = Telling { words: Words::of("ja-JP"), ..telling(Some(URL)) };
    let checkout = Workload::new("lab", "shop", "Deployment", "checkout");
    insta::assert_snapshot!(shown(&blocks::summary(telling, &checkout, &inconclusive())), @r#"
    text: 原因は未特定: Deployment shop/checkout. Latency of checkout rose at 10:05; its pods are healthy and nothing was rolled out. 次: Ask the owners of payments whether they saw it too.
    {"text":{"emoji":false,"text":null,"type":"plain_text"},"type":"header"}
      | 原因は未特定: Deployment shop/checkout
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | Latency of checkout rose at 10:05; its pods are healthy and nothing was rolled out.
      | *影響範囲:* 異常なワークロードは見つからず
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *見つかったこと*
      | 既知のパターンには一致しません。
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *原因ではないもの*
      | • no restart in the last hour (E4)
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *確認できなかったもの*
      | • tempo, traces of checkout: no answer within 10 s
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *読み取った内容*
      | E1、prometheus: `histogram_quantile(0.99, …)`
      | ```
      | 0.21 → 2.4 s at 10:05
      | ```
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *次に確認すること*
      | 1. Ask the owners of payments whether they saw it too.
    {"elements":[{"text":null,"type":"mrkdwn","verbatim":true}],"type":"context"}
      | 一致するランブックがありません。このアラート用のページがあると次回役立ちます。
      | 調査: 41秒、12ステップ、48210トークン、$0.08。
      | <https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000001|完全なレポート>
    "#);
    let names = vec!["KubePodNotReady".to_owned()];
    let view = view(&checkout, &names);
    let at = at("2026-11-21T12:30:20Z");
    let resolved = Standing::Resolved { at, report: Some(&found()) };
    insta::assert_snapshot!(shown(&blocks::parent(telling, &view, resolved)), @r#"
    text: 解決 (重大度は critical でした): Deployment shop/checkout. Deployment user-service has been stuck for 10 minutes
    {"text":{"emoji":false,"text":null,"type":"plain_text"},"type":"header"}
      | 解決 (重大度は critical でした): Deployment shop/checkout
    {"text":{"text":null,"type":"mrkdwn","verbatim":true},"type":"section"}
      | *Deployment user-service has been stuck for 10 minutes*
      | *解決* 2026年11月21日 12:30:20 UTC、2時間18分後。
      | *原因を特定* (確度 高): Secret prod-api/db-credentials does not exist; container user reads DATABASE_URL from it
      | *アラート:* `KubePodNotReady`
      | *開始:* 2026年11月21日 10:12:20 UTC (これまでにアラート3件)
      | *クラスタ:* `lab`
    {"elements":[{"text":null,"type":"mrkdwn","verbatim":true}],"type":"context"}
      | <https://whodunit.example/investigations/019aa000-0000-7000-8000-000000000001|完全なレポート>
    "#);
}
