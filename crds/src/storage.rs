//! `spec.storage`.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the images are kept. Exactly one kind of store.
#[derive(KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct StorageSpec {
    /// An S3 bucket, in AWS or in a store that speaks the same protocol.
    pub s3: S3Spec,
}

/// An S3 bucket.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.bucket) || !(self.bucket.contains('..') || self.bucket.contains('.-') || self.bucket.contains('-.'))")
        .message("storage.s3.bucket must not have a dot next to a dot or a hyphen"),
    validation = Rule::new("!has(self.bucket) || !self.bucket.matches('^[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+$')")
        .message("storage.s3.bucket must not look like an IP address"),
    validation = Rule::new("self.existing != 'Adopt' || has(self.bucket)")
        .message("storage.s3.existing: Adopt needs storage.s3.bucket, the name of the bucket to adopt"),
    validation = Rule::new("!self.forcePathStyle || has(self.endpoint)")
        .message("storage.s3.forcePathStyle is for an S3-compatible store and needs storage.s3.endpoint"),
    validation = Rule::new("!has(self.prefix) || !(self.prefix.contains('//') || self.prefix.split('/').exists(part, part == '.' || part == '..'))")
        .message("storage.s3.prefix must not have empty parts, '.' or '..'")
)]
pub struct S3Spec {
    /// Name of the bucket: 3 to 63 lower-case letters, digits, dots and hyphens. Cannot be changed.
    /// Default: derived from the cluster, the namespace and the name, always the same for the same three, and shown in
    /// `status.storage.bucket`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 3, max = 63),
        regex(pattern = r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$")
    )]
    pub bucket: Option<String>,

    /// AWS region of the bucket, such as `eu-west-1`. Cannot be changed. Default: the operator's region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 3, max = 32),
        regex(pattern = r"^[a-z0-9]+(-[a-z0-9]+)*$")
    )]
    pub region: Option<String>,

    /// Folder in the bucket below which everything is kept, such as `team-a/images` (what distribution calls
    /// `rootdirectory`). Cannot be changed. Two registries may share a bucket when neither prefix lies in the other.
    /// Default: none, the whole bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 255),
        regex(pattern = r"^([A-Za-z0-9!_.'()+=@-]+(/[A-Za-z0-9!_.'()+=@-]+)*)?$")
    )]
    pub prefix: Option<String>,

    /// URL of an S3-compatible store, such as `https://minio.example.com:9000`, in place of AWS. Needs `identity.secretRef`;
    /// no AWS call is then made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 8, max = 512),
        regex(pattern = r"^https?://[A-Za-z0-9.:\[\]-]+/?$")
    )]
    pub endpoint: Option<String>,

    /// Put the bucket into the path (`https://store/bucket/key`) instead of the host name. Only with `endpoint`. Default: false.
    #[serde(default)]
    pub force_path_style: bool,

    /// What to do when the bucket is already there, in our account, without the operator's tags. `Refuse` says so and waits;
    /// `Adopt` uses it, but never tags and never deletes it. A bucket that is not there is made, and is ours, whatever this says.
    /// Default: Refuse.
    #[serde(default)]
    pub existing: ExistingBucket,

    /// What becomes of the bucket and its images when the ContainerRegistry is deleted. `Retain` leaves them, and a
    /// ContainerRegistry of the same name finds them again; `Delete` removes every object and then the bucket. An adopted bucket
    /// is always retained. Default: Retain.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,

    /// Answer pulls of layers with a redirect to a short-lived URL of the store, so that the data does not pass through the
    /// pods. Set it to false when clients cannot reach the store. Default: true.
    #[serde(default = "redirect_by_default")]
    pub redirect: bool,

    /// Tags of the bucket, beside the operator's own. Kept in sync: one that leaves this list is taken off the bucket; tags that
    /// other people put on stay. An adopted bucket gets none. At most 40; keys up to 128 and values up to 256 characters; keys
    /// beginning with `aws:` or `moorage.dev/` are refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 40))]
    #[x_kube(validation = Rule::new("self.all(key, size(key) >= 1 && size(key) <= 128 && size(self[key]) <= 256 && !key.startsWith('aws:') && !key.startsWith('moorage.dev/'))")
        .message("storage.s3.tags: keys have 1 to 128 characters, values up to 256, and no key begins with 'aws:' or 'moorage.dev/'"))]
    pub tags: BTreeMap<String, String>,
}

impl Default for S3Spec {
    fn default() -> Self {
        Self {
            bucket: None,
            region: None,
            prefix: None,
            endpoint: None,
            force_path_style: false,
            existing: ExistingBucket::default(),
            deletion_policy: DeletionPolicy::default(),
            redirect: redirect_by_default(),
            tags: BTreeMap::new(),
        }
    }
}

/// A switch that clients profit from unless they cannot reach the store.
const fn redirect_by_default() -> bool {
    true
}

/// What to do with a bucket that somebody else made in our account.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum ExistingBucket {
    /// Say so and wait.
    #[default]
    Refuse,
    /// Use it; never tag it, never delete it.
    Adopt,
}

/// What becomes of the bucket at deletion.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum DeletionPolicy {
    /// The bucket and its images stay.
    #[default]
    Retain,
    /// Every object is removed, then the bucket.
    Delete,
}
