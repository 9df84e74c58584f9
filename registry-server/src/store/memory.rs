//! A store in memory, for tests and for trying things out: it is bounded by the machine only and gone with the process.
//!
//! It is as strict as the strictest real store: equal parts, conditions that hold between threads, tags made of the
//! content, so that writing the same bytes again brings the old tag back, as on S3.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    ops::{Bound, Range},
    sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    ByteStream, ETag, Error, Key, Kind, ListMode, Listed, MultipartId, Object, ObjectMeta, Page,
    Part, PartSize, Prefix, PresignedMethod, PutMode, Result, Store, clip,
};

/// Bytes handed out at once by a read: what a network would bring in one piece, so that callers meet more than one.
const CHUNK: usize = 256 * 1024;

/// A [`Store`] whose objects live in this process.
pub struct Memory {
    part_size: PartSize,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<Key, Stored>,
    uploads: HashMap<String, Upload>,
}

struct Stored {
    bytes: Bytes,
    meta: ObjectMeta,
}

struct Upload {
    key: Key,
    parts: BTreeMap<u16, (Part, Bytes)>,
}

impl Memory {
    /// An empty store with parts of the default size.
    #[must_use]
    pub fn new() -> Self {
        Self::with_part_size(PartSize::DEFAULT)
    }

    /// An empty store with parts of this size.
    #[must_use]
    pub fn with_part_size(part_size: PartSize) -> Self {
        Self {
            part_size,
            state: RwLock::default(),
        }
    }

    // Nothing panics while it holds the lock, and no write stops half way; a poisoned state is a whole one.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("part_size", &self.part_size)
            .finish_non_exhaustive()
    }
}

impl State {
    fn object(&self, operation: &'static str, key: &Key) -> Result<&Stored> {
        self.objects
            .get(key)
            .ok_or_else(|| Error::new(Kind::NotFound, operation, key.as_str()))
    }

    fn upload(
        &mut self,
        operation: &'static str,
        key: &Key,
        id: &MultipartId,
    ) -> Result<&mut Upload> {
        self.uploads
            .get_mut(&id.0)
            .filter(|upload| upload.key == *key)
            .ok_or_else(|| Error::new(Kind::NotFound, operation, key.as_str()))
    }
}

impl Stored {
    fn new(bytes: Bytes) -> Self {
        let etag = ETag::new(format!("\"{}\"", hex::encode(Sha256::digest(&bytes))));
        let meta = ObjectMeta {
            size: bytes.len() as u64,
            etag,
            last_modified: Timestamp::now(),
        };
        Self { bytes, meta }
    }
}

#[async_trait]
impl Store for Memory {
    async fn head(&self, key: &Key) -> Result<ObjectMeta> {
        Ok(self.read().object("look up", key)?.meta.clone())
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Object> {
        let state = self.read();
        let stored = state.object("read", key)?;
        let invalid = || Error::new(Kind::InvalidRange, "read", key.as_str());
        let range = clip(range, stored.meta.size).ok_or_else(invalid)?;
        let start = usize::try_from(range.start).map_err(|_| invalid())?;
        let end = usize::try_from(range.end).map_err(|_| invalid())?;
        Ok(Object {
            meta: stored.meta.clone(),
            body: in_chunks(stored.bytes.slice(start..end)),
        })
    }

    async fn put(&self, key: &Key, body: Bytes, mode: PutMode) -> Result<ETag> {
        let stored = Stored::new(body);
        let etag = stored.meta.etag.clone();
        let mut state = self.write();
        let existing = state.objects.get(key).map(|existing| &existing.meta.etag);
        let allowed = match &mode {
            PutMode::Overwrite => true,
            PutMode::IfAbsent => existing.is_none(),
            PutMode::IfMatch(expected) => existing == Some(expected),
        };
        if !allowed {
            return Err(Error::new(Kind::PreconditionFailed, "write", key.as_str()));
        }
        state.objects.insert(key.clone(), stored);
        Ok(etag)
    }

    async fn delete(&self, keys: &[Key]) -> Result<()> {
        let mut state = self.write();
        for key in keys {
            state.objects.remove(key);
        }
        Ok(())
    }

    async fn copy(&self, from: &Key, to: &Key) -> Result<()> {
        let mut state = self.write();
        let bytes = state.object("copy", from)?.bytes.clone();
        state.objects.insert(to.clone(), Stored::new(bytes));
        Ok(())
    }

    async fn list(
        &self,
        prefix: &Prefix,
        mode: ListMode,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page> {
        Ok(page(
            &self.read().objects,
            prefix,
            mode,
            after.unwrap_or_default(),
            limit.max(1),
        ))
    }

    async fn create_multipart(&self, key: &Key) -> Result<MultipartId> {
        let id = Uuid::new_v4().to_string();
        self.write().uploads.insert(
            id.clone(),
            Upload {
                key: key.clone(),
                parts: BTreeMap::new(),
            },
        );
        Ok(MultipartId(id))
    }

    async fn upload_part(
        &self,
        key: &Key,
        id: &MultipartId,
        number: u16,
        body: Bytes,
    ) -> Result<Part> {
        let mut state = self.write();
        let upload = state.upload("upload a part of", key, id)?;
        if !(1..=Part::MAX_NUMBER).contains(&number) {
            return Err(Error::new(
                Kind::InvalidParts,
                "upload a part of",
                key.as_str(),
            ));
        }
        let part = Part {
            number,
            etag: hex::encode(Sha256::digest(&body)),
            size: body.len() as u64,
        };
        upload.parts.insert(number, (part.clone(), body));
        Ok(part)
    }

    async fn complete_multipart(&self, key: &Key, id: &MultipartId, parts: &[Part]) -> Result<()> {
        let mut state = self.write();
        let upload = state.upload("complete the upload of", key, id)?;
        let known = |part: &Part| {
            upload
                .parts
                .get(&part.number)
                .is_some_and(|(uploaded, _)| uploaded == part)
        };
        if !self.part_size.accepts(parts) || !parts.iter().all(known) {
            return Err(Error::new(
                Kind::InvalidParts,
                "complete the upload of",
                key.as_str(),
            ));
        }
        let pieces: Vec<&[u8]> = upload
            .parts
            .values()
            .take(parts.len())
            .map(|(_, bytes)| bytes.as_ref())
            .collect();
        let whole = pieces.concat();
        state.uploads.remove(&id.0);
        state.objects.insert(key.clone(), Stored::new(whole.into()));
        Ok(())
    }

    async fn abort_multipart(&self, key: &Key, id: &MultipartId) -> Result<()> {
        let mut state = self.write();
        if state
            .uploads
            .get(&id.0)
            .is_some_and(|upload| upload.key == *key)
        {
            state.uploads.remove(&id.0);
        }
        Ok(())
    }

    async fn presign(&self, _: PresignedMethod, _: &Key, _: Duration) -> Result<Option<url::Url>> {
        Ok(None)
    }

    fn part_size(&self) -> PartSize {
        self.part_size
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

fn in_chunks(mut bytes: Bytes) -> ByteStream {
    let chunks = std::iter::from_fn(move || {
        (!bytes.is_empty()).then(|| Ok(bytes.split_to(bytes.len().min(CHUNK))))
    });
    stream::iter(chunks).boxed()
}

/// One page of `objects`. A folder is jumped over as a whole, however much is in it.
fn page(
    objects: &BTreeMap<Key, Stored>,
    prefix: &Prefix,
    mode: ListMode,
    after: &str,
    limit: usize,
) -> Page {
    let mut page = Page::default();
    let mut last = String::new();
    let mut from = if after < prefix.as_str() {
        Bound::Included(prefix.as_str().to_owned())
    } else {
        Bound::Excluded(after.to_owned())
    };
    while let Some((key, stored)) = objects
        .range::<str, _>((from.as_ref().map(String::as_str), Bound::Unbounded))
        .next()
    {
        let Some(rest) = key.strip_prefix(prefix) else {
            break;
        };
        let folder = (mode == ListMode::Shallow)
            .then(|| rest.split_once('/'))
            .flatten();
        let folder = folder.map(|(name, _)| format!("{prefix}{name}/"));
        let skipped = folder.as_deref().is_some_and(|folder| folder <= after);
        if !skipped && page.objects.len() + page.folders.len() == limit {
            page.next = Some(last);
            break;
        }
        from = match &folder {
            // `0` is the character after `/`: no key in the folder is as large.
            Some(folder) => Bound::Included(format!("{}0", folder.trim_end_matches('/'))),
            None => Bound::Excluded(key.to_string()),
        };
        match folder.map(Prefix::new) {
            None => {
                last = key.to_string();
                let ObjectMeta {
                    size,
                    last_modified,
                    ..
                } = stored.meta;
                page.objects.push(Listed {
                    key: key.clone(),
                    size,
                    last_modified,
                });
            }
            Some(Ok(folder)) if !skipped => {
                last = folder.to_string();
                page.folders.push(folder);
            }
            Some(_) => {}
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt;

    use super::{super::conformance, *};

    #[tokio::test]
    async fn the_memory_store_keeps_the_promises_of_a_store() {
        let make = async || -> Result<Arc<dyn Store>, conformance::BoxError> {
            let store: Arc<dyn Store> = Arc::new(Memory::with_part_size(PartSize::SMALLEST));
            Ok(store)
        };
        let no_urls = |_, _| async { Err("a store in memory has no URLs".into()) }.boxed();
        conformance::run(make, &no_urls)
            .await
            .unwrap_or_else(|failures| panic!("{failures}"));
    }
}
