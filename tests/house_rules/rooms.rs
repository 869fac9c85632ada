//! What the source of each room may not contain: SQL, HTTP, floats, unsafe code.

use std::collections::BTreeMap;

use crate::ratchet::{Ratchet, excuse};
use crate::tokens::{Kind, Token, flatten, lex};
use crate::tree::{File, rust_files};
use crate::{caught, demand};

/// Rooms near money: no float is named there, tests included.
const EXACT: [&str; 7] = ["domain", "journal", "commands", "projections", "identity", "gateway", "api"];

/// How a statement begins and, where its first word is a common one, what must follow.
const STATEMENTS: [(&str, &str); 14] = [
    ("select ", " from "),
    ("select ", "("),
    ("insert into ", ""),
    ("update ", " set "),
    ("delete from ", ""),
    ("truncate ", ""),
    ("with ", " select "),
    ("with ", " insert "),
    ("create ", ""),
    ("alter ", ""),
    ("drop ", ""),
    ("grant ", " to "),
    ("set local ", ""),
    ("copy ", " from "),
];

/// What `create`, `alter`, `drop` and `truncate` are followed by when they are SQL and not prose.
const OBJECTS: [&str; 12] = [
    "database",
    "extension",
    "function",
    "index",
    "policy",
    "role",
    "schema",
    "table",
    "trigger",
    "type",
    "user",
    "view",
];

/// Words that may stand between the verb and the object.
const QUALIFIERS: [&str; 6] = ["materialized", "or", "replace", "temp", "temporary", "unique"];

#[test]
fn sql_stays_in_journal_projections_identity_and_migrations() {
    let violations: Vec<_> = rust_files().iter().flat_map(sql).collect();
    demand(
        &violations,
        "Put the query into journal/, projections/ or identity/ behind a function that says what it answers.",
    );
}

#[test]
fn http_serving_stays_in_api() {
    let violations: Vec<_> = rust_files().iter().flat_map(http).collect();
    demand(&violations, "Put it into api/. The binary names the server only through `api::`.");
}

#[test]
fn no_float_is_named_near_money() {
    let allowed = Ratchet::load().floats;
    let violations = floats(&rust_files(), &allowed);
    demand(
        &violations,
        "Use integers of minor units. A metric that needs a float gets an entry in ratchet.toml.",
    );
}

#[test]
fn unsafe_code_is_where_it_is_known_to_be() {
    let violations = unsafes(&rust_files(), &Ratchet::load().unsafe_code);
    demand(&violations, "Find a safe function or crate for it; the exceptions are named in ratchet.toml.");
}

#[test]
fn misplaced_sql_is_caught() {
    let check = |path: &str, text: &str| sql(&File::made_up(path, text));
    caught(&check("api/src/a.rs", "fn a() { b(\"select 1 from wallets\") }"), "api/src/a.rs:1");
    caught(&check("src/a.rs", "fn a() {\n b(r\"\n  INSERT INTO wallets VALUES (1)\") }"), "src/a.rs:2");
    caught(&check("src/a.rs", "fn a() { b(\"create  database x\") }"), "create");
    caught(&check("src/a.rs", "fn a() { sqlx::query_scalar(TEXT) }"), "sqlx::query_scalar");
    assert!(check("journal/src/a.rs", "fn a() { b(\"select 1 from wallets\") }").is_empty());
    let prose = "/// select it from here\nfn a() { b(\"Create the tenant first\"); b(\"Create a user\"); b(\"select one\") }";
    assert!(check("src/a.rs", prose).is_empty());
}

#[test]
fn misplaced_http_is_caught() {
    let check = |path: &str, text: &str| http(&File::made_up(path, text));
    caught(&check("src/a.rs", "use actix_web::App;"), "src/a.rs:1 names actix_web");
    caught(&check("commands/src/a.rs", "\nfn a() { ::hyper::server() }"), "commands/src/a.rs:2 names hyper");
    assert!(check("src/a.rs", "fn a() { api::actix_web::rt::spawn() }").is_empty());
    assert!(check("api/src/a.rs", "use actix_web::App;").is_empty());
}

#[test]
fn a_float_near_money_is_caught() {
    let check = |path: &str, text: &str| floats(&[File::made_up(path, text)], &BTreeMap::new());
    caught(&check("domain/src/a.rs", "\nfn a(x: f64) {}"), "domain/src/a.rs:2 names f64");
    caught(&check("journal/src/a.rs", "m!(1_f32)"), "1_f32");
    caught(&check("api/src/a.rs", "fn a() { let x = 1.5; }"), "1.5");
    caught(&check("api/src/a.rs", "fn a() { let x = 2e3; }"), "2e3");
    assert!(check("domain/src/a.rs", "/// f64\nfn a() { b(x.0.1, 0x1e3, \"1.5\", 0..2) }").is_empty());
    assert!(check("src/a.rs", "fn a(x: f64) {}").is_empty());

    let allowed = BTreeMap::from([("api/src/a.rs".to_owned(), "a gauge".to_owned())]);
    assert!(floats(&[File::made_up("api/src/a.rs", "fn a(x: f64) {}")], &allowed).is_empty());
    caught(&floats(&[File::made_up("api/src/a.rs", "fn a() {}")], &allowed), "remove its entry");
}

#[test]
fn unknown_unsafe_code_is_caught() {
    let file = [File::made_up("src/a.rs", "#[expect(unsafe_code)]\nfn a() { unsafe { b() } }")];
    caught(&unsafes(&file, &BTreeMap::new()), "src/a.rs:2 is unsafe");
    let allowed = |path: &str| BTreeMap::from([(path.to_owned(), "a reason".to_owned())]);
    assert!(unsafes(&file, &allowed("src/a.rs")).is_empty());
    caught(&unsafes(&file, &allowed("src/b.rs")), "src/b.rs needs no exception");
}

fn sql(file: &File) -> Vec<String> {
    if file.is_test() || ["journal", "projections", "identity", "bench"].contains(&file.room()) {
        return Vec::new();
    }
    let tokens = flatten(lex(file));
    let strings = tokens
        .iter()
        .filter(|token| token.kind == Kind::Literal && token.text.contains('"') && is_statement(&token.text))
        .map(|token| {
            format!(
                "{}:{} holds SQL: {}",
                file.path,
                token.line,
                token.text.lines().collect::<Vec<_>>().join(" ")
            )
        });
    let calls = tokens.windows(4).filter_map(|four| {
        let [krate, _, sign, function] = four else {
            return None;
        };
        let is_call = krate.text == "sqlx" && sign.text == ":" && is_query_function(&function.text);
        is_call.then(|| format!("{}:{} calls sqlx::{}", file.path, krate.line, function.text))
    });
    strings.chain(calls).collect()
}

fn is_query_function(name: &str) -> bool {
    name.starts_with("query") || name == "raw_sql"
}

fn is_statement(literal: &str) -> bool {
    let content = literal.split_once('"').map_or(literal, |(_, content)| content);
    let text = content.to_lowercase().replace("\\n", " ");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    STATEMENTS.iter().any(|(start, then)| {
        let Some(rest) = text.strip_prefix(start) else {
            return false;
        };
        match *start {
            "create " | "alter " | "drop " | "truncate " => {
                let object = rest.split(' ').find(|word| !QUALIFIERS.contains(word));
                object.is_some_and(|word| OBJECTS.contains(&word))
            }
            "select " if *then == "(" => {
                rest.contains('(') && rest.contains(')') && !rest.trim_end_matches('"').contains(' ')
            }
            _ => text.contains(then),
        }
    })
}

fn http(file: &File) -> Vec<String> {
    if file.is_test() || file.room() == "api" {
        return Vec::new();
    }
    let tokens = flatten(lex(file));
    let is_server = |name: &str| name.starts_with("actix") || ["axum", "hyper", "warp"].contains(&name);
    tokens
        .iter()
        .enumerate()
        .filter(|(index, token)| {
            token.kind == Kind::Word && is_server(&token.text) && !is_inside_a_path(&tokens, *index)
        })
        .map(|(_, token)| format!("{}:{} names {}", file.path, token.line, token.text))
        .collect()
}

/// Whether the token follows `name::`.
fn is_inside_a_path(tokens: &[Token], index: usize) -> bool {
    let before = |steps: usize| index.checked_sub(steps).and_then(|at| tokens.get(at));
    before(1).is_some_and(|sign| sign.text == ":")
        && before(3)
            .is_some_and(|name| name.kind == Kind::Word && !["use", "pub"].contains(&name.text.as_str()))
}

fn floats(files: &[File], allowed: &BTreeMap<String, String>) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| EXACT.contains(&file.room())) {
        let tokens = flatten(lex(file));
        for (index, token) in tokens.iter().enumerate() {
            let after_dot = index.checked_sub(1).is_some_and(|at| tokens[at].text == ".");
            if is_float(token) && !after_dot {
                found.push((file.path.clone(), format!("{}:{} names {}", file.path, token.line, token.text)));
            }
        }
    }
    excuse(found, allowed)
}

/// The keyword, wherever it stands; clippy asks for the comment that justifies each block.
fn unsafes(files: &[File], allowed: &BTreeMap<String, String>) -> Vec<String> {
    let in_file = |file: &File| {
        let tokens = flatten(lex(file)).into_iter().filter(|token| token.text == "unsafe");
        let found =
            tokens.map(|token| (file.path.clone(), format!("{}:{} is unsafe", file.path, token.line)));
        found.collect::<Vec<_>>()
    };
    excuse(files.iter().flat_map(in_file).collect(), allowed)
}

fn is_float(token: &Token) -> bool {
    let text = token.text.as_str();
    match token.kind {
        Kind::Word => text == "f32" || text == "f64",
        Kind::Literal => {
            let decimal = text.starts_with(|first: char| first.is_ascii_digit())
                && !["0x", "0o", "0b"].iter().any(|prefix| text.starts_with(prefix));
            decimal
                && (text.contains(['.', 'e', 'E']) || text.ends_with("f32") || text.ends_with("f64"))
                && !text.ends_with("size")
        }
        Kind::Sign => false,
    }
}
