//! Tags: names of manifests that can be moved.

use futures::{FutureExt, StreamExt, TryStreamExt, stream};

use super::{
    Digest, Listing, Reference, Registry, RepositoryName, Tag,
    error::{Error, ManifestUnknownSnafu, NameUnknownSnafu, Result},
    listing::InOrder,
};
use crate::{
    layout,
    store::{Key, ListMode},
};

/// How many tags are read at once when all of them have to be.
const CONCURRENT_READS: usize = 16;
/// The most a store returns at once (S3 user guide, "Listing object keys").
const PAGE: usize = 1000;

impl Registry {
    /// The digest a tag points at.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`] when there is no such tag.
    pub async fn tag(&self, name: &RepositoryName, tag: &Tag) -> Result<Digest> {
        let target = self.read_link(&layout::tag_current(name, tag)).await?;
        target.ok_or_else(|| {
            ManifestUnknownSnafu {
                reference: Reference::Tag(tag.clone()),
            }
            .build()
        })
    }

    /// At most `limit` tags after `last`, in ASCII order.
    ///
    /// # Errors
    /// [`Error::NameUnknown`] when the repository has neither tags nor manifests.
    pub async fn tags(
        &self,
        name: &RepositoryName,
        last: Option<&str>,
        limit: usize,
    ) -> Result<Listing<Tag>> {
        let folder = layout::tags(name);
        // Without a slash behind, so that names that begin with `last` are among what comes after.
        let mut after = last.map(|last| format!("{folder}{last}"));
        let mut order = InOrder::default();
        let mut any = false;
        loop {
            let page = self
                .store()
                .list(&folder, ListMode::Shallow, after.as_deref(), PAGE)
                .await?;
            let mut settled = false;
            for tag in page
                .folders
                .iter()
                .filter_map(|found| layout::folder_name(&folder, found))
            {
                any = true;
                if last.is_none_or(|last| tag > last) {
                    order.push(tag.to_owned());
                }
                settled = order.settled(limit.saturating_add(1), tag);
                if settled {
                    break;
                }
            }
            after = page.next;
            if settled || after.is_none() {
                break;
            }
        }
        if !any && !self.has_manifests(name).await? {
            return NameUnknownSnafu { name: name.clone() }.fail();
        }
        // What is no tag was not put there by a registry.
        let tags = order
            .into_names()
            .filter_map(|tag| tag.parse().ok())
            .take(limit.saturating_add(1));
        Ok(Listing::cut(tags.collect(), limit))
    }

    /// Removes a tag. The manifest stays.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`] when there is no such tag.
    pub async fn delete_tag(&self, name: &RepositoryName, tag: &Tag) -> Result<()> {
        self.tag(name, tag).await?;
        self.remove_tag(name, tag).await
    }

    /// Removes every tag that points at `digest`.
    pub(super) async fn untag(&self, name: &RepositoryName, digest: &Digest) -> Result<()> {
        let mut last: Option<Tag> = None;
        loop {
            let page = match self.tags(name, last.as_ref().map(Tag::as_str), PAGE).await {
                Err(Error::NameUnknown { .. }) => return Ok(()),
                page => page?,
            };
            // Each is removed right after it has been looked at: a push that moves it in between would be lost.
            stream::iter(page.items.iter().cloned())
                .map(|tag| self.untag_one(name, tag, digest).boxed())
                .buffer_unordered(CONCURRENT_READS)
                .try_collect::<()>()
                .await?;
            last = page.items.last().cloned();
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Removes the tag if it points at `digest`.
    async fn untag_one(&self, name: &RepositoryName, tag: Tag, digest: &Digest) -> Result<()> {
        let target = self.read_link(&layout::tag_current(name, &tag)).await?;
        if target.as_ref() == Some(digest) {
            self.remove_tag(name, &tag).await?;
        }
        Ok(())
    }

    async fn remove_tag(&self, name: &RepositoryName, tag: &Tag) -> Result<()> {
        // The link first: whoever stops half way leaves no tag, only history.
        let current = layout::tag_current(name, tag);
        self.store().delete(std::slice::from_ref(&current)).await?;
        let folder = layout::tag(name, tag);
        let mut after = None;
        loop {
            let page = self
                .store()
                .list(&folder, ListMode::Deep, after.as_deref(), PAGE)
                .await?;
            // A link that is there again is somebody's push, made since.
            let keys: Vec<Key> = page
                .objects
                .into_iter()
                .map(|object| object.key)
                .filter(|key| *key != current)
                .collect();
            if !keys.is_empty() {
                self.store().delete(&keys).await?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    async fn has_manifests(&self, name: &RepositoryName) -> Result<bool> {
        let page = self
            .store()
            .list(&layout::manifests(name), ListMode::Deep, None, 1)
            .await?;
        Ok(!page.objects.is_empty())
    }
}

#[cfg(test)]
mod tests;
