//! What is cut off in the middle, by a program that is killed, is finished by the next attempt.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::server::Server;
use crate::support::Database;
use crate::{PASSWORD, ask, newest_mail, other, person, sign_in, token_of_mail};

/// How long the program lives on after a request was sent, in milliseconds: from before its first step to after its last.
const DELAYS: [u64; 6] = [0, 3, 8, 15, 30, 60];

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_up_that_was_cut_off_anywhere_is_done_by_the_next_one() {
    let mut server = Server::on(Database::fresh().await);
    for delay in DELAYS {
        let address = format!("ada{delay}@example.com");
        let asked = json!({"email": address, "password": PASSWORD, "name": "Ada"});
        assert_eq!(ask(&server, "/v1/auth/sign-up", asked.clone()).await.status, 202);
        let token = token_of_mail(&server, &address, "Confirm your email").await;
        let verify = server.client("").anonymous(Method::POST, "/v1/auth/verify-email");
        let verifying = tokio::spawn(verify.json(&json!({"token": token})).send());
        tokio::time::sleep(Duration::from_millis(delay)).await;
        server.kill_and_start();
        let _ = verifying.await;

        if sign_in(&server, &address, PASSWORD).await.status != 200 {
            // Not yet sent, or cut off: the token may be used up or not, and another sign-up helps in any case.
            assert_eq!(ask(&server, "/v1/auth/sign-up", asked).await.status, 202);
            let token = token_of_mail(&server, &address, "Confirm your email").await;
            let verified = ask(&server, "/v1/auth/verify-email", json!({"token": token})).await;
            assert_eq!(verified.status, 200, "{delay}: {verified:?}");
        }
        let signed_in = sign_in(&server, &address, PASSWORD).await;
        assert_eq!(signed_in.status, 200, "{delay}: {signed_in:?}");
        let me = server.client(signed_in.text("/access_token")).get("/v1/me").await;
        assert_eq!((me.text("/email"), &me.body["verified"]), (address.as_str(), &json!(true)), "{delay}");
        assert!(newest_mail(&server, &address, "You have an account already").is_none(), "{delay}");
    }
    let users = server.client(&server.token("platform", "superadmin")).get("/v1/users").await;
    assert_eq!(users.items().len(), DELAYS.len(), "one user for each address: {users:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_was_cut_off_anywhere_is_done_by_the_next_one() {
    let mut server = Server::on(Database::fresh().await);
    let operator = server.token("platform", "superadmin");
    for delay in DELAYS {
        let address = format!("ada{delay}@example.com");
        let ada = person(&server, &address, "Ada").await;
        let id = ada.get("/v1/me").await.text("/id").to_owned();
        let erase = ada.request(Method::DELETE, "/v1/me").json(&json!({"password": PASSWORD}));
        let erasing = tokio::spawn(erase.send());
        tokio::time::sleep(Duration::from_millis(delay)).await;
        server.kill_and_start();
        let _ = erasing.await;

        let again = server.client(&ada.token);
        let repeated = other(&again, Method::DELETE, "/v1/me", json!({"password": PASSWORD})).await;
        // Its event was recorded, or there is a receipt now.
        assert!(matches!(repeated.status, 200 | 401), "{delay}: {repeated:?}");
        let users = server.client(&operator).get("/v1/users").await;
        let gone = users.items().iter().find(|user| user["id"] == id.as_str()).unwrap();
        assert_eq!((&gone["status"], &gone["email"]), (&json!("erased"), &json!(null)), "{delay}");
        let refused = sign_in(&server, &address, PASSWORD).await;
        assert_eq!(refused.text("/code"), "sign_in_failed", "{delay}");
        // The address is free, whatever was left behind.
        let other = person(&server, &address, "Another").await.get("/v1/me").await;
        assert_ne!(other.text("/id"), id, "{delay}");
    }
    let verified = server.run(&["journal", "verify"]);
    assert!(!verified.is_empty());
}
