//! How many calls there can be at once.
//!
//! What a call may take of the memory is bounded for each; so their number is what bounds all of it. A call has its seat until
//! its answer is at its end, whether somebody still reads it or not, and whoever is told an earlier answer has one as well.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const GAUGE: &str = "counterfoil_gateway_calls_running";

/// The seats of a program.
#[derive(Debug)]
pub(crate) struct Seats(Arc<Semaphore>);

/// A seat, given back when the last clone of it is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    _taken: Arc<Taken>,
}

#[derive(Debug)]
struct Taken {
    _permit: OwnedSemaphorePermit,
}

impl Seats {
    /// So many.
    pub(crate) fn new(count: usize) -> Self {
        metrics::gauge!(GAUGE).set(0);
        Self(Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS))))
    }

    /// Takes a seat; none where all are taken.
    pub(crate) fn take(&self) -> Option<Seat> {
        let permit = Arc::clone(&self.0).try_acquire_owned().ok()?;
        metrics::gauge!(GAUGE).increment(1);
        Some(Seat { _taken: Arc::new(Taken { _permit: permit }) })
    }

    /// Whether all are taken.
    pub(crate) fn are_taken(&self) -> bool {
        self.0.available_permits() == 0
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        metrics::gauge!(GAUGE).decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_taken_until_all_who_have_it_let_go() {
        let seats = Seats::new(2);
        let first = seats.take().unwrap();
        let second = seats.take().unwrap();
        assert!(seats.are_taken() && seats.take().is_none());
        let follower = second.clone();
        drop(second);
        assert!(seats.take().is_none());
        drop(follower);
        assert!(!seats.are_taken());
        drop((first, seats.take().unwrap()));
        assert!(seats.take().is_some());
    }
}
