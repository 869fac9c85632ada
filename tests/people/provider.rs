//! Sign-in at an `OpenID` provider that somebody else wrote: `oidc-provider-mock` from the Python package index.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::server::{Server, send};
use crate::support::Database;
use crate::tools::python;

/// A provider of one test; ends with it.
struct Provider {
    child: Child,
    issuer: String,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Provider {
    /// Starts one; `None`, and loudly, where the package is not installed.
    async fn start() -> Option<Self> {
        let python = python()?;
        // `reqwest::get` needs to know whose cryptography it speaks.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let claims =
            json!({"sub": "ada-7", "email": "ada@example.com", "email_verified": true, "name": "Ada"});
        let unproven =
            json!({"sub": "eve-1", "email": "ada@example.com", "email_verified": false, "name": "Eve"});
        let child = Command::new(&python)
            .args(["-m", "oidc_provider_mock", "--port", &port.to_string()])
            .args(["--user-claims", &claims.to_string(), "--user-claims", &unproven.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let provider = Self { child, issuer: format!("http://localhost:{port}") };
        let configuration = format!("{}/.well-known/openid-configuration", provider.issuer);
        for _ in 0..200 {
            if let Ok(answer) = reqwest::get(&configuration).await {
                let published: Value = answer.json().await.unwrap();
                assert_eq!(published["issuer"], provider.issuer.as_str(), "{published}");
                return Some(provider);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the provider does not answer at {}", provider.issuer);
    }
}

/// A browser that follows where it is told to, one step at a time.
struct Browser {
    http: Client,
    cookie: String,
}

fn location(response: &Response) -> String {
    response.headers()[LOCATION].to_str().unwrap().to_owned()
}

/// Sets out, signs in at the provider as `subject`, and gives the address to come back to.
async fn travel(server: &Server, subject: &str) -> (Browser, String) {
    let http = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let start = format!("{}/v1/auth/oidc/mock/start", server.base());
    let out = http.get(start).send().await.unwrap();
    assert_eq!(out.status(), 303);
    let cookie = out.headers()[SET_COOKIE].to_str().unwrap().to_owned();
    for attribute in ["__Host-counterfoil_oidc=", "HttpOnly", "Secure", "SameSite=Lax"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let address = location(&out);
    for parameter in ["code_challenge_method=S256", "state=", "nonce="] {
        assert!(address.contains(parameter), "{address}");
    }
    let form = format!("sub={subject}");
    let back = http
        .post(address)
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form)
        .send()
        .await
        .unwrap();
    assert!(back.status().is_redirection(), "{}", back.status());
    let returned = location(&back);
    (Browser { http, cookie }, returned)
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_at_a_provider_and_is_the_same_the_next_time() {
    let Some(provider) = Provider::start().await else { return };
    let directory = std::env::temp_dir().join(format!("counterfoil-oidc-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("counterfoil.toml");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = format!(
        "[identity]\npublic_url = \"http://127.0.0.1:{port}\"\n[[oidc]]\nname = \"mock\"\nissuer = \"{}\"\n\
         client_id = \"counterfoil\"\nclient_secret = \"secret\"\n",
        provider.issuer
    );
    std::fs::write(&file, text).unwrap();
    let database = Database::fresh().await;
    let server = Server::with(database, &[("COUNTERFOIL_CONFIG", file.to_str().unwrap())]);
    // The provider sends the browser to the public address; here the server has another port.
    let here = |address: String| address.replace(&format!("http://127.0.0.1:{port}"), server.base());

    let (browser, returned) = travel(&server, "ada-7").await;
    let stranger = send(browser.http.get(here(returned.clone()))).await;
    assert_eq!((stranger.status, stranger.text("/code")), (401, "provider_refused"), "another browser");
    let (browser, returned) = travel(&server, "ada-7").await;
    let come_back = || browser.http.get(here(returned.clone())).header(COOKIE, &browser.cookie);
    let signed_in = send(come_back()).await;
    assert_eq!(signed_in.status, 200, "{signed_in:?}");
    let me = server.client(signed_in.text("/access_token")).get("/v1/me").await;
    assert_eq!((me.text("/email"), me.text("/name")), ("ada@example.com", "Ada"));
    let twice = send(come_back()).await;
    assert_eq!((twice.status, twice.text("/code")), (401, "provider_refused"));

    let (browser, returned) = travel(&server, "ada-7").await;
    let again = send(browser.http.get(here(returned)).header(COOKIE, &browser.cookie)).await;
    assert_eq!(again.text("/user"), signed_in.text("/user"));
    let (browser, returned) = travel(&server, "eve-1").await;
    let eve = send(browser.http.get(here(returned)).header(COOKIE, &browser.cookie)).await;
    assert_eq!(
        (eve.status, eve.text("/code")),
        (403, "provider_email_unverified"),
        "an address proves nothing"
    );
    let unknown = send(browser.http.get(format!("{}/v1/auth/oidc/none/start", server.base()))).await;
    assert_eq!((unknown.status, unknown.text("/code")), (404, "provider_not_found"));
    std::fs::remove_dir_all(&directory).unwrap();
}
