//! How much is taken on at a time: what does not fit is refused before any of it is read.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What room is given out in, in bytes.
const GRAIN: usize = 1024;

/// Room for the bodies of commands that are being read, waited for or answered.
#[derive(Debug, Clone)]
pub struct Admission(Arc<Semaphore>);

impl Admission {
    /// Room for so many bytes.
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.div_ceil(GRAIN).min(Semaphore::MAX_PERMITS))))
    }

    /// Room for one body of so many bytes, given back when the permit is dropped; none where there is not enough.
    pub fn admit(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let grains = u32::try_from(bytes.div_ceil(GRAIN)).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(grains).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_bounded_and_given_back() {
        let admission = Admission::new(10 * GRAIN);
        let first = admission.admit(9 * GRAIN).unwrap();
        assert!(admission.admit(GRAIN + 1).is_none());
        let second = admission.admit(1).unwrap();
        assert!(admission.admit(1).is_none() && admission.admit(0).is_some());
        drop((first, second));
        assert!(admission.admit(10 * GRAIN).is_some());
    }
}
