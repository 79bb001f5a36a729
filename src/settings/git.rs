//! The git repository that runbooks are pulled from. Its credentials are files: what a pod gets as a Secret, and
//! what may be renewed while we run. Pure data.

use std::path::PathBuf;

use serde::Deserialize;

/// Pulled into `database.data_dir` by each replica for itself.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Git {
    /// `https://…`, `ssh://…`, `user@host:path` or `file:///…`, without a password. Unset: nothing is pulled.
    pub url: Option<String>,
    /// Unset: the repository's own default branch.
    pub branch: Option<String>,
    /// Folder of the runbooks inside the repository; "" is its root.
    pub path: String,
    /// Pause between two looks at the branch, in seconds.
    pub interval_secs: u64,
    /// Deadline of one look with everything that follows from it, in seconds.
    pub timeout_secs: u64,
    /// Goes with `token_file`; what it must be is the host's to say.
    pub username: String,
    /// For `https://`. Read anew for each pull.
    pub token_file: Option<PathBuf>,
    /// For `https://`: certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// For `ssh://`.
    pub ssh_key_file: Option<PathBuf>,
    /// For `ssh://`: the host's keys; a host that is not in it is refused. Unset: ssh's own files.
    pub known_hosts_file: Option<PathBuf>,
}

impl Default for Git {
    fn default() -> Self {
        Self {
            url: None,
            branch: None,
            path: String::new(),
            interval_secs: 60,
            timeout_secs: 60,
            username: "x-access-token".to_owned(),
            token_file: None,
            ca_file: None,
            ssh_key_file: None,
            known_hosts_file: None,
        }
    }
}
