use serde::Serialize;
use utoipa::ToSchema;

use crate::cursor::Cursor;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct List<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where to go on, as `cursor`; null at the end.
    pub next: Option<String>,
}

impl<T> List<T> {
    /// A page of the list `name`. A full page may have more behind it, where `place` of its last item leads.
    pub fn page(name: &str, items: Vec<T>, limit: i64, place: impl FnOnce(&T) -> String) -> Self {
        let full = i64::try_from(items.len()).is_ok_and(|length| length >= limit);
        let next = items.last().filter(|_| full).map(|last| Cursor::encode(name, place(last)));
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_not_full_is_the_last() {
        let page = |limit| List::page("numbers", vec![1, 2], limit, ToString::to_string);
        assert_eq!(page(3).next, None);
        assert_eq!(page(2).next, Some(Cursor::encode("numbers", 2)));
        assert_eq!(List::<u8>::page("numbers", Vec::new(), 2, ToString::to_string).next, None);
    }
}
