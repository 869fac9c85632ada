use super::super::client::FieldError;
use super::*;

fn parsed(text: &str) -> PriceFile {
    PriceFile::parse("f", text).unwrap()
}

fn wrong(text: &str) -> String {
    let (place, reason) = PriceFile::parse("f", text).unwrap_err();
    format!("f{place}: {reason}")
}

#[test]
fn a_price_list_is_csv_or_json() {
    let csv =
        "provider, model, asset, input, output, cache_read\nopenai,gpt-5,USD,1.25,10,0.125\na,b,USD,1,2,\n";
    let prices = parsed(csv).prices;
    assert_eq!(prices[0]["rates"]["cache_read"], "0.125");
    assert_eq!(
        prices[1],
        json!({"provider": "a", "model": "b", "asset": "USD", "rates": {"input": "1", "output": "2"}})
    );
    let json = parsed("\u{feff} {\"prices\": [{\"provider\": \"a\"}]}").prices;
    assert_eq!(json, [json!({"provider": "a"})]);
    for bad in ["{\"price\": []}", "[]", "{\"prices\": []}", "", "\n\n"] {
        assert!(PriceFile::parse("f", bad).is_err(), "{bad}");
    }
}

#[test]
fn each_price_knows_its_line_however_lines_end() {
    let lines = [
        "",
        "provider,model,asset,input,output",
        "",
        "a,b,USD,1,2",
        ",,,,",
        "\"a\",\"c\",USD,1,\"2\"",
        "",
        "",
        "a,d,USD,1,2",
    ];
    for end in ["\n", "\r\n"] {
        let file = parsed(&lines.join(end));
        assert_eq!(file.lines, Some(vec![4, 6, 9]), "{end:?}");
    }
    let quoted = "provider,model,asset,input,output\na,\"b\nb\",USD,1,2\na,c,USD,1,2\n";
    assert_eq!(parsed(quoted).lines, Some(vec![2, 4]));
}

#[test]
fn what_is_wrong_with_a_file_has_its_line_and_column() {
    let header = "provider,model,asset,input,output\n";
    assert_eq!(
        wrong(&format!("{header}a,b,USD,1,2\n\na,b,USD,1\n")),
        "f, line 4: it has 4 fields, and the header names 5"
    );
    assert_eq!(wrong(&format!("{header}a,b,,1,2\n")), "f, line 2, column `asset`: is empty");
    let unknown = wrong("provider,model,asset,input,output,cached\n");
    assert!(unknown.starts_with("f, line 1, column `cached`: is not known; the columns are"), "{unknown}");
    assert_eq!(
        wrong("provider,model,asset,input,output,model\n"),
        "f, line 1, column `model`: is there twice"
    );
    let missing = wrong("provider,model,input,output\na,b,1,2\n");
    assert!(missing.starts_with("f, line 1: there is no column `asset`"), "{missing}");
    let semicolons = wrong("provider;model;asset;input;output\na;b;USD;1;2\n");
    assert!(semicolons.ends_with("separated by commas"), "{semicolons}");
    assert!(wrong("{\"prices\": [\n1,]}").contains("line 2"), "JSON says it by itself");
}

fn problem(index: Option<usize>, field: &str) -> Problem {
    let error = FieldError { field: field.to_owned() };
    let errors = if field.is_empty() { Vec::new() } else { vec![error] };
    Problem { index, errors, ..Problem::default() }
}

#[test]
fn what_the_server_refuses_is_found_in_the_file() {
    let csv: String = "provider,model,asset,input,output\n\n".to_owned() + &"a,b,USD,1,2\n".repeat(600);
    let (csv, json) = (parsed(&csv), PriceFile { lines: None, ..parsed(&csv) });
    let at = |file: &PriceFile, problem: &Problem, sent| {
        let (place, before) = file.place_of(problem, sent);
        (place.to_string(), before)
    };
    let form = problem(None, "prices[2].rates.input");
    assert_eq!(at(&csv, &form, 0), (", line 5, column `input`".to_owned(), 0));
    assert_eq!(at(&csv, &form, 500), (", line 505, column `input`".to_owned(), 500));
    assert_eq!(at(&json, &form, 500), (", `prices[502].rates.input`".to_owned(), 500));
    let whole = problem(None, "prices[2].rates");
    assert_eq!(at(&csv, &whole, 0).0, ", line 5");
    let one = problem(Some(7), "");
    assert_eq!(at(&csv, &one, 500), (", line 510".to_owned(), 507));
    assert_eq!(at(&json, &one, 0), (", `prices[7]`".to_owned(), 7));
    assert_eq!(at(&csv, &problem(None, "Content-Type"), 0), (String::new(), 0));
}
