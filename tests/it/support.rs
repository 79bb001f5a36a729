//! `whodunit support`: what a report of a fault needs stands in it, and no secret of the settings or of the database.

use std::process::Command;

use crate::house::database;

const SECRETS: [&str; 4] = [
    "xoxb-1111111111-2222222222-abcdefghijklmnop",
    "hunter2hunter2",
    "sk-ant-api03-abcdefghijklmnop",
    "tok-of-the-api",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_tells_of_settings_figures_and_faults_and_of_no_secret() {
    let (pool, url) = database().await;
    sqlx::raw_sql(
        "insert into incidents (id, workload, cluster, namespace, kind, name, state, severity, title, alert_names)
         values (gen_random_uuid(), 'lab/shop/Deployment/a', 'lab', 'shop', 'Deployment', 'a', 'open', 'warning', 'A', '{A}');
         insert into investigations (id, incident_id, state, reason, workload, cluster, namespace, alert_name, error)
         select gen_random_uuid(), id, 'dead', 'opened', workload, cluster, namespace, 'A',
                'the API said: password=hunter2hunter2' from incidents",
    )
    .execute(&pool)
    .await
    .unwrap();
    let output = tokio::task::spawn_blocking(move || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_whodunit"));
        command.arg("support").env("NO_COLOR", "1").env("WHODUNIT_DATABASE__URL", url);
        command.env("WHODUNIT_SLACK__TOKEN", SECRETS[0]).env("WHODUNIT_SLACK__CHANNEL", "#told");
        command.env("WHODUNIT_PROMETHEUS__URL", format!("http://reader:{}@127.0.0.1:1", SECRETS[1]));
        command.env("WHODUNIT_WEBHOOKS__ALERTMANAGER__BEARER_TOKENS", format!("[{}]", SECRETS[3]));
        command.env("WHODUNIT_KUBERNETES__TOKEN", SECRETS[2]).env("WHODUNIT_URL", "http://127.0.0.1:1");
        command.output().unwrap()
    })
    .await
    .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
    for words in [
        "## Settings",
        "#told",
        "WHODUNIT_SLACK__TOKEN\n",
        "PostgreSQL 1",
        "investigations ",
        "dead 1",
        "1 times, last",
        "the API said: ",
        "with faults",
        "## /readyz\n\n~~~~~~\nnot read: ",
    ] {
        assert!(said.contains(words), "nothing of {words:?}: {said}");
    }
    for secret in SECRETS {
        assert!(!said.contains(secret), "{secret} stands in it: {said}");
    }
}
