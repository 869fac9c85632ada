//! Lines of bounded length from a reader of unbounded ones.

use std::io::{self, BufRead};

/// The next line of a file.
pub enum Line<'a> {
    /// Its bytes, without `\n` or `\r\n`.
    Text(&'a [u8]),
    /// It was longer than allowed and has been passed over.
    TooLong,
    /// There are no more.
    End,
}

/// Reads lines, keeping at most one of them, and counts them.
pub struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    limit: usize,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// Lines of at most `limit` bytes.
    pub fn new(reader: R, limit: usize) -> Self {
        Self { reader, buffer: Vec::new(), limit, number: 0 }
    }

    /// The number of the line read last, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Reads up to the next line end or the end of the file.
    ///
    /// # Errors
    /// When the reader fails.
    pub fn next_line(&mut self) -> io::Result<Line<'_>> {
        self.buffer.clear();
        let (mut any, mut too_long, mut ended) = (false, false, false);
        while !ended {
            let available = match self.reader.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                break;
            }
            any = true;
            let text = available.split(|byte| *byte == b'\n').next().unwrap_or_default();
            ended = text.len() < available.len();
            let used = text.len() + usize::from(ended);
            // One more than the limit leaves room for a carriage return.
            if too_long || self.buffer.len() + text.len() > self.limit + 1 {
                too_long = true;
            } else {
                self.buffer.extend_from_slice(text);
            }
            self.reader.consume(used);
        }
        if !any {
            return Ok(Line::End);
        }
        self.number += 1;
        let text = self.buffer.strip_suffix(b"\r").unwrap_or(&self.buffer);
        if too_long || text.len() > self.limit {
            return Ok(Line::TooLong);
        }
        Ok(Line::Text(text))
    }
}
