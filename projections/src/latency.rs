//! Latencies in milliseconds, counted in buckets whose bounds never change.
//!
//! A latency below 16 ms is a bucket of its own. Above, each power of two is divided into 16 buckets of the same
//! width, so a bucket is at most a sixteenth of its lower bound wide. A percentile is told as the middle of its bucket:
//! it differs from a latency that was measured by at most 1/32 of it (3.2 %). What is longer than 2^32 ms (49 days)
//! counts as the longest.
//!
//! A histogram is kept sparse, as a sorted array of integers: each is the number of a bucket times 2^32 plus how many
//! calls fell into it.

use std::collections::BTreeMap;

use serde::Serialize;

/// The base-two logarithm of the number of buckets per power of two.
const FINENESS: u32 = 4;
/// How far the bucket's number is shifted in an element of a kept histogram.
const SHIFT: u32 = 32;

/// Half of the calls took at most this long, nine in ten this long, and 99 in a hundred this long: in milliseconds,
/// each within 3.2 % of a latency that was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    /// How many calls were measured.
    pub calls: u64,
    /// The median.
    pub p50_ms: u64,
    /// The ninetieth percentile.
    pub p90_ms: u64,
    /// The ninety-ninth percentile.
    pub p99_ms: u64,
}

/// How many calls fell into which bucket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Histogram(BTreeMap<u32, u64>);

impl Histogram {
    pub(crate) fn record(&mut self, milliseconds: u64) {
        *self.0.entry(bucket(milliseconds)).or_default() += 1;
    }

    /// Adds what a bucket of this number holds. Numbers that no bucket has are left out.
    pub(crate) fn add(&mut self, bucket: i64, calls: i64) {
        if let (Ok(bucket), Ok(calls)) = (u32::try_from(bucket), u64::try_from(calls)) {
            let sum = self.0.entry(bucket).or_default();
            *sum = sum.saturating_add(calls);
        }
    }

    /// As it is kept.
    pub(crate) fn elements(&self) -> Vec<i64> {
        let element = |(bucket, calls): (&u32, &u64)| {
            (i64::from(*bucket) << SHIFT) + i64::from(u32::try_from(*calls).unwrap_or(u32::MAX))
        };
        self.0.iter().map(element).collect()
    }

    /// `None` where nothing was measured.
    pub(crate) fn percentiles(&self) -> Option<Percentiles> {
        let calls = self.0.values().fold(0_u64, |sum, calls| sum.saturating_add(*calls));
        Some(Percentiles {
            calls,
            p50_ms: self.at(calls, 50)?,
            p90_ms: self.at(calls, 90)?,
            p99_ms: self.at(calls, 99)?,
        })
    }

    /// The bucket of the call of this rank among `calls`, as the nearest-rank method has it.
    fn at(&self, calls: u64, percent: u64) -> Option<u64> {
        let rank = (u128::from(calls) * u128::from(percent)).div_ceil(100);
        let mut seen = 0;
        for (bucket, calls) in &self.0 {
            seen += u128::from(*calls);
            if seen >= rank {
                return Some(middle(*bucket));
            }
        }
        None
    }
}

/// The number of the bucket.
fn bucket(milliseconds: u64) -> u32 {
    let value = u32::try_from(milliseconds).unwrap_or(u32::MAX);
    let octave = value.checked_ilog2().unwrap_or(0);
    match octave.checked_sub(FINENESS) {
        None | Some(0) => value,
        Some(above) => (above << FINENESS) + (value >> above),
    }
}

/// The middle of a bucket, rounded down.
fn middle(bucket: u32) -> u64 {
    let above = (bucket >> FINENESS).saturating_sub(1);
    let leading = u64::from(bucket - (above << FINENESS));
    let width = 1_u64.checked_shl(above).unwrap_or(u64::MAX);
    leading.saturating_mul(width).saturating_add(width / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(latencies: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::default();
        latencies.into_iter().for_each(|latency| histogram.record(latency));
        histogram
    }

    #[test]
    fn a_latency_is_told_within_a_thirty_second_of_itself() {
        let powers = (0..32).flat_map(|power| [(1_u64 << power) - 1, 1 << power, (1 << power) + 1]);
        for latency in (0..100_000).chain(powers).filter(|latency| u32::try_from(*latency).is_ok()) {
            let told = middle(bucket(latency));
            assert!(told.abs_diff(latency) * 32 <= latency, "{latency} ms are told as {told}");
        }
    }

    #[test]
    fn buckets_are_numbered_by_latency_without_gaps() {
        let mut last = 0;
        for latency in 0..1_000_000 {
            let next = bucket(latency);
            assert!(next == last || next == last + 1, "{latency} ms are in {next}, after {last}");
            last = next;
        }
    }

    #[test]
    fn the_longest_latency_is_as_long_as_the_last_bucket() {
        assert_eq!(bucket(u64::MAX), bucket(u64::from(u32::MAX)));
        assert!(middle(bucket(u64::MAX)) > u64::from(u32::MAX / 2));
    }

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let percentiles = of(1..=10).percentiles().unwrap();
        assert_eq!(percentiles, Percentiles { calls: 10, p50_ms: 5, p90_ms: 9, p99_ms: 10 });
        let percentiles = of([7]).percentiles().unwrap();
        assert_eq!(percentiles, Percentiles { calls: 1, p50_ms: 7, p90_ms: 7, p99_ms: 7 });
        assert_eq!(of([]).percentiles(), None);
    }

    #[test]
    fn a_histogram_survives_being_kept() {
        let histogram = of([0, 3, 3, 15, 16, 17, 250, 260, 61_000, u64::MAX]);
        let mut read = Histogram::default();
        for element in histogram.elements() {
            read.add(element >> SHIFT, element & i64::from(u32::MAX));
        }
        assert_eq!(read, histogram);
    }
}
