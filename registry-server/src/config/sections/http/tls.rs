//! `http.tls`: certificates from files.

use std::path::PathBuf;

use crate::{config::reader::Reader, tls::CipherSuite};

/// The oldest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MinimumTls {
    /// 1.2 and 1.3. The default.
    Tls12,
    /// 1.3 only.
    Tls13,
}

/// Whether clients show a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked.
    None,
    /// A certificate that is shown must be good; none need be shown.
    Optional(Vec<PathBuf>),
    /// Without a good certificate there is no connection.
    Required(Vec<PathBuf>),
}

/// TLS from files.
#[derive(Debug, Clone, PartialEq)]
pub struct Tls {
    /// `certificate`: the chain, PEM, the server's own first.
    pub certificate: PathBuf,
    /// `key`: PEM.
    pub key: PathBuf,
    /// `clientcas` and `clientauth`.
    pub client_auth: ClientAuth,
    /// `minimumtls`.
    pub minimum: MinimumTls,
    /// `ciphersuites`; empty for the library's choice.
    pub cipher_suites: Vec<CipherSuite>,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Tls> {
    let certificate = reader.text("http.tls.certificate");
    let key = reader.text("http.tls.key");
    let minimum =
        reader.parsed_or(
            "http.tls.minimumtls",
            MinimumTls::Tls12,
            "tls1.2",
            |text| match text {
                "tls1.2" | "" => Ok(MinimumTls::Tls12),
                "tls1.3" => Ok(MinimumTls::Tls13),
                "tls1.0" | "tls1.1" => Err(format!(
                    "{text:?} is not supported: nothing safe speaks it; tls1.2 and tls1.3 are"
                )),
                _ => Err(format!("{text:?} is not a version: tls1.2 and tls1.3 are")),
            },
        );
    let cipher_suites = cipher_suites(reader, minimum);
    let client_auth = client_auth(reader);
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(Tls {
            certificate: certificate.into(),
            key: key.into(),
            client_auth: client_auth?,
            minimum,
            cipher_suites,
        }),
        (None, None) => {
            if client_auth.is_some_and(|client_auth| client_auth != ClientAuth::None) {
                reader.problem(
                    "http.tls.clientcas",
                    "there is no TLS without http.tls.certificate and http.tls.key",
                );
            }
            None
        }
        (Some(_), None) => {
            reader.problem("http.tls.key", "must be set too: http.tls.certificate is");
            None
        }
        (None, Some(_)) => {
            reader.problem("http.tls.certificate", "must be set too: http.tls.key is");
            None
        }
    }
}

fn cipher_suites(reader: &mut Reader<'_>, minimum: MinimumTls) -> Vec<CipherSuite> {
    let path = "http.tls.ciphersuites";
    let mut suites = Vec::new();
    for name in reader.texts(path) {
        match CipherSuite::by_name(&name) {
            Ok(suite) => suites.push(suite),
            Err(problem) => reader.problem(path, problem),
        }
    }
    // As in distribution. The suites of TLS 1.3 are few and all good.
    if minimum == MinimumTls::Tls13 && !suites.is_empty() {
        reader.warn(
            path,
            "without effect: with minimumtls tls1.3 all suites of TLS 1.3 are offered",
        );
        suites.clear();
    }
    suites
}

fn client_auth(reader: &mut Reader<'_>) -> Option<ClientAuth> {
    let path = "http.tls.clientauth";
    let authorities: Vec<PathBuf> = reader
        .texts("http.tls.clientcas")
        .into_iter()
        .map(PathBuf::from)
        .collect();
    let required = reader.parsed_or(path, Some(true), "require-and-verify-client-cert", |text| match text {
        "require-and-verify-client-cert" => Ok(Some(true)),
        "verify-client-cert-if-given" => Ok(Some(false)),
        "request-client-cert" | "require-any-client-cert" => Err(format!(
            "{text:?} takes certificates that nobody has verified, which proves nothing and is not supported: \
             require-and-verify-client-cert and verify-client-cert-if-given are"
        )),
        _ => Err(format!("{text:?} is not known: require-and-verify-client-cert and verify-client-cert-if-given are")),
    })?;
    if authorities.is_empty() {
        if reader.node(path).is_some() {
            reader.problem("http.tls.clientcas", "must be set: http.tls.clientauth asks for certificates, and somebody must have issued them");
            return None;
        }
        return Some(ClientAuth::None);
    }
    Some(if required {
        ClientAuth::Required(authorities)
    } else {
        ClientAuth::Optional(authorities)
    })
}
