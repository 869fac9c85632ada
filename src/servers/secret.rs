//! Random values that must not be guessed.

use std::fmt::Write as _;
use std::io;

use super::Error;

/// 128 random bits from the operating system, in hexadecimal digits.
pub fn random_hex() -> Result<String, Error> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::Io {
        what: "get random bytes".to_owned(),
        source: io::Error::other(error),
    })?;
    Ok(bytes.iter().fold(String::with_capacity(32), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
