//! The local cluster that the tests stand on.

use std::path::PathBuf;

use anyhow::{Context, Result};
use aws_config::SdkConfig;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use moorage_local_cluster::ClusterInfo;

use crate::aws;

/// Names the file that `moorage-local-cluster up` wrote.
pub const CLUSTER_FILE: &str = "MOORAGE_E2E_CLUSTER";

/// The cluster, and AWS as its administrator sees it.
#[derive(Clone)]
pub struct Cluster {
    /// Where everything is.
    pub info: ClusterInfo,
    /// Kubernetes, as an administrator.
    pub client: Client,
    /// AWS, as an administrator.
    pub admin: SdkConfig,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.info.name)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// The cluster for the test `name`; `None`, said aloud, where there is none.
    ///
    /// # Panics
    /// Where a continuous-integration run (`CI=true`) has no cluster: a test left out there is a failure.
    pub async fn for_test(name: &str) -> Option<Self> {
        match Self::connect().await {
            Ok(cluster) => Some(cluster),
            Err(error) => {
                let reason = format!("LEFT OUT: {name} because there is no cluster: {error:#}");
                assert!(environment("CI").as_deref() != Some("true"), "{reason}");
                eprintln!("{reason}");
                None
            }
        }
    }

    async fn connect() -> Result<Self> {
        let file = environment(CLUSTER_FILE)
            .map(PathBuf::from)
            .with_context(|| {
                format!("{CLUSTER_FILE} does not name a cluster.json (`make test` sets it)")
            })?;
        let info: ClusterInfo = serde_json::from_slice(
            &tokio::fs::read(&file)
                .await
                .with_context(|| format!("failed to read {}", file.display()))?,
        )?;
        let kubeconfig = Kubeconfig::read_from(&info.kubeconfig)?;
        let config =
            Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        let admin = aws::config(
            &info.aws.endpoint,
            &info.aws.region,
            &info.aws.admin.access_key_id,
            &info.aws.admin.secret_access_key,
        )
        .await;
        Ok(Self {
            client: Client::try_from(config)?,
            info,
            admin,
        })
    }

    /// AWS as somebody else sees it.
    pub async fn aws_as(&self, access_key: &str, secret_key: &str) -> SdkConfig {
        aws::config(
            &self.info.aws.endpoint,
            &self.info.aws.region,
            access_key,
            secret_key,
        )
        .await
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the edge where the tests read their environment"
)]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
