use proptest::prelude::*;

use super::*;

fn bound(record: u128) -> Bound {
    Bound { tenant: TenantId(Uuid::from_u128(7)), purpose: "email", record: Uuid::from_u128(record) }
}

#[test]
fn the_same_text_never_looks_the_same_twice() {
    let key = Key::draw().unwrap();
    assert_ne!(key.seal(bound(1), b"alice").unwrap(), key.seal(bound(1), b"alice").unwrap());
}

#[test]
fn a_key_says_nothing_of_itself() {
    let key = Key::from_bytes(&[0x41; 32]).unwrap();
    assert_eq!(format!("{key:?}"), "Key(..)");
}

#[test]
fn a_key_has_32_bytes() {
    for length in [0, 16, 31, 33, 64] {
        assert!(Key::from_bytes(&vec![1; length]).is_none(), "{length}");
    }
}

#[test]
fn the_longest_text_fits_and_one_byte_more_does_not() {
    let key = Key::draw().unwrap();
    let longest = key.seal(bound(1), &[b'a'; MOST_BYTES]).unwrap();
    to_text(&longest).unwrap();
    let longer = key.seal(bound(1), &[b'a'; MOST_BYTES + 3]).unwrap();
    assert!(matches!(to_text(&longer), Err(VaultError::TooLong)));
}

#[test]
fn digests_tell_parts_apart() {
    let key = Key::draw().unwrap();
    assert_ne!(key.digest(&[b"ab", b"c"]).unwrap(), key.digest(&[b"a", b"bc"]).unwrap());
    assert_eq!(key.digest(&[b"ab", b"c"]).unwrap(), key.digest(&[b"ab", b"c"]).unwrap());
}

#[test]
fn the_names_of_purposes_never_change_and_are_distinct() {
    use Purpose::{
        Address, Avatar, Email, Locale, Name, OidcSecret, OidcSubject, OneTime, Preferences, SigningKey,
        TotpSecret, UserAgent,
    };
    let all = [
        Email,
        Name,
        Avatar,
        Locale,
        Preferences,
        UserAgent,
        Address,
        TotpSecret,
        SigningKey,
        OneTime,
        OidcSubject,
        OidcSecret,
    ];
    let names: Vec<_> = all.iter().map(|one| one.as_str()).collect();
    let known = "email name avatar locale preferences user_agent address totp_secret signing_key one_time \
                 oidc_subject oidc_secret";
    assert_eq!(names.join(" "), known);
}

proptest! {
    #[test]
    fn what_is_sealed_is_revealed(text in ".{0,300}", key in any::<[u8; 32]>(), record in any::<u128>()) {
        let key = Key::from_bytes(&key).unwrap();
        let sealed = to_text(&key.seal(bound(record), text.as_bytes()).unwrap()).unwrap();
        let opened = key.open(bound(record), &from_text(&sealed).unwrap()).unwrap();
        prop_assert_eq!(opened.as_slice(), text.as_bytes());
    }

    #[test]
    fn any_flipped_bit_is_refused(text in ".{0,60}", at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let key = Key::draw().unwrap();
        let mut sealed = key.seal(bound(1), text.as_bytes()).unwrap();
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        prop_assert!(key.open(bound(1), &sealed).is_err());
    }

    #[test]
    fn any_other_letter_of_a_sealed_text_is_refused(text in ".{0,60}", at in any::<prop::sample::Index>(), by in "[A-Za-z0-9_-]") {
        let key = Key::draw().unwrap();
        let sealed = to_text(&key.seal(bound(1), text.as_bytes()).unwrap()).unwrap();
        let mut changed = sealed.as_str().to_owned();
        let at = FORM.len() + at.index(changed.len() - FORM.len());
        changed.replace_range(at..=at, &by);
        prop_assume!(changed != sealed.as_str());
        let opened = Sealed::new(&changed).ok().and_then(|text| from_text(&text)).map(|bytes| key.open(bound(1), &bytes));
        prop_assert!(!matches!(opened, Some(Ok(_))));
    }

    #[test]
    fn a_ciphertext_that_is_moved_is_refused(tenant in 0_u128..3, record in 0_u128..3, purpose in prop::sample::select(vec!["email", "name", "emai"])) {
        let key = Key::draw().unwrap();
        let made = Bound { tenant: TenantId(Uuid::from_u128(1)), purpose: "email", record: Uuid::from_u128(1) };
        let sealed = key.seal(made, b"alice@example.org").unwrap();
        let moved = Bound { tenant: TenantId(Uuid::from_u128(tenant)), purpose, record: Uuid::from_u128(record) };
        let here = tenant == 1 && record == 1 && purpose == "email";
        prop_assert_eq!(key.open(moved, &sealed).is_ok(), here);
    }

    #[test]
    fn another_key_opens_nothing(other in any::<[u8; 32]>()) {
        let sealed = Key::draw().unwrap().seal(bound(1), b"alice").unwrap();
        prop_assert!(Key::from_bytes(&other).unwrap().open(bound(1), &sealed).is_err());
    }

    #[test]
    fn arbitrary_bytes_and_texts_open_nothing_and_end_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "(s1\\.)?[A-Za-z0-9_=.-]{0,99}") {
        let key = Key::draw().unwrap();
        prop_assert!(key.open(bound(1), &bytes).is_err());
        if let Some(found) = Sealed::new(&text).ok().and_then(|text| from_text(&text)) {
            prop_assert!(key.open(bound(1), &found).is_err());
        }
    }
}
