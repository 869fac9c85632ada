//! Counts that a client writes: bounds of the output, and how many answers it wants. And flags, which are true or false.

use crate::json::Object;
use crate::refusal::Refusal;

/// The most digits that are looked at; more make a number that is too large for anything.
const LONGEST: i64 = 20;

/// A member that is a count, nothing where it is missing or null. A whole number may be written as `1e5` or `100.0`, as
/// some providers take it; what lies between two is rounded up, because it is a bound for what is held.
pub(super) fn count(body: &Object, name: &str) -> Result<Option<u64>, Refusal> {
    body.get(name).filter(|text| *text != "null").map_or(Ok(None), |text| read(text, name).map(Some))
}

/// The same in the JSON of protocol buffers, where a number may stand in quotes.
pub(super) fn count_in_proto(body: &Object, name: &str) -> Result<Option<u64>, Refusal> {
    let Some(text) = body.get(name).filter(|text| *text != "null") else {
        return Ok(None);
    };
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    read(bare, name).map(Some)
}

/// A member that is true or false, false where it is missing or null. What is neither is refused: a provider might read it
/// otherwise, and stream an answer that is read here as a whole one.
pub(super) fn flag(body: &Object, name: &str) -> Result<bool, Refusal> {
    match body.get(name) {
        None | Some("null" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => {
            let message = format!("`{name}` has to be true or false");
            Err(Refusal::invalid("invalid_parameter", message))
        }
    }
}

fn read(text: &str, name: &str) -> Result<u64, Refusal> {
    number(text).ok_or_else(|| {
        let message = format!("`{name}` has to be a number that is not below zero");
        Refusal::invalid("invalid_parameter", message)
    })
}

/// A number of JSON as a count, rounded up.
fn number(text: &str) -> Option<u64> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits: Vec<u8> = whole.bytes().chain(part.bytes()).collect();
    if whole.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if digits.iter().all(|digit| *digit == b'0') {
        return Some(0);
    }
    let point = i64::try_from(whole.len()).ok()?.saturating_add(exponent);
    let leading = digits.iter().take_while(|digit| **digit == b'0').count();
    if point.saturating_sub(i64::try_from(leading).ok()?) > LONGEST {
        return Some(u64::MAX);
    }
    let point = usize::try_from(point.max(0)).ok()?;
    let zeros = std::iter::repeat_n(&b'0', point.saturating_sub(digits.len()));
    let number =
        digits.iter().take(point).chain(zeros).try_fold(0_u64, |sum, digit| {
            sum.checked_mul(10)?.checked_add(u64::from(digit.wrapping_sub(b'0')))
        });
    let more = digits.iter().skip(point).any(|digit| *digit != b'0');
    Some(number.map_or(u64::MAX, |number| number.saturating_add(u64::from(more))))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_count_may_be_written_as_any_number_and_is_rounded_up() {
        let cases = [
            ("0", 0),
            ("64", 64),
            ("100.0", 100),
            ("1e5", 100_000),
            ("1.5E+3", 1_500),
            ("12.01", 13),
            ("0.0001", 1),
            ("5e-1", 1),
            ("1234e-2", 13),
            ("0e99999", 0),
            ("18446744073709551615", u64::MAX),
            ("18446744073709551616", u64::MAX),
            ("1e400", u64::MAX),
            ("0.000000000000000000000000001e30", 1_000),
        ];
        for (text, expected) in cases {
            assert_eq!(number(text), Some(expected), "{text}");
        }
        for text in ["-1", "\"64\"", "true", "[]", "{}", "1e99999999999999999999", ""] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_count_is_refused_by_name() {
        let body = Object::parse(Bytes::from_static(br#"{"a":"64","b":null,"c":[],"d":"6e1"}"#)).unwrap();
        assert_eq!((count(&body, "b"), count(&body, "x")), (Ok(None), Ok(None)));
        assert!(count(&body, "a").unwrap_err().message.contains("`a`"));
        assert_eq!(count_in_proto(&body, "a"), Ok(Some(64)));
        assert_eq!(count_in_proto(&body, "d"), Ok(Some(60)));
        assert_eq!(count_in_proto(&body, "c").unwrap_err().status, 400);
    }
}
