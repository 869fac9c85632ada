//! How many tokens a text has, about. Estimates size holds; they are billed only where a provider reports nothing, and
//! then they are marked as estimates.
//!
//! A token is taken for four bytes of the text of a body. To the sum comes an eighth and sixteen tokens, so that a hold is
//! seldom too small. A long string without a single space is not text but an image, a sound or a file in base64, and counts
//! as [`ATTACHMENT`] tokens, whatever its length.

/// Bytes of a token.
const BYTES: u64 = 4;
/// From how many bytes on a string without a space is no text.
const LONG: usize = 2_048;
/// The tokens of an attachment: about a picture of a megapixel.
const ATTACHMENT: u64 = 1_600;

/// The tokens of an input, from the JSON that carries it, with the margin.
pub(crate) fn input(body: &[u8]) -> u64 {
    let (text, attachments) = measured(body);
    let tokens = text.div_ceil(BYTES);
    tokens
        .saturating_add(tokens / 8)
        .saturating_add(16)
        .saturating_add(attachments.saturating_mul(ATTACHMENT))
}

/// The tokens of so many bytes of an answer's text.
pub(crate) fn output(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES)
}

/// The bytes of a body that are text, and how many attachments are among its strings.
fn measured(body: &[u8]) -> (u64, u64) {
    let mut text = 0_u64;
    let mut attachments = 0_u64;
    let mut rest = body;
    while let Some(quote) = rest.iter().position(|byte| *byte == b'"') {
        text += length(quote);
        let (string, behind) = string_at(rest.get(quote + 1..).unwrap_or_default());
        if string.len() >= LONG
            && !string.iter().any(|byte| matches!(byte, b' ' | b'\\'))
            && string.is_ascii()
        {
            attachments += 1;
        } else {
            text += length(string.len());
        }
        rest = behind;
    }
    (text + length(rest.len()), attachments)
}

/// A JSON string up to its closing quote, and what is behind it.
fn string_at(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut escaped = false;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return (bytes.get(..at).unwrap_or_default(), bytes.get(at + 1..).unwrap_or_default()),
            _ => {}
        }
    }
    (bytes, &[])
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_counts_by_its_bytes_with_a_margin() {
        assert_eq!(input(b""), 16);
        assert_eq!(input(&[b' '; 4_000]), 1_000 + 125 + 16);
        assert_eq!(output(0), 0);
        assert_eq!(output(5), 2);
    }

    #[test]
    fn an_attachment_counts_as_one_whatever_its_length() {
        let body = |data: &str| format!("{{\"image\":\"{data}\",\"say\":\"a \\\" b\"}}");
        let small = input(body(&"A".repeat(LONG)).as_bytes());
        assert_eq!(small, input(body(&"A".repeat(1 << 20)).as_bytes()));
        assert!((ATTACHMENT..ATTACHMENT + 40).contains(&small), "{small}");
        assert!(input(body(&"word ".repeat(1_000)).as_bytes()) > 1_250, "a long text is a text");
    }

    #[test]
    fn a_string_that_never_ends_is_counted_to_the_end() {
        assert_eq!(input(b"\"abcdefg"), input(b"\"abcdefg\\"));
    }
}
