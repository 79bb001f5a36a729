//! Each step of the credential chain against servers on loopback; no real AWS is asked.

use super::super::tests::server::{Answer, Seen, Server, client, environment};
use super::*;

const NOW: &str = "2026-11-20T10:00:00Z";
const STS_ANSWER: &str = r#"<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleWithWebIdentityResult>
    <SubjectFromWebIdentityToken>system:serviceaccount:monitoring:whodunit</SubjectFromWebIdentityToken>
    <AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/whodunit/whodunit</Arn></AssumedRoleUser>
    <Credentials>
      <SessionToken>AQoD&amp;token==</SessionToken>
      <SecretAccessKey>se/cret</SecretAccessKey>
      <Expiration>2026-11-20T11:00:00Z</Expiration>
      <AccessKeyId>ASIAWEB</AccessKeyId>
    </Credentials>
  </AssumeRoleWithWebIdentityResult>
</AssumeRoleWithWebIdentityResponse>"#;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Nobody listens at these.
fn nowhere() -> Endpoints {
    let nobody = "http://127.0.0.1:9".to_owned();
    Endpoints { sts: Some(nobody.clone()), container: nobody.clone(), instance: nobody }
}

fn chain(variables: &[(&str, &str)], endpoints: Endpoints) -> Chain {
    Chain::new(client(), environment(variables), "eu-central-1", endpoints).unwrap()
}

async fn found(chain: &Chain) -> (String, String, Option<String>) {
    let found = chain.credentials(at(NOW)).await.unwrap();
    let token = found.session_token().map(ToOwned::to_owned);
    (found.access_key_id().to_owned(), found.secret_access_key().to_owned(), token)
}

fn three(id: &str, secret: &str, token: &str) -> (String, String, Option<String>) {
    (id.to_owned(), secret.to_owned(), Some(token.to_owned()))
}

fn answer(id: &str, expiration: &str) -> Answer {
    Answer::ok(&format!(
        r#"{{"Code":"Success","AccessKeyId":"{id}","SecretAccessKey":"s","Token":"t","Expiration":"{expiration}"}}"#
    ))
}

fn file(text: &str) -> (tempfile::NamedTempFile, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    (file, path)
}

#[tokio::test]
async fn the_environment_comes_first_and_half_of_it_is_an_error() {
    let (_file, path) = file("[default]\naws_access_key_id=FILE\naws_secret_access_key=s\n");
    let all = [
        ("AWS_ACCESS_KEY_ID", "ENV"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_SESSION_TOKEN", "t"),
        ("AWS_SHARED_CREDENTIALS_FILE", path.as_str()),
    ];
    assert_eq!(found(&chain(&all, nowhere())).await, three("ENV", "s", "t"));
    assert_eq!(found(&chain(&all[3..], nowhere())).await.0, "FILE");
    let missing = chain(&[all[0], all[3]], nowhere()).credentials(at(NOW)).await.unwrap_err();
    assert_eq!(
        missing.to_string(),
        "no AWS credentials; tried environment: AWS_ACCESS_KEY_ID without AWS_SECRET_ACCESS_KEY"
    );
}

#[tokio::test]
async fn profiles_are_read_from_both_files_and_anew_each_time() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join(".aws");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(
        folder.join("config"),
        "[default]\nregion=x\n[profile dev]\naws_access_key_id=DEV\naws_secret_access_key=s\n",
    )
    .unwrap();
    let home = home.path().to_str().unwrap();
    let named = |profile| chain(&[("HOME", home), ("AWS_PROFILE", profile)], nowhere());
    assert_eq!(found(&named("dev")).await.0, "DEV");
    // A profile that was asked for and has no keys is an error, and nothing else is tried.
    let missing = named("prod").credentials(at(NOW)).await.unwrap_err();
    assert!(missing.to_string().ends_with("profile files: no keys of profile \"prod\""), "{missing}");

    let default = chain(&[("HOME", home)], nowhere());
    assert!(default.credentials(at(NOW)).await.is_err());
    for id in ["ONE", "TWO"] {
        let keys = format!("[default]\naws_access_key_id={id}\naws_secret_access_key=s\n");
        std::fs::write(folder.join("credentials"), keys).unwrap();
        assert_eq!(found(&default).await.0, id);
    }
}

#[tokio::test]
async fn a_service_account_exchanges_its_token_at_sts() {
    let sts = Server::start(|_| Answer::ok(STS_ANSWER)).await;
    let (_file, path) = file("eyJ.token.x\n");
    let role = "arn:aws:iam::1:role/whodunit";
    let variables = [("AWS_WEB_IDENTITY_TOKEN_FILE", path.as_str()), ("AWS_ROLE_ARN", role)];
    let chain = chain(&variables, Endpoints { sts: Some(sts.url.clone()), ..nowhere() });
    assert_eq!(found(&chain).await, three("ASIAWEB", "se/cret", "AQoD&token=="));
    // Five minutes before they end they are fetched again, not earlier.
    chain.credentials(at("2026-11-20T10:54:59Z")).await.unwrap();
    assert_eq!(sts.seen().len(), 1);
    chain.credentials(at("2026-11-20T10:55:00Z")).await.unwrap();
    let seen = sts.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(
        String::from_utf8_lossy(&seen[0].body),
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fwhodunit\
         &RoleSessionName=whodunit&WebIdentityToken=eyJ.token.x"
    );
    assert_eq!(seen[0].method, "POST");
}

#[tokio::test]
async fn a_refusal_of_sts_is_told_and_does_not_fall_back_to_the_node() {
    let instance = Server::start(|_| Answer::ok("node")).await;
    let sts = Server::start(|_| {
        Answer::status(
            403,
            "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
             <Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>",
        )
    })
    .await;
    let (_file, path) = file("token");
    let variables = [("AWS_WEB_IDENTITY_TOKEN_FILE", path.as_str()), ("AWS_ROLE_ARN", "arn:x")];
    let endpoints = Endpoints { sts: Some(sts.url.clone()), instance: instance.url.clone(), ..nowhere() };
    let missing = chain(&variables, endpoints).credentials(at(NOW)).await.unwrap_err();
    let text = missing.to_string();
    assert!(
        text.ends_with(
            "web identity: HTTP 403: AccessDenied Not authorized to perform sts:AssumeRoleWithWebIdentity"
        ),
        "{text}"
    );
    assert!(matches!(missing.fault(), Fault::Unusable { .. }));
    assert!(instance.seen().is_empty());
    // Nobody there: it may come back.
    let missing = chain(&variables, nowhere()).credentials(at(NOW)).await.unwrap_err();
    assert!(matches!(missing.fault(), Fault::Transient { .. }), "{missing}");
    let variables = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/nowhere/token"), ("AWS_ROLE_ARN", "arn:x")];
    let missing = chain(&variables, nowhere()).credentials(at(NOW)).await.unwrap_err();
    assert!(missing.to_string().contains("no token in /nowhere/token"), "{missing}");
}

#[tokio::test]
async fn an_agent_beside_the_container_is_asked_with_its_token() {
    let agent = Server::start(|seen: &Seen| match (seen.path.as_str(), seen.header("authorization")) {
        ("/v1/credentials", "pod-token") => answer("ASIAPOD", "2026-11-20T11:00:00Z"),
        ("/v2/credentials/x", "") => answer("ASIATASK", "2026-11-20T11:00:00Z"),
        _ => Answer::status(401, "no"),
    })
    .await;
    let full = format!("{}/v1/credentials", agent.url);
    let (_file, path) = file("pod-token\n");
    let pod = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", full.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "older"),
    ];
    assert_eq!(found(&chain(&pod, nowhere())).await, three("ASIAPOD", "s", "t"));
    let missing = chain(&pod[..1], nowhere()).credentials(at(NOW)).await.unwrap_err();
    assert!(missing.to_string().ends_with("container: HTTP 401: no"), "{missing}");
    let task = [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/x")];
    let endpoints = || Endpoints { container: agent.url.clone(), ..nowhere() };
    assert_eq!(found(&chain(&task, endpoints())).await.0, "ASIATASK");

    let asked = agent.seen().len();
    for (variable, value) in [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://10.1.2.3/x"),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@evil.example/x"),
    ] {
        let missing = chain(&[(variable, value)], endpoints()).credentials(at(NOW)).await.unwrap_err();
        assert!(matches!(missing.fault(), Fault::Unusable { .. }), "{missing}");
    }
    assert_eq!(agent.seen().len(), asked);
}

#[tokio::test]
async fn an_instance_is_asked_last_with_a_session_of_version_2() {
    let metadata = Server::start(|seen: &Seen| {
        let authorized = seen.header("x-aws-ec2-metadata-token") == "session";
        match (seen.method.as_str(), seen.path.as_str()) {
            ("PUT", "/latest/api/token") => Answer::ok("session"),
            ("GET", "/latest/meta-data/iam/security-credentials/") if authorized => Answer::ok("node role\n"),
            ("GET", "/latest/meta-data/iam/security-credentials/node%20role") if authorized => {
                answer("ASIANODE", "2026-11-20T11:00:00Z")
            }
            _ => Answer::status(401, "no"),
        }
    })
    .await;
    let endpoints = || Endpoints { instance: metadata.url.clone(), ..nowhere() };
    assert_eq!(found(&chain(&[], endpoints())).await, three("ASIANODE", "s", "t"));
    let seen = metadata.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[0].header("x-aws-ec2-metadata-token-ttl-seconds"), "60");
    let off = chain(&[("AWS_EC2_METADATA_DISABLED", "True")], endpoints());
    let text = off.credentials(at(NOW)).await.unwrap_err().to_string();
    assert!(text.contains("switched off by AWS_EC2_METADATA_DISABLED"), "{text}");
    assert_eq!(metadata.seen().len(), 3);
}

#[tokio::test]
async fn an_instance_without_a_role_or_without_an_answer_is_no_place() {
    let metadata =
        Server::start(
            |seen: &Seen| {
                if seen.method == "PUT" { Answer::ok("session") } else { Answer::status(404, "") }
            },
        )
        .await;
    let silent = Server::start(|_| Answer::Silence).await;
    for (url, expected) in [(&metadata.url, "the instance has no role"), (&silent.url, "no answer")] {
        let endpoints = Endpoints { instance: url.clone(), ..nowhere() };
        let missing = chain(&[], endpoints).credentials(at(NOW)).await.unwrap_err();
        assert!(missing.to_string().contains(&format!("instance metadata: {expected}")), "{missing}");
        assert!(matches!(missing.fault(), Fault::Unusable { .. }));
    }
}

#[tokio::test]
async fn what_cannot_be_renewed_is_used_until_it_ends() {
    let agent = Server::start({
        let asked = std::sync::atomic::AtomicUsize::new(0);
        move |_| match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => answer("FIRST", "2026-11-20T10:10:00Z"),
            _ => Answer::status(500, "away"),
        }
    })
    .await;
    let chain = chain(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.url)], nowhere());
    for (time, asked) in [(NOW, 1), ("2026-11-20T10:04:59Z", 1), ("2026-11-20T10:09:59Z", 2)] {
        assert_eq!(chain.credentials(at(time)).await.unwrap().access_key_id(), "FIRST");
        assert_eq!(agent.seen().len(), asked, "{time}");
    }
    let missing = chain.credentials(at("2026-11-20T10:10:00Z")).await.unwrap_err();
    assert!(matches!(missing.fault(), Fault::Transient { .. }), "{missing}");
}

#[tokio::test]
async fn many_callers_fetch_once() {
    let agent = Server::start(|_| answer("ONCE", "2026-11-20T11:00:00Z")).await;
    let chain = chain(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &agent.url)], nowhere());
    let all = futures::future::join_all((0..20).map(|_| chain.credentials(at(NOW)))).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(agent.seen().len(), 1);
    // Undated credentials are kept for ten minutes.
    let undated = Server::start(|_| Answer::ok(r#"{"AccessKeyId":"A","SecretAccessKey":"s"}"#)).await;
    let chain = self::chain(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", &undated.url)], nowhere());
    for (time, asked) in [(NOW, 1), ("2026-11-20T10:09:59Z", 1), ("2026-11-20T10:10:00Z", 2)] {
        chain.credentials(at(time)).await.unwrap();
        assert_eq!(undated.seen().len(), asked, "{time}");
    }
}

#[tokio::test]
async fn files_are_read_within_a_bound() {
    let (_file, path) = file(&"x".repeat(usize::try_from(MAX_FILE_BYTES).unwrap() + 1));
    let missing =
        chain(&[("AWS_SHARED_CREDENTIALS_FILE", &path)], nowhere()).credentials(at(NOW)).await.unwrap_err();
    assert!(missing.to_string().contains("is larger than 262144 bytes"), "{missing}");
}
