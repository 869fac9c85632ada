//! The documents agree with the repository and with each other.

use std::path::{Component, Path, PathBuf};

use toml::Table;

use crate::tree::{File, files, root};
use crate::{caught, demand};

#[test]
fn every_decision_is_in_the_index() {
    let files = files();
    let index = text_of(&files, "docs/adr/README.md");
    let violations = unlisted(index, files.iter().map(|file| file.path.as_str()));
    demand(&violations, "Add a line for the record to docs/adr/README.md.");
}

#[test]
fn the_map_names_every_room() {
    let files = files();
    let violations = unnamed(text_of(&files, "docs/ARCHITECTURE.md"), text_of(&files, "Cargo.toml"));
    demand(
        &violations,
        "Say in the table of docs/ARCHITECTURE.md what the room holds and what it must not know.",
    );
}

#[test]
fn links_between_documents_lead_somewhere() {
    let documents = files().into_iter().filter(|file| file.has_extension("md"));
    let violations: Vec<_> =
        documents.flat_map(|file| broken_links(&file, |path| root().join(path).exists())).collect();
    demand(&violations, "Correct the link; it is relative to the document that contains it.");
}

#[test]
fn every_test_that_shows_a_defence_exists() {
    let files = files();
    let tests: Vec<_> = files.iter().filter(|file| file.is_rust()).collect();
    let violations = unshown(text_of(&files, "docs/SECURITY.md"), &tests);
    demand(&violations, "Name the test as it is called, or write it.");
}

#[test]
fn a_defence_that_nothing_shows_is_caught() {
    let file = File::made_up("a/tests/a.rs", "#[test]\nfn it_stands() {}\nfn no_test() {}");
    let page = "| what may be tried | what stands in the way | shown by |\n|---|---|---|\n\
                | a | `b_c` | `it_stands` |\n| d | e | `it_fell`, `no_test` |\n| f | g | |";
    let violations = unshown(page, &[&file]);
    caught(&violations, "it_fell");
    caught(&violations, "no_test");
    caught(&violations, "| f | g | |");
    assert_eq!(violations.len(), 3, "{violations:?}");
}

#[test]
fn an_unlisted_decision_is_caught() {
    let paths = ["docs/adr/0001-one.md", "docs/adr/0002-two.md", "docs/adr/README.md", "docs/other.md"];
    let violations = unlisted("- [One](0001-one.md)", paths.into_iter());
    caught(&violations, "0002-two.md");
    assert_eq!(violations.len(), 1);
}

#[test]
fn an_unnamed_room_is_caught() {
    let violations = unnamed("| `domain/` | |", "[workspace]\nmembers = [\"domain\", \"vault\"]");
    caught(&violations, "vault");
    assert_eq!(violations.len(), 1);
}

#[test]
fn a_broken_link_is_caught() {
    let text = "[a](there.md#part) [b](../gone.md)\n```\n[c](in-code.md)\n```\n`[d](in-code.md)`\n\
                [e](https://example.com/x) [f](#here) [g](<there.md>) [h](there.md \"title\")";
    let file = File::made_up("docs/a.md", text);
    let violations = broken_links(&file, |path| path == Path::new("docs/there.md"));
    caught(&violations, "docs/a.md:1 links to ../gone.md");
    assert_eq!(violations.len(), 1, "{violations:?}");
}

fn text_of<'a>(files: &'a [File], path: &str) -> &'a str {
    let file = files.iter().find(|file| file.path == path);
    &file.unwrap_or_else(|| panic!("{path} does not exist")).text
}

fn unlisted<'a>(index: &str, paths: impl Iterator<Item = &'a str>) -> Vec<String> {
    paths
        .filter_map(|path| path.strip_prefix("docs/adr/"))
        .filter(|name| name.starts_with(|first: char| first.is_ascii_digit()))
        .filter(|name| !index.contains(&format!("]({name})")))
        .map(|name| format!("docs/adr/{name} is not in the index"))
        .collect()
}

/// The rows of the tables of `page` whose last column names no test, or one that there is not.
fn unshown(page: &str, files: &[&File]) -> Vec<String> {
    let is_test = |name: &str| {
        files.iter().any(|file| {
            file.text.split_once(&format!("fn {name}(")).is_some_and(|(before, _)| {
                let marks = before.rsplit(['}', ';', '{']).next().unwrap_or_default();
                marks.contains("test]") || marks.contains("test(")
            })
        })
    };
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.ends_with("| shown by |"));
    rows.flat_map(|row| {
        let shown = row.trim_end_matches(" |").rsplit('|').next().unwrap_or_default();
        let names: Vec<_> = shown.split('`').skip(1).step_by(2).collect();
        let nothing = names.is_empty().then(|| format!("nothing shows {row}"));
        let missing =
            names.into_iter().filter(|name| !is_test(name)).map(|name| format!("there is no test {name}"));
        missing.chain(nothing).collect::<Vec<_>>()
    })
    .collect()
}

fn unnamed(map: &str, manifest: &str) -> Vec<String> {
    let manifest: Table = manifest.parse().expect("Cargo.toml is TOML");
    let members = manifest["workspace"]["members"].as_array().expect("the workspace has members");
    members
        .iter()
        .filter_map(toml::Value::as_str)
        .filter(|member| !map.contains(&format!("`{member}/`")))
        .map(|member| format!("{member} is not on the map"))
        .collect()
}

fn broken_links(file: &File, exists: impl Fn(&Path) -> bool) -> Vec<String> {
    let directory = Path::new(&file.path).parent().unwrap_or(Path::new(""));
    let mut in_code = false;
    let mut violations = Vec::new();
    for (line, number) in file.text.lines().zip(1..) {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for target in targets(line) {
            let path = target.split('#').next().unwrap_or_default();
            let is_local = !path.is_empty() && !path.contains("://") && !path.starts_with("mailto:");
            if is_local && !exists(&normal(&directory.join(path))) {
                violations.push(format!("{}:{number} links to {target}", file.path));
            }
        }
    }
    violations
}

/// The targets of the links of one line, those in code spans left out.
fn targets(line: &str) -> Vec<String> {
    let prose: String = line.split('`').step_by(2).collect();
    prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next())
        .map(|target| target.trim_matches(['<', '>']).to_owned())
        .collect()
}

/// Resolves `..` without asking the disk.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}
