//! What a metered call used, in tokens.

use serde::{Deserialize, Serialize};

/// Tokens in buckets that do not overlap, so that none can be billed twice. What providers report as parts of one
/// another (cached tokens of the prompt, reasoning of the completion) is taken apart where it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    /// Read anew: neither found in a cache nor written to one.
    #[serde(skip_serializing_if = "is_zero")]
    pub input: u64,
    /// Found in a cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_read: u64,
    /// Written to a cache for its usual time (five minutes).
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write: u64,
    /// Written to a cache for long (an hour).
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_long: u64,
    /// Answered, without reasoning.
    #[serde(skip_serializing_if = "is_zero")]
    pub output: u64,
    /// Reasoned, shown or not.
    #[serde(skip_serializing_if = "is_zero")]
    pub reasoning: u64,
}

// serde hands over a reference.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(tokens: &u64) -> bool {
    *tokens == 0
}

/// The most tokens that a bucket can count: more than any call can use, and far less than would be too many for a sum.
pub const MOST_TOKENS: u64 = 10_000_000_000;

impl Usage {
    /// The largest usage that can be counted.
    pub const LARGEST: Self = Self::of([MOST_TOKENS; 6]);

    /// What of it can be counted: each bucket up to [`MOST_TOKENS`].
    #[must_use]
    pub fn countable(&self) -> Self {
        Self::of(self.buckets().map(|tokens| tokens.min(MOST_TOKENS)))
    }

    /// The buckets, in the order in which they are declared.
    pub const fn buckets(&self) -> [u64; 6] {
        [self.input, self.cache_read, self.cache_write, self.cache_write_long, self.output, self.reasoning]
    }

    const fn of(buckets: [u64; 6]) -> Self {
        let [input, cache_read, cache_write, cache_write_long, output, reasoning] = buckets;
        Self { input, cache_read, cache_write, cache_write_long, output, reasoning }
    }

    /// All tokens.
    pub fn total(&self) -> u128 {
        self.buckets().into_iter().map(u128::from).sum()
    }

    /// Whether there are none.
    pub const fn is_zero(&self) -> bool {
        matches!(self.buckets(), [0, 0, 0, 0, 0, 0])
    }

    /// The sum, bucket by bucket; `None` where a bucket is beyond a `u64`.
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        let mut sum = self.buckets();
        for (bucket, more) in sum.iter_mut().zip(other.buckets()) {
            *bucket = bucket.checked_add(more)?;
        }
        Some(Self::of(sum))
    }
}

/// Where the numbers of a usage come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider said so. A report of zero is a report.
    Reported,
    /// Counted by us from what passed, because the provider did not say.
    Estimated,
    /// The provider said what it read, and was cut off before it said what it wrote, of which nothing passed.
    InputOnly,
}

impl UsageSource {
    /// The source as a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reported => "reported",
            Self::Estimated => "estimated",
            Self::InputOnly => "input_only",
        }
    }
}
