//! How a handshake with a server is begun.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, SupportedProtocolVersion};

use super::{ALPN, Trust};

/// Who we are to a server that asks.
#[derive(Debug)]
pub struct Identity {
    /// The certificate, and those between it and an authority.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

/// What a handshake with a server is begun with.
#[derive(Debug)]
pub struct Outgoing {
    /// Whose certificates are accepted.
    pub trust: Trust,
    /// Who we are, if servers may ask.
    pub identity: Option<Identity>,
    /// The versions that are offered, at least one.
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// Whether the server is told by which name it is known here (SNI).
    pub sends_name: bool,
}

impl Outgoing {
    /// What rustls goes by. Fails when the key does not belong to the certificate, or an authority cannot be read.
    pub fn config(self) -> Result<ClientConfig, rustls::Error> {
        let provider = Arc::new(default_provider());
        let verifier = self.trust.verifier(&provider)?;
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&self.versions)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match self.identity {
            Some(identity) => builder.with_client_auth_cert(identity.certificates, identity.key)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.enable_sni = self.sends_name;
        // PostgreSQL resumes no sessions, and a certificate is to be looked at each time.
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}
