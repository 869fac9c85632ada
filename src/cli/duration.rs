//! Times on the command line: every option takes them in one form.

use std::time::Duration;

/// The letters, and how many seconds each stands for.
const UNITS: [(char, u64); 4] = [('s', 1), ('m', 60), ('h', 60 * 60), ('d', 24 * 60 * 60)];

/// A time such as `90s`, `15m`, `12h` or `30d`; `90` is 90 seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let with_unit = UNITS.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, *seconds)));
    let (digits, seconds) = with_unit.unwrap_or((text, 1));
    // A number may have a sign for the parser, and a time has none.
    let count =
        Some(digits).filter(|digits| !digits.starts_with('+')).and_then(|digits| digits.parse::<u64>().ok());
    count.and_then(|count| count.checked_mul(seconds)).map(Duration::from_secs).ok_or_else(|| {
        "a time is a whole number and s, m, h or d, such as 90s or 12h; a number alone is seconds".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_numbers_with_a_unit_or_in_seconds() {
        for (text, seconds) in
            [("90s", 90), ("15m", 900), ("12h", 43_200), ("30d", 2_592_000), ("5", 5), ("0", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "s",
            "h",
            "-1s",
            "-1",
            "+1",
            "1.5h",
            "12w",
            "1 h",
            "99999999999999999999",
            "18446744073709551615m",
            "1\u{e9}",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
