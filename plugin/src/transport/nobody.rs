//! TLS on a node that knows no certificate authority: no server is believed, and each says why.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

/// Settings that refuse every server, because of `cause`.
pub(super) fn trusted(cause: &reqwest::Error) -> ClientConfig {
    let mut root: &dyn std::error::Error = cause;
    while let Some(source) = root.source() {
        root = source;
    }
    let why = format!("{root}: install the package ca-certificates, then reload pullgated");
    ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Nobody { why }))
        .with_no_client_auth()
}

#[derive(Debug)]
struct Nobody {
    why: String,
}

impl Nobody {
    fn refuse<T>(&self) -> Result<T, Error> {
        Err(Error::General(self.why.clone()))
    }
}

impl ServerCertVerifier for Nobody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.refuse()
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.refuse()
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.refuse()
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
