//! The certificate of the service, read again when its files change.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use metrics::gauge;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
};
use tokio_rustls::TlsAcceptor;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::TlsSettings;

/// How often it is looked whether the files have changed.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A cheap handle; clones share the certificate.
#[derive(Clone)]
pub(super) struct Certificates {
    acceptor: TlsAcceptor,
    current: Arc<Current>,
    files: TlsSettings,
    /// When what was read at first was written.
    stamp: Stamp,
}

type Stamp = [Option<SystemTime>; 2];

#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

impl Certificates {
    /// # Errors
    /// If the files cannot be read or do not belong together.
    pub fn load(files: &TlsSettings) -> anyhow::Result<Self> {
        // Before it is read, so that no change is missed.
        let stamp = stamp(files);
        let current = Arc::new(Current(RwLock::new(Arc::new(read(files)?))));
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            current,
            files: files.clone(),
            stamp,
        })
    }

    pub fn acceptor(&self) -> &TlsAcceptor {
        &self.acceptor
    }

    /// Never ends. A pair that cannot be used is reported, and the last good one stays.
    pub async fn reload_on_change(&self) {
        let mut seen = self.stamp;
        let mut refused = seen;
        self.tell_expiry();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let stamp = stamp(&self.files);
            if stamp == seen {
                continue;
            }
            match read(&self.files) {
                Ok(new) => {
                    let mut current = self.current.0.write();
                    **current.as_mut().unwrap_or_else(|e| e.get_mut()) = Arc::new(new);
                    tracing::info!("the new certificate is in use");
                    drop(current);
                    self.tell_expiry();
                    seen = stamp;
                }
                // Perhaps only one of the two is there yet: it is tried again at the next look.
                Err(error) if stamp != refused => {
                    tracing::error!(
                        error = format!("{error:#}"),
                        "the new certificate cannot be used; the old one stays"
                    );
                    refused = stamp;
                }
                // Has been told.
                Err(_) => {}
            }
        }
    }

    /// Until when the certificate is good, in seconds since the Unix epoch: somebody has to renew it before that.
    fn tell_expiry(&self) {
        let current = self.current.0.read();
        let current = Arc::clone(&current.unwrap_or_else(PoisonError::into_inner));
        let leaf = current.cert.first();
        let read = leaf.and_then(|leaf| Certificate::from_der(leaf).ok());
        let until = read.map(|leaf| leaf.tbs_certificate().validity().not_after);
        // A float has room for 32 bits of it, which is until 2106.
        let until = until.map(|until| u32::try_from(until.to_unix_duration().as_secs()));
        if let Some(Ok(until)) = until {
            gauge!("tls_certificate_expires_timestamp_seconds").set(until);
        }
    }
}

fn stamp(files: &TlsSettings) -> Stamp {
    [&files.cert, &files.key].map(|file| file.metadata().ok()?.modified().ok())
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn read(files: &TlsSettings) -> anyhow::Result<CertifiedKey> {
    let chain = chain(&files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("server.tls.key {} cannot be read", files.key.display()))?;
    CertifiedKey::from_der(chain, key, &provider())
        .context("server.tls.cert and server.tls.key do not belong together")
}

fn chain(file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let shown = file.display();
    let chain: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .with_context(|| format!("server.tls.cert {shown} cannot be read"))?;
    anyhow::ensure!(
        !chain.is_empty(),
        "server.tls.cert {shown} holds no certificate"
    );
    Ok(chain)
}

/// What a client on this machine needs to talk to a service with the certificate in `file`, whichever name that is for.
///
/// # Errors
/// If the file holds no certificate.
pub(in crate::http) fn trusting_only(file: &Path) -> anyhow::Result<ClientConfig> {
    let expected = chain(file)?.swap_remove(0);
    let verifier = Pinned {
        expected,
        provider: provider(),
    };
    Ok(ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

/// Accepts one certificate and no other.
#[derive(Debug)]
struct Pinned {
    expected: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *shown == self.expected {
            return Ok(ServerCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
