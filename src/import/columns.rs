//! The first line of a CSV file, and where its records stand.

use csv::{Position, StringRecord};

/// What is wrong with a header, and which column it is about, where it is one.
type Wrong = (Option<String>, String);

/// The columns are known, each is there once, and none of the first `needed` of `known` is missing.
///
/// # Errors
/// The first one that is wrong, and which columns there are.
pub fn check(header: &StringRecord, known: &[&str], needed: usize) -> Result<(), Wrong> {
    let all = || format!("the columns are {}, separated by commas", known.join(", "));
    for (place, name) in header.iter().enumerate() {
        if !known.contains(&name) {
            return Err((Some(name.to_owned()), format!("is not known; {}", all())));
        }
        if header.iter().take(place).any(|before| before == name) {
            return Err((Some(name.to_owned()), "is there twice".to_owned()));
        }
    }
    match known.iter().take(needed).find(|needed| !header.iter().any(|name| name == **needed)) {
        Some(missing) => Err((None, format!("there is no column `{missing}`; {}", all()))),
        None => Ok(()),
    }
}

/// The line in which a record begins. The reader says where it stopped before, and empty lines may lie in between.
pub fn line(text: &str, position: &Position) -> u64 {
    let behind = usize::try_from(position.byte()).ok().and_then(|at| text.get(at..)).unwrap_or_default();
    let empty = behind.bytes().take_while(|byte| b"\r\n".contains(byte)).filter(|byte| *byte == b'\n');
    position.line() + u64::try_from(empty.count()).unwrap_or_default()
}
