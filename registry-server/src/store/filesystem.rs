//! A store in a folder: an object is the file whose path below the root is its key.
//!
//! The tree is the one that CNCF distribution's filesystem driver reads and writes, so either serves what the other
//! wrote. What is not an object (files being written, open uploads, locks) is in `.moorage` below the root and never
//! listed. Several processes may use one root at once, also over NFS where it has `flock`.
//!
//! What differs from an object store: a key cannot be the folder of another (`a` and `a/b`), and a segment has at most
//! as many bytes as a file name (255). Symbolic links below the root are not followed and not listed.
//!
//! Blocking calls are made on tokio's blocking threads. A write is acknowledged when the disk has it.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;

use self::{staging::Staging, tree::Tree};
use super::{
    ETag, Error, Key, Kind, ListMode, MultipartId, Object, ObjectMeta, Page, Part, PartSize,
    Prefix, PresignedMethod, PutMode, Result, Store,
};

mod failure;
mod reading;
mod staging;
#[cfg(test)]
mod tests;
mod tree;
mod walk;

/// A [`Store`] of files below a folder.
#[derive(Debug, Clone)]
pub struct Filesystem {
    root: PathBuf,
    part_size: PartSize,
    tree: Arc<Tree>,
    staging: Arc<Staging>,
}

impl Filesystem {
    /// Opens the folder `root`, which is created where it is missing, and removes what writes that never ended left there:
    /// files not touched for a day and multipart uploads not touched for a week (distribution's `uploadpurging.age`).
    ///
    /// # Errors
    /// [`Kind::Denied`] when this process may not write there; [`Kind::Misconfigured`] when it is not a folder.
    pub async fn open(root: impl AsRef<Path>, part_size: PartSize) -> Result<Self> {
        let root = root.as_ref().to_owned();
        let shown = root.display().to_string();
        let now = Timestamp::now();
        blocking("open the folder", shown.clone(), move || {
            let failed = failure::at_start(&shown);
            let tree = Tree::open(&root).map_err(&failed)?;
            let staging = Staging::open(&tree).map_err(&failed)?;
            staging.remove_stale(now);
            Ok(Self {
                root,
                part_size,
                tree: Arc::new(tree),
                staging: Arc::new(staging),
            })
        })
        .await
    }

    /// The folder, as it was given.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Runs `work` on a thread that may block.
    async fn on_files<T, F>(&self, operation: &'static str, key: &Key, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Tree, &Staging, &Key) -> Result<T> + Send + 'static,
    {
        let (tree, staging, key) = (
            Arc::clone(&self.tree),
            Arc::clone(&self.staging),
            key.clone(),
        );
        blocking(operation, key.to_string(), move || {
            work(&tree, &staging, &key)
        })
        .await
    }
}

async fn blocking<T, F>(operation: &'static str, object: String, work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Error::new(Kind::Other, operation, object).because(error)))
}

#[async_trait]
impl Store for Filesystem {
    async fn head(&self, key: &Key) -> Result<ObjectMeta> {
        self.on_files("look up", key, |tree, _, key| {
            tree.meta(key).map_err(failure::reading("look up", key))
        })
        .await
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Object> {
        self.on_files("read", key, |tree, _, key| reading::open(tree, key, range))
            .await
    }

    async fn put(&self, key: &Key, body: Bytes, mode: PutMode) -> Result<ETag> {
        self.on_files("write", key, move |tree, staging, key| {
            staging.put(tree, key, &body, &mode)
        })
        .await
    }

    async fn delete(&self, keys: &[Key]) -> Result<()> {
        let Some(first) = keys.first() else {
            return Ok(());
        };
        let keys = keys.to_vec();
        self.on_files("delete", first, move |tree, staging, _| {
            staging.delete(tree, &keys)
        })
        .await
    }

    async fn copy(&self, from: &Key, to: &Key) -> Result<()> {
        let to = to.clone();
        self.on_files("copy", from, move |tree, staging, from| {
            staging.copy(tree, from, &to)
        })
        .await
    }

    async fn list(
        &self,
        prefix: &Prefix,
        mode: ListMode,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page> {
        let (tree, prefix, after) = (
            Arc::clone(&self.tree),
            prefix.clone(),
            after.unwrap_or_default().to_owned(),
        );
        blocking("list", prefix.to_string(), move || {
            walk::list(&tree, &prefix, mode, &after, limit.max(1))
                .map_err(failure::reading("list", prefix.as_str()))
        })
        .await
    }

    async fn create_multipart(&self, key: &Key) -> Result<MultipartId> {
        let part_size = self.part_size;
        self.on_files("begin the upload of", key, move |_, staging, key| {
            staging.begin(key, part_size)
        })
        .await
    }

    async fn upload_part(
        &self,
        key: &Key,
        id: &MultipartId,
        number: u16,
        body: Bytes,
    ) -> Result<Part> {
        let id = id.clone();
        self.on_files("upload a part of", key, move |_, staging, key| {
            staging.write_part(key, &id, number, &body)
        })
        .await
    }

    async fn complete_multipart(&self, key: &Key, id: &MultipartId, parts: &[Part]) -> Result<()> {
        let (id, parts) = (id.clone(), parts.to_vec());
        self.on_files("complete the upload of", key, move |tree, staging, key| {
            staging.complete(tree, key, &id, &parts)
        })
        .await
    }

    async fn abort_multipart(&self, key: &Key, id: &MultipartId) -> Result<()> {
        let id = id.clone();
        self.on_files("abort the upload of", key, move |_, staging, key| {
            staging.abort(key, &id)
        })
        .await
    }

    async fn presign(&self, _: PresignedMethod, _: &Key, _: Duration) -> Result<Option<url::Url>> {
        Ok(None)
    }

    fn part_size(&self) -> PartSize {
        self.part_size
    }

    async fn check(&self) -> Result<()> {
        let (staging, shown) = (Arc::clone(&self.staging), self.root.display().to_string());
        blocking("reach the folder", shown.clone(), move || {
            staging.check().map_err(failure::at_start(&shown))
        })
        .await
    }
}
