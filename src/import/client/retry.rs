//! Sending a request until it is answered.

use std::error::Error as _;
use std::time::Duration;

use reqwest::header::RETRY_AFTER;
use reqwest::{RequestBuilder, Response, StatusCode};
use tokio::time::Instant;

use super::{Client, Failure, Problem};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A pause of this length is noticed by whoever watches.
const NOTABLE_PAUSE: Duration = Duration::from_secs(1);

/// A successful answer.
pub struct Reply {
    /// Its body.
    pub body: bytes::Bytes,
    /// Whether the server had carried out a request with this key before.
    pub replayed: bool,
    /// Whether it was the answer to the first attempt.
    pub first_attempt: bool,
}

/// How one attempt ended when it brought no success.
enum Trouble {
    /// It may go better later: why, and the pause the server asked for.
    Passing(String, Option<Duration>),
    /// It will not.
    Final(Failure),
}

impl Client {
    /// Sends a request, again and again where it meets a passing fault, for as long as `retry_for` after the
    /// first one.
    pub(super) async fn send(&self, request: RequestBuilder, key: &str) -> Result<Reply, Failure> {
        let request = match key {
            "" => request,
            key => request.header("Idempotency-Key", key),
        };
        let mut waiting = false;
        let result = self.send_until_answered(request, key, &mut waiting).await;
        if waiting {
            let given_up = matches!(result, Err(Failure::Stop(_)));
            self.outage.end((!given_up).then(|| format!("{} answers again", self.base)));
        }
        result
    }

    /// `waiting` is set when the fault has been reported as an outage.
    async fn send_until_answered(
        &self,
        request: RequestBuilder,
        key: &str,
        waiting: &mut bool,
    ) -> Result<Reply, Failure> {
        let mut pause = FIRST_PAUSE;
        let mut deadline = None;
        loop {
            let attempt = request
                .try_clone()
                .ok_or_else(|| Failure::Stop("a request cannot be sent twice".to_owned()))?;
            let first_attempt = deadline.is_none();
            let (why, asked) = match self.attempt(attempt).await {
                Ok(reply) => return Ok(Reply { first_attempt, ..reply }),
                Err(Trouble::Final(failure)) => return Err(failure),
                Err(Trouble::Passing(why, asked)) => (why, asked),
            };
            let now = Instant::now();
            let until = *deadline.get_or_insert_with(|| now + self.retry_for);
            let wait = asked.unwrap_or_else(|| spread(pause, key));
            let (base, seconds) = (&self.base, self.retry_for.as_secs());
            if now + wait >= until {
                return Err(Failure::Stop(format!(
                    "{base} gave no usable answer for {seconds} s: {why}; --url says where the server is"
                )));
            }
            // A single fault, mended at once, is not worth a word.
            if !*waiting && (!first_attempt || wait >= NOTABLE_PAUSE) {
                *waiting = true;
                self.outage.begin(&format!("{base}: {why}; trying again for up to {seconds} s"));
            }
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn attempt(&self, request: RequestBuilder) -> Result<Reply, Trouble> {
        let passing = |error: reqwest::Error| {
            if error.is_builder() {
                Trouble::Final(Failure::Stop(reason(error)))
            } else {
                Trouble::Passing(reason(error), None)
            }
        };
        let response = request.send().await.map_err(passing)?;
        let status = response.status();
        let asked = retry_after(&response);
        let replayed = response
            .headers()
            .get("Idempotency-Replayed")
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
        let body = response.bytes().await.map_err(passing)?;
        if status.is_success() {
            return Ok(Reply { body, replayed, first_attempt: true });
        }
        let problem = problem(status, &body);
        Err(match status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Trouble::Passing(problem.to_string(), asked)
            }
            _ if status.is_server_error() => Trouble::Passing(problem.to_string(), asked),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Trouble::Final(Failure::Stop(format!(
                "{} does not accept the token: {problem}; --token or COUNTERFOIL_TOKEN takes another one, such \
                     as `counterfoil token` makes",
                self.base
            ))),
            _ => Trouble::Final(Failure::Refused(problem)),
        })
    }
}

/// A pause between the half and the whole of `pause`, by the key, so that many requests do not return at once.
fn spread(pause: Duration, key: &str) -> Duration {
    let share = key.bytes().fold(0_u8, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte));
    pause / 2 + pause * u32::from(share) / 512
}

/// The pause the server asks for, where it does so in seconds. The other form, a date, is rare, and would need a
/// clock that agrees with the server's; the usual pause serves then.
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    let pause = Duration::from_secs(text.trim().parse().ok()?);
    // Zero would be a request to send without end and without pause.
    Some(pause.max(FIRST_PAUSE))
}

/// The problem document of an answer, or what can be said of one that has none.
fn problem(status: StatusCode, body: &[u8]) -> Problem {
    let problem: Problem = serde_json::from_slice(body).unwrap_or_default();
    if !problem.code.is_empty() {
        return problem;
    }
    Problem {
        code: format!("HTTP {}", status.as_u16()),
        title: status.canonical_reason().unwrap_or("refused").to_owned(),
        ..Problem::default()
    }
}

/// An error with its causes, the address left out: it may hold a password, and is said elsewhere.
pub(super) fn reason(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
