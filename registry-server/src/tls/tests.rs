use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::{ClientConfig, pki_types::ServerName};
use tempfile::TempDir;
use tokio_rustls::TlsConnector;

use super::*;

struct Pair {
    folder: TempDir,
}

impl Pair {
    fn new() -> Self {
        let pair = Self {
            folder: TempDir::new().unwrap(),
        };
        pair.renew();
        pair
    }

    /// A new certificate and key in the same files. Yields the certificate.
    fn renew(&self) -> CertificateDer<'static> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(self.path("tls.crt"), cert.pem()).unwrap();
        std::fs::write(self.path("tls.key"), signing_key.serialize_pem()).unwrap();
        cert.der().clone()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn tls(&self) -> Tls {
        Tls {
            certificate: self.path("tls.crt"),
            key: self.path("tls.key"),
            client_auth: ClientAuth::None,
            minimum: MinimumTls::Tls12,
            cipher_suites: Vec::new(),
        }
    }
}

/// What a client that trusts `root` alone gets from the server: the protocol, or the failure.
async fn handshake(
    files: &Files,
    root: CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<(Option<Vec<u8>>, rustls::CipherSuite), String> {
    let mut roots = RootCertStore::empty();
    roots.add(root).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let (client, server) = tokio::io::duplex(64 * 1024);
    let connector = TlsConnector::from(Arc::new(config));
    let name = ServerName::try_from("localhost").unwrap();
    let (client, server) = tokio::join!(
        connector.connect(name, client),
        files.acceptor().accept(server)
    );
    // A client of TLS 1.3 believes itself connected before the server has seen its certificate: both must agree.
    server.map_err(|error| error.to_string())?;
    let client = client.map_err(|error| error.to_string())?;
    let session = client.get_ref().1;
    Ok((
        session.alpn_protocol().map(<[u8]>::to_vec),
        session.negotiated_cipher_suite().unwrap().suite(),
    ))
}

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

#[tokio::test]
async fn a_new_certificate_counts_for_new_connections_once_both_files_are_there() {
    let pair = Pair::new();
    let first = pair.renew();
    let files = Files::open(pair.tls(), true).unwrap();
    assert!(handshake(&files, first.clone(), BOTH).await.is_ok());
    assert!(!files.reload_if_changed(), "nothing has changed");

    // Only the certificate has been written yet: key and certificate do not fit, and the old ones go on.
    let old_key = std::fs::read(pair.path("tls.key")).unwrap();
    let second = pair.renew();
    let new_key = std::fs::read(pair.path("tls.key")).unwrap();
    std::fs::write(pair.path("tls.key"), old_key).unwrap();
    assert!(!files.reload_if_changed());
    assert!(handshake(&files, first.clone(), BOTH).await.is_ok());

    std::fs::write(pair.path("tls.key"), new_key).unwrap();
    assert!(files.reload_if_changed());
    assert!(handshake(&files, second, BOTH).await.is_ok());
    assert!(handshake(&files, first, BOTH).await.is_err());
}

#[tokio::test]
async fn http_2_is_offered_unless_it_is_switched_off() {
    let pair = Pair::new();
    let root = pair.renew();
    for (http2, expected) in [(true, "h2"), (false, "http/1.1")] {
        let files = Files::open(pair.tls(), http2).unwrap();
        let (protocol, _) = handshake(&files, root.clone(), BOTH).await.unwrap();
        assert_eq!(protocol.unwrap(), expected.as_bytes());
    }
}

#[tokio::test]
async fn a_client_with_an_older_version_than_the_minimum_is_refused() {
    let pair = Pair::new();
    let root = pair.renew();
    let files = Files::open(
        Tls {
            minimum: MinimumTls::Tls13,
            ..pair.tls()
        },
        true,
    )
    .unwrap();
    assert!(handshake(&files, root.clone(), &[&TLS12]).await.is_err());
    assert!(handshake(&files, root, &[&TLS13]).await.is_ok());
}

#[tokio::test]
async fn only_the_configured_suites_of_tls_1_2_are_offered() {
    let pair = Pair::new();
    let root = pair.renew();
    let suite = CipherSuite::by_name("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256").unwrap();
    let files = Files::open(
        Tls {
            cipher_suites: vec![suite],
            ..pair.tls()
        },
        true,
    )
    .unwrap();
    let (_, negotiated) = handshake(&files, root.clone(), &[&TLS12]).await.unwrap();
    assert_eq!(
        negotiated,
        rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
    );
    assert!(handshake(&files, root, &[&TLS13]).await.is_ok());
}

#[tokio::test]
async fn without_the_required_client_certificate_there_is_no_connection() {
    let pair = Pair::new();
    let root = pair.renew();
    let authorities = vec![pair.path("tls.crt")];
    let required = Files::open(
        Tls {
            client_auth: ClientAuth::Required(authorities.clone()),
            ..pair.tls()
        },
        true,
    )
    .unwrap();
    assert!(handshake(&required, root.clone(), BOTH).await.is_err());
    let optional = Files::open(
        Tls {
            client_auth: ClientAuth::Optional(authorities),
            ..pair.tls()
        },
        true,
    )
    .unwrap();
    assert!(handshake(&optional, root, BOTH).await.is_ok());
}

#[test]
fn files_that_cannot_be_used_are_named_with_their_key() {
    let pair = Pair::new();
    let message = |tls: Tls| Files::open(tls, true).unwrap_err().to_string();
    let nowhere = pair.path("nowhere");
    assert!(
        message(Tls {
            certificate: nowhere.clone(),
            ..pair.tls()
        })
        .contains("http.tls.certificate")
    );
    assert!(
        message(Tls {
            key: nowhere,
            ..pair.tls()
        })
        .contains("http.tls.key")
    );
    std::fs::write(pair.path("empty"), "").unwrap();
    let empty = pair.path("empty");
    assert!(
        message(Tls {
            certificate: empty,
            ..pair.tls()
        })
        .contains("no PEM block")
    );
    assert!(
        message(Tls {
            key: pair.path("tls.crt"),
            ..pair.tls()
        })
        .contains("http.tls.key")
    );
}

#[test]
fn suites_are_found_by_the_names_of_distribution_and_unsafe_ones_are_called_so() {
    assert!(CipherSuite::by_name("TLS_AES_128_GCM_SHA256").is_ok());
    assert!(CipherSuite::by_name("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384").is_ok());
    assert!(
        CipherSuite::by_name("TLS_RSA_WITH_AES_128_CBC_SHA")
            .unwrap_err()
            .contains("not safe")
    );
    assert!(
        CipherSuite::by_name("TLS_NONSENSE")
            .unwrap_err()
            .contains("not a known")
    );
}
