use proptest::prelude::*;

use super::*;

fn amount(text: &str) -> Amount {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn text_keeps_every_digit() {
    for text in ["0", "12.50", "-0.05", "0.000000001", "170141183460469231731687303715884105727"] {
        assert_eq!(amount(text).to_string(), text);
    }
    assert_eq!(amount("-0").to_string(), "0");
    assert_eq!(amount("007.10").to_string(), "7.10");
}

#[test]
fn what_is_not_a_plain_decimal_is_refused() {
    for text in
        ["", "-", ".", "1.", ".5", "+1", " 1", "1 ", "1e3", "1_000", "1,5", "0x1", "١", "1.2.3", "--1", "NaN"]
    {
        assert_eq!(text.parse::<Amount>(), Err(MoneyError::Malformed), "{text}");
    }
    assert_eq!("0.1234567890123456789".parse::<Amount>(), Err(MoneyError::TooPrecise));
    assert_eq!("9".repeat(40).parse::<Amount>(), Err(MoneyError::Overflow));
}

#[test]
fn json_is_a_string_and_never_a_number() {
    assert_eq!(serde_json::to_string(&amount("12.50")).unwrap(), "\"12.50\"");
    assert_eq!(serde_json::from_str::<Amount>("\"12.50\"").unwrap(), amount("12.50"));
    for json in ["12.5", "12", "null", "[\"1\"]", "\"1e3\""] {
        assert!(serde_json::from_str::<Amount>(json).is_err(), "{json}");
    }
}

#[test]
fn a_finer_amount_than_its_asset_is_refused_even_with_zeros() {
    let cents = Scale::new(2).unwrap();
    assert_eq!(amount("12.5").at_scale(cents), Ok(amount("12.50")));
    assert_eq!(amount("12.500").at_scale(cents), Err(MoneyError::TooPrecise));
    assert_eq!(Amount::from_minor(i128::MAX, Scale::default()).at_scale(cents), Err(MoneyError::Overflow));
}

#[test]
fn different_scales_do_not_mix() {
    assert_eq!(amount("1.0").checked_add(amount("1.00")), Err(MoneyError::ScaleMismatch));
}

proptest! {
    #[test]
    fn text_and_back_is_the_same(minor: i128, digits in 0..=Scale::MAX) {
        let value = Amount::from_minor(minor, Scale::new(digits).unwrap());
        prop_assert_eq!(value.to_string().parse::<Amount>(), Ok(value));
    }

    #[test]
    fn sums_are_exact_or_refused(a: i128, b: i128) {
        let (x, y) = (Amount::from_minor(a, Scale::default()), Amount::from_minor(b, Scale::default()));
        match a.checked_add(b) {
            Some(sum) => prop_assert_eq!(x.checked_add(y).unwrap().minor(), sum),
            None => prop_assert_eq!(x.checked_add(y), Err(MoneyError::Overflow)),
        }
    }

    #[test]
    fn any_text_is_read_or_refused_without_panic(text in "\\PC*") {
        if let Ok(amount) = text.parse::<Amount>() {
            prop_assert_eq!(amount.to_string().parse::<Amount>(), Ok(amount));
        }
    }
}
