//! Content on its way into the store: hashed as it arrives, cut into equal parts, and never visible before its digest is proven.
//!
//! [`Open`] takes bytes in; only [`Open::verify`] makes a [`Verified`] of it, and only that can be committed.

use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use super::super::{
    body::Body,
    digest::{Algorithm, Digest, Hasher},
    error::{BlobTooLargeSnafu, Error, Result},
};
use crate::{
    layout,
    store::{Key, Kind, MultipartId, Part, PutMode, Store},
};

/// A multipart upload that holds all but the last bytes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Multipart {
    pub(super) id: MultipartId,
    pub(super) parts: Vec<Part>,
}

/// Content that more bytes can be added to. Holds at most one part in memory.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) hasher: Hasher,
    /// Bytes received in all.
    pub(super) received: u64,
    /// Those that are in no part yet: fewer than a part has.
    pub(super) tail: BytesMut,
    pub(super) multipart: Option<Multipart>,
    /// Whether the multipart upload was begun here, so that nothing in the store knows of it yet.
    pub(super) begun_here: bool,
}

/// Content whose digest has been proven.
#[derive(Debug)]
pub(super) struct Verified {
    digest: Digest,
    content: Open,
}

impl Open {
    /// Nothing yet.
    pub(super) fn new(algorithm: Algorithm) -> Self {
        Self {
            hasher: algorithm.hasher(),
            received: 0,
            tail: BytesMut::new(),
            multipart: None,
            begun_here: false,
        }
    }

    /// Takes in `body`, sending each full part to a multipart upload for `target`.
    ///
    /// # Errors
    /// [`Error::Body`] when the body breaks off: everything up to there has been taken in, and the content is whole. After any
    /// other error it is not, and must be given up.
    pub(super) async fn receive(
        &mut self,
        store: &dyn Store,
        target: &Key,
        body: &mut Body,
    ) -> Result<()> {
        let part_size = part_size(store);
        while let Some(chunk) = body.next().await {
            let mut chunk = chunk.map_err(|source| Error::Body { source })?;
            while !chunk.is_empty() {
                if self.tail.capacity() < part_size {
                    // At once, because growing step by step would copy, and for a moment hold both. Pages not written to cost nothing.
                    self.tail.reserve(part_size - self.tail.len());
                }
                let taken = chunk.split_to(chunk.len().min(part_size - self.tail.len()));
                self.hasher.update(&taken);
                self.received += taken.len() as u64;
                self.tail.extend_from_slice(&taken);
                if self.tail.len() == part_size {
                    self.send_part(store, target).await?;
                }
            }
        }
        Ok(())
    }

    /// Sends the tail as a part.
    pub(super) async fn send_part(&mut self, store: &dyn Store, target: &Key) -> Result<()> {
        let part_size = store.part_size().get();
        let sent = self
            .multipart
            .as_ref()
            .map_or(0, |multipart| multipart.parts.len());
        let number = u16::try_from(sent + 1)
            .ok()
            .filter(|number| *number <= Part::MAX_NUMBER);
        let Some(number) = number else {
            return BlobTooLargeSnafu {
                limit: part_size.saturating_mul(Part::MAX_NUMBER.into()),
            }
            .fail();
        };
        let multipart = match &mut self.multipart {
            Some(multipart) => multipart,
            none => {
                let id = store.create_multipart(target).await?;
                self.begun_here = true;
                none.insert(Multipart {
                    id,
                    parts: Vec::new(),
                })
            }
        };
        let bytes = std::mem::take(&mut self.tail).freeze();
        multipart.parts.push(
            store
                .upload_part(target, &multipart.id, number, bytes)
                .await?,
        );
        Ok(())
    }

    /// Changes the algorithm, which can be done for as long as all bytes are here.
    pub(super) fn rehash(&mut self, algorithm: Algorithm) {
        if self.multipart.is_none() && self.hasher.algorithm() != algorithm {
            self.hasher = algorithm.hasher();
            self.hasher.update(&self.tail);
        }
    }

    /// The digest of what has been received, if it has been hashed with that algorithm.
    pub(super) fn digest(&self, algorithm: Algorithm) -> Option<Digest> {
        (self.hasher.algorithm() == algorithm).then(|| self.hasher.clone().finish())
    }

    /// Proves that the content is what `claimed` says.
    ///
    /// # Errors
    /// The content, together with the digest that it has.
    pub(super) fn verify(self, claimed: &Digest) -> Result<Verified, (Box<Self>, Digest)> {
        let actual = self.hasher.clone().finish();
        if actual == *claimed {
            Ok(Verified {
                digest: actual,
                content: self,
            })
        } else {
            Err((Box::new(self), actual))
        }
    }

    /// Gives up parts that nothing in the store knows of. A failure is only logged: the caller has a better one to report.
    pub(super) async fn give_up(&self, store: &dyn Store, target: &Key) {
        if let (true, Some(multipart)) = (self.begun_here, &self.multipart)
            && let Err(error) = store.abort_multipart(target, &multipart.id).await
        {
            tracing::warn!(key = %target, %error, "failed to give up a multipart upload, its parts stay until the bucket's lifecycle removes them");
        }
    }
}

impl Verified {
    /// Makes the content visible under the key of its digest, for which all its parts, if it has any, have been sent.
    pub(super) async fn commit(mut self, store: &dyn Store) -> Result<()> {
        let target = layout::blob_data(&self.digest);
        let outcome = self.write(store, &target).await;
        if outcome.is_err() {
            self.content.give_up(store, &target).await;
        }
        outcome
    }

    async fn write(&mut self, store: &dyn Store, target: &Key) -> Result<()> {
        if self.content.multipart.is_none() {
            let bytes = compact(std::mem::take(&mut self.content.tail));
            store.put(target, bytes, PutMode::Overwrite).await?;
            return Ok(());
        }
        if !self.content.tail.is_empty() {
            self.content.send_part(store, target).await?;
        }
        let Some(multipart) = &self.content.multipart else {
            return Ok(());
        };
        match store
            .complete_multipart(target, &multipart.id, &multipart.parts)
            .await
        {
            Ok(()) => Ok(()),
            // An answer was lost, and the store's client asked again: the object under this key has this digest, whoever wrote it.
            Err(error) if *error.kind() == Kind::NotFound && store.head(target).await.is_ok() => {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Without the room that was reserved for more.
fn compact(bytes: BytesMut) -> Bytes {
    if bytes.len() < bytes.capacity() / 2 {
        Bytes::copy_from_slice(&bytes)
    } else {
        bytes.freeze()
    }
}

/// As a length in memory. On a machine where a part does not fit into the address space, nothing works anyway.
pub(super) fn part_size(store: &dyn Store) -> usize {
    usize::try_from(store.part_size().get()).unwrap_or(usize::MAX)
}
