//! TLS from files: certificate and key, the authorities of client certificates, and their exchange while connections go on.
//!
//! A connection keeps what it began with; a new one gets what the files hold now. New files that do not fit together, as in the
//! moment between the writing of the two, leave the old ones in force. This does not fetch certificates from anywhere.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use rustls::{
    RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
    crypto::{CryptoProvider, aws_lc_rs},
    server::{VerifierBuilderError, WebPkiClientVerifier, danger::ClientCertVerifier},
    version::{TLS12, TLS13},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject};
use snafu::{OptionExt, ResultExt, Snafu, ensure};
use tokio_rustls::TlsAcceptor;
use tracing::{error, info};

use crate::{
    config::{ClientAuth, MinimumTls, Tls},
    stamp::Stamp,
};

/// How often the file system is asked whether a file has changed. Certificates are renewed days before they end.
const RECHECK: Duration = Duration::from_secs(5);

/// Why there is no TLS.
#[derive(Debug, Snafu)]
pub enum Error {
    /// The chain cannot be read.
    #[snafu(display("failed to read the certificate (http.tls.certificate) {path:?}"))]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The file has no certificate in it.
    #[snafu(display(
        "the certificate file (http.tls.certificate) {path:?} has no PEM block `CERTIFICATE`"
    ))]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// The key cannot be read.
    #[snafu(display("failed to read the private key (http.tls.key) {path:?}"))]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// Certificate and key do not fit.
    #[snafu(display(
        "the certificate {certificate:?} and the key {key:?} cannot be used together"
    ))]
    Pair {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong.
        source: rustls::Error,
    },
    /// The authorities cannot be read.
    #[snafu(display(
        "failed to read the authorities of client certificates (http.tls.clientcas) {path:?}"
    ))]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// An authority's certificate is not one.
    #[snafu(display(
        "the file {path:?} of http.tls.clientcas has a certificate that cannot be used"
    ))]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The authorities cannot be used as such.
    #[snafu(display("the authorities of client certificates (http.tls.clientcas) cannot be used"))]
    Verifier {
        /// What is wrong.
        source: VerifierBuilderError,
    },
    /// Suites and versions do not fit.
    #[snafu(display("http.tls.ciphersuites and http.tls.minimumtls cannot be used together"))]
    Suites {
        /// What is wrong.
        source: rustls::Error,
    },
}

/// A cipher suite that can be offered.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CipherSuite(SupportedCipherSuite);

impl CipherSuite {
    /// The suite that Go, and so distribution's configuration, calls `name`.
    ///
    /// # Errors
    /// For a suite that is unknown or not safe, in words for the person who wrote the name.
    pub fn by_name(name: &str) -> Result<Self, String> {
        let found = aws_lc_rs::ALL_CIPHER_SUITES
            .iter()
            .find(|suite| go_name(**suite) == name);
        found.copied().map(Self).ok_or_else(|| {
            let known: Vec<_> = aws_lc_rs::ALL_CIPHER_SUITES
                .iter()
                .map(|suite| go_name(*suite))
                .collect();
            let old = name.starts_with("TLS_RSA_")
                || name.contains("_CBC_")
                || name.contains("RC4")
                || name.contains("3DES");
            let why = if old {
                "not safe and not supported"
            } else {
                "not a known cipher suite"
            };
            format!("{name:?} is {why}: {} are", known.join(", "))
        })
    }
}

/// Go leaves the version out of the names of TLS 1.3's suites.
fn go_name(suite: SupportedCipherSuite) -> String {
    suite
        .suite()
        .as_str()
        .unwrap_or_default()
        .replacen("TLS13_", "TLS_", 1)
}

/// TLS for the connections of one server.
#[derive(Debug)]
pub struct Files {
    tls: Tls,
    http2: bool,
    current: ArcSwap<ServerConfig>,
    seen: std::sync::Mutex<Vec<Option<Stamp>>>,
}

impl Files {
    /// Reads the files. `http2` is whether HTTP/2 is offered (ALPN `h2`).
    ///
    /// # Errors
    /// [`Error`], naming the file and the key of the configuration.
    pub fn open(tls: Tls, http2: bool) -> Result<Self, Error> {
        let seen = stamps(&tls);
        let current = ArcSwap::from_pointee(build(&tls, http2)?);
        Ok(Self {
            tls,
            http2,
            current,
            seen: seen.into(),
        })
    }

    /// What a new connection is to be greeted with.
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Reads the files again whenever they have changed. Never returns.
    pub async fn follow(self: Arc<Self>) -> Infallible {
        let mut interval = tokio::time::interval(RECHECK);
        loop {
            interval.tick().await;
            let files = Arc::clone(&self);
            if let Err(error) = tokio::task::spawn_blocking(move || files.reload_if_changed()).await
            {
                error!(%error, "looking for changed certificates failed");
            }
        }
    }

    /// Reads the files again if one is another now. Whether the new ones are in force.
    fn reload_if_changed(&self) -> bool {
        let stamps = stamps(&self.tls);
        {
            let mut seen = self
                .seen
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            if *seen == stamps {
                return false;
            }
            // Good or bad, these have been seen: they are logged once.
            *seen = stamps;
        }
        match build(&self.tls, self.http2) {
            Ok(config) => {
                self.current.store(Arc::new(config));
                info!(certificate = %self.tls.certificate.display(), "certificate read again, the files have changed");
                true
            }
            Err(error) => {
                error!(
                    error = %snafu::Report::from_error(error),
                    "the files of TLS have changed and cannot be used; those from before stay in force"
                );
                false
            }
        }
    }
}

fn stamps(tls: &Tls) -> Vec<Option<Stamp>> {
    let authorities = match &tls.client_auth {
        ClientAuth::None => &[][..],
        ClientAuth::Optional(paths) | ClientAuth::Required(paths) => paths,
    };
    [&tls.certificate, &tls.key]
        .into_iter()
        .chain(authorities)
        .map(|path| Stamp::of(path).ok())
        .collect()
}

fn build(tls: &Tls, http2: bool) -> Result<ServerConfig, Error> {
    let Tls {
        certificate,
        key,
        client_auth,
        minimum,
        cipher_suites,
    } = tls;
    let versions: &[&SupportedProtocolVersion] = match minimum {
        MinimumTls::Tls12 => &[&TLS13, &TLS12],
        MinimumTls::Tls13 => &[&TLS13],
    };
    let provider = Arc::new(provider(cipher_suites));
    let path = certificate;
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .with_context(|_| CertificateSnafu { path })?;
    ensure!(!chain.is_empty(), NoCertificateSnafu { path });
    let private = PrivateKeyDer::from_pem_file(key).context(KeySnafu { path: key })?;

    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .context(SuitesSnafu)?;
    let builder = match client_auth {
        ClientAuth::None => builder.with_no_client_auth(),
        ClientAuth::Optional(paths) => {
            builder.with_client_cert_verifier(verifier(paths, provider, false)?)
        }
        ClientAuth::Required(paths) => {
            builder.with_client_cert_verifier(verifier(paths, provider, true)?)
        }
    };
    let mut config = builder
        .with_single_cert(chain, private)
        .context(PairSnafu { certificate, key })?;
    config.alpn_protocols = if http2 {
        vec![b"h2".to_vec(), b"http/1.1".to_vec()]
    } else {
        vec![b"http/1.1".to_vec()]
    };
    Ok(config)
}

/// The library's choice of suites, or the configured ones. A list is about TLS 1.2; the suites of TLS 1.3 are always offered, as
/// Go does.
fn provider(suites: &[CipherSuite]) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    if !suites.is_empty() {
        let named =
            |suite: &SupportedCipherSuite| suites.iter().any(|CipherSuite(named)| named == suite);
        provider
            .cipher_suites
            .retain(|suite| suite.tls13().is_some() || named(suite));
    }
    provider
}

fn verifier(
    paths: &[PathBuf],
    provider: Arc<CryptoProvider>,
    required: bool,
) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    let mut roots = RootCertStore::empty();
    for path in paths {
        add_roots(&mut roots, path)?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if required {
        builder
    } else {
        builder.allow_unauthenticated()
    };
    builder.build().context(VerifierSnafu)
}

fn add_roots(roots: &mut RootCertStore, path: &Path) -> Result<(), Error> {
    let mut found = None;
    for certificate in CertificateDer::pem_file_iter(path).context(AuthoritiesSnafu { path })? {
        roots
            .add(certificate.context(AuthoritiesSnafu { path })?)
            .context(AuthoritySnafu { path })?;
        found = Some(());
    }
    found.context(NoCertificateSnafu { path })
}

#[cfg(test)]
mod tests;
