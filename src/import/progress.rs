//! How far an import has got: a bar on a terminal, a plain line now and then elsewhere. Both go to standard error.

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Seconds between two plain lines.
const LINE_EVERY: u64 = 5;

/// Shows progress, and lets other messages through without tearing the bar.
#[derive(Clone)]
pub struct Progress {
    bar: ProgressBar,
    next_line: std::sync::Arc<AtomicU64>,
}

impl Progress {
    /// Starts the time. `total` is the number of rows, where it is known.
    #[must_use]
    pub fn new(total: Option<u64>) -> Self {
        let (bar, template) = match total {
            Some(total) => {
                (ProgressBar::new(total), "{bar:30} {human_pos}/{human_len} rows  {per_sec}  {eta} left")
            }
            None => (ProgressBar::no_length(), "{spinner} {human_pos} rows  {per_sec}"),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, next_line: std::sync::Arc::new(AtomicU64::new(LINE_EVERY)) }
    }

    /// One row more is done.
    pub fn advance(&self) {
        self.bar.inc(1);
        let seconds = self.bar.elapsed().as_secs();
        if self.bar.is_hidden() && seconds >= self.next_line.load(Ordering::Relaxed) {
            self.next_line.store(seconds + LINE_EVERY, Ordering::Relaxed);
            let done = self.bar.position();
            self.say(&match self.bar.length() {
                Some(total) => format!("{done} of {total} rows, {seconds} s"),
                None => format!("{done} rows, {seconds} s"),
            });
        }
    }

    /// Writes a line to standard error.
    pub fn say(&self, line: &str) {
        // Whoever closed standard error does not want to hear of it.
        self.bar.suspend(|| {
            let _ = writeln!(std::io::stderr(), "{line}");
        });
    }

    /// Takes the bar away and tells how long it has been there.
    pub fn finish(&self) -> Duration {
        let elapsed = self.bar.elapsed();
        self.bar.finish_and_clear();
        elapsed
    }
}
