//! `counterfoil prices import`.

use crate::server::{Client, Server};
use crate::{Done, TextFile, assert_tells_who_cannot_be_served, run};

const HEADER: &str = "provider,model,asset,input,output,cache_read\n";

async fn imported(owner: &Client, server: &Server, text: &str) -> (TextFile, Done) {
    let file = TextFile::new(text);
    let done = run(server.base(), &owner.token, &["prices", "import", file.path()]).await;
    (file, done)
}

/// The prices once there are so many: provider, model, input and version of each.
async fn prices(owner: &Client, count: usize) -> Vec<(String, String, u64)> {
    for _ in 0..200 {
        let found = owner.get("/v1/prices").await;
        if found.items().len() == count {
            let text = |item: &serde_json::Value, pointer: &str| {
                item.pointer(pointer).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
            };
            let price = |item| {
                let version =
                    serde_json::Value::pointer(item, "/version").and_then(serde_json::Value::as_u64);
                (text(item, "/model"), text(item, "/rates/input"), version.unwrap_or_default())
            };
            return found.items().iter().map(price).collect();
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("there are not {count} prices: {:?}", owner.get("/v1/prices").await)
}

fn price(model: &str, input: &str, version: u64) -> (String, String, u64) {
    (model.to_owned(), input.to_owned(), version)
}

#[tokio::test(flavor = "multi_thread")]
async fn prices_are_set_from_a_file_and_those_that_are_so_already_are_left_alone() {
    let server = Server::start().await;
    let owner = server.tenant("acme").await;
    let csv = format!("{HEADER}openai,gpt-5,USD,1.25,10,0.125\nopenai,gpt-5-mini,USD,0.25,2,\n");
    imported(&owner, &server, &csv).await.1.assert_said("2 prices set, 0 unchanged\n");
    let first = [price("gpt-5", "1.25", 1), price("gpt-5-mini", "0.25", 1)];
    assert_eq!(prices(&owner, 2).await, first);
    imported(&owner, &server, &csv).await.1.assert_said("0 prices set, 2 unchanged\n");
    let rates = r#"{"input": "2", "output": "10", "cache_read": "0.125"}"#;
    let new =
        r#"{"provider": "local", "model": "llama", "asset": "USD", "rates": {"input": "0", "output": "0"}}"#;
    let json = format!(
        r#"{{"prices": [{{"provider": "openai", "model": "gpt-5", "asset": "USD", "rates": {rates}}}, {new}]}}"#
    );
    imported(&owner, &server, &json).await.1.assert_said("2 prices set, 0 unchanged\n");
    let set = [price("llama", "0", 1), price("gpt-5", "2", 2), price("gpt-5-mini", "0.25", 1)];
    assert_eq!(prices(&owner, 3).await, set);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_in_a_file_is_named_by_its_line() {
    let server = Server::start().await;
    let owner = server.tenant("acme").await;
    let good = "openai,gpt-5,USD,1.25,10,\n";
    let cases = [
        // What the file alone shows.
        (format!("{HEADER}{good}\nopenai,b,USD,1\n"), vec![", line 4: it has 4 fields, and the header names 6"]),
        (format!("{HEADER}{good}openai,b,,1,2,\n"), vec![", line 3, column `asset`: is empty"]),
        ("provider,model,asset,in,out\n".to_owned(), vec![", line 1, column `in`: is not known", "cache_write_long"]),
        ("provider,model\n".to_owned(), vec![", line 1: there is no column `asset`"]),
        ("not a list of prices".to_owned(), vec![", line 1, column `not a list of prices`: is not known"]),
        (HEADER.to_owned(), vec![": there is no price in it"]),
        ("{\"prices\": [\n{]}".to_owned(), vec!["line 2"]),
        ("{\"price\": []}".to_owned(), vec!["there is no list `prices` in it"]),
        // What the server says.
        (
            format!("{HEADER}{good}\nopenai,b,USD,cheap,2,\n"),
            vec![", line 4, column `input`: invalid_amount: ", "nothing was set"],
        ),
        (
            format!("{HEADER}{good}openai,two words,USD,1,2,\n"),
            vec![", line 3, column `model`: invalid_model: ", "nothing was set"],
        ),
        (
            "{\"prices\": [{\"provider\": \"a\", \"model\": \"m\", \"asset\": \"USD\", \"rates\": {\"input\": 5, \"output\": \"1\"}}]}".to_owned(),
            vec![", `prices[0].rates.input`: invalid_amount: "],
        ),
    ];
    for (text, said) in cases {
        let (file, done) = imported(&owner, &server, &text).await;
        done.assert_failed(1, &said);
        assert!(done.err.contains(file.path()), "the file is named: {done:?}");
    }
    assert!(
        owner.get("/v1/prices").await.items().is_empty(),
        "of a file with a mistake in its form nothing is set"
    );
    let missing = std::env::temp_dir().join("counterfoil-no-such-file.csv");
    let missing = missing.to_str().expect("the path is text");
    let done = run(server.base(), &owner.token, &["prices", "import", missing]).await;
    done.assert_failed(1, &[missing, "No such file"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_price_that_is_refused_is_named_with_what_was_set_before_it() {
    let server = Server::start().await;
    let owner = server.tenant("acme").await;
    let text = format!("{HEADER}a,one,USD,1,2,\n\na,two,USD,1,2,\na,three,USD,-1,2,\n");
    let said = [", line 5", "negative_rate: ", "the 2 prices before it are set", "import the file again"];
    imported(&owner, &server, &text).await.1.assert_failed(1, &said);
    assert_eq!(prices(&owner, 2).await, [price("one", "1", 1), price("two", "1", 1)]);
    imported(&owner, &server, &text.replace("-1", "1")).await.1.assert_said("1 prices set, 2 unchanged\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_import_prices_is_told_why() {
    let server = Server::start().await;
    let owner = server.tenant("acme").await;
    let file = TextFile::new(&format!("{HEADER}a,one,USD,1,2,\n"));
    assert_tells_who_cannot_be_served(&server, &["prices", "import", file.path()], false).await;
    assert!(owner.get("/v1/prices").await.items().is_empty());
}
