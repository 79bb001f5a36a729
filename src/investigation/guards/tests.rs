//! Tables of phrasings: what must be sent back, and what must pass.

use super::*;
use crate::report::Risk;

fn evidence(quote: &str) -> Evidence {
    Evidence {
        id: "E1".to_owned(),
        source: "kubernetes".to_owned(),
        query: String::new(),
        quote: quote.to_owned(),
        verified: true,
    }
}

fn ruled_out(statement: &str) -> RuledOut {
    RuledOut { statement: statement.to_owned(), evidence: vec!["E1".to_owned()] }
}

fn step(text: &str, command: &str) -> NextStep {
    NextStep { text: text.to_owned(), command: command.to_owned(), risk: Risk::Low }
}

fn check(claim: &str, quotes: &[&str], out: &[&str], steps: &[(&str, &str)]) -> Vec<Objection> {
    let quotes: Vec<_> = quotes.iter().map(|quote| evidence(quote)).collect();
    let out: Vec<_> = out.iter().map(|statement| ruled_out(statement)).collect();
    let steps: Vec<_> = steps.iter().map(|(text, command)| step(text, command)).collect();
    let names = ["kernel-mutex".to_owned(), "clock".to_owned(), "timeout-service".to_owned()];
    objections(&Checked { claim, evidence: &quotes, ruled_out: &out, next_steps: &steps, names: &names })
}

#[test]
fn exotic_causes_in_many_words_are_sent_back() {
    for claim in [
        "A Linux kernel bug corrupts the page cache.",
        "The pods crash because of a kernel regression on node-3",
        "Kernel panic on the node took the pod down",
        "Mutex contention inside the proxy starves the handshake",
        "A deadlock between two goroutines stops the server",
        "There is a race condition in the start-up of the sidecar",
        "Packet loss on the overlay network makes the connection fail",
        "Intermittent network instability between the zones",
        "The network fabric drops SYN packets",
        "The CNI plugin has a bug that misroutes traffic",
        "conntrack table exhaustion on the node",
        "MTU mismatch between the nodes",
        "API server pressure delays the endpoints",
        "The kube-apiserver is overloaded: API server overload after the deploy",
        "Pressure on the Kubernetes API made the leader election fail",
        "etcd is slow, so that leases expire",
        "A cosmic ray flipped a bit",
        "bit flip in DRAM",
        "Faulty memory: hardware error on node-2",
        "Noisy neighbours on the hypervisor steal CPU",
        "CPU steal on the underlying VM",
        "A cloud provider incident",
        "Clock skew between nodes invalidates the tokens",
        "The certificate is not valid because of time drift",
        "NTP is broken on node-1",
        "A kubelet bug restarts the container",
        "containerd deadlock",
        "There is no memory left because the kernel leaks it",
        "The image is fine, but a kernel bug kills the process",
        "It is not the image. The kernel is at fault",
    ] {
        let found = check(claim, &["Back-off restarting failed container"], &[], &[]);
        assert!(matches!(found.as_slice(), [Objection::Exotic(_)]), "{claim}: {found:?}");
    }
}

#[test]
fn mundane_causes_and_mere_mentions_pass() {
    for claim in [
        "There is no bash in the image: the entry point needs /bin/bash",
        "The image tag v2.3.1 does not exist in the registry",
        "exec: \"/bin/bash\": no such file or directory",
        "The container exceeds its memory limit of 32Mi and is killed (OOMKilled)",
        "The kernel's OOM killer ends the process at its limit of 32Mi",
        "The kernel OOM-killed the container at its memory limit",
        "The process is killed by the OOM killer",
        "panic: runtime error: invalid memory address, in the program's own code",
        "The migration cannot reach the database: connection refused",
        "The Secret db-credentials is missing",
        "The Service selects no pods: its selector has a typing error",
        "The node has no room: 0/3 nodes are available, insufficient memory",
        "CPU throttling: the limit of 200m is too low for the load",
        "The liveness probe asks a port that nobody listens on",
        "Not a kernel problem: the command is misspelled",
        "The command is misspelled; there is no sign of packet loss or clock skew",
        "The bad configuration rather than the network fabric explains this",
        "The image is missing; kernel and hardware error were ruled out",
        "Clock skew was ruled out; the token has expired",
        "Deployment kernel-mutex cannot pull its image",
        "The Deployment clock is wrong about its ConfigMap key",
        "The disk is full: no space left on device",
        "The API answered 404 because the route was removed in v2",
        "The request to the API of the payment provider is refused: wrong key",
        "The release image pulls an old shared library, kernel version is irrelevant",
        "A switch from v1 to v2 of the schema broke the query",
    ] {
        assert_eq!(check(claim, &["exit code 1"], &[], &[]), [], "{claim}");
    }
}

#[test]
fn an_exotic_cause_passes_with_direct_evidence_and_the_mundane_ruled_out() {
    let claim = "Clock skew on node-2 makes every token look expired";
    let direct = ["token used before issued: clock skew of 312 s"];
    let all = [
        "the image is the one of last week",
        "command and arguments did not change",
        "configuration and secrets are unchanged",
        "memory and CPU are far below their limits",
        "no rollout for nine days, and no bug in the program's log",
    ];
    assert_eq!(check(claim, &direct, &all, &[]), []);
    let found = check(claim, &["exit code 1"], &all, &[]);
    assert!(found[0].words().contains("no quote in `evidence` directly shows the clock"), "{found:?}");
    let found = check(claim, &direct, &all[..3], &[]);
    assert!(found[0].words().contains("lacks, with quotes: resources, the program's own bug"), "{found:?}");
    // A cause that was ruled out without a quote that holds is not ruled out.
    let bare = RuledOut { statement: "image command config memory bug".to_owned(), evidence: Vec::new() };
    let quotes = [evidence(direct[0])];
    let checked = Checked { claim, evidence: &quotes, ruled_out: &[bare], next_steps: &[], names: &[] };
    assert_eq!(objections(&checked).len(), 1);
}

#[test]
fn more_time_in_many_words_is_sent_back() {
    for advice in [
        "Increase the timeout",
        "Raise the connection timeout to 30 s",
        "Bump timeoutSeconds of the readiness probe",
        "Set a higher initialDelaySeconds",
        "Extend the grace period",
        "Add a sleep before the server starts",
        "Add a delay of ten seconds",
        "Add retries with backoff",
        "Introduce a retry around the handshake",
        "Allow more time for start-up",
        "Give it more time to boot",
        "Consider increasing failureThreshold",
        "Use a longer deadline",
        "The timeout should be increased",
        "progressDeadlineSeconds needs to be raised",
        "Tune the probe timeouts",
        "Relax the startup probe",
        "Do not touch the image. Raise the timeout instead",
        "sleep 30 before the check",
    ] {
        let found = check("The container is not ready", &["connection refused"], &[], &[(advice, "")]);
        assert!(matches!(found.as_slice(), [Objection::Timing { step: 0, .. }]), "{advice}: {found:?}");
    }
    for command in [
        "kubectl -n shop set env deploy/web HTTP_TIMEOUT=60",
        "kubectl patch deploy web -p '{\"spec\":{\"progressDeadlineSeconds\":1200}}'",
    ] {
        let found = check("It is not ready", &["connection refused"], &[], &[("Apply this", command)]);
        assert_eq!(found.len(), 1, "{command}");
    }
}

#[test]
fn other_advice_passes() {
    for advice in [
        "Look why the request times out",
        "Check the retry logs of the client",
        "Reduce the timeout, so that the fallback is used",
        "Remove the sleep from the entry point",
        "Do not raise the timeout: the port is wrong",
        "Fix the port instead of raising the timeout",
        "Restore the delay that revision 4 removed",
        "Correct the image tag",
        "Roll back to revision 3",
        "Create the Secret db-credentials",
        "Raise the memory limit to 64Mi",
        "Increase replicas of timeout-service",
        "Set the environment variable DATABASE_URL",
        "Give the service account permission to list pods",
        "Add the key to the ConfigMap",
    ] {
        assert_eq!(check("x", &["connection refused"], &[], &[(advice, "")]), [], "{advice}");
    }
}

#[test]
fn more_time_passes_with_a_mechanism_that_a_quote_shows() {
    let claim = "The JVM needs 42 s to start, and the liveness probe gives up after 15 s";
    let advice = [("Raise initialDelaySeconds to 60", ""), ("Roll back", "")];
    let probe = "Liveness probe failed; started after 42.1 seconds";
    assert_eq!(check(claim, &[probe], &[], &advice), []);
    let found = check(claim, &["exit code 1"], &[], &advice);
    assert!(found[0].words().contains("no quote shows a time"), "{found:?}");
    let found = check("The JVM is slow", &[probe], &[], &[("Roll back", ""), ("Raise the timeout", "")]);
    let [Objection::Timing { step: 1, missing }] = found.as_slice() else { panic!("{found:?}") };
    assert!(missing.starts_with("Next step 2 asks for more time (\"Raise the timeout\")"), "{missing}");
}
