//! What a running cluster is made of, as tests and people need to know it: the file `cluster.json`.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::Location;

/// A running cluster. `up` writes it to `<state>/cluster.json`, readable by its user only.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClusterInfo {
    /// The name given with `--name`.
    pub name: String,
    /// Everything of this cluster lies below.
    pub state_dir: PathBuf,
    /// One log file per program.
    pub logs: PathBuf,
    /// The API server's audit log, JSON lines: every request of a pod's service account that may change something.
    pub audit_log: PathBuf,
    /// kubeconfig of an administrator (group `system:masters`).
    pub kubeconfig: PathBuf,
    /// URL of the API server; reached by this address from the host and from pods.
    pub api_server: String,
    /// PEM file of the authority that signed the API server's certificate.
    pub ca_file: PathBuf,
    /// kubectl of the cluster's own version.
    pub kubectl: PathBuf,
    /// crane, to push and pull images without an engine.
    pub crane: PathBuf,
    /// Address of this machine as pods and the node see it; `127.0.0.1` without a node. A test that listens for pods binds it.
    pub host_address: String,
    /// The AWS stand-in.
    pub aws: Aws,
    /// The node; `None` when started with `--no-node`: Kubernetes objects are accepted, but no pod ever runs.
    pub node: Option<Node>,
}

/// The AWS stand-in: moto, with every call checked against the caller's IAM policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Aws {
    /// A line for each request that it got, beginning with the address of who sent it.
    pub access_log: PathBuf,
    /// One URL for every service, the same for the host and for pods. S3 needs path-style addressing on it.
    pub endpoint: String,
    /// `us-east-1`.
    pub region: String,
    /// Twelve digits.
    pub account_id: String,
    /// May do anything in the account.
    pub admin: AccessKey,
    /// The user `moorage-operator` with the policy given by `--operator-policy`.
    pub operator: AccessKey,
    /// Another account, whose buckets the first must not touch.
    pub other_account_id: String,
    /// May do anything in the other account.
    pub other_account: AccessKey,
    /// Certificate for `registry.example.com` in ACM.
    pub acm_certificate_arn: String,
    /// The same certificate as an IAM server certificate.
    pub iam_certificate_arn: String,
    /// The same certificate as a PEM file, self-signed.
    pub registry_certificate: PathBuf,
    /// The private key of that certificate, PEM.
    pub registry_key: PathBuf,
    /// Value of `KubernetesClusterID` in the cloud controller's configuration, and of the tag `kubernetes.io/cluster/<id>`.
    pub cluster_id: String,
    /// The VPC that load balancers are made in.
    pub vpc_id: String,
    /// Its public subnet.
    pub subnet_id: String,
    /// The EC2 instance that the node claims to be.
    pub instance_id: String,
    /// A command that makes one AWS call: append `SERVICE OPERATION [JSON]` in boto3's words. Needs [`Aws::environment`].
    pub call: Vec<String>,
}

impl Aws {
    /// The variables that make an AWS SDK or command line use this stand-in as `key`.
    #[must_use]
    pub fn environment(&self, key: &AccessKey) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_REGION", self.region.clone()),
            ("AWS_DEFAULT_REGION", self.region.clone()),
            ("AWS_ACCESS_KEY_ID", key.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", key.secret_access_key.clone()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }
}

/// An AWS access key of the stand-in. Worth nothing elsewhere, but printed like a real one would be: without its secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct AccessKey {
    /// Not secret.
    pub access_key_id: String,
    /// Secret.
    pub secret_access_key: String,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey")
            .field("access_key_id", &self.access_key_id)
            .field("secret_access_key", &"***")
            .finish()
    }
}

/// The cluster's only node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Its name in Kubernetes.
    pub name: String,
    /// Its address. A NodePort answers here (not on `127.0.0.1`); `ClusterIP`s and pod addresses are routed to it.
    pub address: String,
    /// Addresses of pods.
    pub pod_cidr: String,
    /// Addresses of Services.
    pub service_cidr: String,
    /// The cgroup below which every pod runs, as a path inside each hierarchy.
    pub cgroup: String,
    /// Process id of the first process of the node's namespaces (`nsenter -t PID --net --mount --pid`).
    pub init_pid: u32,
    /// `ctr` on the node's containerd, in the namespace that Kubernetes uses: append the command.
    pub ctr: Vec<String>,
}

impl ClusterInfo {
    /// Reads the description of the cluster at `location`.
    ///
    /// # Errors
    /// When the cluster was never up, or the file is of another version of this program.
    pub fn read(location: &Location) -> Result<Self> {
        let path = location.info_file();
        let content = fs::read(&path).with_context(|| {
            format!(
                "the cluster {} is not up: failed to read {}",
                location.name.as_str(),
                path.display()
            )
        })?;
        serde_json::from_slice(&content).with_context(|| {
            format!(
                "failed to understand {} (made by another version? run `down`, then `up`)",
                path.display()
            )
        })
    }

    /// kubectl's cache, so that it ends with the cluster.
    pub(crate) fn kubectl_cache(&self) -> PathBuf {
        self.state_dir.join("kubectl-cache")
    }

    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        write_private(path, &serde_json::to_vec_pretty(self)?)
    }
}

/// Writes a file that only its owner may read, whole or not at all.
pub(crate) fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};

    let temporary = path.with_extension("new");
    let describe = || format!("failed to write {}", path.display());
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .with_context(describe)?;
    file.write_all(content).with_context(describe)?;
    fs::rename(&temporary, path).with_context(describe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_key_hides_its_secret() {
        let key = AccessKey {
            access_key_id: "AKIAEXAMPLE".to_owned(),
            secret_access_key: "hunter2".to_owned(),
        };
        let printed = format!("{key:?}");
        assert!(
            printed.contains("AKIAEXAMPLE") && !printed.contains("hunter2"),
            "{printed}"
        );
    }
}
