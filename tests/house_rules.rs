//! The rules of the house that no compiler and no lint checks. CONTRIBUTING.md gives the reasons.
//!
//! Each rule is a function from source text to a list of violations, one test that applies it to this
//! repository, and one test that proves it catches a violation.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a rule that cannot read what it judges has to fail"
)]

#[path = "house_rules/documents.rs"]
mod documents;
#[path = "house_rules/honesty.rs"]
mod honesty;
#[path = "house_rules/lengths.rs"]
mod lengths;
#[path = "house_rules/manifests.rs"]
mod manifests;
#[path = "house_rules/ratchet.rs"]
mod ratchet;
#[path = "house_rules/rooms.rs"]
mod rooms;
#[path = "house_rules/tokens.rs"]
mod tokens;
#[path = "house_rules/tree.rs"]
mod tree;
#[path = "house_rules/words.rs"]
mod words;

/// Fails with every violation and with what to do about them.
fn demand(violations: &[String], advice: &str) {
    assert!(violations.is_empty(), "\n  {}\n\n{advice}\n", violations.join("\n  "));
}

/// Fails unless a rule, fed a fabricated source, reported something that contains `expected`.
fn caught(violations: &[String], expected: &str) {
    assert!(
        violations.iter().any(|violation| violation.contains(expected)),
        "expected a violation that mentions {expected:?}, got {violations:?}"
    );
}
