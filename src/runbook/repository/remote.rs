//! What is pulled and with which credentials: settings in, a checked address out, or what is wrong with which
//! setting. An address that holds a secret is refused, and never shown.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret, SecretString};

use super::super::parse::revision;
use crate::settings;

/// Longest address, branch or path.
const MAX_TEXT_BYTES: usize = 1000;

/// How git speaks to the repository; nothing else is allowed to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Https,
    Ssh,
    File,
}

impl Protocol {
    /// As git names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Ssh => "ssh",
            Self::File => "file",
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Remote {
    pub url: String,
    pub protocol: Protocol,
    branch: Option<String>,
    /// Below the repository's root, "" for the root itself.
    pub path: String,
    username: String,
    token_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
    ssh_key_file: Option<PathBuf>,
    known_hosts_file: Option<PathBuf>,
}

impl Remote {
    /// None: no repository is configured.
    pub fn new(settings: &settings::Git) -> anyhow::Result<Option<Self>> {
        let Some(url) = settings.url.clone() else { return Ok(None) };
        let protocol = protocol(&url).context("runbooks.git.url")?;
        ensure!(settings.interval_secs > 0, "runbooks.git.interval_secs is 0; 60 looks once a minute");
        ensure!(settings.timeout_secs > 0, "runbooks.git.timeout_secs is 0; no pull ends that fast");
        let branch = settings.branch.clone().filter(|branch| !branch.is_empty());
        if let Some(branch) = &branch {
            let odd = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
            let good = branch.len() <= MAX_TEXT_BYTES && !branch.contains(odd) && !branch.contains("..");
            ensure!(good, "runbooks.git.branch: {branch:?} is not the name of a branch, such as main");
        }
        let path = settings.path.trim_matches('/').to_owned();
        let good = path.len() <= MAX_TEXT_BYTES && !path.contains(|c: char| c.is_control() || c == '\\');
        let is_folder = |part: &str| !matches!(part, "" | "." | "..");
        ensure!(
            path.is_empty() || good && path.split('/').all(is_folder),
            "runbooks.git.path: {path:?} is no folder inside the repository, such as runbooks or teams/data"
        );
        let of = |name: &str, file: &Option<PathBuf>, wanted: Protocol| {
            let Some(path) = file else { return Ok(()) };
            ensure!(protocol == wanted, "runbooks.git.{name} is for addresses with {}", wanted.name());
            let told = || format!("runbooks.git.{name}: cannot read {}", path.display());
            fs::read(path).map(drop).with_context(told)
        };
        of("token_file", &settings.token_file, Protocol::Https)?;
        of("ca_file", &settings.ca_file, Protocol::Https)?;
        of("ssh_key_file", &settings.ssh_key_file, Protocol::Ssh)?;
        of("known_hosts_file", &settings.known_hosts_file, Protocol::Ssh)?;
        let remote = Self {
            url,
            protocol,
            branch,
            path,
            username: settings.username.clone(),
            token_file: settings.token_file.clone(),
            ca_file: settings.ca_file.clone(),
            ssh_key_file: settings.ssh_key_file.clone(),
            known_hosts_file: settings.known_hosts_file.clone(),
        };
        remote.authorization()?;
        Ok(Some(remote))
    }

    /// What is fetched: a branch, or what the repository itself checks out.
    pub fn reference(&self) -> String {
        self.branch.as_ref().map_or_else(|| "HEAD".to_owned(), |branch| format!("refs/heads/{branch}"))
    }

    /// What was checked out for other settings is not ours.
    pub fn identity(&self) -> String {
        revision(&format!("{}\n{}\n{}", self.url, self.reference(), self.path))
    }

    /// The header that opens an https repository.
    pub fn authorization(&self) -> anyhow::Result<Option<SecretString>> {
        let Some(file) = &self.token_file else { return Ok(None) };
        let told = || format!("runbooks.git.token_file: cannot read {}", file.display());
        let token = SecretString::from(fs::read_to_string(file).with_context(told)?);
        let token = token.expose_secret().trim();
        let usable = !token.is_empty() && !token.contains(char::is_control);
        ensure!(usable, "runbooks.git.token_file: {} holds no token", file.display());
        let pair = BASE64_STANDARD.encode(format!("{}:{token}", self.username));
        Ok(Some(SecretString::from(format!("Authorization: Basic {pair}"))))
    }

    /// The command by which git calls ssh: it never asks, and speaks to no host that is not known.
    pub fn ssh_command(&self) -> String {
        let mut command = "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ControlMaster=no \
                           -o ControlPath=none -o ForwardAgent=no"
            .to_owned();
        if let Some(file) = &self.ssh_key_file {
            command.push_str(&format!(" -o IdentitiesOnly=yes -i {}", quoted(file)));
        }
        if let Some(file) = &self.known_hosts_file {
            let both = format!("UserKnownHostsFile={}", file.display());
            command.push_str(&format!(" -o GlobalKnownHostsFile=none -o {}", quoted(Path::new(&both))));
        }
        command
    }
}

/// For the shell through which git runs ssh.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

fn protocol(url: &str) -> anyhow::Result<Protocol> {
    const SHAPES: &str = "write https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH or file:///PATH";
    const SECRET: &str = "it holds a password or token; take it out, and give runbooks.git.token_file (for https) \
                          or runbooks.git.ssh_key_file";
    let odd = |c: char| c.is_control() || c.is_whitespace();
    if url.is_empty() || url.len() > MAX_TEXT_BYTES || url.starts_with('-') || url.contains(odd) {
        bail!("not an address; {SHAPES}");
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        let Some((host, path)) = url.split_once(':').filter(|(host, _)| !host.contains('/')) else {
            bail!("not an address; {SHAPES}");
        };
        // USER:PASSWORD@HOST is not what ssh understands, but what people write.
        ensure!(!path.split('/').next().unwrap_or_default().contains('@'), "{SECRET}");
        ensure!(!path.starts_with(':') && !path.is_empty() && !host.is_empty(), "not an address; {SHAPES}");
        return Ok(Protocol::Ssh);
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let user = authority.rsplit_once('@').map(|(user, _)| user);
    match scheme {
        "https" => {
            ensure!(user.is_none() && !rest.contains(['?', '#']), "{SECRET}");
            ensure!(!authority.is_empty(), "it names no host; {SHAPES}");
            Ok(Protocol::Https)
        }
        "ssh" => {
            ensure!(!user.is_some_and(|user| user.contains(':')), "{SECRET}");
            ensure!(!authority.is_empty() && !authority.starts_with('-'), "it names no host; {SHAPES}");
            Ok(Protocol::Ssh)
        }
        "file" => {
            ensure!(authority.is_empty() && rest.len() > 1, "a file's path begins with /; {SHAPES}");
            Ok(Protocol::File)
        }
        _ => bail!("only https, ssh and file are spoken; {SHAPES}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(yaml: &str) -> anyhow::Result<Remote> {
        let settings: settings::Git = serde_saphyr::from_str(yaml).unwrap();
        Remote::new(&settings).map(|remote| remote.unwrap())
    }

    #[test]
    fn the_spoken_addresses_are_understood() {
        for (url, protocol) in [
            ("https://github.com/acme/runbooks.git", Protocol::Https),
            ("https://git.acme.example:8443/a/b", Protocol::Https),
            ("ssh://git@git.acme.example:2222/runbooks.git", Protocol::Ssh),
            ("git@github.com:acme/runbooks.git", Protocol::Ssh),
            ("build-host:/srv/git/runbooks", Protocol::Ssh),
            ("file:///srv/git/runbooks.git", Protocol::File),
        ] {
            let remote = remote(&format!("url: '{url}'")).unwrap();
            assert_eq!((remote.protocol, remote.reference().as_str()), (protocol, "HEAD"), "{url}");
        }
    }

    #[test]
    fn an_address_that_holds_a_secret_or_another_protocol_is_refused_and_not_repeated() {
        for url in [
            "https://me:hunter2@git.acme.example/x",
            "https://hunter2@git.acme.example/x",
            "https://git.acme.example/x?token=hunter2",
            "ssh://git:hunter2@git.acme.example/x",
            "git:hunter2@git.acme.example:x",
            "http://git.acme.example/hunter2",
            "git://git.acme.example/hunter2",
            "ext::sh -c hunter2",
            "ext::hunter2",
            "--upload-pack=hunter2",
            "-u:hunter2",
            "ssh://-oProxyCommand=hunter2/x",
            "file://host/hunter2",
            "/srv/hunter2",
            "",
        ] {
            let told = format!("{:#}", remote(&format!("url: '{url}'")).unwrap_err());
            assert!(told.starts_with("runbooks.git.url: ") && !told.contains("hunter2"), "{url}: {told}");
        }
    }

    #[test]
    fn settings_that_cannot_work_are_named() {
        for (more, told) in [
            ("branch: 'a b'", "runbooks.git.branch"),
            ("branch: 'a:refs/heads/b'", "runbooks.git.branch"),
            ("path: ../x", "runbooks.git.path"),
            ("path: a/./b", "runbooks.git.path"),
            ("interval_secs: 0", "runbooks.git.interval_secs"),
            ("timeout_secs: 0", "runbooks.git.timeout_secs"),
            ("token_file: /nowhere/token", "runbooks.git.token_file: cannot read /nowhere/token"),
            ("token_file: /dev/null", "/dev/null holds no token"),
            ("ssh_key_file: /nowhere/key", "runbooks.git.ssh_key_file is for addresses with ssh"),
        ] {
            let found = remote(&format!("url: 'https://git.acme.example/x'\n{more}\n"));
            let found = format!("{:#}", found.unwrap_err());
            assert!(found.contains(told), "{more}: {found}");
        }
        let known = remote("{url: 'https://h/x', branch: release/1.2, path: /teams/data/}").unwrap();
        assert_eq!(
            (known.reference().as_str(), known.path.as_str()),
            ("refs/heads/release/1.2", "teams/data")
        );
        let other = remote("{url: 'https://h/x', branch: release/1.2, path: teams/web}").unwrap();
        assert_ne!(known.identity(), other.identity());
    }
}
