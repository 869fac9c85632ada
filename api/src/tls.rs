//! TLS: the certificate of the server, taken up anew when its files change.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("cannot read {}: {reason}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The file of the certificate has none.
    #[error("{} has no certificate", .0.display())]
    Empty(PathBuf),
    /// The key is of a kind that is not supported, or not the certificate's.
    #[error("the certificate cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// The certificate and its key, as the files have them. Cheap to clone.
#[derive(Clone)]
pub struct Certificate {
    files: Arc<[PathBuf; 2]>,
    current: Arc<ArcSwap<CertifiedKey>>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Certificate {
    /// Reads the chain, the server's own certificate first, and its private key; both are PEM.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn open(chain: &Path, key: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let files = [chain.to_owned(), key.to_owned()];
        let current = Arc::new(ArcSwap::from_pointee(read(&files, &provider)?));
        Ok(Self { files: files.into(), current, provider })
    }

    /// Takes up the files each time that one of them has changed, for as long as it is polled. What cannot be used is
    /// logged, and the certificate before it stays: a renewal may write one file before the other.
    pub async fn watch(self) {
        let mut seen = self.changed();
        loop {
            tokio::time::sleep(LOOK).await;
            let now = self.changed();
            if now == seen {
                continue;
            }
            match read(&self.files, &self.provider) {
                Ok(key) => {
                    self.current.store(Arc::new(key));
                    tracing::info!("a new TLS certificate is served");
                }
                Err(error) => tracing::warn!(%error, "the TLS certificate has changed and cannot be used"),
            }
            seen = now;
        }
    }

    /// What rustls is given.
    ///
    /// # Errors
    /// The provider of cryptography does not support what is wanted.
    pub fn server_config(&self) -> Result<ServerConfig, TlsError> {
        let config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        Ok(config)
    }

    /// When each file was last written to.
    fn changed(&self) -> [Option<SystemTime>; 2] {
        let written = |file: &PathBuf| std::fs::metadata(file).and_then(|data| data.modified()).ok();
        let [chain, key] = self.files.as_ref();
        [written(chain), written(key)]
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn read(files: &[PathBuf; 2], provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    let [chain_file, key_file] = files;
    let text = |path: &PathBuf| {
        std::fs::read(path).map_err(|error| TlsError::File { path: path.clone(), reason: error.to_string() })
    };
    let form = |path: &PathBuf, error: &dyn fmt::Display| TlsError::File {
        path: path.clone(),
        reason: error.to_string(),
    };
    let chain = CertificateDer::pem_slice_iter(&text(chain_file)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| form(chain_file, &error))?;
    if chain.is_empty() {
        return Err(TlsError::Empty(chain_file.clone()));
    }
    let key = PrivateKeyDer::from_pem_slice(&text(key_file)?).map_err(|error| form(key_file, &error))?;
    Ok(CertifiedKey::from_der(chain, key, provider)?)
}
