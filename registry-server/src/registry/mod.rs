//! What a registry is, without HTTP and without any particular store: names, content, and what may be done with them.
//!
//! [`Registry`] is stateless: everything it knows is in the store, so any number of them can work on one store at once.
//! The conditional writes of the store are the only synchronisation. Nothing is cached here.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use tokio_util::task::TaskTracker;

pub use self::{
    blobs::Blob,
    body::{Body, BodyError, whole},
    digest::{Algorithm, Digest, Hasher, InvalidDigest, InvalidMidstate},
    error::{Error, Result},
    listing::Listing,
    manifest::{Descriptor, InvalidManifest, MAX_MANIFEST, Manifest, MediaType},
    manifests::StoredManifest,
    name::{InvalidName, MAX_NAME, RepositoryName},
    reference::{InvalidReference, InvalidTag, MAX_TAG, Reference, Tag},
    uploads::{Chunk, Progress, UploadId},
};
use crate::store::{Key, Store};

mod blobs;
mod body;
mod catalog;
mod digest;
mod error;
mod listing;
mod manifest;
mod manifests;
mod name;
mod reference;
mod referrers;
mod tags;
mod uploads;

/// A registry on a store.
#[derive(Debug, Clone)]
pub struct Registry {
    store: Arc<dyn Store>,
    max_manifest: u64,
    tasks: TaskTracker,
}

impl Registry {
    /// The registry whose content is in `store`, with manifests of at most [`MAX_MANIFEST`].
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            max_manifest: MAX_MANIFEST,
            tasks: TaskTracker::new(),
        }
    }

    /// Takes and reads manifests of at most `bytes`.
    #[must_use]
    pub fn with_max_manifest(mut self, bytes: u64) -> Self {
        self.max_manifest = bytes;
        self
    }

    /// The largest manifest, in bytes.
    #[must_use]
    pub fn max_manifest(&self) -> u64 {
        self.max_manifest
    }

    /// Whether the store can be used.
    ///
    /// # Errors
    /// What is wrong with it.
    pub async fn check(&self) -> Result<()> {
        Ok(self.store.check().await?)
    }

    /// Waits for writes that go on although the client that asked for them has left. To be called once nothing new is accepted.
    pub async fn drain(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// Runs `work` to its end even if the caller stops waiting: HTTP drops a request's future when the client leaves, and a write
    /// cut off there would leave a multipart upload behind that nothing in the store knows of.
    async fn finish<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        self.tasks
            .spawn(work)
            .await
            .unwrap_or_else(|_| error::InterruptedSnafu.fail())
    }

    /// The bytes of an object, `None` when there is none. One of more than `limit` bytes is not read but refused.
    async fn read_small(&self, key: &Key, limit: u64) -> Result<Option<Bytes>> {
        let object = match self.store.get(key, None).await {
            Ok(object) => object,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if object.meta.size > limit {
            let reason = format!(
                "it has {} bytes, at most {limit} are read",
                object.meta.size
            );
            return error::CorruptSnafu {
                object: key.to_string(),
                reason,
            }
            .fail();
        }
        let bytes = object
            .body
            .try_fold(BytesMut::new(), |mut all, chunk| async move {
                all.extend_from_slice(&chunk);
                Ok(all)
            });
        Ok(Some(bytes.await?.freeze()))
    }
}
