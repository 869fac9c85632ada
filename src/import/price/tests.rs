use proptest::prelude::*;

use super::*;

fn price(text: &str) -> Price {
    text.parse().expect("a price")
}

fn tariff(input: &str, output: &str, scale: u32) -> Result<Tariff, TariffError> {
    Tariff::new(price(input), price(output), scale)
}

#[test]
fn a_request_costs_exactly_its_tokens_at_their_prices() {
    let tariff = tariff("0.50", "1.50", 9).expect("a tariff");
    let cost = tariff.cost(374, 44).expect("a cost");
    assert_eq!(cost, 253_000);
    assert_eq!(tariff.decimal(cost), "0.000253000");
    assert_eq!(tariff.decimal(0), "0.000000000");
    assert_eq!(tariff.decimal(12_345_678_901), "12.345678901");
}

#[test]
fn an_asset_without_a_point_is_written_without_one() {
    let tariff = tariff("2000000", "3000000", 0).expect("a tariff");
    assert_eq!(tariff.decimal(tariff.cost(5, 1).expect("a cost")), "13");
}

#[test]
fn a_price_finer_than_the_asset_names_the_scale_it_needs() {
    assert_eq!(tariff("0.50", "1.25", 6), Err(TariffError::TooFine { which: "output", scale: 6, needed: 8 }));
    assert_eq!(
        tariff("0.001", "1.5", 8).expect_err("too fine").to_string(),
        "the input price per token cannot be written with 8 digits after the point; the asset needs a scale of 9"
    );
    let beyond = tariff("0.0000000000001", "0", 18).expect_err("too fine");
    assert!(beyond.to_string().ends_with("a scale of 19, and 18 is the largest there is"), "{beyond}");
}

#[test]
fn the_scale_a_price_needs_is_exactly_enough() {
    for (text, needed) in
        [("0", 0), ("0.50", 7), ("1.50", 7), ("1", 6), ("10", 5), ("1000000", 0), ("90000000", 0)]
    {
        assert!(tariff(text, "0", needed).is_ok(), "{text} at {needed}");
        if needed > 0 {
            let refused = tariff(text, "0", needed - 1);
            assert!(
                matches!(refused, Err(TariffError::TooFine { needed: named, .. }) if named == needed),
                "{text}: {refused:?}"
            );
        }
    }
}

#[test]
fn what_is_not_a_plain_decimal_is_not_a_price() {
    for text in ["", ".", ".5", "5.", "-1", "+1", "1e3", "1,5", "0x1", " 1", "1.2.3", "NaN", "١"] {
        assert!(text.parse::<Price>().is_err(), "{text:?}");
    }
    assert!(matches!("9".repeat(60).parse::<Price>(), Err(PriceError::TooLong(_))));
    assert_eq!(price("007.500"), price("7.5"));
}

#[test]
fn a_cost_beyond_an_amount_is_none_and_not_a_wrong_number() {
    let tariff = tariff("99999999999999999999999", "0", 9).expect("a tariff");
    assert!(tariff.cost(1, 0).is_some());
    assert_eq!(tariff.cost(u64::MAX, 0), None);
    assert!(matches!(
        Tariff::new(price(&"9".repeat(37)), price("0"), 18),
        Err(TariffError::TooLarge { which: "input" })
    ));
}

/// `digits` as a decimal with six digits after the point, written by padding and not by division.
fn six_places(digits: u64) -> String {
    let text = format!("{digits:07}");
    let (whole, fraction) = text.split_at(text.len() - 6);
    format!("{whole}.{fraction}")
}

proptest! {
    /// The other way: everything in units of 10^-12, summed first, and divided down to the asset's scale last.
    #[test]
    fn costs_agree_with_arithmetic_done_another_way(
        input in 0_u64..5_000_000_000,
        output in 0_u64..5_000_000_000,
        context in 0_u64..10_000_000,
        generated in 0_u64..10_000_000,
        scale in 12_u32..=18,
    ) {
        let tariff = tariff(&six_places(input), &six_places(output), scale).expect("a tariff");
        let cost = tariff.cost(context, generated).expect("a cost");
        let picos = u128::from(input) * u128::from(context) + u128::from(output) * u128::from(generated);
        let zeros = "0".repeat(scale as usize - 12);
        let expected = format!("{}.{:012}{zeros}", picos / 1_000_000_000_000, picos % 1_000_000_000_000);
        prop_assert_eq!(tariff.decimal(cost), expected);
    }

    #[test]
    fn a_tariff_in_a_coarser_asset_is_the_same_amount_or_refused(
        input in 0_u64..5_000_000_000,
        context in 0_u64..10_000_000,
        scale in 0_u32..12,
    ) {
        let fine = tariff(&six_places(input), "0", 12).expect("a tariff");
        let exact = fine.cost(context, 0).expect("a cost");
        match tariff(&six_places(input), "0", scale) {
            Ok(coarse) => {
                let units = coarse.cost(context, 0).expect("a cost");
                prop_assert_eq!(units * 10_i128.pow(12 - scale), exact);
            }
            Err(_) => prop_assert_ne!(u128::from(input) % 10_u128.pow(12 - scale), 0),
        }
    }
}
