//! What the program may do in the cluster: a service account with too many rights keeps `serve` from starting, and
//! `config check --live` shows what each source says.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use tokio_util::sync::{CancellationToken, DropGuard};
use whodunit::demo::backends::{Backend, BackendStandIn};
use whodunit::demo::{KubernetesStandIn, Recording};

use crate::house::{database, listen};
use crate::program::{Program, command};

/// The recorded cluster, whose answers about rights are these.
async fn cluster(rights: &[&str]) -> (String, Arc<KubernetesStandIn>, DropGuard) {
    let end = CancellationToken::new();
    let stand_in =
        Arc::new(KubernetesStandIn::new(Recording::embedded().unwrap()).unwrap().with_rights(rights));
    let (listener, url) = listen().await;
    tokio::spawn(Arc::clone(&stand_in).serve(listener, end.clone()));
    (url, stand_in, end.drop_guard())
}

fn serve(folder: &Path, cluster: &str) -> Command {
    let mut command = command(folder);
    command.env("WHODUNIT_KUBERNETES__ENABLED", "true").env("WHODUNIT_KUBERNETES__URL", cluster);
    command
}

async fn output(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_rights_keep_the_service_from_starting_unless_they_are_accepted() {
    let (url, asked, _end) = cluster(&["get secrets", "create pods/exec", "patch deployments.apps"]).await;
    let folder = tempfile::tempdir().unwrap();
    let refused = output(serve(folder.path(), &url)).await;
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr);
    for words in [
        "get secrets everywhere",
        "create pods/exec everywhere",
        "patch deployments.apps everywhere",
        "kubernetes.excess_rights: warn",
    ] {
        assert!(said.contains(words), "{said}");
    }
    assert!(!said.contains("list secrets") && !said.contains("delete pods"), "{said}");
    assert_eq!(asked.writes_refused(), 0);

    let mut accepted = serve(folder.path(), &url);
    accepted.env("WHODUNIT_KUBERNETES__EXCESS_RIGHTS", "warn");
    let mut program = tokio::task::spawn_blocking(move || Program::run(accepted)).await.unwrap();
    assert!(program.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_starts_and_so_does_one_whose_cluster_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let (url, _, end) = cluster(&[]).await;
    let reader = serve(folder.path(), &url);
    let mut program = tokio::task::spawn_blocking(move || Program::run(reader)).await.unwrap();
    assert!(program.terminate().await.success());
    drop(end);
    let (listener, nobody) = listen().await;
    drop(listener);
    let lonely = serve(folder.path(), &nobody);
    let mut program = tokio::task::spawn_blocking(move || Program::run(lonely)).await.unwrap();
    assert!(program.terminate().await.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_check_says_what_each_source_answers_and_fails_when_one_does_not() {
    let (kubernetes, _, _end) = cluster(&[]).await;
    let end = CancellationToken::new();
    let _backends = end.clone().drop_guard();
    let mut urls = Vec::new();
    for backend in [Backend::Prometheus, Backend::Loki, Backend::Tempo] {
        let stand_in = Arc::new(BackendStandIn::new(Recording::embedded().unwrap(), backend).unwrap());
        let (listener, url) = listen().await;
        tokio::spawn(stand_in.serve(listener, end.clone()));
        urls.push(url);
    }
    let (_pool, database) = database().await;
    let check = |kubernetes: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_whodunit"));
        command.args(["config", "check", "--live"]).env("NO_COLOR", "1");
        command.env("WHODUNIT_KUBERNETES__URL", kubernetes).env("WHODUNIT_DATABASE__URL", &database);
        for (name, url) in ["PROMETHEUS", "LOKI", "TEMPO"].iter().zip(&urls) {
            command.env(format!("WHODUNIT_{name}__URL"), url);
        }
        command
    };
    let good = output(check(&kubernetes)).await;
    let said = String::from_utf8_lossy(&good.stdout);
    let line = |source: &str| {
        let found = said.lines().find(|line| line.starts_with(source));
        found.unwrap_or_else(|| panic!("nothing of {source}: {said}")).to_owned()
    };
    assert!(good.status.success(), "{said}");
    assert!(line("database").contains("PostgreSQL 1"), "{said}");
    let kubernetes_line = line("kubernetes");
    assert!(kubernetes_line.contains("v1.36") && kubernetes_line.contains("may only read"), "{said}");
    assert!(kubernetes_line.contains(" namespaces"), "{said}");
    for source in ["prometheus", "loki", "tempo"] {
        assert!(line(source).contains(" ok "), "{said}");
    }

    let (powerful, _, _end) = cluster(&["delete pods"]).await;
    let bad = output(check(&powerful)).await;
    let said = String::from_utf8_lossy(&bad.stdout);
    assert!(!bad.status.success() && said.contains("delete pods everywhere"), "{said}");

    let (launching, _, _end) = cluster(&["create jobs.batch"]).await;
    for (cluster, told) in [(&launching, "ok"), (&kubernetes, "FAULT")] {
        let mut jobs = check(cluster);
        jobs.env("WHODUNIT_WORKER__EXECUTOR", "kubernetes-job").env("WHODUNIT_JOB__IMAGE", "whodunit:0.1.0");
        jobs.env("WHODUNIT_JOB__SERVICE_URL", "http://whodunit:8080")
            .env("WHODUNIT_JOB__NAMESPACES", "[shop, 'x-*']");
        let asked = output(jobs).await;
        let said = String::from_utf8_lossy(&asked.stdout);
        let lines: Vec<&str> = said.lines().filter(|line| line.starts_with("jobs ")).collect();
        assert!(lines.len() == 1 && lines[0].contains(told) && lines[0].contains("shop"), "{said}");
        assert!(!asked.status.success(), "the one may do too much, the other too little: {said}");
    }

    let (listener, nobody) = listen().await;
    drop(listener);
    let away = output(check(&nobody)).await;
    let said = String::from_utf8_lossy(&away.stdout);
    assert!(!away.status.success() && said.contains("kubernetes    FAULT"), "{said}");
    assert!(said.lines().filter(|line| line.contains(" ok ")).count() == 4, "the others were asked: {said}");
}
