//! All rows of a trace, several at a time, until the end or a reason to stop.

use std::fs::File;
use std::io::{self, BufReader};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::charge::{Charge, Outcome};
use super::progress::Progress;
use super::summary::{End, Tally};
use super::trace::{BadRow, Row, Trace};

/// How long an interrupted import waits for the rows under way.
const GRACE: Duration = Duration::from_secs(5);

/// Rows on their way from the file.
pub type Rows = mpsc::Receiver<io::Result<Result<Row, BadRow>>>;

/// Reads rows on a thread of its own, no further ahead than `ahead`; it ends when the receiver is dropped.
///
/// # Errors
/// When there is no thread to be had.
pub fn read_ahead(trace: Trace<BufReader<File>>, ahead: usize) -> io::Result<Rows> {
    let (sender, receiver) = mpsc::channel(ahead);
    std::thread::Builder::new().name("trace".to_owned()).spawn(move || {
        for row in trace {
            if sender.blocking_send(row).is_err() {
                return;
            }
        }
    })?;
    Ok(receiver)
}

/// Charges every row, `concurrency` at a time, until the end, an interrupt, or a fault that concerns them all.
pub async fn charge_all(
    charge: &Charge<'_>,
    mut rows: Rows,
    concurrency: usize,
    interrupts: &mut (impl Stream<Item = ()> + Unpin),
    progress: &Progress,
    tally: &mut Tally,
) -> End {
    let mut under_way = FuturesUnordered::new();
    let mut end = None;
    let done = |outcome: Outcome, tally: &mut Tally, end: &mut Option<End>| {
        if let Outcome::Stop(why) = &outcome {
            end.get_or_insert(End::Stopped(why.clone()));
        }
        if let Outcome::TooDear { row } = &outcome {
            progress.say(&row.to_string());
        }
        tally.add(outcome);
        progress.advance();
    };
    while end.is_none() {
        tokio::select! {
            biased;
            Some(()) = interrupts.next() => end = Some(End::Interrupted),
            Some(outcome) = under_way.next() => done(outcome, tally, &mut end),
            row = rows.recv(), if under_way.len() < concurrency => match row {
                None => break,
                Some(Err(error)) => end = Some(End::Stopped(format!("the file cannot be read: {error}"))),
                Some(Ok(row)) => {
                    tally.taken();
                    match row {
                        Ok(row) => under_way.push(charge.row(row)),
                        Err(bad) => {
                            progress.say(&bad.to_string());
                            tally.bad(&bad);
                            progress.advance();
                        }
                    }
                }
            },
        }
    }
    drop(rows);
    // After the last row of the file there is no hurry; after anything else there is.
    let mut deadline = None;
    while !under_way.is_empty() {
        let hurry = end.is_some();
        let soon = Instant::now() + GRACE;
        let until = if hurry { *deadline.get_or_insert(soon) } else { soon };
        tokio::select! {
            Some(outcome) = under_way.next() => done(outcome, tally, &mut end),
            Some(()) = interrupts.next() => {
                if hurry { break }
                end = Some(End::Interrupted);
            }
            () = tokio::time::sleep_until(until), if hurry => break,
        }
    }
    tally.unfinished(under_way.len());
    end.unwrap_or(End::Finished)
}
