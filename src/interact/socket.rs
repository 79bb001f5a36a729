//! Socket Mode, for clusters that Slack cannot reach: we connect to Slack, envelopes come in, each is acknowledged once
//! it is certain that it will be acted on. A connection that ends or falls silent is replaced, ever more slowly while
//! that fails. It opens no port.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use futures::{SinkExt, StreamExt};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use tokio_util::sync::CancellationToken;

use super::Interact;
use crate::slack::interaction::payload;

const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
const SEND_DEADLINE: Duration = Duration::from_secs(5);
/// Slack pings more often than that; a connection that is more silent is dead.
const QUIET: Duration = Duration::from_secs(90);
const MIN_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// As of a request over HTTP.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Stays connected until `shutdown`.
pub async fn run(interact: Arc<Interact>, app_token: SecretString, shutdown: CancellationToken) {
    let mut pause = MIN_PAUSE;
    loop {
        let Some(ended) = shutdown.run_until_cancelled(session(&interact, &app_token)).await else { return };
        match ended {
            // Slack replaces its connections now and then.
            Ok(()) => pause = MIN_PAUSE,
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), ?pause, "Socket Mode: connecting again");
                if shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                    return;
                }
                pause = (pause * 2).min(MAX_PAUSE);
            }
        }
    }
}

/// One connection, until Slack wants another.
async fn session(interact: &Arc<Interact>, app_token: &SecretString) -> anyhow::Result<()> {
    let address = interact.client.open_socket(app_token).await?;
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let connecting = connect_async_with_config(&address, Some(limits), false);
    let (mut socket, _) = timeout(CONNECT_DEADLINE, connecting).await.context("no connection in time")??;
    let mut greeted = false;
    loop {
        let frame = timeout(QUIET, socket.next()).await.context("the connection fell silent")?;
        let Some(frame) = frame else { bail!("the connection ended") };
        let text = match frame? {
            Message::Text(text) => text,
            Message::Close(_) if greeted => return Ok(()),
            Message::Close(_) => bail!("Slack closed the connection"),
            // Pings are answered with the next read.
            _ => continue,
        };
        let envelope: Value = serde_json::from_str(text.as_str()).context("an envelope that is no JSON")?;
        match envelope["type"].as_str().unwrap_or_default() {
            "hello" => {
                greeted = true;
                tracing::info!("Socket Mode: connected");
            }
            "disconnect" if greeted => return Ok(()),
            "disconnect" => bail!("Slack refuses the connection"),
            kind => receive(interact, &mut socket, kind, &envelope).await?,
        }
    }
}

/// What cannot be taken now is not acknowledged: Slack sends it again.
async fn receive(
    interact: &Arc<Interact>,
    socket: &mut Socket,
    kind: &str,
    envelope: &Value,
) -> anyhow::Result<()> {
    let asked = match kind {
        "interactive" => payload::interaction(&envelope["payload"]),
        "events_api" => payload::event(&envelope["payload"]),
        _ => None,
    };
    if let Some(asked) = asked
        && let Err(error) = interact.take(asked).await
    {
        tracing::warn!(%error, "an envelope of Slack is put off");
        return Ok(());
    }
    let Some(id) = envelope["envelope_id"].as_str() else { return Ok(()) };
    let answer = Message::text(json!({"envelope_id": id}).to_string());
    timeout(SEND_DEADLINE, socket.send(answer)).await.context("an acknowledgement was not taken")??;
    Ok(())
}
