//! The clients of the AWS SDK: one set per region, and one for each S3-compatible store when it is needed.
//!
//! Credentials come from the SDK's own default chain; nothing of Moorage reads them.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::Credentials;
use secrecy::ExposeSecret;

use super::{
    desired::{DesiredBucket, StaticCredentials, StoreAccess},
    error::Call,
    names::Region,
};

/// Three tries, as the SDK does by default. The controller waits and tries again after that, with what it knows of the registry.
const ATTEMPTS: u32 = 3;
/// An endpoint that cannot be reached is found out quickly; a healthy one answers the handshake in milliseconds.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// One try. The slowest call is `CreateBucket`, which takes a few seconds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
/// All tries of one call, so that one registry cannot hold a worker for longer.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(40);
/// Regions come from specs, which anybody can write; there are about forty real ones.
const MOST_REGIONS: usize = 64;

/// The real [`super::Cloud`].
pub struct Aws {
    config: SdkConfig,
    regions: Mutex<HashMap<Region, Arc<RegionClients>>>,
    requests: AtomicU64,
    /// The IAM actions of all calls, to be compared with the policy that is shipped.
    #[cfg(test)]
    pub(super) actions: Mutex<std::collections::BTreeSet<&'static str>>,
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws")
            .field("endpoint", &self.config.endpoint_url())
            .field("requests", &self.requests())
            .finish_non_exhaustive()
    }
}

/// The clients of one region.
#[derive(Debug)]
pub(super) struct RegionClients {
    pub(super) s3: aws_sdk_s3::Client,
    pub(super) iam: aws_sdk_iam::Client,
    pub(super) acm: aws_sdk_acm::Client,
    pub(super) sts: aws_sdk_sts::Client,
}

impl Aws {
    /// With what the environment says: region, profile, credentials, and `AWS_ENDPOINT_URL` for a stand-in of AWS.
    ///
    /// Makes no call; missing credentials show at the first one.
    pub async fn from_environment() -> Self {
        Self::with_config(aws_config::load_defaults(BehaviorVersion::latest()).await)
    }

    /// With a configuration of one's own. Retries and timeouts in it are replaced by those of the operator.
    #[must_use]
    pub fn with_config(config: SdkConfig) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let config = config
            .into_builder()
            .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .timeout_config(timeouts)
            .build();
        Self {
            config,
            regions: Mutex::default(),
            requests: AtomicU64::new(0),
            #[cfg(test)]
            actions: Mutex::default(),
        }
    }

    /// The region that the environment names, which is where a registry goes that names none.
    #[must_use]
    pub fn default_region(&self) -> Option<Region> {
        self.config
            .region()
            .and_then(|region| region.as_ref().parse().ok())
    }

    /// How many calls were made since the start, repetitions by the SDK not counted.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Announces a call. `action` is the IAM action that allows it.
    pub(super) fn call(&self, action: &'static str, resource: impl Into<String>) -> Call {
        self.requests.fetch_add(1, Ordering::Relaxed);
        #[cfg(test)]
        self.actions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(action);
        Call::new(action, resource)
    }

    /// The clients of a region, made at their first use.
    pub(super) fn region(&self, region: &Region) -> Arc<RegionClients> {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(clients) = regions.get(region) {
            return Arc::clone(clients);
        }
        if regions.len() >= MOST_REGIONS {
            regions.clear();
        }
        let clients = Arc::new(self.make_clients(region));
        regions.insert(region.clone(), Arc::clone(&clients));
        clients
    }

    fn make_clients(&self, region: &Region) -> RegionClients {
        let config = self
            .config
            .to_builder()
            .region(aws_config::Region::new(region.to_string()))
            .build();
        // A stand-in of AWS has one host name for all buckets.
        let path_style = config.endpoint_url().is_some();
        let s3 = aws_sdk_s3::config::Builder::from(&config)
            .force_path_style(path_style)
            .build();
        RegionClients {
            s3: aws_sdk_s3::Client::from_conf(s3),
            iam: aws_sdk_iam::Client::new(&config),
            acm: aws_sdk_acm::Client::new(&config),
            sts: aws_sdk_sts::Client::new(&config),
        }
    }

    /// The S3 client for a bucket: with the operator's credentials on AWS, with the registry's on another store.
    pub(super) fn s3(&self, bucket: &DesiredBucket) -> aws_sdk_s3::Client {
        match &bucket.store {
            StoreAccess::Aws => self.region(&bucket.region).s3.clone(),
            StoreAccess::Compatible {
                endpoint,
                force_path_style,
                credentials,
            } => {
                let config = aws_sdk_s3::config::Builder::from(&self.config)
                    .region(aws_sdk_s3::config::Region::new(bucket.region.to_string()))
                    .endpoint_url(endpoint)
                    .force_path_style(*force_path_style)
                    .credentials_provider(sdk_credentials(credentials))
                    // Older stores refuse the checksum headers that the SDK would add to everything.
                    .request_checksum_calculation(
                        aws_sdk_s3::config::RequestChecksumCalculation::WhenRequired,
                    )
                    .build();
                aws_sdk_s3::Client::from_conf(config)
            }
        }
    }
}

fn sdk_credentials(credentials: &StaticCredentials) -> Credentials {
    Credentials::new(
        &credentials.access_key_id,
        credentials.secret_access_key.expose_secret(),
        credentials
            .session_token
            .as_ref()
            .map(|token| token.expose_secret().to_owned()),
        None,
        "Secret of the registry",
    )
}
