//! Telling the person who waits, once for many requests, that the server does not answer, and that it does again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The least time between two tellings of trouble: a server that throttles has some all the time.
const QUIET: Duration = Duration::from_secs(10);

/// Where messages go.
pub type Notice = Box<dyn Fn(&str) + Send + Sync>;

/// Which requests wait for the server, and what has been said of it.
pub struct Outage {
    notice: Notice,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: u64,
    told: bool,
    quiet_until: Option<Instant>,
}

impl Outage {
    /// Nothing is wrong yet.
    pub fn new(notice: Notice) -> Self {
        Self { notice, state: Mutex::default() }
    }

    /// A request begins to wait; `message` says why, in case it has not been said.
    pub fn begin(&self, message: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting += 1;
        let now = Instant::now();
        if !state.told && state.quiet_until.is_none_or(|until| now >= until) {
            state.told = true;
            state.quiet_until = Some(now + QUIET);
            (self.notice)(message);
        }
    }

    /// A request that waited does so no longer; `message`, if it ended well, is said when it was the last one.
    pub fn end(&self, message: Option<String>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.waiting = state.waiting.saturating_sub(1);
        if state.waiting == 0
            && std::mem::take(&mut state.told)
            && let Some(message) = message
        {
            (self.notice)(&message);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_outage_of_many_requests_is_told_once_and_its_end_too() {
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = said.clone();
        let outage = Outage::new(Box::new(move |text| heard.lock().expect("sound").push(text.to_owned())));
        for _ in 0..3 {
            outage.begin("away");
        }
        for _ in 0..3 {
            outage.end(Some("back".to_owned()));
        }
        // A second one at once is not worth a word, nor is its end.
        outage.begin("away");
        outage.end(Some("back".to_owned()));
        tokio::time::advance(QUIET).await;
        outage.begin("away again");
        outage.end(Some("back again".to_owned()));
        assert_eq!(*said.lock().expect("sound"), ["away", "back", "away again", "back again"]);
    }
}
