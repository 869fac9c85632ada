//! Files of at most 300 lines and functions of at most 70, tests left out of both.

use std::collections::BTreeMap;

use crate::ratchet::{Ratchet, compare};
use crate::tokens::{lex, outline};
use crate::tree::{File, rust_files};
use crate::{caught, demand};

const FILE_LIMIT: usize = 300;
const FUNCTION_LIMIT: usize = 70;

#[test]
fn files_are_short() {
    let violations = compare(&file_lengths(&rust_files()), &Ratchet::load().files, FILE_LIMIT);
    demand(
        &violations,
        "Split the file by what it says, not by its length: `wallet.rs` beside `wallet/command.rs`.",
    );
}

#[test]
fn functions_are_short() {
    let violations = compare(&function_lengths(&rust_files()), &Ratchet::load().functions, FUNCTION_LIMIT);
    demand(&violations, "Name the steps of the function and make each a function of its own.");
}

#[test]
fn a_long_file_is_caught_and_tests_do_not_count() {
    let long = File::made_up("domain/src/a.rs", &"// a line\n".repeat(301));
    caught(&compare(&file_lengths(&[long]), &BTreeMap::new(), FILE_LIMIT), "domain/src/a.rs has 301 lines");

    let inner_tests = format!("// a line\n#[cfg(test)]\nmod tests {{\n{}}}\n", "// a test\n".repeat(400));
    let excused = [
        File::made_up("domain/src/a.rs", &inner_tests),
        File::made_up("domain/src/a/tests.rs", &"// a line\n".repeat(301)),
        File::made_up("tests/a.rs", &"// a line\n".repeat(301)),
    ];
    assert!(compare(&file_lengths(&excused), &BTreeMap::new(), FILE_LIMIT).is_empty());
}

#[test]
fn a_long_function_is_caught_and_tests_do_not_count() {
    let body = "    work();\n".repeat(69);
    let long = File::made_up("domain/src/a.rs", &format!("impl A {{\nfn long() {{\n{body}}}\n}}\n"));
    let violations = compare(&function_lengths(&[long]), &BTreeMap::new(), FUNCTION_LIMIT);
    caught(&violations, "domain/src/a.rs::long has 71 lines");

    let test = File::made_up(
        "domain/src/a.rs",
        &format!("fn short() {{}}\n#[cfg(test)]\nmod tests {{\n#[test]\nfn long() {{\n{body}}}\n}}\n"),
    );
    assert!(compare(&function_lengths(&[test]), &BTreeMap::new(), FUNCTION_LIMIT).is_empty());
}

fn file_lengths(files: &[File]) -> BTreeMap<String, usize> {
    files
        .iter()
        .filter(|file| !file.is_test())
        .map(|file| {
            let tests = outline(lex(file), true).test_lines;
            (file.path.clone(), file.text.lines().count() - tests)
        })
        .collect()
}

/// Functions of one name in one file share an entry: the longest counts.
fn function_lengths(files: &[File]) -> BTreeMap<String, usize> {
    let mut lengths = BTreeMap::new();
    for file in files.iter().filter(|file| !file.is_test()) {
        for function in outline(lex(file), false).functions {
            let longest = lengths.entry(format!("{}::{}", file.path, function.name)).or_default();
            *longest = function.length.max(*longest);
        }
    }
    lengths
}
