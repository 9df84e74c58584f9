//! Blobs: reading, removing and mounting. A repository has a blob when it has a link to it; the bytes are shared by all
//! repositories, so every access goes by the link and never by the bytes (CVE-2024-39897 was the other way round).

use std::{ops::Range, time::Duration};

use url::Url;

use super::{
    Digest, Registry, RepositoryName,
    error::{BlobUnknownSnafu, CorruptSnafu, Result},
};
use crate::{
    layout,
    store::{ByteStream, Key, ObjectMeta, PresignedMethod, PutMode},
};

/// A blob of a repository, found but not opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// What it was asked for by.
    pub digest: Digest,
    /// About its bytes.
    pub meta: ObjectMeta,
    data: Key,
}

impl Registry {
    /// Finds a blob. Two calls to the store, one when it is not there.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`](super::Error::BlobUnknown), also when the link is there and the bytes are not.
    pub async fn blob(&self, name: &RepositoryName, digest: &Digest) -> Result<Blob> {
        let unknown = || {
            BlobUnknownSnafu {
                digest: digest.clone(),
            }
            .build()
        };
        let target = self
            .read_link(&layout::layer_link(name, digest))
            .await?
            .ok_or_else(unknown)?;
        let data = layout::blob_data(&target);
        match self.store().head(&data).await {
            Ok(meta) => Ok(Blob {
                digest: digest.clone(),
                meta,
                data,
            }),
            Err(error) if error.is_not_found() => Err(unknown()),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a blob, or a range of it, for reading.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`](super::Error::BlobUnknown) when its bytes have been removed since; otherwise those of the store, also for a range outside of it.
    pub async fn open_blob(&self, blob: &Blob, range: Option<Range<u64>>) -> Result<ByteStream> {
        match self.store().get(&blob.data, range).await {
            Ok(object) => Ok(object.body),
            Err(error) if error.is_not_found() => BlobUnknownSnafu {
                digest: blob.digest.clone(),
            }
            .fail(),
            Err(error) => Err(error.into()),
        }
    }

    /// A URL by which a client reads the blob from the store itself; `None` where the store has no such thing.
    ///
    /// # Errors
    /// When the store's credentials cannot be had.
    pub async fn presign_blob(
        &self,
        blob: &Blob,
        method: PresignedMethod,
        valid_for: Duration,
    ) -> Result<Option<Url>> {
        Ok(self.store().presign(method, &blob.data, valid_for).await?)
    }

    /// Removes a blob from a repository. Its bytes stay for the others.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`](super::Error::BlobUnknown) when the repository does not have it.
    pub async fn delete_blob(&self, name: &RepositoryName, digest: &Digest) -> Result<()> {
        let link = layout::layer_link(name, digest);
        if self.read_link(&link).await?.is_none() {
            return BlobUnknownSnafu {
                digest: digest.clone(),
            }
            .fail();
        }
        Ok(self.store().delete(&[link]).await?)
    }

    /// Gives `name` the blob that `from` has, without moving any bytes. The caller must be allowed to read `from`.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`](super::Error::BlobUnknown) when `from` does not have it.
    pub async fn mount_blob(
        &self,
        name: &RepositoryName,
        from: &RepositoryName,
        digest: &Digest,
    ) -> Result<()> {
        self.blob(from, digest).await?;
        self.link_blob(name, digest).await
    }

    /// Gives `name` a blob that lies in the store, whichever repository has it. The caller must be allowed to read all of them.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`](super::Error::BlobUnknown) when its bytes are not there.
    pub async fn mount_blob_from_anywhere(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<()> {
        if !self.has_data(digest).await? {
            return BlobUnknownSnafu {
                digest: digest.clone(),
            }
            .fail();
        }
        self.link_blob(name, digest).await
    }

    /// Says that `name` has the blob.
    pub(super) async fn link_blob(&self, name: &RepositoryName, digest: &Digest) -> Result<()> {
        self.write_link(&layout::layer_link(name, digest), digest)
            .await
    }

    /// The digest a link leads to; `None` when there is no link.
    pub(super) async fn read_link(&self, link: &Key) -> Result<Option<Digest>> {
        let Some(bytes) = self.read_small(link, MAX_LINK).await? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes).ok().map(str::trim_end);
        match text.and_then(|text| text.parse().ok()) {
            Some(digest) => Ok(Some(digest)),
            None => CorruptSnafu {
                object: link.to_string(),
                reason: "it does not hold a digest",
            }
            .fail(),
        }
    }

    /// Makes `link` lead to `digest`.
    pub(super) async fn write_link(&self, link: &Key, digest: &Digest) -> Result<()> {
        self.store()
            .put(link, digest.to_string().into(), PutMode::Overwrite)
            .await?;
        Ok(())
    }
}

/// The most a link is read, in bytes: a SHA-512 digest has 135.
const MAX_LINK: u64 = 256;
