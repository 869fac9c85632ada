//! Every test can fail by its own judgement.

use crate::tokens::{Function, lex, outline, words};
use crate::tree::{File, rust_files};
use crate::{caught, demand};

/// Beginnings of the names of what judges: macros, cqrs-es's test framework, and functions of tests.
const JUDGES: [&str; 9] = [
    "assert",
    "caught",
    "demand",
    "expect",
    "panic",
    "prop_assert",
    "should_panic",
    "then_expect",
    "unwrap_err",
];

#[test]
fn every_test_asserts_something() {
    let violations: Vec<_> = rust_files().iter().flat_map(idle_tests).collect();
    demand(
        &violations,
        "Assert what the test's name claims. A function that judges for several tests has a name that begins \
         with `assert_` or `expect_`.",
    );
}

#[test]
fn a_test_that_asserts_nothing_is_caught() {
    let check = |text: &str| idle_tests(&File::made_up("tests/a.rs", text));
    caught(&check("#[test]\nfn idle() { run(); }"), "tests/a.rs:2 idle");
    caught(
        &check("#[tokio::test(flavor = \"multi_thread\")]\nasync fn idle() { run().await.unwrap(); }"),
        "idle",
    );
    caught(&check("proptest! { #[test] fn idle(x in 0..3) { run(x); } }"), "idle");
    caught(&check("#[cfg(test)] mod tests { #[test] fn idle() { \"assert\"; } }"), "idle");
    assert!(check("#[test] fn judges() { assert_eq!(1, 1); }").is_empty());
    assert!(check("#[test] fn judges() { run(|| { given().then_expect_error(1) }); }").is_empty());
    assert!(check("#[test] #[should_panic] fn judges() { run(); }").is_empty());
    assert!(check("fn no_test() { run(); }").is_empty());
}

fn idle_tests(file: &File) -> Vec<String> {
    outline(lex(file), true)
        .functions
        .iter()
        .filter(|function| function.is_test && !judges(function))
        .map(|function| format!("{}:{} {} asserts nothing", file.path, function.line, function.name))
        .collect()
}

fn judges(function: &Function) -> bool {
    words(function.body.stream())
        .iter()
        .chain(&function.attributes)
        .any(|word| JUDGES.iter().any(|judge| word.starts_with(judge)))
}
