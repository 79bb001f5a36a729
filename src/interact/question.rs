//! A question in an incident's thread: it is answered from what the last investigation read, by one call to a model
//! that can read nothing else, within the money of the day. An answer goes through the outbox, so that it is said once.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Interact;
use crate::investigation::answer::{self, Known, store};
use crate::investigation::prompt::Fence;
use crate::investigator::Reasoner;
use crate::policy::Purse;
use crate::redact::redact;
use crate::slack::blocks::{self, Answered, Telling};
use crate::slack::interaction::Mention;
use crate::slack::outbox::{self, News};

/// The model's.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

impl Interact {
    pub(super) async fn asked(&self, mention: &Mention) -> anyhow::Result<()> {
        let place = &mention.place;
        let Some(incident) = outbox::incident_of(&self.pool, &place.channel, &place.thread).await? else {
            tracing::debug!(id = mention.id, "mentioned in a thread that is no incident's");
            return Ok(());
        };
        let Some(subject) = store::last_of(&self.pool, incident).await? else {
            return self.shrug(mention, self.words.ask_nothing_known).await;
        };
        let Some(reasoner) = self.investigator.reasoner() else {
            return self.shrug(mention, self.words.asked_nobody).await;
        };
        let observations = store::observations(&self.pool, subject.investigation).await?;
        let known = Known { report: &subject.report, observations: &observations };
        let question = redact(&mention.question).into_owned();
        let policies = Arc::clone(&reasoner.policies.borrow());
        let purse = policies.purse_again(&subject.workload, &subject.policy, &subject.team_policy);
        let about = (subject.investigation, question.as_str(), &purse);
        let Some((answer, (tokens, usd))) = self.answer(reasoner, &known, mention, about).await? else {
            return Ok(());
        };
        if answer.text.is_empty() {
            return self.shrug(mention, self.words.ask_nothing_known).await;
        }
        let url = blocks::investigation_url(&self.public_url, subject.investigation);
        let telling = Telling { url: url.as_deref(), ..Telling::new(self.words) };
        let (text, quotes) = (answer.text.as_str(), answer.quotes.as_slice());
        let message =
            blocks::answer(telling, Answered { question: &question, answer: text, quotes, tokens, usd });
        outbox::enqueue(&self.pool, &place.channel, &[News::answer(incident, &mention.id, message)]).await?;
        Ok(())
    }

    /// None: nobody answered, and the one who asked was told so.
    async fn answer(
        &self,
        reasoner: &Reasoner,
        known: &Known<'_>,
        mention: &Mention,
        (investigation, question, purse): (uuid::Uuid, &str, &Purse),
    ) -> anyhow::Result<Option<(answer::Answer, (u64, f64))>> {
        let word = uuid::Uuid::now_v7().simple().to_string();
        let fence = Fence::new(&word[word.len() - 16..]);
        let request = answer::request(known, question, &fence, &reasoner.language);
        let most = reasoner.ladder.most_usd(reasoner.ladder.most(&request));
        let mut transaction = self.pool.begin().await?;
        let said = (mention.user.id.as_str(), question);
        let money = (most, purse);
        let begun = store::begin(&mut transaction, investigation, said, money).await?;
        transaction.commit().await?;
        let Some(entry) = begun else {
            self.shrug(mention, self.words.ask_budget).await?;
            return Ok(None);
        };
        let reply = match reasoner.ladder.ask(&request, Instant::now() + DEADLINE).await {
            Ok(reply) => reply,
            Err(fault) => {
                tracing::warn!(%fault, "no model answered a question");
                store::end(&self.pool, entry, "", (0, 0.0)).await?;
                self.shrug(mention, self.words.ask_failed).await?;
                return Ok(None);
            }
        };
        let tokens = reply.usage.input.saturating_add(reply.usage.output);
        let usd = reasoner.ladder.usd(&reply);
        let mut answer = answer::read(&reply.turn, reply.stop, known.observations);
        answer.text = redact(&answer.text).into_owned();
        store::end(&self.pool, entry, &answer.text, (tokens, usd)).await?;
        Ok(Some((answer, (tokens, usd))))
    }

    async fn shrug(&self, mention: &Mention, why: &str) -> anyhow::Result<()> {
        self.whisper((&mention.place, &mention.user), &blocks::note(why)).await;
        Ok(())
    }
}
