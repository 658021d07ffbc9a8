//! TLS by rustls: HTTP/2 and HTTP/1.1 by ALPN, and certificates that can be replaced while streams stay open.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig, crypto};

/// The protocols that are offered, best first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A certificate or key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says what each field is")]
pub enum TlsError {
    /// A file that cannot be read, or is not PEM.
    #[error("cannot read {}: {source}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: pem::Error,
    },
    /// A file without any certificate.
    #[error("there is no certificate in {}", .0.display())]
    NoCertificate(PathBuf),
    /// The certificate and the key do not match, or cannot be used.
    #[error("the certificate cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
    /// No self-signed certificate could be created.
    #[error("cannot create a certificate: {0}")]
    SelfSigned(#[from] rcgen::Error),
}

/// The current certificate. New connections get the newest one; open ones keep theirs.
#[derive(Clone)]
pub struct Tls(watch::Sender<TlsAcceptor>);

impl Tls {
    /// A certificate chain and its key, from PEM files.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        Ok(Self(watch::Sender::new(load(certificate, key)?)))
    }

    /// Reads the files again. On an error the certificate stays as it was.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn reload(&self, certificate: &Path, key: &Path) -> Result<(), TlsError> {
        self.0.send_replace(load(certificate, key)?);
        Ok(())
    }

    /// A self-signed certificate for trying things out, and its PEM for the clients that are to trust it.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn self_signed(hosts: Vec<String>) -> Result<(Self, String), TlsError> {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(hosts)?;
        let key = PrivateKeyDer::try_from(signing_key.serialize_der())
            .map_err(|why| rustls::Error::General(why.to_owned()))?;
        let acceptor = acceptor(vec![cert.der().clone()], key)?;
        Ok((Self(watch::Sender::new(acceptor)), cert.pem()))
    }

    /// The acceptor for a new connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.0.borrow().clone()
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(…)")
    }
}

fn load(certificate: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::File { path, source }
    };
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(unreadable(certificate))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(certificate.to_owned()));
    }
    acceptor(chain, PrivateKeyDer::from_pem_file(key).map_err(unreadable(key))?)
}

fn acceptor(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<TlsAcceptor, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = ALPN.map(Vec::from).into();
    Ok(TlsAcceptor::from(Arc::new(config)))
}
