//! People over real HTTP: how they come, what they may do, and how they leave without a trace.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

#[path = "people/accounts.rs"]
mod accounts;
#[path = "people/cut_off.rs"]
mod cut_off;
#[path = "people/erasure.rs"]
mod erasure;
#[path = "people/foreign.rs"]
mod foreign;
#[path = "people/forged.rs"]
mod forged;
#[path = "people/founding.rs"]
mod founding;
#[path = "support/injection.rs"]
mod injection;
#[path = "people/operators.rs"]
mod operators;
#[path = "people/provider.rs"]
mod provider;
#[path = "people/rotation.rs"]
mod rotation;
#[path = "support/routes.rs"]
mod routes;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "support/http.rs"]
mod server;
#[path = "people/tenants.rs"]
mod tenants;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "identity/tools.rs"]
mod tools;
#[path = "people/traces.rs"]
mod traces;
#[path = "people/walls.rs"]
mod walls;

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use server::{Answer, Client, Server, send};
use support::Database;

/// A password that nobody refuses.
const PASSWORD: &str = "seven quiet otters";

/// A server on which everybody may create tenants.
async fn self_service() -> Server {
    Server::with(Database::fresh().await, &[("COUNTERFOIL_IDENTITY__SELF_SERVICE_TENANTS", "true")])
}

/// Posts without a credential.
async fn ask(server: &Server, path: &str, body: Value) -> Answer {
    send(server.client("").anonymous(Method::POST, path).json(&body)).await
}

/// Waits for the newest mail to `address` whose text has `about` in it, throws it away and gives its token.
async fn token_of_mail(server: &Server, address: &str, about: &str) -> String {
    for _ in 0..200 {
        if let Some((path, mail)) = newest_mail(server, address, about) {
            std::fs::remove_file(path).unwrap();
            let (_, rest) = mail.split_once("The token alone").unwrap();
            let token = rest.lines().skip(1).map(str::trim).find(|line| !line.is_empty()).unwrap();
            return token.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no mail to {address} about {about}");
}

/// The newest mail to `address` whose text has `about` in it.
fn newest_mail(server: &Server, address: &str, about: &str) -> Option<(PathBuf, String)> {
    let files = std::fs::read_dir(server.data_dir.join("mail")).ok()?;
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "eml"));
    paths.sort();
    let to = format!("To: {address}");
    paths.into_iter().rev().find_map(|path| {
        let mail = std::fs::read_to_string(&path).unwrap();
        let fits = mail.lines().any(|line| line.trim() == to) && mail.contains(about);
        fits.then_some((path, mail))
    })
}

/// Signs up and confirms the address.
async fn sign_up(server: &Server, address: &str, name: &str) {
    let asked = json!({"email": address, "password": PASSWORD, "name": name});
    let accepted = ask(server, "/v1/auth/sign-up", asked).await;
    assert_eq!(accepted.status, 202, "{accepted:?}");
    let token = token_of_mail(server, address, "Confirm your email").await;
    let verified = ask(server, "/v1/auth/verify-email", json!({"token": token})).await;
    assert_eq!(verified.status, 200, "{verified:?}");
}

/// Signs in with a password.
async fn sign_in(server: &Server, address: &str, password: &str) -> Answer {
    ask(server, "/v1/auth/sign-in", json!({"email": address, "password": password})).await
}

/// Somebody who has signed up and is signed in.
async fn person(server: &Server, address: &str, name: &str) -> Client {
    sign_up(server, address, name).await;
    let signed_in = sign_in(server, address, PASSWORD).await;
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    server.client(signed_in.text("/access_token"))
}

/// A request of another method than GET and POST.
async fn other(client: &Client, method: Method, path: &str, body: Value) -> Answer {
    send(client.request(method, path).json(&body)).await
}

/// Has `guest` join the tenant of `host`.
async fn join(server: &Server, host: &Client, guest: &Client, address: &str, role: &str) {
    host.made("/v1/invitations", json!({"email": address, "role": role})).await;
    let token = token_of_mail(server, address, "You are invited").await;
    guest.made("/v1/invitations/accept", json!({"token": token})).await;
}

/// Asserts that `client` is shut out within a second.
async fn expect_shut_out_within_a_second(client: &Client, path: &str) {
    let shut_out = async {
        loop {
            let answer = client.get(path).await;
            if answer.status == 401 {
                return;
            }
            assert!(answer.status < 400, "{answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), shut_out).await.is_ok(), "{path} is still open");
}
