//! What strangers write: whatever it is, it is read or refused, and what is read is written in one way.

use std::fmt::Display;
use std::str::FromStr;

use domain::{Amount, AssetCode, Digest, Network, PublicId, Role, Sealed, Slug, WalletPath};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::config;

/// Any bytes, as far as they are text at all.
fn anything() -> impl Strategy<Value = String> {
    prop_oneof![
        vec(any::<u8>(), 0..300).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        any::<String>(),
    ]
}

/// `text`, or what differs from it in a few bytes.
fn nearly(text: &'static str) -> impl Strategy<Value = String> {
    let text = proptest::string::string_regex(text).unwrap();
    (text, vec((any::<prop::sample::Index>(), any::<u8>()), 0..3)).prop_map(|(text, changes)| {
        let mut bytes = text.into_bytes();
        for (at, by) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = by;
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// The text that is written for what is read from `text`; `None` where it is refused.
fn written<T: FromStr + Display>(text: &str) -> Option<String> {
    text.parse::<T>().ok().map(|read| read.to_string())
}

/// A decimal number without zeros that say nothing: what an amount is written as.
fn plain(text: &str) -> String {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) =
        digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let whole = Some(whole.trim_start_matches('0')).filter(|whole| !whole.is_empty()).unwrap_or("0");
    let nothing = digits.bytes().all(|byte| byte == b'0' || byte == b'.');
    let sign = if negative && !nothing { "-" } else { "" };
    fraction.map_or_else(|| format!("{sign}{whole}"), |fraction| format!("{sign}{whole}.{fraction}"))
}

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn a_wallet_path_is_read_as_it_is_written(text in prop_oneof![
        anything(), nearly("@?[A-Za-z0-9_.-]{1,70}(:[A-Za-z0-9_.-]{0,70}){0,5}"), nearly("(\\.\\.[/:%\\\\]){1,9}etc"),
    ]) {
        if let Some(written) = written::<WalletPath>(&text) {
            prop_assert_eq!(&written, &text);
            prop_assert!(text.len() <= 255 && text.is_ascii() && !text.contains(['/', '\\', '%', '\0', ' ']));
        }
    }

    #[test]
    fn an_amount_is_read_with_all_its_digits(text in prop_oneof![
        anything(), nearly("-?[0-9]{1,45}(\\.[0-9]{0,22})?"), nearly("-?0{0,9}[0-9]{1,9}\\.[0-9]{1,18}"),
    ]) {
        if let Ok(amount) = text.parse::<Amount>() {
            prop_assert_eq!(amount.to_string(), plain(&text));
            prop_assert_eq!(amount.to_string().parse::<Amount>(), Ok(amount));
        }
    }

    #[test]
    fn an_amount_in_json_is_a_string_or_refused(bytes in vec(any::<u8>(), 0..60), text in nearly("\"?-?[0-9]{1,45}(\\.[0-9]{0,22})?(e[0-9])?\"?")) {
        for json in [bytes.as_slice(), text.as_bytes()] {
            if let Ok(amount) = serde_json::from_slice::<Amount>(json) {
                prop_assert!(json.trim_ascii().starts_with(b"\""));
                let again = serde_json::to_vec(&amount).unwrap();
                prop_assert_eq!(serde_json::from_slice::<Amount>(&again).unwrap(), amount);
            }
        }
    }

    #[test]
    fn what_is_sealed_is_kept_as_it_was_made(text in prop_oneof![
        anything(), nearly("(s1\\.)?[A-Za-z0-9_=-]{0,90}"), nearly("s1\\.[A-Za-z0-9_-]{4080,4110}"),
    ]) {
        if let Some(written) = written::<Sealed>(&text) {
            prop_assert_eq!(&written, &text);
            prop_assert!(text.starts_with("s1.") && text.len() <= 4096 && !text.contains(['@', ' ', '=']));
        }
    }

    #[test]
    fn a_name_of_any_kind_is_read_as_it_is_written(text in prop_oneof![
        anything(), nearly("[a-z0-9-]{1,65}"), nearly("[A-Z][A-Z0-9_.-]{0,33}"), nearly("[0-9a-f]{63,65}"),
        nearly("owner|admin|member|viewer|auditor|superadmin"),
    ]) {
        for written in [
            written::<Slug>(&text), written::<AssetCode>(&text), written::<Digest>(&text), written::<PublicId>(&text),
            text.parse::<Role>().ok().map(|role| role.as_str().to_owned()),
        ].into_iter().flatten() {
            prop_assert_eq!(&written, &text);
        }
    }

    #[test]
    fn a_network_has_one_canonical_form(text in prop_oneof![
        anything(), nearly("[0-9]{1,3}(\\.[0-9]{1,3}){3}(/[0-9]{1,2})?"), nearly("[0-9a-f:]{2,39}(/[0-9]{1,3})?"),
    ]) {
        if let Ok(network) = text.parse::<Network>() {
            prop_assert_eq!(network.to_string().parse::<Network>(), Ok(network));
        }
    }
}
