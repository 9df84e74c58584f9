//! The keys of a cluster: its authority, the API server's certificate, the key of service account tokens, and a certificate for
//! the name that tests give a public registry.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::{
    info::write_private,
    location::{create_directory, write_file},
};

/// The host name that the certificate in ACM is for.
pub(crate) const REGISTRY_HOST: &str = "registry.example.com";

/// Where the keys are.
pub(crate) struct Pki {
    directory: PathBuf,
}

impl Pki {
    /// Makes what is not there yet. `addresses` are the host names and addresses of the API server.
    pub(crate) fn ensure(directory: PathBuf, addresses: &[String]) -> Result<Self> {
        let pki = Self { directory };
        // Written last, so that half a set is made anew.
        if !pki.registry_certificate().is_file() {
            create_directory(&pki.directory)?;
            pki.make(addresses)
                .context("failed to make the cluster's keys")?;
        }
        Ok(pki)
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    pub(crate) fn api_server_certificate(&self) -> PathBuf {
        self.directory.join("apiserver.crt")
    }

    pub(crate) fn api_server_key(&self) -> PathBuf {
        self.directory.join("apiserver.key")
    }

    pub(crate) fn service_account_key(&self) -> PathBuf {
        self.directory.join("service-account.key")
    }

    pub(crate) fn service_account_public_key(&self) -> PathBuf {
        self.directory.join("service-account.pub")
    }

    pub(crate) fn registry_certificate(&self) -> PathBuf {
        self.directory.join("registry.crt")
    }

    pub(crate) fn registry_key(&self) -> PathBuf {
        self.directory.join("registry.key")
    }

    fn make(&self, addresses: &[String]) -> Result<()> {
        let ca_key = KeyPair::generate()?;
        let mut ca = named("moorage local cluster", &[])?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        write_file(&self.ca(), ca.self_signed(&ca_key)?.pem())?;

        let server_key = KeyPair::generate()?;
        let mut server = named("kube-apiserver", addresses)?;
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let issuer = Issuer::from_params(&ca, &ca_key);
        let signed = server.signed_by(&server_key, &issuer)?;
        write_file(&self.api_server_certificate(), signed.pem())?;
        write_key(&self.api_server_key(), &server_key)?;

        let account_key = KeyPair::generate()?;
        write_key(&self.service_account_key(), &account_key)?;
        write_file(
            &self.service_account_public_key(),
            account_key.public_key_pem(),
        )?;

        let registry_key = KeyPair::generate()?;
        let registry = named(REGISTRY_HOST, &[REGISTRY_HOST.to_owned()])?;
        write_key(&self.registry_key(), &registry_key)?;
        write_file(
            &self.registry_certificate(),
            registry.self_signed(&registry_key)?.pem(),
        )
    }
}

fn named(common_name: &str, addresses: &[String]) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(addresses)?;
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    Ok(params)
}

fn write_key(path: &Path, key: &KeyPair) -> Result<()> {
    write_private(path, key.serialize_pem().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let make = || Pki::ensure(directory.path().join("pki"), &["127.0.0.1".to_owned()]).unwrap();
        let first = std::fs::read(make().ca()).unwrap();
        assert!(first.starts_with(b"-----BEGIN CERTIFICATE-----"));
        assert_eq!(first, std::fs::read(make().ca()).unwrap());
    }
}
