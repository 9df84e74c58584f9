//! Uploads of blobs: in one request, or in many, taken up by any replica.
//!
//! ```text
//! POST                     PATCH                                  PUT ?digest=
//!   state: 0 bytes           small: state with more bytes           all still in the state: → blob, as one object
//!                            large: parts → _uploads/<id>/data      parts: complete → copy → blob
//!                                   and the rest in the state       link, then state and data are removed
//! ```
//!
//! `PUT` does not even read the state when the request shows the ticket that `POST` handed out ([`UploadId::ticket`]).
//!
//! A `PUT` that brings everything, and a `POST ?digest=`, stream straight to the blob's own key, as a multipart upload that is
//! completed only when the digest is right.
//!
//! The hash is kept with the state, so the bytes are never read a second time, with two exceptions: a digest of an algorithm that
//! nobody announced (`?digest-algorithm=`) for a blob of more than one part, and a `PUT` repeated after a crash between two writes.
//!
//! What two clients on one upload can do to each other: one of two writes at once is refused ([`Error::OutOfOrder`]). Parts with
//! one number replace each other in the store, so a third, late write can make the upload impossible to finish; that is
//! noticed ([`Error::UploadSpoiled`]), and never does content appear under a digest that it does not have.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, future, stream};
use jiff::Timestamp;

use self::{content::Open, state::Session};
use super::{
    Algorithm, Digest, Registry, RepositoryName,
    error::{
        DigestMismatchSnafu, Error, OutOfOrderSnafu, Result, SizeMismatchSnafu, UploadSpoiledSnafu,
        UploadUnknownSnafu,
    },
    whole,
};
use crate::{
    layout,
    store::{Key, Kind, Store},
};

pub use self::progress::{Chunk, Progress, UploadId};

mod content;
mod progress;
mod state;

impl Registry {
    /// Begins an upload. `algorithm` is what the digest will be of. One call to the store.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn begin_upload(
        &self,
        name: &RepositoryName,
        algorithm: Algorithm,
    ) -> Result<Progress> {
        let mut session = Session::new(name, UploadId::random(), algorithm, Timestamp::now());
        self.save_upload(name, &mut session).await?;
        Ok(session.progress())
    }

    /// Where an upload stands.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`].
    pub async fn upload(&self, name: &RepositoryName, id: UploadId) -> Result<Progress> {
        self.load_progress(name, id).await
    }

    /// Adds bytes to an upload. Goes on to its end even if the caller stops waiting.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`], [`Error::OutOfOrder`]; [`Error::Body`] when the body breaks off, what came until then is kept.
    pub async fn append_upload(
        &self,
        name: &RepositoryName,
        id: UploadId,
        chunk: Chunk,
    ) -> Result<Progress> {
        let (registry, name) = (self.clone(), name.clone());
        self.finish(async move {
            let mut session = registry.load_upload(&name, id).await?;
            chunk.check_start(session.content.received)?;
            registry.append(&name, &mut session, chunk).await?;
            Ok(session.progress())
        })
        .await
    }

    /// Adds the last bytes, if there are any, and makes a blob of the upload, if it is what `claimed` says. Goes on to its end even
    /// if the caller stops waiting.
    ///
    /// # Errors
    /// As [`Registry::append_upload`]; [`Error::DigestMismatch`], and the upload is gone.
    pub async fn finish_upload(
        &self,
        name: &RepositoryName,
        id: UploadId,
        chunk: Chunk,
        claimed: &Digest,
    ) -> Result<()> {
        let (registry, name, claimed) = (self.clone(), name.clone(), claimed.clone());
        self.finish(async move {
            let mut session = registry.load_upload(&name, id).await?;
            chunk.check_start(session.content.received)?;
            let keys = [session.state_key.clone(), session.data_key.clone()];
            if session.content.multipart.is_none() {
                session.content.rehash(claimed.algorithm());
                let written = registry.write_blob(session.content, chunk, &claimed).await;
                if let Err(Error::DigestMismatch { .. }) = written {
                    registry.store().delete(&keys).await?;
                }
                written?;
            } else {
                registry.append(&name, &mut session, chunk).await?;
                registry.assemble(session, &claimed).await?;
            }
            registry.link_blob(&name, &claimed).await?;
            Ok(registry.store().delete(&keys).await?)
        })
        .await
    }

    /// Makes a blob of the bytes of one request, for an upload that nothing has been added to, as its ticket says. If the request
    /// brings nothing, something may have been added after all. Goes on to its end even if the caller stops waiting.
    ///
    /// # Errors
    /// As [`Registry::finish_upload`].
    pub async fn finish_fresh_upload(
        &self,
        name: &RepositoryName,
        id: UploadId,
        mut chunk: Chunk,
        claimed: &Digest,
    ) -> Result<()> {
        let Some(first) = chunk.body.next().await else {
            // A stream that has ended is not asked again.
            let nothing = Chunk {
                body: whole(Bytes::new()),
                ..chunk
            };
            return self.finish_upload(name, id, nothing, claimed).await;
        };
        chunk.body = stream::once(future::ready(first)).chain(chunk.body).boxed();
        let keys = [
            layout::upload_state(name, id),
            layout::upload_data(name, id),
        ];
        let (registry, name, claimed) = (self.clone(), name.clone(), claimed.clone());
        self.finish(async move {
            chunk.check_start(0)?;
            let written = registry
                .write_blob(Open::new(claimed.algorithm()), chunk, &claimed)
                .await;
            if let Err(Error::DigestMismatch { .. }) = written {
                // Or was something added after all, and these are only the last bytes?
                if let Ok(Progress {
                    offset: offset @ 1..,
                    ..
                }) = registry.load_progress(&name, id).await
                {
                    return OutOfOrderSnafu { offset }.fail();
                }
                registry.store().delete(&keys).await?;
            }
            written?;
            registry.link_blob(&name, &claimed).await?;
            Ok(registry.store().delete(&keys).await?)
        })
        .await
    }

    /// Takes a whole blob at once. Goes on to its end even if the caller stops waiting.
    ///
    /// # Errors
    /// [`Error::DigestMismatch`], [`Error::Body`]; nothing is then left.
    pub async fn put_blob(
        &self,
        name: &RepositoryName,
        chunk: Chunk,
        claimed: &Digest,
    ) -> Result<()> {
        let (registry, name, claimed) = (self.clone(), name.clone(), claimed.clone());
        self.finish(async move {
            chunk.check_start(0)?;
            registry
                .write_blob(Open::new(claimed.algorithm()), chunk, &claimed)
                .await?;
            registry.link_blob(&name, &claimed).await
        })
        .await
    }

    /// Drops an upload and what has been received of it.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`].
    pub async fn cancel_upload(&self, name: &RepositoryName, id: UploadId) -> Result<()> {
        let session = self.load_upload(name, id).await?;
        self.drop_upload(&session).await
    }

    /// Takes in a chunk and writes down where the upload stands then.
    async fn append(
        &self,
        name: &RepositoryName,
        session: &mut Session,
        mut chunk: Chunk,
    ) -> Result<()> {
        let before = session.content.received;
        let received = session
            .content
            .receive(self.store(), &session.data_key, &mut chunk.body)
            .await;
        let received =
            received.and_then(|()| check_length(chunk.length, session.content.received - before));
        match received {
            Ok(()) if session.content.received == before => Ok(()),
            Ok(()) => self.save_upload(name, session).await,
            Err(error @ Error::Body { .. }) => {
                if session.content.received > before {
                    self.save_upload(name, session).await?;
                }
                Err(error)
            }
            Err(error) => {
                session
                    .content
                    .give_up(self.store(), &session.data_key)
                    .await;
                Err(gone(error))
            }
        }
    }

    /// Streams to the blob's own key: `content`, all of which is still in memory, and then the chunk.
    async fn write_blob(
        &self,
        mut content: Open,
        mut chunk: Chunk,
        claimed: &Digest,
    ) -> Result<()> {
        let target = layout::blob_data(claimed);
        let before = content.received;
        let received = content
            .receive(self.store(), &target, &mut chunk.body)
            .await;
        let received =
            received.and_then(|()| check_length(chunk.length, content.received - before));
        if let Err(error) = received {
            content.give_up(self.store(), &target).await;
            return Err(error);
        }
        match content.verify(claimed) {
            Ok(verified) => verified.commit(self.store()).await,
            Err((content, actual)) => {
                content.give_up(self.store(), &target).await;
                DigestMismatchSnafu {
                    claimed: claimed.clone(),
                    actual,
                }
                .fail()
            }
        }
    }

    /// Makes a blob of the parts of an upload.
    async fn assemble(&self, mut session: Session, claimed: &Digest) -> Result<()> {
        let hashed = session.content.digest(claimed.algorithm());
        if let Some(actual) = hashed.clone().filter(|actual| actual != claimed) {
            self.drop_upload(&session).await?;
            return DigestMismatchSnafu {
                claimed: claimed.clone(),
                actual,
            }
            .fail();
        }
        let completed = match complete(self.store(), &mut session).await {
            Ok(()) => true,
            // By somebody else, or by us before a crash: what lies there has to prove itself.
            Err(error) if error.is_not_found() => false,
            Err(error) if *error.kind() == Kind::InvalidParts => {
                self.drop_upload(&session).await?;
                return UploadSpoiledSnafu.fail();
            }
            Err(error) => return Err(error.into()),
        };
        if hashed.is_none() || !completed {
            let actual = self
                .hash_object(&session.data_key, claimed.algorithm())
                .await?;
            if actual != *claimed && !completed {
                // Whoever completed it is about to copy it.
                return UploadUnknownSnafu.fail();
            }
            if actual != *claimed {
                self.drop_upload(&session).await?;
                return DigestMismatchSnafu {
                    claimed: claimed.clone(),
                    actual,
                }
                .fail();
            }
        }
        self.store()
            .copy(&session.data_key, &layout::blob_data(claimed))
            .await
            .map_err(|error| gone(error.into()))
    }

    /// The parts, then what has been put together, then the state: whoever stops half way can ask for the same again.
    async fn drop_upload(&self, session: &Session) -> Result<()> {
        if let Some(multipart) = &session.content.multipart {
            self.store()
                .abort_multipart(&session.data_key, &multipart.id)
                .await?;
        }
        Ok(self
            .store()
            .delete(&[session.data_key.clone(), session.state_key.clone()])
            .await?)
    }

    async fn hash_object(&self, key: &Key, algorithm: Algorithm) -> Result<Digest> {
        let object = self
            .store()
            .get(key, None)
            .await
            .map_err(|error| gone(error.into()))?;
        let hasher = object
            .body
            .try_fold(algorithm.hasher(), |mut hasher, chunk| async move {
                hasher.update(&chunk);
                Ok(hasher)
            });
        Ok(hasher.await?.finish())
    }
}

/// Sends the last part and puts the parts together.
async fn complete(store: &dyn Store, session: &mut Session) -> Result<(), crate::store::Error> {
    if !session.content.tail.is_empty() {
        match session.content.send_part(store, &session.data_key).await {
            Ok(()) => {}
            Err(Error::Store { source }) => return Err(source),
            Err(other) => {
                return Err(crate::store::Error::new(
                    Kind::InvalidParts,
                    "complete",
                    session.data_key.as_str(),
                )
                .because(other));
            }
        }
    }
    let Some(multipart) = &session.content.multipart else {
        return Ok(());
    };
    store
        .complete_multipart(&session.data_key, &multipart.id, &multipart.parts)
        .await
}

fn check_length(announced: Option<u64>, received: u64) -> Result<()> {
    match announced {
        Some(announced) if announced != received => SizeMismatchSnafu {
            announced,
            received,
        }
        .fail(),
        Some(_) | None => Ok(()),
    }
}

/// The multipart upload or its object is no more: somebody else has finished or cancelled the upload meanwhile.
fn gone(error: Error) -> Error {
    match error {
        Error::Store { source } if source.is_not_found() => Error::UploadUnknown,
        other => other,
    }
}
