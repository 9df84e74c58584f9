//! `status`: a report for people and machines. The operator never takes a decision from it that it could not take without.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the registry is.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ContainerRegistryStatus {
    /// Generation of the spec that this status speaks of; -1 until the operator has seen the object.
    #[serde(default = "not_observed")]
    pub observed_generation: i64,

    /// Where clients log in, push and pull, such as `https://registry.example.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,

    /// Host name of the registry, without scheme: what comes before the first slash in the name of an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,

    /// Pods that there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,

    /// Pods that serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,

    /// Label selector of the pods, for the scale subresource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,

    /// Image that the pods run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,

    /// Version of the operator that wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,

    /// Where the images are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageStatus>,

    /// As whom the pods speak to the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentityStatus>,

    /// The certificate that clients see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateStatus>,

    /// The load balancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancerStatus>,

    /// Where the logins are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<AuthStatus>,

    /// Ready, Reconciling, Stalled, and one per part: BucketReady, IdentityReady, AuthReady, CertificateReady, ServerAvailable,
    /// EndpointReady.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}

impl Default for ContainerRegistryStatus {
    fn default() -> Self {
        Self {
            observed_generation: not_observed(),
            endpoint: None,
            hostname: None,
            replicas: None,
            ready_replicas: None,
            selector: None,
            image: None,
            version: None,
            storage: None,
            identity: None,
            certificate: None,
            load_balancer: None,
            auth: None,
            conditions: Vec::new(),
        }
    }
}

/// A tool that waits for `observedGeneration == generation` must not take an object that nobody has looked at for a finished one.
const fn not_observed() -> i64 {
    -1
}

/// Where the images are.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StorageStatus {
    /// Name of the bucket.
    pub bucket: String,
    /// Region of the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Folder in the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Whether the operator made the bucket, or took one that was there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Provenance>,
}

/// Whether the operator made the bucket, or took one that was there.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum Provenance {
    /// The operator.
    Created,
    /// Somebody else; `storage.s3.existing: Adopt`.
    Adopted,
}

/// As whom the pods speak to the store.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct IdentityStatus {
    /// Which field of `spec.identity` is in use: `iamUser` or `secretRef`.
    pub kind: String,
    /// Name of the IAM user, or of the Secret.
    pub name: String,
    /// Id of the access key in use. It is no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
}

/// The certificate that clients see.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// ARN of the certificate.
    pub arn: String,
    /// Which field of `spec.tls` named it: `acm` or `iamServerCertificate`.
    pub source: String,
    /// Name for which it was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// When it ends, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<String>,
}

/// The load balancer.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerStatus {
    /// Host name, or address, of the load balancer: what a DNS record must point at.
    pub hostname: String,
}

/// Where the logins are.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AuthStatus {
    /// Secret with the htpasswd file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub htpasswd_secret: Option<String>,
    /// Secret of type `kubernetes.io/dockerconfigjson`, to pull images with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_secret: Option<String>,
    /// Secrets with a user name and a password each, in the order of the users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub login_secrets: Vec<String>,
}
