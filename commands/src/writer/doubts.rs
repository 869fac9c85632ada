//! Whether keys are looked up before they are appended.

/// For how many batches keys are still looked up before they are appended. They are where retries are likely: after a
/// start or a fault, and while some are found.
#[derive(Debug)]
pub(super) struct Doubts {
    batches: u32,
}

impl Default for Doubts {
    /// As at a start.
    fn default() -> Self {
        Self { batches: Self::BATCHES }
    }
}

impl Doubts {
    /// How long they last.
    const BATCHES: u32 = 16;

    pub(super) fn any(&self) -> bool {
        self.batches > 0
    }

    /// Takes in whether keys that were looked up had been used before.
    pub(super) fn learn(&mut self, used: bool) {
        self.batches = if used { Self::BATCHES } else { self.batches.saturating_sub(1) };
    }

    pub(super) fn raise(&mut self) {
        self.batches = Self::BATCHES;
    }
}
