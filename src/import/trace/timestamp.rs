//! The times of a trace: `2023-11-16 18:15:46.6805900`, in UTC.

use chrono::{DateTime, NaiveDate, Utc};

use super::shown;

/// Reads a time, cut off (not rounded) after the microseconds.
///
/// The date and the time may be parted by `T`, the fraction have any number of digits from none to nine, and the
/// whole end in `Z`.
pub fn parse(text: &str) -> Result<DateTime<Utc>, String> {
    let bare = text.strip_suffix(['Z', 'z']).unwrap_or(text);
    let (seconds, fraction) = bare.split_once('.').unwrap_or((bare, ""));
    let malformed = || format!("is not a time like 2023-11-16 18:15:46.6805900: {}", shown(text));
    let parts = calendar(seconds.as_bytes()).ok_or_else(malformed)?;
    let micros = microseconds(fraction).ok_or_else(malformed)?;
    let [year, month, day, hour, minute, second] = parts;
    i32::try_from(year)
        .ok()
        .and_then(|year| NaiveDate::from_ymd_opt(year, month, day))
        .and_then(|date| date.and_hms_micro_opt(hour, minute, second, micros))
        .map(|time| time.and_utc())
        .ok_or_else(|| format!("is not in the calendar or on the clock: {}", shown(text)))
}

/// The numbers of `YYYY-MM-DD HH:MM:SS`, each with exactly its digits.
fn calendar(text: &[u8]) -> Option<[u32; 6]> {
    const SHAPE: &[u8; 19] = b"0000-00-00 00:00:00";
    if text.len() != SHAPE.len() {
        return None;
    }
    let mut numbers = [0; 6];
    let mut index = 0;
    for (byte, shape) in text.iter().zip(SHAPE) {
        match (shape, byte) {
            (b'0', b'0'..=b'9') => {
                let number = numbers.get_mut(index)?;
                *number = *number * 10 + u32::from(byte - b'0');
            }
            (b' ', b' ' | b'T' | b't') | (b'-', b'-') | (b':', b':') => index += 1,
            _ => return None,
        }
    }
    Some(numbers)
}

fn microseconds(fraction: &str) -> Option<u32> {
    if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
    Some(digits.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
}
