//! How the connections of clients are encrypted.

use clap::Args;

use crate::config::{Given, Sources};

/// How the connections of clients are encrypted.
#[allow(clippy::doc_markdown, reason = "the texts are shown in a terminal, where backticks are noise")]
#[derive(Debug, Args)]
pub struct TlsArgs {
    /// Whether clients' connections are encrypted: off, allow or require [default: allow with a certificate, or off].
    #[arg(long, value_name = "off|allow|require", env = "TIDEGATE_SSL")]
    pub ssl: Option<String>,

    /// Certificate that is shown to clients, in PEM format.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_SSL_CERT_FILE")]
    pub ssl_cert_file: Option<String>,

    /// Private key of the certificate, in PEM format.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_SSL_KEY_FILE")]
    pub ssl_key_file: Option<String>,

    /// Certificates of the authorities whose certificates clients may show.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_SSL_CA_FILE")]
    pub ssl_ca_file: Option<String>,

    /// Lists of clients' certificates that are not valid any more.
    #[arg(long, value_name = "FILE", env = "TIDEGATE_SSL_CRL_FILE")]
    pub ssl_crl_file: Option<String>,

    /// The oldest version that is spoken: TLSv1.2 or TLSv1.3 [default: TLSv1.2].
    #[arg(long, value_name = "VERSION", env = "TIDEGATE_SSL_MIN_PROTOCOL_VERSION")]
    pub ssl_min_protocol_version: Option<String>,
}

impl TlsArgs {
    /// Sorts the values into what came from the environment, of which empty ones count as none, and what from flags.
    pub(super) fn sort_into(self, sources: &mut Sources, is_from_environment: impl Fn(&str) -> bool) {
        for (id, value, field) in self.into_values() {
            let from_env = is_from_environment(id);
            let value = value.filter(|value| !(from_env && value.is_empty()));
            *field(if from_env { &mut sources.env } else { &mut sources.flags }) = value;
        }
    }

    /// Each value by the name of its argument, with the field it goes into.
    fn into_values(self) -> [(&'static str, Option<String>, Field); 6] {
        [
            ("ssl", self.ssl, |given| &mut given.ssl),
            ("ssl_cert_file", self.ssl_cert_file, |given| &mut given.ssl_cert_file),
            ("ssl_key_file", self.ssl_key_file, |given| &mut given.ssl_key_file),
            ("ssl_ca_file", self.ssl_ca_file, |given| &mut given.ssl_ca_file),
            ("ssl_crl_file", self.ssl_crl_file, |given| &mut given.ssl_crl_file),
            ("ssl_min_protocol_version", self.ssl_min_protocol_version, |given| {
                &mut given.ssl_min_protocol_version
            }),
        ]
    }
}

/// Where a value goes.
type Field = fn(&mut Given) -> &mut Option<String>;
