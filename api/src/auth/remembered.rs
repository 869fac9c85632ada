//! What was looked up a moment ago.

use std::hash::Hash;
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::time::Instant;

/// How long something that was looked up counts. What is revoked is refused everywhere before a second has passed: this,
/// and the time that a read model needs.
const COUNTS: Duration = Duration::from_millis(500);

/// Answers to the same question, asked by many at once: one of them looks, the others wait for it.
pub struct Remembered<K, V> {
    entries: Cache<K, (Instant, V)>,
}

impl<K: Hash + Eq + Clone, V: Clone> Remembered<K, V> {
    /// Remembers so many answers at the most.
    pub fn new(most: usize) -> Self {
        Self { entries: Cache::new(most) }
    }

    /// What was looked up a moment ago, or else what `look` finds now. Whoever waits for a look that began long before
    /// they asked does not take its answer: it may be as old as it was slow.
    pub async fn get<E>(&self, key: &K, look: impl Future<Output = Result<V, E>>) -> Result<V, E> {
        let began = Instant::now();
        let mut look = std::pin::pin!(look);
        loop {
            match self.entries.get(key) {
                Some((asked, value)) if began.saturating_duration_since(asked) < COUNTS => return Ok(value),
                Some(_) => {
                    self.entries
                        .remove_if(key, |(asked, _)| began.saturating_duration_since(*asked) >= COUNTS);
                }
                None => {}
            }
            // Counted from the question on: what has changed since then may not be in the answer.
            let looking = async {
                let asked = Instant::now();
                look.as_mut().await.map(|value| (asked, value))
            };
            let (asked, value) = self.entries.get_or_insert_async(key, looking).await?;
            if began.saturating_duration_since(asked) < COUNTS {
                return Ok(value);
            }
        }
    }

    /// Has the next question looked up.
    pub fn forget(&self, key: &K) {
        self.entries.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_counts_for_half_a_second_from_the_question_on() {
        let (remembered, looks) = (Remembered::new(10), AtomicU32::new(0));
        let ask = || {
            remembered.get(&"a", async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok::<_, ()>(looks.fetch_add(1, Ordering::Relaxed))
            })
        };
        assert_eq!(ask().await, Ok(0));
        tokio::time::advance(Duration::from_millis(399)).await;
        assert_eq!(ask().await, Ok(0));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(ask().await, Ok(1));
        remembered.forget(&"a");
        assert_eq!(ask().await, Ok(2));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_slow_look_that_began_before_they_asked_looks_again() {
        let (remembered, looks) = (Remembered::new(10), AtomicU32::new(0));
        let ask = |after: u64, takes: u64| {
            let (remembered, looks) = (&remembered, &looks);
            async move {
                tokio::time::sleep(Duration::from_millis(after)).await;
                let look = async {
                    let found = looks.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(takes)).await;
                    Ok::<_, ()>(found)
                };
                remembered.get(&"a", look).await
            }
        };
        let (first, soon, late) = tokio::join!(ask(0, 3_000), ask(100, 10), ask(1_000, 10));
        assert_eq!((first, soon, late), (Ok(0), Ok(0), Ok(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn many_who_ask_at_once_have_one_look_and_a_failure_is_not_remembered() {
        let (remembered, looks) = (Remembered::new(10), AtomicU32::new(0));
        let ask = || {
            remembered.get(&7, async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                Ok::<_, ()>(looks.fetch_add(1, Ordering::Relaxed))
            })
        };
        assert_eq!(tokio::join!(ask(), ask(), ask()), (Ok(0), Ok(0), Ok(0)));
        assert_eq!(remembered.get(&8, async { Err::<u32, _>("away") }).await, Err("away"));
        assert_eq!(remembered.get(&8, async { Ok::<_, ()>(1) }).await, Ok(1));
    }
}
