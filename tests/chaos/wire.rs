//! What a client says to PostgreSQL, as far as it is needed to know when something is committed. Bytes of the
//! frontend's side come in, in any pieces; out comes what the statements in them commit, by the table they write.

use std::collections::HashMap;

/// What a transaction is about, the more telling last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Commit {
    Nothing,
    /// Housekeeping, heartbeats, LISTEN.
    Other,
    /// The outbox takes a message for posting.
    PostingClaimed,
    /// The outbox stores where a message stands.
    PostingStored,
    /// A worker takes an investigation.
    WorkClaimed,
    /// A worker stores its report.
    WorkFinished,
    /// Alerts are taken in.
    Intake,
}

#[derive(Default)]
pub struct Frontend {
    bytes: Vec<u8>,
    /// The first message has no type.
    has_started: bool,
    statements: HashMap<String, Commit>,
    is_in_transaction: bool,
    about: Option<Commit>,
}

impl Frontend {
    /// Takes what the client sent and says what a server that carries it out commits.
    pub fn take(&mut self, bytes: &[u8]) -> Option<Commit> {
        self.bytes.extend_from_slice(bytes);
        let mut committed = None;
        while let Some((kind, body)) = self.next_message() {
            committed = self.read(kind, &body).max(committed);
        }
        committed
    }

    fn next_message(&mut self) -> Option<(u8, Vec<u8>)> {
        let header = usize::from(self.has_started);
        let length: [u8; 4] = self.bytes.get(header..header + 4)?.try_into().ok()?;
        let end = header + u32::from_be_bytes(length) as usize;
        if self.bytes.len() < end {
            return None;
        }
        let message: Vec<u8> = self.bytes.drain(..end).collect();
        let kind = if self.has_started { message[0] } else { 0 };
        self.has_started = true;
        Some((kind, message[header + 4..].to_vec()))
    }

    fn read(&mut self, kind: u8, body: &[u8]) -> Option<Commit> {
        let mut texts = body.split(|byte| *byte == 0).map(|text| String::from_utf8_lossy(text).into_owned());
        let mut text = || texts.next().unwrap_or_default();
        match kind {
            // Parse: name, statement.
            b'P' => {
                let name = text();
                self.statements.insert(name, about(&text()));
            }
            // Bind: portal, name.
            b'B' => {
                text();
                let commit = self.statements.get(&text()).copied();
                self.about = self.about.max(commit);
            }
            // Sync ends a statement outside of a transaction, and commits it.
            b'S' if !self.is_in_transaction => return self.about.take(),
            b'Q' => return self.query(&text().to_ascii_uppercase()),
            _ => {}
        }
        None
    }

    fn query(&mut self, statement: &str) -> Option<Commit> {
        if statement.starts_with("BEGIN") {
            (self.is_in_transaction, self.about) = (true, None);
        } else if statement.starts_with("COMMIT") {
            self.is_in_transaction = false;
            return self.about.take();
        } else if statement.starts_with("ROLLBACK") {
            (self.is_in_transaction, self.about) = (false, None);
        }
        None
    }
}

fn about(statement: &str) -> Commit {
    let words = statement.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
    let has = |text: &str| words.contains(text);
    if has("insert into alerts") {
        Commit::Intake
    } else if has("update investigations set state = 'done'") {
        Commit::WorkFinished
    } else if has("update investigations set state = 'running'") {
        Commit::WorkClaimed
    } else if has("set state = 'posted'") {
        Commit::PostingStored
    } else if has("set state = 'posting'") {
        Commit::PostingClaimed
    } else if ["insert into", "update ", "delete from"].iter().any(|verb| has(verb)) {
        Commit::Other
    } else {
        Commit::Nothing
    }
}
