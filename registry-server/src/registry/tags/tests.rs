//! What a push and a deletion that meet on one tag do to each other.

use std::{ops::Range, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;

use super::*;
use crate::{
    registry::Algorithm,
    store::{
        self, ETag, MultipartId, Object, ObjectMeta, Page, Part, PartSize, Prefix, PresignedMethod,
        PutMode, Store, memory::Memory,
    },
};

/// A store in which somebody makes the tag point elsewhere just before what is below it is listed.
#[derive(Debug)]
struct PushedMeanwhile {
    store: Memory,
    tag: (RepositoryName, Tag),
    pushed: Digest,
}

#[async_trait]
impl Store for PushedMeanwhile {
    async fn list(
        &self,
        prefix: &Prefix,
        mode: ListMode,
        after: Option<&str>,
        limit: usize,
    ) -> store::Result<Page> {
        let (name, tag) = &self.tag;
        if *prefix == layout::tag(name, tag) {
            let link = Bytes::from(self.pushed.to_string());
            let current = layout::tag_current(name, tag);
            self.store.put(&current, link, PutMode::Overwrite).await?;
        }
        self.store.list(prefix, mode, after, limit).await
    }

    async fn head(&self, key: &Key) -> store::Result<ObjectMeta> {
        self.store.head(key).await
    }
    async fn get(&self, key: &Key, range: Option<Range<u64>>) -> store::Result<Object> {
        self.store.get(key, range).await
    }
    async fn put(&self, key: &Key, body: Bytes, mode: PutMode) -> store::Result<ETag> {
        self.store.put(key, body, mode).await
    }
    async fn delete(&self, keys: &[Key]) -> store::Result<()> {
        self.store.delete(keys).await
    }
    async fn copy(&self, from: &Key, to: &Key) -> store::Result<()> {
        self.store.copy(from, to).await
    }
    async fn create_multipart(&self, key: &Key) -> store::Result<MultipartId> {
        self.store.create_multipart(key).await
    }
    async fn upload_part(
        &self,
        key: &Key,
        id: &MultipartId,
        number: u16,
        body: Bytes,
    ) -> store::Result<Part> {
        self.store.upload_part(key, id, number, body).await
    }
    async fn complete_multipart(
        &self,
        key: &Key,
        id: &MultipartId,
        parts: &[Part],
    ) -> store::Result<()> {
        self.store.complete_multipart(key, id, parts).await
    }
    async fn abort_multipart(&self, key: &Key, id: &MultipartId) -> store::Result<()> {
        self.store.abort_multipart(key, id).await
    }
    async fn presign(
        &self,
        method: PresignedMethod,
        key: &Key,
        valid_for: Duration,
    ) -> store::Result<Option<url::Url>> {
        self.store.presign(method, key, valid_for).await
    }
    fn part_size(&self) -> PartSize {
        self.store.part_size()
    }
    async fn check(&self) -> store::Result<()> {
        self.store.check().await
    }
}

/// The push has been acknowledged: whoever pulls the tag must get what was pushed.
#[tokio::test]
async fn a_tag_that_is_pushed_while_its_old_manifest_is_deleted_stays() {
    let (name, tag): (RepositoryName, Tag) = ("team/app".parse().unwrap(), "v1".parse().unwrap());
    let (old, new) = (
        Algorithm::Sha256.digest(b"old"),
        Algorithm::Sha256.digest(b"new"),
    );
    let registry = Registry::new(Arc::new(PushedMeanwhile {
        store: Memory::new(),
        tag: (name.clone(), tag.clone()),
        pushed: new.clone(),
    }));
    let history = layout::tag_index(&name, &tag, &old);
    registry.write_link(&history, &old).await.unwrap();
    let current = layout::tag_current(&name, &tag);
    registry.write_link(&current, &old).await.unwrap();

    registry.untag(&name, &old).await.unwrap();
    assert_eq!(registry.tag(&name, &tag).await.unwrap(), new);
    assert_eq!(registry.read_link(&history).await.unwrap(), None);
}
