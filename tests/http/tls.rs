//! TLS: the server shows its certificate, and the next one once its files have changed, without a break.

use std::path::{Path, PathBuf};
use std::time::Duration;

use counterfoil::system::SystemIds;
use domain::Ids as _;
use reqwest::Certificate;

use crate::server::Server;

/// Two certificates for 127.0.0.1, each under an authority of its own. Made for this test; they open nothing.
const ONE: [&str; 3] =
    [include_str!("tls/one.ca.pem"), include_str!("tls/one.pem"), include_str!("tls/one.key.pem")];
const TWO: [&str; 3] =
    [include_str!("tls/two.ca.pem"), include_str!("tls/two.pem"), include_str!("tls/two.key.pem")];

/// The files of a certificate; they go away with it.
struct Files(PathBuf);

impl Files {
    fn new([_, chain, key]: [&str; 3]) -> Self {
        let directory = std::env::temp_dir().join(format!("counterfoil-tls-{}", SystemIds.next().simple()));
        std::fs::create_dir_all(&directory).unwrap();
        let files = Self(directory);
        std::fs::write(files.chain(), chain).unwrap();
        std::fs::write(files.key(), key).unwrap();
        files
    }

    fn chain(&self) -> PathBuf {
        self.0.join("chain.pem")
    }

    fn key(&self) -> PathBuf {
        self.0.join("key.pem")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Whether somebody who believes this authority alone gets an answer.
async fn believed(server: &Server, authority: &str) -> bool {
    let authority = Certificate::from_pem(authority.as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([authority]).build().unwrap();
    match client.get(format!("https://{}/healthz", server.address())).send().await {
        Ok(answer) => {
            let insisted = answer.headers().get("Strict-Transport-Security").is_some();
            assert!(answer.status() == 200 && insisted, "{answer:?}");
            true
        }
        Err(error) => {
            assert!(error.is_connect() || error.is_request(), "{error:?}");
            false
        }
    }
}

async fn becomes_believed(server: &Server, authority: &str) {
    for _ in 0..100 {
        if believed(server, authority).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the certificate was not taken up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_served_once_both_its_files_are_there() {
    let files = Files::new(ONE);
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (chain, key) = (text(&files.chain()), text(&files.key()));
    let server = Server::configured(&[
        ("COUNTERFOIL_API__TLS__CERTIFICATE", chain.as_str()),
        ("COUNTERFOIL_API__TLS__KEY", key.as_str()),
    ])
    .await;
    assert!(believed(&server, ONE[0]).await);
    assert!(!believed(&server, TWO[0]).await);
    // Half of a renewal is not taken up, and does no harm.
    std::fs::write(files.chain(), TWO[1]).unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(believed(&server, ONE[0]).await);
    std::fs::write(files.key(), TWO[2]).unwrap();
    becomes_believed(&server, TWO[0]).await;
    assert!(!believed(&server, ONE[0]).await);
    // Nobody is answered without TLS.
    let plain = reqwest::Client::new().get(format!("http://{}/healthz", server.address())).send().await;
    assert!(plain.is_err(), "{plain:?}");
}
