//! The documents of an image: configuration, manifest and index, as the OCI image specification 1.1 has them.
//!
//! Only the fields that these images use. Maps are sorted, so that the documents are deterministic.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::platform::Platform;

const MEDIA_TYPE_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MEDIA_TYPE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const MEDIA_TYPE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MEDIA_TYPE_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// The key under which containerd's importer finds the whole name of an image.
const ANNOTATION_CONTAINERD_NAME: &str = "io.containerd.image.name";
/// The key under which the image layout keeps a tag (OCI image specification, image-layout.md).
const ANNOTATION_REF_NAME: &str = "org.opencontainers.image.ref.name";

/// Bytes and their digest.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob {
    bytes: Vec<u8>,
    digest: String,
}

impl Blob {
    /// Hashes `bytes`.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        let digest = hex::encode(Sha256::digest(&bytes));
        Self { bytes, digest }
    }

    /// The SHA-256 of the bytes in lower-case hexadecimal, without `sha256:`.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn json(document: &impl Serialize) -> anyhow::Result<Self> {
        let bytes =
            serde_json::to_vec(document).context("failed to serialise a document of the image")?;
        Ok(Self::new(bytes))
    }

    fn described_as(&self, media_type: &'static str) -> Descriptor {
        Descriptor {
            media_type,
            digest: format!("sha256:{}", self.digest),
            size: self.bytes.len(),
            platform: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// How a container of an image starts. Field by field the `config` of the OCI image configuration.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Runtime {
    /// `uid:gid`, numbers: Kubernetes can only prove a number not to be root (`runAsNonRoot`).
    pub user: String,
    /// `port/protocol`.
    #[serde(
        skip_serializing_if = "BTreeSet::is_empty",
        serialize_with = "as_map_to_nothing"
    )]
    pub exposed_ports: BTreeSet<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// The program.
    pub entrypoint: Vec<String>,
    /// Its arguments, unless others are given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// Paths that hold data.
    #[serde(
        skip_serializing_if = "BTreeSet::is_empty",
        serialize_with = "as_map_to_nothing"
    )]
    pub volumes: BTreeSet<String>,
    /// Where the program starts.
    pub working_dir: String,
    /// What the image says about itself.
    pub labels: BTreeMap<String, String>,
}

/// The format writes a set as a map whose values are `{}`.
fn as_map_to_nothing<S: Serializer>(
    set: &BTreeSet<String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Nothing {}
    serializer.collect_map(set.iter().map(|item| (item, Nothing {})))
}

/// An image, ready to be written: every blob, and the index that names the manifest.
pub struct Documents {
    /// The layers, lowest first.
    pub layers: Vec<Blob>,
    /// The image's configuration.
    pub config: Blob,
    /// The manifest.
    pub manifest: Blob,
    /// `index.json` of the layout.
    pub index: Vec<u8>,
}

impl Documents {
    /// Describes an image of these layers (lowest first), named `reference` with the tag `tag`.
    ///
    /// # Errors
    /// When a document cannot be serialised.
    pub fn new(
        platform: Platform,
        runtime: &Runtime,
        layers: Vec<Blob>,
        reference: &str,
        tag: &str,
    ) -> anyhow::Result<Self> {
        let config = Blob::json(&Configuration {
            // Not the time of building: see the crate's documentation.
            created: "1970-01-01T00:00:00Z",
            architecture: platform.architecture(),
            os: "linux",
            config: runtime,
            rootfs: RootFs {
                kind: "layers",
                // Uncompressed layers: the digest of a layer is the digest of its content.
                diff_ids: layers
                    .iter()
                    .map(|layer| format!("sha256:{}", layer.digest()))
                    .collect(),
            },
        })?;
        let manifest = Blob::json(&Manifest {
            schema_version: 2,
            media_type: MEDIA_TYPE_MANIFEST,
            config: config.described_as(MEDIA_TYPE_CONFIG),
            layers: layers
                .iter()
                .map(|layer| layer.described_as(MEDIA_TYPE_LAYER))
                .collect(),
        })?;
        let mut descriptor = manifest.described_as(MEDIA_TYPE_MANIFEST);
        descriptor.platform = Some(DescribedPlatform {
            architecture: platform.architecture(),
            os: "linux",
        });
        descriptor.annotations = BTreeMap::from([
            (ANNOTATION_CONTAINERD_NAME, reference.to_owned()),
            (ANNOTATION_REF_NAME, tag.to_owned()),
        ]);
        let index = serde_json::to_vec(&Index {
            schema_version: 2,
            media_type: MEDIA_TYPE_INDEX,
            manifests: vec![descriptor],
        })
        .context("failed to serialise the index of the image")?;
        Ok(Self {
            layers,
            config,
            manifest,
            index,
        })
    }
}

#[derive(Serialize)]
struct Configuration<'a> {
    created: &'static str,
    architecture: &'static str,
    os: &'static str,
    config: &'a Runtime,
    rootfs: RootFs,
}

#[derive(Serialize)]
struct RootFs {
    #[serde(rename = "type")]
    kind: &'static str,
    diff_ids: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u8,
    media_type: &'static str,
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<Descriptor>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: &'static str,
    digest: String,
    size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<DescribedPlatform>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
struct DescribedPlatform {
    architecture: &'static str,
    os: &'static str,
}
