//! Alertmanager itself, where the machine has it: started with a webhook to whodunit, given alerts over its API. It
//! groups, retries and gives up as it does in life.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use chrono::{TimeDelta, Utc};
use serde_json::json;

use crate::process::Process;
use crate::sender::Alert;

const PROGRAMS: [&str; 2] = ["prometheus-alertmanager", "alertmanager"];
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// So that it does not resolve them by itself.
const FIRES_FOR: TimeDelta = TimeDelta::hours(24);

pub struct Alertmanager {
    process: Process,
    url: String,
    http: reqwest::Client,
}

impl Alertmanager {
    /// `None`: it is not on this machine.
    pub async fn start(
        folder: &Path,
        (own_port, webhook_port): (u16, u16),
        http: reqwest::Client,
    ) -> Result<Option<Self>> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let programs = std::env::split_paths(&path).flat_map(|dir| PROGRAMS.map(|name| dir.join(name)));
        let Some(program) = programs.into_iter().find(|file| file.is_file()) else { return Ok(None) };
        let config = folder.join("alertmanager.yml");
        std::fs::write(&config, configuration(webhook_port))?;
        let mut command = Command::new(program);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.path={}", folder.join("alertmanager").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{own_port}")).arg("--cluster.listen-address=");
        let process = Process::start(command, &folder.join("alertmanager.log"))?;
        let mut alertmanager = Self { process, url: format!("http://127.0.0.1:{own_port}"), http };
        alertmanager.await_ready().await?;
        Ok(Some(alertmanager))
    }

    async fn await_ready(&mut self) -> Result<()> {
        let until = Instant::now() + READY_TIMEOUT;
        let url = format!("{}/-/ready", self.url);
        while !self.http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
            if self.process.has_ended() || Instant::now() > until {
                bail!("Alertmanager does not come up; its log says:\n{}", self.process.tail());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Hands it an alert, as Prometheus does.
    pub async fn fire(&self, alert: &Alert) -> Result<()> {
        let now = Utc::now();
        let body = json!([{
            "labels": alert.labels(), "annotations": {"summary": "Replicas are missing."},
            "startsAt": now.to_rfc3339(), "endsAt": (now + FIRES_FOR).to_rfc3339(),
        }]);
        let request = self.http.post(format!("{}/api/v2/alerts", self.url)).json(&body);
        request.send().await?.error_for_status()?;
        Ok(())
    }
}

fn configuration(webhook_port: u16) -> String {
    format!(
        "route: {{receiver: whodunit, group_by: [deployment], group_wait: 0s, group_interval: 1s, repeat_interval: 4h}}
receivers:
- name: whodunit
  webhook_configs:
  - {{url: 'http://127.0.0.1:{webhook_port}/webhooks/alertmanager', send_resolved: false}}
"
    )
}
