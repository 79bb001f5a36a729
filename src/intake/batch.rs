//! Requests that wait at the same time are worked on together: each hands in one item and waits for its
//! answer, a few tasks take all that waits and work on it at once. Under load one round trip, or one commit, serves
//! many requests; a request alone waits for nobody. It knows nothing of alerts.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot};

/// Items that may wait. Beyond them a caller waits for room, within its own deadline.
const MAX_WAITING: usize = 512;
/// Items worked on at once.
const MAX_ITEMS: usize = 256;

type Waiting<I, O> = (I, oneshot::Sender<O>);

/// The callers' end. Its tasks end when it is dropped and what waited is answered.
pub(super) struct Batches<I, O> {
    queue: mpsc::Sender<Waiting<I, O>>,
}

impl<I: Send + 'static, O: Send + 'static> Batches<I, O> {
    /// Starts `tasks` that call `work` with what waits: at least one item, and no more than `MAX_ITEMS` or the
    /// one with which `max_weight` is reached. `work` answers each item, in order.
    pub(super) fn start<W, F>(tasks: usize, max_weight: usize, weight: fn(&I) -> usize, work: W) -> Self
    where
        W: Fn(Vec<I>) -> F + Send + Sync + 'static,
        F: Future<Output = Vec<O>> + Send,
    {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        let (waiting, work) = (Arc::new(Mutex::new(waiting)), Arc::new(work));
        for _ in 0..tasks {
            let (waiting, work) = (Arc::clone(&waiting), Arc::clone(&work));
            tokio::spawn(async move {
                loop {
                    let batch = gather(&mut *waiting.lock().await, max_weight, weight).await;
                    if batch.is_empty() {
                        return;
                    }
                    let (items, callers): (Vec<I>, Vec<_>) = batch.into_iter().unzip();
                    for (answer, caller) in work(items).await.into_iter().zip(callers) {
                        // A caller that gave up needs no answer.
                        let _ = caller.send(answer);
                    }
                }
            });
        }
        Self { queue }
    }

    /// # Errors
    /// No answer within `deadline`; the item may still be worked on.
    pub(super) async fn ask(&self, item: I, deadline: Duration) -> anyhow::Result<O> {
        let asked = async {
            let (caller, answer) = oneshot::channel();
            self.queue.send((item, caller)).await.map_err(|_| anyhow::anyhow!("the intake has ended"))?;
            answer.await.map_err(|_| anyhow::anyhow!("the intake's task broke off"))
        };
        tokio::time::timeout(deadline, asked)
            .await
            .map_err(|_| anyhow::anyhow!("the database did not answer within {deadline:?}"))?
    }
}

/// Waits for the first item and takes what stands behind it; nothing when no more can come.
async fn gather<I, O>(
    waiting: &mut mpsc::Receiver<Waiting<I, O>>,
    max_weight: usize,
    weight: fn(&I) -> usize,
) -> Vec<Waiting<I, O>> {
    let mut batch: Vec<Waiting<I, O>> = waiting.recv().await.into_iter().collect();
    let mut total: usize = batch.iter().map(|(item, _)| weight(item)).sum();
    while !batch.is_empty() && batch.len() < MAX_ITEMS && total < max_weight {
        let Ok(next) = waiting.try_recv() else { break };
        total += weight(&next.0);
        batch.push(next);
    }
    batch
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn what_waits_together_is_worked_on_together_and_answered_each_by_itself() {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        let batches = Batches::start(
            1,
            100,
            |_| 1,
            move |items: Vec<u32>| {
                counted.fetch_add(1, Ordering::Relaxed);
                async move {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    items.into_iter().map(|item| item * 2).collect()
                }
            },
        );
        let asked = (0..40).map(|item| batches.ask(item, Duration::from_secs(5)));
        let answers: Vec<u32> =
            futures::future::join_all(asked).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(answers, (0..40).map(|item| item * 2).collect::<Vec<u32>>());
        let calls = calls.load(Ordering::Relaxed);
        assert!(calls <= 3, "{calls} calls for 40 items");
    }

    #[tokio::test]
    async fn a_batch_has_a_weight_and_a_caller_a_deadline() {
        let largest = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&largest);
        let batches = Batches::start(
            1,
            10,
            |item: &usize| *item,
            move |items: Vec<usize>| {
                seen.fetch_max(items.iter().sum(), Ordering::Relaxed);
                async move {
                    if items.contains(&9) {
                        tokio::time::sleep(Duration::from_secs(3600)).await;
                    }
                    items
                }
            },
        );
        let asked = (0..20).map(|_| batches.ask(4, Duration::from_secs(5)));
        assert!(futures::future::join_all(asked).await.iter().all(Result::is_ok));
        assert!(largest.load(Ordering::Relaxed) <= 13, "the one that reaches the weight is the last");
        let late = batches.ask(9, Duration::from_millis(20)).await.unwrap_err();
        assert!(late.to_string().contains("did not answer"), "{late}");
    }
}
