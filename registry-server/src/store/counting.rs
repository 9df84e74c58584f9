//! A store that counts how often it is asked, so that a test can say what an operation may cost.
//!
//! Counted is each call of a method that talks to a store, also one that fails. Not counted: what a store makes of a call
//! (pages, retries, the parts of a copy), reading on in a body that has been opened, and the two methods that never leave
//! the process, [`Store::presign`] and [`Store::part_size`].

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    ETag, Key, ListMode, MultipartId, Object, ObjectMeta, Page, Part, PartSize, Prefix,
    PresignedMethod, PutMode, Result, Store,
};

/// A [`Store`] that passes every call on to `S` and counts it.
#[derive(Debug, Default)]
pub struct Counting<S> {
    store: S,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    head: AtomicU64,
    get: AtomicU64,
    put: AtomicU64,
    delete: AtomicU64,
    copy: AtomicU64,
    list: AtomicU64,
    create_multipart: AtomicU64,
    upload_part: AtomicU64,
    complete_multipart: AtomicU64,
    abort_multipart: AtomicU64,
    check: AtomicU64,
}

/// How often each method has been called. The difference of two is what lies between them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each field is named as the method that it counts"
)]
pub struct Calls {
    pub head: u64,
    pub get: u64,
    pub put: u64,
    pub delete: u64,
    pub copy: u64,
    pub list: u64,
    pub create_multipart: u64,
    pub upload_part: u64,
    pub complete_multipart: u64,
    pub abort_multipart: u64,
    pub check: u64,
}

impl<S> Counting<S> {
    /// Counts from zero what is asked of `store`.
    #[must_use]
    pub fn new(store: S) -> Self {
        Self {
            store,
            counters: Counters::default(),
        }
    }

    /// The store that is asked.
    #[must_use]
    pub fn inner(&self) -> &S {
        &self.store
    }

    /// The calls since the last time, and begins again from zero.
    #[must_use]
    pub fn take(&self) -> Calls {
        self.counters
            .read(|counter| counter.swap(0, Ordering::SeqCst))
    }

    /// The calls since the beginning or the last [`Self::take`].
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.counters.read(|counter| counter.load(Ordering::SeqCst))
    }
}

impl Counters {
    fn read(&self, read: impl Fn(&AtomicU64) -> u64) -> Calls {
        let Self {
            head,
            get,
            put,
            delete,
            copy,
            list,
            create_multipart,
            upload_part,
            complete_multipart,
            abort_multipart,
            check,
        } = self;
        Calls {
            head: read(head),
            get: read(get),
            put: read(put),
            delete: read(delete),
            copy: read(copy),
            list: read(list),
            create_multipart: read(create_multipart),
            upload_part: read(upload_part),
            complete_multipart: read(complete_multipart),
            abort_multipart: read(abort_multipart),
            check: read(check),
        }
    }
}

impl Calls {
    /// All of them.
    #[must_use]
    pub fn total(self) -> u64 {
        let Self {
            head,
            get,
            put,
            delete,
            copy,
            list,
            create_multipart,
            upload_part,
            complete_multipart,
            abort_multipart,
            check,
        } = self;
        let objects = head + get + put + delete + copy + list + check;
        objects + create_multipart + upload_part + complete_multipart + abort_multipart
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::SeqCst);
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl<S: Store> Store for Counting<S> {
    async fn head(&self, key: &Key) -> Result<ObjectMeta> {
        count(&self.counters.head);
        self.store.head(key).await
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Object> {
        count(&self.counters.get);
        self.store.get(key, range).await
    }

    async fn put(&self, key: &Key, body: Bytes, mode: PutMode) -> Result<ETag> {
        count(&self.counters.put);
        self.store.put(key, body, mode).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<()> {
        count(&self.counters.delete);
        self.store.delete(keys).await
    }

    async fn copy(&self, from: &Key, to: &Key) -> Result<()> {
        count(&self.counters.copy);
        self.store.copy(from, to).await
    }

    async fn list(
        &self,
        prefix: &Prefix,
        mode: ListMode,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page> {
        count(&self.counters.list);
        self.store.list(prefix, mode, after, limit).await
    }

    async fn create_multipart(&self, key: &Key) -> Result<MultipartId> {
        count(&self.counters.create_multipart);
        self.store.create_multipart(key).await
    }

    async fn upload_part(
        &self,
        key: &Key,
        id: &MultipartId,
        number: u16,
        body: Bytes,
    ) -> Result<Part> {
        count(&self.counters.upload_part);
        self.store.upload_part(key, id, number, body).await
    }

    async fn complete_multipart(&self, key: &Key, id: &MultipartId, parts: &[Part]) -> Result<()> {
        count(&self.counters.complete_multipart);
        self.store.complete_multipart(key, id, parts).await
    }

    async fn abort_multipart(&self, key: &Key, id: &MultipartId) -> Result<()> {
        count(&self.counters.abort_multipart);
        self.store.abort_multipart(key, id).await
    }

    async fn presign(
        &self,
        method: PresignedMethod,
        key: &Key,
        valid_for: Duration,
    ) -> Result<Option<url::Url>> {
        self.store.presign(method, key, valid_for).await
    }

    fn part_size(&self) -> PartSize {
        self.store.part_size()
    }

    async fn check(&self) -> Result<()> {
        count(&self.counters.check);
        self.store.check().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::FutureExt;

    use super::{
        super::{conformance, memory::Memory},
        *,
    };

    #[tokio::test]
    async fn a_counted_store_keeps_the_promises_of_a_store() {
        let make = async || -> Result<Arc<dyn Store>, conformance::BoxError> {
            let store: Arc<dyn Store> =
                Arc::new(Counting::new(Memory::with_part_size(PartSize::SMALLEST)));
            Ok(store)
        };
        let no_urls = |_, _| async { Err("a store in memory has no URLs".into()) }.boxed();
        conformance::run(make, &no_urls)
            .await
            .unwrap_or_else(|failures| panic!("{failures}"));
    }

    #[tokio::test]
    async fn every_call_is_counted_once_also_one_that_fails() {
        let store = Counting::new(Memory::new());
        let key = Key::new("a").expect("a key");
        store.head(&key).await.expect_err("nothing is there");
        for _ in 0..3 {
            store
                .put(&key, Bytes::new(), PutMode::Overwrite)
                .await
                .expect("written");
        }
        let expected = Calls {
            head: 1,
            put: 3,
            ..Calls::default()
        };
        assert_eq!((store.calls(), store.calls().total()), (expected, 4));
        assert_eq!(store.take(), expected);
        assert_eq!(store.calls(), Calls::default());
    }
}
