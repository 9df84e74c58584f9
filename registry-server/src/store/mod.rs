//! The object stores a registry can keep its data in, behind one trait.
//!
//! A [`Store`] is about objects, not files: keys are relative to the store's root, there are no directories, and
//! listing is in byte order. What every implementation promises is written at each method and checked by
//! [`conformance`], one list of cases run over all of them; a new store is done when it passes.
//!
//! Nothing here knows what a repository or a manifest is: that is `registry`, and which keys it uses is `layout`.

use std::{fmt, num::NonZeroU64, ops::Range, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;

pub use self::{
    error::{Error, Kind, Result},
    key::{InvalidKey, Key, Prefix},
};

pub mod conformance;
pub mod counting;
mod error;
pub mod filesystem;
mod key;
pub mod memory;
pub mod s3;

/// The bytes of an object as they arrive. Dropping the stream stops the transfer.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// Version of an object's content: two objects with one tag hold the same bytes. Opaque, compared as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// Takes over a tag as the store names it, quotes included where the store has them.
    #[must_use]
    pub fn new(tag: impl Into<String>) -> Self {
        Self(tag.into())
    }

    /// The tag as the store names it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a store knows of an object without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Length of the whole object, in bytes.
    pub size: u64,
    /// Version of the content.
    pub etag: ETag,
    /// When the object was last written, by the store's clock.
    pub last_modified: Timestamp,
}

/// An object, or a range of one, being read.
pub struct Object {
    /// About the whole object, also where a range was asked for.
    pub meta: ObjectMeta,
    /// The bytes asked for: exactly as many as the range has (clipped to the object), or an error.
    pub body: ByteStream,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("meta", &self.meta)
            .finish_non_exhaustive()
    }
}

/// When a [`Store::put`] may take effect. The conditions are the only means of synchronisation between replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutMode {
    /// Replaces whatever is there.
    Overwrite,
    /// Writes only where no object is; otherwise fails with [`Kind::PreconditionFailed`].
    IfAbsent,
    /// Replaces only this version; otherwise, also where the object is gone, fails with [`Kind::PreconditionFailed`].
    IfMatch(ETag),
}

/// One page of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The objects below the prefix, in byte order.
    pub objects: Vec<Listed>,
    /// With [`ListMode::Shallow`]: the next "folder" names below the prefix, each ending in `/`, in byte order.
    pub folders: Vec<Prefix>,
    /// Where to go on: pass it as `after`. `None` on the last page.
    pub next: Option<String>,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The object's key, from the store's root.
    pub key: Key,
    /// Length in bytes.
    pub size: u64,
    /// When it was last written, by the store's clock.
    pub last_modified: Timestamp,
}

/// Whether a listing goes down into "folders".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListMode {
    /// Every object below the prefix, at any depth.
    Deep,
    /// Only what is directly below; deeper keys are folded into [`Page::folders`] at the next `/`.
    Shallow,
}

/// Names a multipart upload that has been begun and neither completed nor aborted. Opaque, safe to store and pass on.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct MultipartId(pub String);

/// A part that has been uploaded: what [`Store::complete_multipart`] wants to know of it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Part {
    /// From 1 to [`Part::MAX_NUMBER`].
    pub number: u16,
    /// The store's tag for the part.
    pub etag: String,
    /// Length in bytes.
    pub size: u64,
}

impl Part {
    /// The number of parts an upload has at most (S3 user guide, "Multipart upload limits").
    pub const MAX_NUMBER: u16 = 10_000;
}

/// Size of every part of a multipart upload but the last, in bytes.
///
/// All parts but the last are equal, because some S3-compatible stores refuse unequal ones (Cloudflare R2 does).
/// S3 accepts 5 MiB to 5 GiB (S3 user guide, "Multipart upload limits"). Each upload in flight holds at most two parts in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartSize(NonZeroU64);

impl PartSize {
    /// 10 MiB, as distribution's `chunksize`.
    pub const DEFAULT: Self = Self(NonZeroU64::new(10 * 1024 * 1024).unwrap());
    /// The smallest S3 accepts, 5 MiB.
    pub const MIN: u64 = 5 * 1024 * 1024;
    /// The largest S3 accepts, 5 GiB.
    pub const MAX: u64 = 5 * 1024 * 1024 * 1024;

    /// As small as a part may be, for tests: [`Self::MIN`] as a part size.
    pub const SMALLEST: Self = Self(NonZeroU64::new(Self::MIN).unwrap());

    /// `bytes` as a part size, or `None` outside [`Self::MIN`]`..=`[`Self::MAX`].
    #[must_use]
    pub fn new(bytes: u64) -> Option<Self> {
        (Self::MIN..=Self::MAX)
            .contains(&bytes)
            .then(|| NonZeroU64::new(bytes).map(Self))
            .flatten()
    }

    /// The size in bytes.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    /// Whether an upload may be completed with `parts`: at least one and at most 10,000, numbered from 1 without a gap, all of this
    /// size but the last, which is not empty and not larger.
    #[must_use]
    pub fn accepts(self, parts: &[Part]) -> bool {
        let Some((last, others)) = parts.split_last() else {
            return false;
        };
        parts.len() <= usize::from(Part::MAX_NUMBER)
            && parts
                .iter()
                .zip(1..)
                .all(|(part, number)| part.number == number)
            && others.iter().all(|part| part.size == self.get())
            && (1..=self.get()).contains(&last.size)
    }
}

/// What a presigned URL is for. The signature covers the method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresignedMethod {
    /// For a `GET`.
    Get,
    /// For a `HEAD`.
    Head,
}

/// A place for objects.
///
/// Writes are atomic (a reader sees the whole old or the whole new object) and, once acknowledged, visible to every
/// later read and listing by anyone (S3's strong consistency). All methods are cancel-safe in this sense: a dropped
/// future leaves either no effect or the whole effect, never half an object under the key.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// What the store knows of the object.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is none.
    async fn head(&self, key: &Key) -> Result<ObjectMeta>;

    /// Opens the object, or the bytes `range` of it, for reading.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is none; [`Kind::InvalidRange`] when the range begins at or after the end or is empty.
    async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Object>;

    /// Writes a whole object of at most one part's size.
    ///
    /// A store that is asked over a network asks again when an answer is lost. So a write that did take effect may end as
    /// [`Kind::PreconditionFailed`], having met itself; who must know reads what is there.
    ///
    /// # Errors
    /// [`Kind::PreconditionFailed`] when `mode` forbids it; nothing has then been written.
    async fn put(&self, key: &Key, body: Bytes, mode: PutMode) -> Result<ETag>;

    /// Removes objects. What is not there counts as removed, so that a caller can repeat itself. Any number of keys.
    ///
    /// # Errors
    /// The first failure, after everything else has been tried.
    async fn delete(&self, keys: &[Key]) -> Result<()>;

    /// Copies an object of any size within the store, replacing what is at `to`. The bytes do not pass through here.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is no object at `from`.
    async fn copy(&self, from: &Key, to: &Key) -> Result<()>;

    /// One page of at most `limit` objects and folders (the store may return fewer, 1,000 on S3) whose keys begin with `prefix`
    /// and come after `after` in byte order. A prefix under which nothing is yields an empty page, not an error. `after` need not
    /// exist. A folder counts by its own name: `after` of `a/b` leaves out the folder `a/`, whatever is in it. A `limit` of 0 counts as 1.
    ///
    /// # Errors
    /// Only those of the store itself.
    async fn list(
        &self,
        prefix: &Prefix,
        mode: ListMode,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page>;

    /// Begins a multipart upload. Nothing is visible under `key` until it is completed.
    ///
    /// # Errors
    /// Only those of the store itself.
    async fn create_multipart(&self, key: &Key) -> Result<MultipartId>;

    /// Uploads one part: exactly [`Store::part_size`] bytes, but for the last. A part uploaded again replaces the earlier one.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when the upload has been completed or aborted; [`Kind::InvalidParts`] when `number` is not in
    /// `1..=`[`Part::MAX_NUMBER`].
    async fn upload_part(
        &self,
        key: &Key,
        id: &MultipartId,
        number: u16,
        body: Bytes,
    ) -> Result<Part>;

    /// Makes the object of its parts, in order, and replaces what is under `key`. Not empty: an empty object is a [`Store::put`].
    ///
    /// Doing it twice with the same parts is [`Kind::NotFound`] or succeeds again without effect, as S3 does for a while. So after
    /// a lost answer [`Kind::NotFound`] may mean that it is done: [`Store::head`] tells.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when the upload has been completed or aborted; [`Kind::InvalidParts`] when [`PartSize::accepts`] says no
    /// to `parts`, or one of them is not what has last been uploaded under its number: the upload is then still open.
    async fn complete_multipart(&self, key: &Key, id: &MultipartId, parts: &[Part]) -> Result<()>;

    /// Drops a multipart upload and its parts. One that is not there counts as dropped.
    ///
    /// # Errors
    /// Only those of the store itself.
    async fn abort_multipart(&self, key: &Key, id: &MultipartId) -> Result<()>;

    /// A URL by which a client reads the object from the store itself for as long as `valid_for`, or `None` where the store has
    /// no such thing or has it switched off. Makes no call to the store.
    ///
    /// # Errors
    /// When the store's credentials cannot be had.
    async fn presign(
        &self,
        method: PresignedMethod,
        key: &Key,
        valid_for: Duration,
    ) -> Result<Option<url::Url>>;

    /// The size of the parts of a multipart upload.
    fn part_size(&self) -> PartSize;

    /// Whether the store can be reached and used with what it has been configured with: one cheap read.
    ///
    /// # Errors
    /// What is wrong, with what to do about it.
    async fn check(&self) -> Result<()>;
}

/// The part of `range` that is inside an object of `size` bytes; the whole object when no range is asked for. `None` when no
/// byte of the range is in the object, which is [`Kind::InvalidRange`].
fn clip(range: Option<Range<u64>>, size: u64) -> Option<Range<u64>> {
    match range {
        None => Some(0..size),
        Some(range) => {
            let clipped = range.start..range.end.min(size);
            (clipped.start < clipped.end).then_some(clipped)
        }
    }
}
