//! How many tokens a text has, about. Estimates size holds; they are billed only where a provider reports nothing, and
//! then they are marked as estimates.
//!
//! A token is taken for four bytes of text. What is held has a margin on top, so that it is seldom too small; what is
//! billed has none, and leaves out the signs of JSON between its texts. Attachments do not count by their text: see
//! [`mod@attached`].

mod attached;

pub(crate) use self::attached::read;

/// Bytes of a token.
const BYTES: u64 = 4;
/// Bytes of an attachment that are taken for a token, where it is no picture.
const DENSE: u64 = 16;
/// From how many bytes on a string of an answer that may be an attachment is one.
const LONG: usize = 2_048;
/// The tokens of a picture, about one of a megapixel, and the least of any other attachment.
const PICTURE: u64 = 1_600;

/// What an input has in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Input {
    /// Bytes of the JSON that carries it, without its attachments.
    written: u64,
    /// Bytes of its texts, and four for each number.
    texts: u64,
    /// Pictures, in the body or by an address.
    pictures: u64,
    /// Attachments that are no pictures: documents, sounds, films.
    files: u64,
    /// Their bytes.
    bytes: u64,
    /// What is kept at the provider or elsewhere, and named here: files, earlier answers, caches.
    references: u64,
}

impl Input {
    /// The tokens that are held for it, where a reference counts as `reference`.
    pub(crate) fn held(&self, reference: u64) -> u64 {
        let text = self.written.div_ceil(BYTES);
        let files = self.files.saturating_mul(PICTURE).max(self.bytes / DENSE);
        text.saturating_add(text / 8)
            .saturating_add(16)
            .saturating_add(self.pictures.saturating_mul(PICTURE))
            .saturating_add(files)
            .saturating_add(self.references.saturating_mul(reference))
    }

    /// The tokens that are billed for it where its provider does not say how many there were. Nobody pays for a prudent
    /// guess: an attachment counts as a picture, and a reference as nothing.
    pub(crate) fn billed(&self) -> u64 {
        let attached = self.pictures.saturating_add(self.files).saturating_mul(PICTURE);
        self.texts.div_ceil(BYTES).saturating_add(attached)
    }

    /// It builds on something that is kept elsewhere.
    pub(crate) fn refer(&mut self) {
        self.references = self.references.saturating_add(1);
    }
}

/// The tokens of so many bytes of an answer's text.
pub(crate) fn output(bytes: u64) -> u64 {
    bytes.div_ceil(BYTES)
}

/// The bytes of text that a string of an answer counts as.
pub(crate) fn text(text: &str) -> u64 {
    length(text.len())
}

/// The same for a string that stands where attachments do: a long one without a space counts as a picture.
pub(crate) fn attachment(text: &str) -> u64 {
    let attached = text.len() >= LONG && text.is_ascii() && !text.contains(' ');
    if attached { PICTURE * BYTES } else { length(text.len()) }
}

fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
