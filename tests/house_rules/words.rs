//! Names and words that the house does without.

use crate::tokens::{attributes, flatten, lex};
use crate::tree::{File, files};
use crate::{caught, demand};

/// Marks of unfinished work, written apart so that this file does not contain them.
const MARKS: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Macros of unfinished work.
const MACROS: [&str; 3] = ["todo", "unimplemented", "dbg"];

/// Names that say nothing about what a file holds.
const EMPTY_NAMES: [&str; 8] = ["common", "helper", "helpers", "manager", "misc", "util", "utils", "shared"];

#[test]
fn modules_lie_beside_their_directories() {
    let violations: Vec<_> = files().iter().flat_map(module_file).collect();
    demand(
        &violations,
        "Name the file after its module: `wallet.rs` beside `wallet/`. Cargo needs tests/support/mod.rs.",
    );
}

#[test]
fn file_names_say_what_is_inside() {
    let violations: Vec<_> = files().iter().flat_map(empty_name).collect();
    demand(
        &violations,
        "Name the file after what it holds; if there is no such name, the content belongs elsewhere.",
    );
}

#[test]
fn lints_are_expected_not_allowed() {
    let violations: Vec<_> = files().iter().filter(|file| file.is_rust()).flat_map(allows).collect();
    demand(
        &violations,
        "Write `#[expect(lint, reason = \"...\")]`: it reports itself once it is no longer needed.",
    );
}

#[test]
fn nothing_is_left_unfinished() {
    let violations: Vec<_> = files().iter().flat_map(unfinished).collect();
    demand(&violations, "Finish it, or leave it out and write it into CHANGELOG.md as a limit.");
}

#[test]
fn a_mod_rs_is_caught() {
    caught(&module_file(&File::made_up("domain/src/wallet/mod.rs", "")), "domain/src/wallet/mod.rs");
    assert!(module_file(&File::made_up("tests/support/mod.rs", "")).is_empty());
}

#[test]
fn an_empty_name_is_caught() {
    caught(&empty_name(&File::made_up("api/src/utils.rs", "")), "utils");
    caught(&empty_name(&File::made_up("api/src/common/time.rs", "")), "common");
    caught(&empty_name(&File::made_up("commands/src/pool_manager.rs", "")), "manager");
    assert!(empty_name(&File::made_up("api/src/commonly.rs", "")).is_empty());
}

#[test]
fn an_allow_is_caught() {
    let check = |text: &str| allows(&File::made_up("a.rs", text));
    caught(&check("fn a() {\n  #[allow(unused)]\n  let x = 1;\n}"), "a.rs:2");
    caught(&check("#![allow(unused)]"), "a.rs:1");
    caught(&check("#[cfg_attr(unix, allow(unused))]\nfn a() {}"), "a.rs:1");
    assert!(check("// #[allow(unused)]\n#[expect(unused, reason = \"allow\")]\nfn allow() {}").is_empty());
}

#[test]
fn unfinished_work_is_caught() {
    let check = |path: &str, text: &str| unfinished(&File::made_up(path, text));
    for mark in MARKS {
        caught(&check("a.md", &format!("one\n{mark}: two")), "a.md:2");
    }
    for name in MACROS {
        caught(&check("a.rs", &format!("fn a() {{ {name}!(1) }}")), name);
    }
    assert!(check("a.rs", "fn todo() { \"dbg!\" }").is_empty());
    assert!(check("a.md", &format!("{}S", MARKS[0])).is_empty());
}

fn module_file(file: &File) -> Vec<String> {
    let is = file.path.ends_with("/mod.rs") && file.path != "tests/support/mod.rs";
    if is { vec![file.path.clone()] } else { Vec::new() }
}

fn empty_name(file: &File) -> Vec<String> {
    let stems = file.path.split('/').map(|part| part.split('.').next().unwrap_or_default());
    stems
        .filter(|stem| stem.split(['_', '-']).any(|word| EMPTY_NAMES.contains(&word)))
        .map(|stem| format!("{}: {stem} says nothing", file.path))
        .collect()
}

fn allows(file: &File) -> Vec<String> {
    attributes(lex(file))
        .into_iter()
        .filter(|(_, words)| match words.first().map(String::as_str) {
            Some("allow") => true,
            Some("cfg_attr") => words.iter().any(|word| word == "allow"),
            _ => false,
        })
        .map(|(line, words)| format!("{}:{line} allows {}", file.path, words[1..].join("::")))
        .collect()
}

fn unfinished(file: &File) -> Vec<String> {
    let marked = file.text.lines().zip(1..).filter_map(|(line, number)| {
        let mut words = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        let mark = words.find(|word| MARKS.contains(word))?;
        Some(format!("{}:{number} says {mark}", file.path))
    });
    let mut violations: Vec<_> = marked.collect();
    if file.is_rust() {
        let tokens = flatten(lex(file));
        violations.extend(tokens.windows(2).filter_map(|pair| {
            let [name, sign] = pair else { return None };
            let is = MACROS.contains(&name.text.as_str()) && sign.text == "!";
            is.then(|| format!("{}:{} calls {}!", file.path, name.line, name.text))
        }));
    }
    violations
}
