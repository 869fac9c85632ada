use std::path::Path;

use super::super::price::Tariff;
use super::*;

const HEADER: &str = "TIMESTAMP,ContextTokens,GeneratedTokens";

fn read(bytes: &[u8]) -> Vec<Result<Row, BadRow>> {
    Trace::open(bytes).expect("a header").map(|row| row.expect("readable")).collect()
}

fn good(bytes: &[u8]) -> Vec<Row> {
    read(bytes).into_iter().map(|row| row.expect("a good row")).collect()
}

/// What is said of each bad row, the good ones left out.
fn complaints(bytes: &[u8]) -> Vec<String> {
    read(bytes).into_iter().filter_map(|row| row.err().map(|bad| bad.to_string())).collect()
}

#[test]
fn every_kind_of_line_end_gives_the_same_rows() {
    let lines = [HEADER, "2023-11-16 18:15:46.6805900,374,44", "2023-11-16 18:15:50.9951690,396,109"];
    let expected = good(lines.join("\n").as_bytes());
    assert_eq!(expected.len(), 2);
    assert_eq!((expected[0].line, expected[1].line), (2, 3));
    assert_eq!(expected[0].usage.context_tokens, 374);
    assert_eq!(expected[1].usage.generated_tokens, 109);
    for text in [
        lines.join("\r\n"),
        lines.join("\n") + "\n",
        lines.join("\r\n") + "\r\n",
        format!("\u{feff}{}", lines.join("\r\n")),
        lines.join("\r\n") + "\r\n\r\n  \n",
    ] {
        assert_eq!(good(text.as_bytes()), expected, "{text:?}");
        assert_eq!(count_rows(text.as_bytes()).expect("readable"), 2, "{text:?}");
    }
}

#[test]
fn columns_are_found_by_name() {
    let rows =
        good(b"model, generatedtokens ,\"TIMESTAMP\",ContextTokens\nx,44,2023-11-16 18:15:46,\"374\"\n");
    assert_eq!(rows[0].usage.context_tokens, 374);
    assert_eq!(rows[0].usage.generated_tokens, 44);
}

#[test]
fn a_file_without_the_header_is_refused() {
    for text in ["", "\n", "2023-11-16 18:15:46.6805900,374,44\n", "TIMESTAMP,ContextTokens\n"] {
        let refused = Trace::open(text.as_bytes()).err();
        assert!(matches!(refused, Some(TraceError::Header(_))), "{text:?}");
    }
    let twice = Trace::open(format!("{HEADER},TimeStamp\n").as_bytes()).err().expect("refused");
    assert!(twice.to_string().ends_with("TIMESTAMP is there more than once"), "{twice}");
    assert!(good(HEADER.as_bytes()).is_empty());
}

#[test]
fn times_are_cut_off_after_the_microseconds() {
    for (text, expected) in [
        ("2023-11-16 18:15:46", "2023-11-16T18:15:46.000000Z"),
        ("2023-11-16 18:15:46.", "2023-11-16T18:15:46.000000Z"),
        ("2023-11-16 18:15:46.5", "2023-11-16T18:15:46.500000Z"),
        ("2023-11-16 18:15:46.6805900", "2023-11-16T18:15:46.680590Z"),
        ("2023-11-16 18:15:46.6805909", "2023-11-16T18:15:46.680590Z"),
        ("2023-11-16T18:15:46.999999999Z", "2023-11-16T18:15:46.999999Z"),
        ("2024-02-29T23:59:59z", "2024-02-29T23:59:59.000000Z"),
    ] {
        let rows = good(format!("{HEADER}\n{text},1,1").as_bytes());
        let at = rows[0].usage.at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        assert_eq!(at, expected, "{text}");
    }
}

#[test]
fn times_that_are_none_are_bad() {
    for text in [
        "",
        "yesterday",
        "2023-11-16",
        "2023-11-16 18:15",
        "2023-13-16 18:15:46",
        "2023-02-29 18:15:46",
        "2023-11-16 24:00:00",
        "2023-11-16 18:60:00",
        "2023-11-16 18:15:60",
        "2023-11-16 18:15:46.0123456789",
        "2023-11-16 18:15:46.12x",
        "2023-11-16 18:15:46+02:00",
        "16.11.2023 18:15:46",
        "23-11-16 18:15:46",
        "+023-11-16 18:15:46",
        "2023-11-16  8:15:46",
    ] {
        let said = complaints(format!("{HEADER}\n{text},1,1\n").as_bytes());
        assert_eq!(said.len(), 1, "{text:?}");
        assert!(said[0].starts_with("line 2: TIMESTAMP is not"), "{said:?}");
    }
}

#[test]
fn bad_rows_are_named_by_line_and_spoil_no_other() {
    let at = "2023-11-16 18:15:46";
    let mut file = format!(
        "{HEADER}\r\n{at},1,1\r\n{at},1\r\n{at},1,1,1\r\n\r\n{at},x,1\r\n{at},-5,1\r\n{at},1,2.5\r\n{at},,1\r\n\
         {at},99999999999999999999,1\r\n{at},\"1,1\r\n{at},2,2\r\n{at},1,1\r{at},1,1\n"
    )
    .into_bytes();
    file.extend_from_slice(format!("{at},\u{661},1\n{at},1,").as_bytes());
    file.extend_from_slice(b"\xff\n");
    file.extend_from_slice(format!("{at},1,{}\n", "1".repeat(MAX_LINE)).as_bytes());
    file.extend_from_slice(format!("{at},3,3").as_bytes());
    assert_eq!(
        complaints(&file),
        [
            "line 3: 2 fields where the header has 3",
            "line 4: 4 fields where the header has 3",
            "line 6: ContextTokens is not a whole number: \"x\"",
            "line 7: ContextTokens is negative: \"-5\"",
            "line 8: GeneratedTokens is not a whole number: \"2.5\"",
            "line 9: ContextTokens is not a whole number: \"\"",
            "line 10: ContextTokens is too large: \"99999999999999999999\"",
            "line 11: 2 fields where the header has 3",
            "line 13: a carriage return in the middle of it",
            "line 14: ContextTokens is not a whole number: \"\u{661}\"",
            "line 15: GeneratedTokens is not UTF-8",
            "line 16: it is longer than 65536 bytes",
        ]
    );
    let lines: Vec<u64> = read(&file).into_iter().flatten().map(|row| row.line).collect();
    assert_eq!(lines, [2, 12, 17]);
    assert_eq!(count_rows(&file[..]).expect("readable"), 15);
}

#[test]
fn a_line_of_exactly_the_limit_is_read() {
    let start = "2023-11-16 18:15:46,1,";
    for (end, extra, is_good) in
        [("\n", 0, true), ("\r\n", 0, true), ("", 0, true), ("\n", 1, false), ("\r\n", 1, false)]
    {
        let number = format!("{:0>width$}", 7, width = MAX_LINE - start.len() + extra);
        let rows = read(format!("{HEADER}\n{start}{number}{end}").as_bytes());
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].is_ok(), is_good, "{end:?} {extra}");
    }
}

#[test]
fn identical_rows_are_numbered() {
    let row = "2023-11-16 18:15:46.6805900,374,44";
    let other = "2023-11-16 18:15:46.6805900,374,45";
    let rows = good(format!("{HEADER}\n{row}\n{other}\n{row}\n{row}\n").as_bytes());
    let numbers: Vec<u64> = rows.iter().map(|row| row.occurrence).collect();
    assert_eq!(numbers, [0, 0, 1, 2]);
}

#[test]
fn the_whole_published_trace_costs_what_it_costs() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data/azure-llm-inference-2023/AzureLLMInferenceTrace_conv.csv");
    let Ok(bytes) = std::fs::read(&path) else {
        println!("skipped: {} is not there", path.display());
        return;
    };
    let prices = ("0.50".parse().expect("a price"), "1.50".parse().expect("a price"));
    let tariff = Tariff::new(prices.0, prices.1, 9).expect("a tariff");
    let rows = good(&bytes);
    assert_eq!(rows.len(), 19_366);
    assert_eq!(count_rows(&bytes[..]).expect("readable"), 19_366);
    let cost: i128 = rows
        .iter()
        .map(|row| tariff.cost(row.usage.context_tokens, row.usage.generated_tokens).expect("a cost"))
        .sum();
    assert_eq!(tariff.decimal(cost), "17.313932500");
}
