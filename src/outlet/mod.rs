//! Step 7, beside Slack: Microsoft Teams and webhooks. Incidents and reports go in; messages come out, each at least once,
//! in an incident's order, to addresses of the settings only. It decides nothing about incidents.
//!
//! An `Outlet` is one receiver: whom it is told of, and how an `Event` reads for its kind (`card` for Teams, `event` for
//! webhooks; both pure). `queue` is the outbox in Postgres, `deliver` takes from it what is due, `send` makes the one
//! request, `keys` signs it, and `after` decides what becomes of it (pure).

mod after;
mod card;
mod configured;
mod deliver;
mod event;
mod keys;
pub mod queue;
pub mod retention;
mod send;
pub mod store;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use uuid::Uuid;

pub use self::configured::BadOutlet;
pub use self::deliver::run;
pub use self::event::{Event, Topic, What};
use self::keys::Keys;
use crate::incident::selector::{About, Selector};
use crate::report::Ending;
use crate::words::Words;

/// Teams takes four requests a second and two a second over half a minute.
const TEAMS_PACE: Duration = Duration::from_secs(1);

/// One receiver of the settings.
#[derive(Debug)]
pub struct Outlet {
    name: String,
    kind: Kind,
    selector: Selector,
    topics: Vec<Topic>,
    url: SecretString,
    timeout: Duration,
}

/// What it understands.
#[derive(Debug)]
enum Kind {
    Teams,
    Webhook(Keys),
}

/// All receivers.
#[derive(Debug, Clone, Default)]
pub struct Outlets {
    all: Vec<Arc<Outlet>>,
}

/// One delivery to be.
#[derive(Debug, Clone)]
pub struct News {
    outlet: String,
    topic: Topic,
    incident: Uuid,
    dedup_key: String,
    body: String,
    /// Instead of `body`, where the outlet was told of no report of the incident yet.
    first: Option<String>,
    /// Told in any case; else only where the outlet was told of the incident before.
    fits: bool,
}

impl Outlet {
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Time between two requests.
    fn pace(&self) -> Duration {
        match self.kind {
            Kind::Teams => TEAMS_PACE,
            // One at a time, as fast as it answers.
            Kind::Webhook(_) => Duration::ZERO,
        }
    }

    fn terms(&self) -> queue::Terms {
        queue::Terms { outlet: self.name.clone(), pace: self.pace(), timeout: self.timeout }
    }

    /// What it is sent for an event; None: nothing.
    fn body(&self, words: &Words, event: &Event<'_>) -> Option<String> {
        match self.kind {
            Kind::Teams => card::message(words, event).map(|message| message.to_string()),
            Kind::Webhook(_) => Some(event::payload(event)),
        }
    }

    /// What stands for `body` where the outlet heard of no earlier report: "the same as before" would tell nothing.
    fn first(&self, words: &Words, event: &Event<'_>) -> Option<String> {
        let What::Finished { investigation, ending } = event.what else { return None };
        let Ending::Reported { report, previous: Some(_), reason } = ending else { return None };
        let ending = Ending::Reported { report, previous: None, reason };
        match self.kind {
            Kind::Teams => {
                self.body(words, &Event { what: What::Finished { investigation, ending }, ..*event })
            }
            Kind::Webhook(_) => None,
        }
    }

    /// People are told how something goes on only where they were told that it began.
    fn begins(&self, topic: Topic) -> bool {
        match self.kind {
            Kind::Teams => matches!(topic, Topic::Opened | Topic::Finished),
            Kind::Webhook(_) => true,
        }
    }
}

impl Outlets {
    /// # Errors
    /// A name that two of them have.
    pub fn new(all: Vec<Outlet>) -> Result<Self, BadOutlet> {
        for (at, outlet) in all.iter().enumerate() {
            if all[..at].iter().any(|other| other.name == outlet.name) {
                return Err(BadOutlet::new(at, "another outlet has this name".to_owned()));
            }
        }
        Ok(Self { all: all.into_iter().map(Arc::new).collect() })
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether anything has to be known of an incident beyond itself.
    pub fn is_selective(&self) -> bool {
        self.all.iter().any(|outlet| !outlet.selector.is_empty())
    }

    pub fn names(&self) -> Vec<String> {
        self.all.iter().map(|outlet| outlet.name.clone()).collect()
    }

    fn of_name(&self, name: &str) -> Option<&Arc<Outlet>> {
        self.all.iter().find(|outlet| outlet.name == name)
    }

    /// What each is told of an event.
    pub fn news(&self, words: &Words, event: &Event<'_>, about: About<'_>) -> Vec<News> {
        let topic = event.topic();
        let hearing = self.all.iter().filter(|outlet| outlet.topics.contains(&topic));
        let news = hearing.filter_map(|outlet| {
            Some(News {
                outlet: outlet.name.clone(),
                topic,
                incident: event.incident.id,
                dedup_key: event.key(),
                body: outlet.body(words, event)?,
                first: outlet.first(words, event),
                fits: outlet.begins(topic) && outlet.selector.reason(about).is_some(),
            })
        });
        news.collect()
    }
}
