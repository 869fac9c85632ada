//! What tells requests apart that come with the same key.

use domain::Digest;
use sha2::{Digest as _, Sha256};

use crate::gateway::Call;
use crate::refusal::Refusal;

/// What tells one request from another: all that decides what is called and who pays.
pub(super) fn fingerprint(call: &Call) -> [u8; 32] {
    let mut digest = Sha256::new();
    let application = call.application.map(|application| application.to_string()).unwrap_or_default();
    let user = call.user.as_ref().map_or("", |user| user.as_str());
    let stream = if call.stream { "stream" } else { "" };
    let names = [
        call.operation.as_str(),
        call.wallet.as_str(),
        application.as_str(),
        user,
        call.model.as_str(),
        stream,
    ];
    for part in names.map(str::as_bytes).into_iter().chain([call.body.as_ref()]) {
        digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

/// The same as a text.
pub(super) fn hex(digest: [u8; 32]) -> Result<Digest, Refusal> {
    let text: String = digest
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|nibble| char::from_digit(nibble.into(), 16))
        .collect();
    Digest::new(&text).map_err(|error| Refusal::new(500, "internal", error.to_string()))
}
