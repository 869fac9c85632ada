//! Nothing personal is ever written down in plain: not in the files of the database, not in JetStream's storage.

use std::fs;
use std::path::{Path, PathBuf};

use journal::Role;
use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;

use crate::server::Server;
use crate::support::shared;
use crate::{PASSWORD, join, other, person, self_service};

const EMAIL: &str = "zacharias.federspiel@example.com";
const NAME: &str = "Zacharias Federspiel";
/// What would give the person away, in lower case.
const TRACES: [&str; 2] = ["zacharias", "federspiel"];

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_in_no_file_of_the_servers_and_an_erased_key_is_not_either() {
    let server = self_service().await;
    let ada = person(&server, "ada@example.com", "Ada").await;
    ada.made("/v1/tenants", json!({"slug": "acme", "name": "Acme Ltd"})).await;
    let zacharias = person(&server, EMAIL, NAME).await;
    join(&server, &ada, &zacharias, EMAIL, "admin").await;
    let change = json!({"preferences": {"nickname": NAME}, "locale": "de-CH"});
    let changed = other(&zacharias, Method::PATCH, "/v1/me", change).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert!(ada.get("/v1/members").await.each("/name").contains(&NAME));

    let pool = server.database.pool(Role::Owner, 1).await;
    let id: uuid::Uuid = zacharias.get("/v1/me").await.text("/id").parse().unwrap();
    let sealed: String = ask(
        &pool,
        "SELECT payload->>'name' FROM journal.events
        WHERE aggregate_id = $1 AND event_type = 'registered'",
        id,
    )
    .await;
    let wrapped: Vec<u8> =
        ask(&pool, "SELECT wrapped FROM identity.subject_keys WHERE subject_id = $1", id).await;

    nowhere_in_plain(&server, &pool, &sealed).await;
    assert!(in_key_files(&pool, &wrapped).await, "the search for the key looks where it is");

    let erased = other(&zacharias, Method::DELETE, "/v1/me", json!({"password": PASSWORD})).await;
    assert_eq!(erased.status, 200, "{erased:?}");
    nowhere_in_plain(&server, &pool, &sealed).await;
    let left: Option<Vec<u8>> =
        ask(&pool, "SELECT wrapped FROM identity.subject_keys WHERE subject_id = $1", id).await;
    assert_eq!(left, None);
    assert!(!in_key_files(&pool, &wrapped).await);
    assert!(!ada.get("/v1/members").await.each("/name").contains(&NAME));
}

async fn ask<T>(pool: &PgPool, question: &str, id: uuid::Uuid) -> T
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
{
    sqlx::query_scalar(question).bind(id).fetch_one(pool).await.unwrap()
}

/// Whether the bytes are in a file of the table of subjects' keys.
async fn in_key_files(pool: &PgPool, bytes: &[u8]) -> bool {
    let files: Vec<String> = sqlx::query_scalar(
        "SELECT current_setting('data_directory') || '/' || pg_relation_filepath(relid)
         FROM pg_partition_tree('identity.subject_keys') WHERE isleaf",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    assert!(!files.is_empty());
    files.iter().any(|file| contains(&fs::read(file).unwrap(), bytes))
}

/// Searches every file of both servers for the person; the sealed name, which must be in both, shows that the search
/// would have found something.
async fn nowhere_in_plain(server: &Server, pool: &PgPool, sealed: &str) {
    sqlx::query("CHECKPOINT").execute(pool).await.unwrap();
    for directory in [shared().addresses().data_dir, server.nats.addresses().data_dir] {
        let (mut found, mut controls) = (Vec::new(), 0);
        for file in files(Path::new(&directory)) {
            // Files come and go while servers are at work.
            let Ok(content) = fs::read(&file) else { continue };
            let content = content.to_ascii_lowercase();
            controls += usize::from(contains(&content, sealed.to_ascii_lowercase().as_bytes()));
            found.extend(
                TRACES.iter().filter(|trace| contains(&content, trace.as_bytes())).map(|_| file.clone()),
            );
        }
        assert!(found.is_empty(), "{found:?}");
        assert!(controls > 0, "what is sealed is in {directory}");
    }
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(kind) if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

/// Whether the bytes are there. Candidates are found by their first byte: the files are large.
fn contains(content: &[u8], bytes: &[u8]) -> bool {
    let Some((first, rest)) = bytes.split_first() else { return true };
    let mut from = 0;
    while let Some(at) = content[from..].iter().position(|byte| byte == first) {
        from += at + 1;
        if content[from..].starts_with(rest) {
            return true;
        }
    }
    false
}
