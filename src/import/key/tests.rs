use std::collections::HashSet;

use super::super::trace::Trace;
use super::*;

fn account() -> Account {
    Account { wallet: "customers:42".to_owned(), revenue: "@revenue".to_owned(), asset: "USD".to_owned() }
}

fn keys(text: &str) -> Vec<Keys> {
    Trace::open(text.as_bytes())
        .expect("a header")
        .map(|row| Keys::of(&account(), &row.expect("readable").expect("a row")))
        .collect()
}

const ROWS: &str = "TIMESTAMP,ContextTokens,GeneratedTokens\n\
    2023-11-16 18:15:46.6805900,374,44\n\
    2023-11-16 18:15:46.6805900,374,44\n\
    2023-11-16 18:15:50.9951690,396,109\n\
    2023-11-16 18:15:46.6805900,374,44\n";

#[test]
fn identical_rows_have_keys_of_their_own() {
    let keys = keys(ROWS);
    let distinct: HashSet<_> = keys.iter().flat_map(|k| [&k.hold, &k.settle]).collect();
    assert_eq!(distinct.len(), 8);
}

#[test]
fn keys_stay_when_the_file_grows_or_is_written_another_way() {
    let before = keys(ROWS);
    let longer = keys(&format!("{ROWS}2023-11-16 18:15:46.6805900,374,44\n"));
    assert_eq!(longer[..4], before[..]);
    let crlf = ROWS.replace('\n', "\r\n").replace("16 18", "16T18").replace("900,", "900Z,");
    assert_eq!(keys(&crlf), before);
    let mut columns = "ContextTokens,TIMESTAMP,GeneratedTokens\n".to_owned();
    columns.push_str("374,2023-11-16 18:15:46.68059,44\n");
    assert_eq!(keys(&columns)[0], before[0]);
}

#[test]
fn each_part_of_the_content_is_in_the_key() {
    let row = Trace::open(ROWS.as_bytes())
        .expect("a header")
        .next()
        .expect("one")
        .expect("readable")
        .expect("a row");
    let with = |change: &dyn Fn(&mut Account, &mut Row)| {
        let (mut account, mut row) = (account(), row);
        change(&mut account, &mut row);
        Keys::of(&account, &row).hold
    };
    let all: HashSet<_> = [
        with(&|_, _| ()),
        with(&|account, _| account.wallet.push('0')),
        with(&|account, _| account.revenue.push('0')),
        with(&|account, _| account.asset.push('0')),
        // The parts must not run into one another.
        with(&|account, _| {
            account.wallet.push('@');
            account.revenue.remove(0);
        }),
        with(&|_, row| row.usage.at += chrono::TimeDelta::microseconds(1)),
        with(&|_, row| row.usage.context_tokens += 1),
        with(&|_, row| row.usage.generated_tokens += 1),
        with(&|_, row| row.occurrence += 1),
    ]
    .into();
    assert_eq!(all.len(), 9);
    assert_eq!(with(&|_, row| row.line += 1), with(&|_, _| ()));
}

#[test]
fn the_form_of_a_key_does_not_change() {
    // Another value here would charge again whatever was imported by an earlier version.
    let keys = &keys(ROWS)[0];
    assert_eq!(keys.hold, "trace-f226348914897b9fdb74d080538ae848-hold");
    assert_eq!(keys.settle, "trace-f226348914897b9fdb74d080538ae848-settle");
}
