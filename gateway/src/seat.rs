//! How many calls there can be at once, in all and of each tenant.
//!
//! What a call may take of the memory is bounded for each; so their number is what bounds all of it. A call has its seat until
//! its answer is at its end, whether somebody still reads it or not, and whoever is told an earlier answer has one as well. A
//! whole answer that is long has it until it was read. Behind that no seat counts what waits for somebody who does not read: of a
//! stream its last MiB at the most, of a whole answer 256 KiB. No tenant has all of the seats: the others would be refused for as
//! long as its answers take.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::TenantId;

const GAUGE: &str = "counterfoil_gateway_calls_running";

/// The seats of a program.
#[derive(Debug)]
pub(crate) struct Seats {
    taken: Arc<Mutex<Taken>>,
    all: usize,
    each: usize,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    /// Of the tenants that have some.
    of: HashMap<TenantId, usize>,
}

/// Why there is no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// All are taken.
    All,
    /// The tenant has as many as one may have.
    Tenant,
}

/// A seat, given back when the last clone of it is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Seat {
    _held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    taken: Arc<Mutex<Taken>>,
    tenant: TenantId,
}

impl Seats {
    /// So many in all, and for each tenant.
    pub(crate) fn new(all: usize, each: usize) -> Self {
        metrics::gauge!(GAUGE).set(0);
        Self { taken: Arc::default(), all, each }
    }

    /// Takes a seat for a tenant.
    pub(crate) fn take(&self, tenant: TenantId) -> Result<Seat, Full> {
        let mut taken = lock(&self.taken);
        self.look(&taken, tenant)?;
        taken.all += 1;
        *taken.of.entry(tenant).or_default() += 1;
        drop(taken);
        metrics::gauge!(GAUGE).increment(1);
        Ok(Seat { _held: Arc::new(Held { taken: Arc::clone(&self.taken), tenant }) })
    }

    /// Whether there is one for the tenant.
    pub(crate) fn room(&self, tenant: TenantId) -> Result<(), Full> {
        self.look(&lock(&self.taken), tenant)
    }

    fn look(&self, taken: &Taken, tenant: TenantId) -> Result<(), Full> {
        if taken.all >= self.all {
            Err(Full::All)
        } else if taken.of.get(&tenant).is_some_and(|of| *of >= self.each) {
            Err(Full::Tenant)
        } else {
            Ok(())
        }
    }
}

fn lock(taken: &Mutex<Taken>) -> MutexGuard<'_, Taken> {
    taken.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        taken.all -= 1;
        if let Some(of) = taken.of.get_mut(&self.tenant) {
            *of -= 1;
            if *of == 0 {
                taken.of.remove(&self.tenant);
            }
        }
        drop(taken);
        metrics::gauge!(GAUGE).decrement(1);
    }
}

#[cfg(test)]
impl Seat {
    /// The only one there is.
    pub(crate) fn alone() -> Self {
        Seats::new(1, 1).take(TenantId::PLATFORM).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId(Uuid::from_u128(number))
    }

    #[test]
    fn a_seat_is_taken_until_all_who_have_it_let_go() {
        let seats = Seats::new(2, 2);
        let first = seats.take(tenant(1)).unwrap();
        let second = seats.take(tenant(2)).unwrap();
        assert_eq!((seats.room(tenant(3)), seats.take(tenant(3)).unwrap_err()), (Err(Full::All), Full::All));
        let follower = second.clone();
        drop(second);
        assert!(seats.take(tenant(1)).is_err());
        drop(follower);
        assert!(seats.room(tenant(3)).is_ok());
        drop((first, seats.take(tenant(3)).unwrap()));
        assert!(seats.take(tenant(2)).is_ok());
        assert_eq!(lock(&seats.taken).of, HashMap::new(), "tenants without calls are forgotten");
    }

    #[test]
    fn a_tenant_with_all_of_its_seats_keeps_no_other_out() {
        let seats = Seats::new(3, 2);
        let first = seats.take(tenant(1)).unwrap();
        let _second = seats.take(tenant(1)).unwrap();
        assert_eq!(seats.take(tenant(1)).unwrap_err(), Full::Tenant);
        let _other = seats.take(tenant(2)).unwrap();
        assert_eq!((seats.room(tenant(1)), seats.room(tenant(2))), (Err(Full::All), Err(Full::All)));
        drop(first);
        assert!(seats.take(tenant(1)).is_ok());
    }
}
