//! Manifests: keeping, finding and removing them.

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, future, stream};

use super::{
    Algorithm, Digest, Reference, Registry, RepositoryName, Tag,
    error::{DigestMismatchSnafu, Error, ManifestBlobUnknownSnafu, ManifestUnknownSnafu, Result},
    manifest::{InvalidManifest, Manifest},
};
use crate::{
    layout,
    store::{Key, PutMode},
};

/// How much of what a manifest names is looked for at once.
const CONCURRENT_CHECKS: usize = 16;

/// A manifest of a repository, with the bytes it was pushed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    /// Its name.
    pub digest: Digest,
    /// The document, byte by byte as it came.
    pub bytes: Bytes,
    /// What it says.
    pub manifest: Manifest,
}

impl Registry {
    /// Reads a manifest. Three calls to the store by tag, two by digest.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`]; [`Error::ManifestInvalid`] when what is stored is of a kind that is not served.
    pub async fn manifest(
        &self,
        name: &RepositoryName,
        reference: &Reference,
    ) -> Result<StoredManifest> {
        let unknown = || {
            ManifestUnknownSnafu {
                reference: reference.clone(),
            }
            .build()
        };
        let digest = match reference {
            Reference::Tag(tag) => self.tag(name, tag).await?,
            Reference::Digest(digest) => digest.clone(),
        };
        let target = self
            .read_link(&layout::revision_link(name, &digest))
            .await?
            .ok_or_else(unknown)?;
        let data = layout::blob_data(&target);
        let bytes = self
            .read_small(&data, self.max_manifest)
            .await?
            .ok_or_else(unknown)?;
        let manifest = Manifest::parse(&bytes, None)?;
        Ok(StoredManifest {
            digest,
            bytes,
            manifest,
        })
    }

    /// Keeps a manifest and makes tags point at it: the one in `reference`, and `tags`.
    ///
    /// What it names is checked to be here, the bytes and not only the links. Everything that makes it visible is written after
    /// everything it needs, the tags last.
    ///
    /// # Errors
    /// [`Error::ManifestInvalid`], [`Error::ManifestBlobUnknown`] or [`Error::DigestMismatch`]; nothing is then visible.
    pub async fn put_manifest(
        &self,
        name: &RepositoryName,
        reference: &Reference,
        tags: &[Tag],
        content_type: Option<&str>,
        bytes: Bytes,
    ) -> Result<StoredManifest> {
        if bytes.len() as u64 > self.max_manifest {
            return Err(InvalidManifest::TooLarge {
                limit: self.max_manifest,
            }
            .into());
        }
        let manifest = Manifest::parse(&bytes, content_type)?;
        let digest = verify(reference, &bytes)?;
        self.check_references(name, &manifest).await?;

        self.store()
            .put(
                &layout::blob_data(&digest),
                bytes.clone(),
                PutMode::Overwrite,
            )
            .await?;
        let tags: Vec<Tag> = reference
            .as_tag()
            .into_iter()
            .chain(tags)
            .cloned()
            .collect();
        self.write_links(supporting_links(name, &tags, &manifest, &digest), &digest)
            .await?;
        self.write_links(
            tags.iter()
                .map(|tag| layout::tag_current(name, tag))
                .collect(),
            &digest,
        )
        .await?;
        Ok(StoredManifest {
            digest,
            bytes,
            manifest,
        })
    }

    /// Removes a manifest, and every tag that points at it.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`] when the repository does not have it.
    pub async fn delete_manifest(&self, name: &RepositoryName, digest: &Digest) -> Result<()> {
        let revision = layout::revision_link(name, digest);
        let reference = Reference::Digest(digest.clone());
        let subject = match self.manifest(name, &reference).await {
            Ok(stored) => stored.manifest.subject,
            // Its bytes are gone or cannot be read: then the link is all there is to remove.
            Err(
                Error::ManifestUnknown { .. }
                | Error::ManifestInvalid { .. }
                | Error::Corrupt { .. },
            ) => {
                if self.read_link(&revision).await?.is_none() {
                    return ManifestUnknownSnafu { reference }.fail();
                }
                None
            }
            Err(error) => return Err(error),
        };
        // Tags first: whoever stops half way can ask for the same again, because the manifest is still there.
        self.untag(name, digest).await?;
        let referrer = subject.map(|subject| layout::referrer_link(name, &subject.digest, digest));
        let links: Vec<_> = referrer.into_iter().chain([revision]).collect();
        Ok(self.store().delete(&links).await?)
    }

    async fn check_references(&self, name: &RepositoryName, manifest: &Manifest) -> Result<()> {
        let digests: Vec<Digest> = stream::iter(needed_links(name, manifest))
            .map(|(link, digest)| self.missing(link, digest).boxed())
            .buffered(CONCURRENT_CHECKS)
            .try_filter_map(|missing| async { Ok(missing) })
            .try_collect()
            .await?;
        if digests.is_empty() {
            Ok(())
        } else {
            ManifestBlobUnknownSnafu { digests }.fail()
        }
    }

    /// The digest, if the link or the bytes are not there. Both are looked for at once.
    async fn missing(&self, link: Key, digest: Digest) -> Result<Option<Digest>> {
        let (target, data) = future::join(self.read_link(&link), self.has_data(&digest)).await;
        let present = match target? {
            None => false,
            Some(target) if target == digest => data?,
            Some(target) => self.has_data(&target).await?,
        };
        Ok((!present).then_some(digest))
    }

    /// Makes all of `links` lead to `digest`, at once.
    async fn write_links(&self, links: Vec<Key>, digest: &Digest) -> Result<()> {
        let writes = links
            .iter()
            .map(|link| self.write_link(link, digest).boxed())
            .collect::<Vec<_>>();
        future::try_join_all(writes).await?;
        Ok(())
    }

    pub(super) async fn has_data(&self, digest: &Digest) -> Result<bool> {
        match self.store().head(&layout::blob_data(digest)).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl Reference {
    fn as_tag(&self) -> Option<&Tag> {
        match self {
            Self::Tag(tag) => Some(tag),
            Self::Digest(_) => None,
        }
    }
}

/// What must be there before a manifest is kept.
fn needed_links(name: &RepositoryName, manifest: &Manifest) -> Vec<(Key, Digest)> {
    let blobs = manifest
        .blobs
        .iter()
        .map(|digest| (layout::layer_link(name, digest), digest.clone()));
    let children = manifest
        .children
        .iter()
        .map(|digest| (layout::revision_link(name, digest), digest.clone()));
    blobs.chain(children).collect()
}

/// All links of a manifest but those by which tags find it.
fn supporting_links(
    name: &RepositoryName,
    tags: &[Tag],
    manifest: &Manifest,
    digest: &Digest,
) -> Vec<Key> {
    let index = tags.iter().map(|tag| layout::tag_index(name, tag, digest));
    let referrer = manifest
        .subject
        .as_ref()
        .map(|subject| layout::referrer_link(name, &subject.digest, digest));
    index
        .chain(referrer)
        .chain([layout::revision_link(name, digest)])
        .collect()
}

/// The digest of a manifest; the one it is pushed by, where it is, must be right.
fn verify(reference: &Reference, bytes: &[u8]) -> Result<Digest> {
    match reference {
        Reference::Tag(_) => Ok(Algorithm::Sha256.digest(bytes)),
        Reference::Digest(claimed) => {
            let actual = claimed.algorithm().digest(bytes);
            if actual == *claimed {
                Ok(actual)
            } else {
                DigestMismatchSnafu {
                    claimed: claimed.clone(),
                    actual,
                }
                .fail()
            }
        }
    }
}
