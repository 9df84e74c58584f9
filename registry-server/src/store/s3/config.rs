//! How a bucket is reached and how objects are kept in it.

use std::time::Duration;

use aws_sdk_s3::{
    Client,
    config::{
        AppName, BehaviorVersion, Builder, Credentials as Keys, Region, RequestChecksumCalculation,
        ResponseChecksumValidation, retry::RetryConfig, timeout::TimeoutConfig,
    },
    types::{ObjectCannedAcl, ServerSideEncryption, StorageClass},
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::super::{Error, Kind, PartSize, Prefix, Result};

/// Everything about a bucket. The names in parentheses are distribution's.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// The bucket (`bucket`). It must exist.
    pub bucket: String,
    /// The AWS region (`region`). `None`: `us-east-1` where there is an endpoint, otherwise from the environment.
    pub region: Option<String>,
    /// The server, where it is not AWS (`regionendpoint`): scheme, host, port.
    pub endpoint: Option<Url>,
    /// The server in presigned URLs, where clients reach it by another name than we do (`redirectendpoint`).
    pub redirect_endpoint: Option<Url>,
    /// Where the bucket's name is in a URL (`forcepathstyle`).
    pub addressing: Addressing,
    /// By which credentials (`accesskey`, `secretkey`, `sessiontoken`).
    pub credentials: Credentials,
    /// What every key begins with (`rootdirectory`). A `/` is put between it and the key.
    pub root: Prefix,
    /// The size of the parts of an upload (`chunksize`).
    pub part_size: PartSize,
    /// How S3 encrypts objects (`encrypt`, `keyid`).
    pub encryption: Encryption,
    /// The storage class (`storageclass`), `None` for the bucket's default.
    pub storage_class: Option<String>,
    /// The canned ACL of objects (`objectacl`), `None` for no ACL header, as buckets with ACLs disabled want it.
    pub acl: Option<String>,
    /// What is added to the `User-Agent` (`useragent`).
    pub user_agent: Option<String>,
    /// Whether [`super::super::Store::presign`] makes URLs (`redirect.disable` says no).
    pub presign: bool,
    /// IPv6 endpoints of AWS too (`usedualstack`).
    pub dual_stack: bool,
    /// S3 Transfer Acceleration (`accelerate`).
    pub accelerate: bool,
    /// How often a call is made in all when it fails in a way that may pass. At least 1.
    pub max_attempts: u32,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long one attempt may take, until the answer begins: for an upload, with its body.
    pub attempt_timeout: Duration,
}

/// Where the bucket's name is in a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// In the host's name, as AWS wants it: `https://bucket.host/key`.
    VirtualHost,
    /// In the path, as most servers other than AWS do: `https://host/bucket/key`.
    Path,
}

/// By which credentials a bucket is used.
#[derive(Debug, Clone)]
pub enum Credentials {
    /// From the environment, from files, from a role of the pod or the instance: the chain of the AWS SDKs.
    Chain,
    /// An access key.
    AccessKey {
        /// Its id.
        id: String,
        /// Its secret.
        secret: SecretString,
        /// The token of a temporary one.
        session_token: Option<SecretString>,
    },
}

/// How S3 encrypts objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// As the bucket says.
    BucketDefault,
    /// With keys of S3 (SSE-S3).
    Aes256,
    /// With a key of KMS (SSE-KMS).
    Kms {
        /// Its id, ARN or alias.
        key_id: String,
    },
}

impl S3Config {
    /// A bucket with everything else as it is when nothing is said.
    #[must_use]
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            region: None,
            endpoint: None,
            redirect_endpoint: None,
            addressing: Addressing::VirtualHost,
            credentials: Credentials::Chain,
            root: Prefix::root(),
            part_size: PartSize::DEFAULT,
            encryption: Encryption::BucketDefault,
            storage_class: None,
            acl: None,
            user_agent: None,
            presign: true,
            dual_stack: false,
            accelerate: false,
            // With the SDK's back-off of 1, 2, 4, 8 s at most between them: longer than S3 takes to make room, shorter
            // than clients wait.
            max_attempts: 5,
            connect_timeout: Duration::from_secs(5),
            // A part of 10 MiB over 2 Mbit/s.
            attempt_timeout: Duration::from_mins(1),
        }
    }

    /// Whether the bytes on the wire are.
    pub(super) fn is_encrypted(&self) -> bool {
        self.endpoint
            .as_ref()
            .is_none_or(|endpoint| endpoint.scheme() == "https")
    }

    pub(super) fn acl(&self) -> Option<ObjectCannedAcl> {
        self.acl.as_deref().map(ObjectCannedAcl::from)
    }

    pub(super) fn storage_class(&self) -> Option<StorageClass> {
        self.storage_class.as_deref().map(StorageClass::from)
    }

    pub(super) async fn client(&self) -> Result<Client> {
        let mut loader = aws_config::defaults(BehaviorVersion::latest());
        let implied = self.endpoint.as_ref().map(|_| "us-east-1".to_owned());
        if let Some(region) = self.region.clone().or(implied) {
            loader = loader.region(Region::new(region));
        }
        if let Credentials::AccessKey {
            id,
            secret,
            session_token,
        } = &self.credentials
        {
            let token = session_token
                .as_ref()
                .map(|token| token.expose_secret().to_owned());
            loader = loader.credentials_provider(Keys::new(
                id,
                secret.expose_secret(),
                token,
                None,
                "configuration",
            ));
        }
        if let Some(user_agent) = &self.user_agent {
            let name = AppName::new(user_agent.clone()).map_err(|error| {
                Error::new(Kind::Misconfigured, "use the user agent", user_agent).because(error)
            })?;
            loader = loader.app_name(name);
        }
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(self.connect_timeout)
            .read_timeout(self.attempt_timeout)
            .operation_attempt_timeout(self.attempt_timeout);
        let mut config = Builder::from(&loader.load().await)
            .force_path_style(self.addressing == Addressing::Path)
            .use_dual_stack(self.dual_stack)
            .accelerate(self.accelerate)
            .retry_config(RetryConfig::standard().with_max_attempts(self.max_attempts.max(1)))
            .timeout_config(timeouts.build())
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        if let Some(endpoint) = &self.endpoint {
            config = config.endpoint_url(endpoint.as_str());
        }
        Ok(Client::from_conf(config.build()))
    }
}

impl Encryption {
    pub(super) fn method(&self) -> Option<ServerSideEncryption> {
        match self {
            Self::BucketDefault => None,
            Self::Aes256 => Some(ServerSideEncryption::Aes256),
            Self::Kms { .. } => Some(ServerSideEncryption::AwsKms),
        }
    }

    pub(super) fn key_id(&self) -> Option<String> {
        match self {
            Self::BucketDefault | Self::Aes256 => None,
            Self::Kms { key_id } => Some(key_id.clone()),
        }
    }
}
