//! Manifests as documents: what kind they are and what they name. Pure; storing them is `manifests`.
//!
//! Accepted are Docker's schema 2 (image and list) and OCI's image manifest and index. Unknown members are passed over and
//! a repeated member counts as its last, as the clients' parsers do; the bytes are kept as they came, so nothing is lost.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use snafu::Snafu;

use super::digest::Digest;

/// The largest manifest taken, and read, by default: 4 MiB, as distribution (and at least as much as the specification asks for).
pub const MAX_MANIFEST: u64 = 4 * 1024 * 1024;

/// The kinds of manifests a registry takes, by their media types.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::EnumIter,
)]
pub enum MediaType {
    /// Docker's image manifest.
    #[strum(serialize = "application/vnd.docker.distribution.manifest.v2+json")]
    DockerManifest,
    /// Docker's manifest list.
    #[strum(serialize = "application/vnd.docker.distribution.manifest.list.v2+json")]
    DockerList,
    /// OCI's image manifest.
    #[strum(serialize = "application/vnd.oci.image.manifest.v1+json")]
    OciManifest,
    /// OCI's image index.
    #[strum(serialize = "application/vnd.oci.image.index.v1+json")]
    OciIndex,
}

impl MediaType {
    /// The media type as text.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    fn is_index(self) -> bool {
        match self {
            Self::DockerList | Self::OciIndex => true,
            Self::DockerManifest | Self::OciManifest => false,
        }
    }
}

/// Why a manifest is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Snafu)]
pub enum InvalidManifest {
    /// Not JSON, or a member is not what it must be.
    #[snafu(display("the manifest cannot be read: {reason}"))]
    Syntax {
        /// What the parser says.
        reason: String,
    },
    /// Docker's first format, which no current client writes.
    #[snafu(display("manifests of schema version 1 are not supported"))]
    Schema1,
    /// Neither Docker's schema 2 nor OCI's.
    #[snafu(display("manifests of media type {media_type:?} are not supported"))]
    UnknownMediaType {
        /// What it says to be.
        media_type: String,
    },
    /// The `Content-Type` and the document contradict each other.
    #[snafu(display("the manifest says to be {document:?}, the Content-Type {content_type:?}"))]
    MediaTypeMismatch {
        /// By `mediaType`.
        document: String,
        /// By `Content-Type`.
        content_type: String,
    },
    /// Both an image and an index: two clients would see two different things (CVE-2021-41190).
    #[snafu(display("the manifest has both manifests and layers"))]
    Ambiguous,
    /// Something an image or an index must have is not there.
    #[snafu(display("the manifest has no {member}"))]
    Missing {
        /// What.
        member: &'static str,
    },
    /// Larger than is taken.
    #[snafu(display("the manifest is larger than {limit} bytes"))]
    TooLarge {
        /// The most that is taken, in bytes.
        limit: u64,
    },
}

/// One reference from a manifest to other content.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Of what kind the content is.
    #[serde(default)]
    pub media_type: String,
    /// Its name.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Other places to get it from. Such content need not be here.
    #[serde(default)]
    pub urls: Option<Vec<String>>,
}

impl Descriptor {
    /// Whether the registry need not have the content: layers that may not be distributed, or are elsewhere.
    #[must_use]
    fn is_elsewhere(&self) -> bool {
        self.urls.as_ref().is_some_and(|urls| !urls.is_empty())
            || self.media_type.contains(".nondistributable.")
            || self
                .media_type
                .starts_with("application/vnd.docker.image.rootfs.foreign.")
    }
}

/// What a manifest says, as far as a registry cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Its kind.
    pub media_type: MediaType,
    /// The manifest this one is about.
    pub subject: Option<Descriptor>,
    /// What it is for, to those who look for what refers to something: `artifactType`, or else the kind of its configuration.
    pub artifact_type: Option<String>,
    /// As the document has them.
    pub annotations: BTreeMap<String, String>,
    /// Blobs without which it is of no use, each once.
    pub blobs: Vec<Digest>,
    /// Manifests without which it is of no use, each once.
    pub children: Vec<Digest>,
}

impl Manifest {
    /// Reads a manifest. `content_type` is what the client says it is, without parameters, if it says anything.
    ///
    /// # Errors
    /// [`InvalidManifest`], with the reason for the client.
    pub fn parse(bytes: &[u8], content_type: Option<&str>) -> Result<Self, InvalidManifest> {
        let document: Document =
            serde_json::from_slice(bytes).map_err(|error| InvalidManifest::Syntax {
                reason: error.to_string(),
            })?;
        let media_type = document.kind(content_type)?;
        if document.manifests.is_some() && (document.layers.is_some() || document.config.is_some())
        {
            return AmbiguousSnafu.fail();
        }
        if media_type.is_index() {
            document.into_index(media_type)
        } else {
            document.into_image(media_type)
        }
    }
}

/// A manifest before it is known what it is.
#[derive(Debug, Default)]
struct Document {
    schema_version: Option<u64>,
    media_type: Option<String>,
    schema1: bool,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    artifact_type: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
}

impl Document {
    fn kind(&self, content_type: Option<&str>) -> Result<MediaType, InvalidManifest> {
        if self.schema1 || self.schema_version == Some(1) {
            return Schema1Snafu.fail();
        }
        let document = self
            .media_type
            .as_deref()
            .filter(|media_type| !media_type.is_empty());
        let stated = match (document, content_type) {
            (Some(document), Some(content_type)) if document != content_type => {
                return MediaTypeMismatchSnafu {
                    document,
                    content_type,
                }
                .fail();
            }
            (Some(stated), _) | (None, Some(stated)) => stated,
            // `mediaType` is optional in OCI's documents and required in Docker's.
            (None, None) if self.manifests.is_some() => MediaType::OciIndex.as_str(),
            (None, None) => MediaType::OciManifest.as_str(),
        };
        let media_type = stated
            .parse()
            .map_err(|_| InvalidManifest::UnknownMediaType {
                media_type: stated.to_owned(),
            })?;
        if self.schema_version != Some(2) {
            return MissingSnafu {
                member: "schemaVersion of 2",
            }
            .fail();
        }
        Ok(media_type)
    }

    fn into_index(self, media_type: MediaType) -> Result<Manifest, InvalidManifest> {
        let manifests = self.manifests.ok_or(InvalidManifest::Missing {
            member: "manifests",
        })?;
        Ok(Manifest {
            media_type,
            subject: self.subject,
            artifact_type: self.artifact_type,
            annotations: self.annotations.unwrap_or_default(),
            blobs: Vec::new(),
            children: unique(manifests.into_iter().filter(|child| !child.is_elsewhere())),
        })
    }

    fn into_image(self, media_type: MediaType) -> Result<Manifest, InvalidManifest> {
        let config = self
            .config
            .ok_or(InvalidManifest::Missing { member: "config" })?;
        let layers = match (self.layers, media_type) {
            (Some(layers), _) => layers,
            // An OCI artifact may consist of its configuration only; its layers may then be left out.
            (None, MediaType::OciManifest) => Vec::new(),
            (None, _) => return MissingSnafu { member: "layers" }.fail(),
        };
        let artifact_type = self
            .artifact_type
            .filter(|artifact_type| !artifact_type.is_empty());
        Ok(Manifest {
            media_type,
            subject: self.subject,
            artifact_type: artifact_type.or_else(|| Some(config.media_type.clone())),
            annotations: self.annotations.unwrap_or_default(),
            blobs: unique(
                std::iter::once(config)
                    .chain(layers.into_iter().filter(|layer| !layer.is_elsewhere())),
            ),
            children: Vec::new(),
        })
    }
}

fn unique(descriptors: impl Iterator<Item = Descriptor>) -> Vec<Digest> {
    let mut seen = std::collections::HashSet::new();
    descriptors
        .map(|descriptor| descriptor.digest)
        .filter(|digest| seen.insert(digest.clone()))
        .collect()
}

/// By hand, because the derived one refuses a repeated member.
impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(DocumentVisitor)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a manifest")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Document, A::Error> {
        let mut document = Document::default();
        while let Some(member) = map.next_key::<String>()? {
            match member.as_str() {
                "schemaVersion" => document.schema_version = map.next_value()?,
                "mediaType" => document.media_type = map.next_value()?,
                "config" => document.config = map.next_value()?,
                "layers" => document.layers = map.next_value()?,
                "manifests" => document.manifests = map.next_value()?,
                "subject" => document.subject = map.next_value()?,
                "artifactType" => document.artifact_type = map.next_value()?,
                "annotations" => document.annotations = map.next_value()?,
                "fsLayers" | "signatures" => {
                    document.schema1 = true;
                    map.next_value::<IgnoredAny>()?;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(document)
    }
}

#[cfg(test)]
mod tests;
