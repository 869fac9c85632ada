//! The named exceptions in `ratchet.toml`, which can only become fewer and smaller.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The content of `ratchet.toml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ratchet {
    pub files: BTreeMap<String, usize>,
    pub functions: BTreeMap<String, usize>,
    pub floats: BTreeMap<String, String>,
    pub unsafe_code: BTreeMap<String, String>,
}

impl Ratchet {
    pub fn load() -> Self {
        toml::from_str(include_str!("ratchet.toml")).expect("ratchet.toml is well formed")
    }
}

/// Compares measured lengths with the limit and its exceptions.
pub fn compare(
    measured: &BTreeMap<String, usize>,
    exceptions: &BTreeMap<String, usize>,
    limit: usize,
) -> Vec<String> {
    let too_long = measured.iter().filter_map(|(name, &length)| match exceptions.get(name) {
        None if length > limit => Some(format!("{name} has {length} lines, {limit} are the most")),
        Some(&granted) if length > granted => {
            Some(format!("{name} has grown to {length} lines, {granted} were granted"))
        }
        _ => None,
    });
    let too_generous = exceptions.iter().filter_map(|(name, &granted)| match measured.get(name) {
        None => Some(format!("{name} is in ratchet.toml but does not exist: remove its entry")),
        Some(&length) if length <= limit => {
            Some(format!("{name} has only {length} lines: remove its entry from ratchet.toml"))
        }
        Some(&length) if length < granted => {
            Some(format!("{name} has shrunk to {length} lines: write {length} into ratchet.toml"))
        }
        Some(_) => None,
    });
    too_long.chain(too_generous).collect()
}

/// What was found in files of `allowed` is dropped; an entry for a file in which nothing was found is reported.
pub fn excuse(found: Vec<(String, String)>, allowed: &BTreeMap<String, String>) -> Vec<String> {
    let unused = allowed.keys().filter(|path| !found.iter().any(|(in_file, _)| in_file == *path));
    let mut violations: Vec<_> =
        unused.map(|path| format!("{path} needs no exception: remove its entry from ratchet.toml")).collect();
    let rest = found.into_iter().filter(|(path, _)| !allowed.contains_key(path));
    violations.extend(rest.map(|(_, violation)| violation));
    violations
}

#[test]
fn exceptions_can_only_shrink() {
    let compare_one = |length: usize, granted: Option<usize>| {
        let measured = BTreeMap::from([("a.rs".to_owned(), length)]);
        let exceptions = granted.map(|granted| ("a.rs".to_owned(), granted)).into_iter().collect();
        compare(&measured, &exceptions, 300)
    };
    assert!(compare_one(300, None).is_empty());
    assert!(compare_one(320, Some(320)).is_empty());
    crate::caught(&compare_one(301, None), "a.rs has 301 lines, 300 are the most");
    crate::caught(&compare_one(321, Some(320)), "grown to 321");
    crate::caught(&compare_one(319, Some(320)), "write 319");
    crate::caught(&compare_one(300, Some(320)), "remove its entry");
    let gone = compare(&BTreeMap::new(), &BTreeMap::from([("b.rs".to_owned(), 320)]), 300);
    crate::caught(&gone, "b.rs is in ratchet.toml but does not exist");
}
