//! Cursors: where a list goes on. Opaque to callers; inside, a version, the list, and the last item seen.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::field::{Checked, Wrong};
use crate::problem::{Code, Problem, code};

/// The version of the form.
const VERSION: &str = "1";

/// Where a list goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    list: String,
    last: String,
}

impl Cursor {
    /// Behind `last` in `list`, as callers get it.
    pub fn encode(list: &str, last: impl std::fmt::Display) -> String {
        URL_SAFE_NO_PAD.encode(format!("{VERSION} {list} {last}"))
    }

    /// The last item seen, for a cursor that `list` made.
    pub fn last<T: std::str::FromStr>(&self, list: &str) -> Result<T, Problem> {
        let refused =
            || Problem::new(code::INVALID_CURSOR, "the cursor was not made by this list").at("cursor");
        if self.list != list {
            return Err(refused());
        }
        self.last.parse().map_err(|_| refused())
    }
}

impl Checked for Cursor {
    const CODE: Code = code::INVALID_CURSOR;
    const EXPECTED: &'static str = "a cursor is what an earlier answer gave as next";

    fn check(text: &str) -> Result<Self, Wrong> {
        let parse = || {
            let inside = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
            let mut parts = inside.splitn(3, ' ');
            let version = parts.next()?;
            let (list, last) = (parts.next()?.to_owned(), parts.next()?.to_owned());
            (version == VERSION).then_some(Self { list, last })
        };
        parse().ok_or_else(|| Wrong::new(Self::CODE, Self::EXPECTED))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cursor_leads_back_to_its_list_alone() {
        let cursor = Cursor::check(&Cursor::encode("wallets", "a:b c")).unwrap();
        assert_eq!(cursor.last::<String>("wallets").unwrap(), "a:b c");
        assert_eq!(cursor.last::<String>("tenants").unwrap_err().code, code::INVALID_CURSOR);
        assert_eq!(cursor.last::<i64>("wallets").unwrap_err().code, code::INVALID_CURSOR);
    }

    #[test]
    fn a_made_up_cursor_is_refused() {
        let other = URL_SAFE_NO_PAD.encode("2 wallets a");
        for bad in ["", "a", "!!!!", "MQ", "////", &other, &format!("{other}=")] {
            assert!(Cursor::check(bad).is_err(), "{bad}");
        }
    }
    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_and_what_is_read_was_made_here(
            bytes in prop::collection::vec(any::<u8>(), 0..200), inside in "[12]? ?[a-z]{0,9} ?\\PC{0,40}",
        ) {
            let forged = URL_SAFE_NO_PAD.encode(&inside);
            for text in [String::from_utf8_lossy(&bytes).as_ref(), &URL_SAFE_NO_PAD.encode(&bytes), &forged] {
                if let Ok(cursor) = Cursor::check(text) {
                    prop_assert_eq!(Cursor::encode(&cursor.list, &cursor.last), text);
                    // Another list refuses it, and a place that is no id is none.
                    let other = cursor.last::<String>(&format!("{}x", cursor.list));
                    prop_assert!(other.is_err());
                    let place = cursor.last::<uuid::Uuid>(&cursor.list);
                    prop_assert_eq!(place.is_ok(), uuid::Uuid::parse_str(&cursor.last).is_ok());
                }
            }
        }

        #[test]
        fn a_cursor_carries_whatever_was_seen_last(list in "[a-z]{1,12}", last in any::<String>()) {
            let cursor = Cursor::check(&Cursor::encode(&list, &last)).unwrap();
            prop_assert_eq!(cursor.last::<String>(&list).unwrap(), last);
        }
    }
}
