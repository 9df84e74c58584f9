//! Pages of a listing, cut as [`Store::list`](super::super::Store::list) says and not as each server does.

use aws_sdk_s3::{
    operation::list_objects_v2::ListObjectsV2Output,
    types::{CommonPrefix, EncodingType, Object},
};
use percent_encoding::percent_decode_str;

use super::{
    super::{Key, ListMode, Listed, Page, Prefix, Result},
    S3,
    failure::timestamp,
};

/// As many as S3 puts on a page (API reference, `ListObjectsV2`).
const AT_MOST: usize = 1000;

impl S3 {
    pub(super) async fn page(
        &self,
        prefix: &Prefix,
        mode: ListMode,
        after: &str,
        limit: usize,
    ) -> Result<Page> {
        let operation = self.operation("list", prefix.as_str(), "s3:ListBucket");
        let limit = limit.min(AT_MOST);
        let mut token = None;
        loop {
            let request = self
                .client
                .list_objects_v2()
                .bucket(&self.config.bucket)
                .prefix(format!("{}{prefix}", self.root));
            let request = request
                // Or a key with a character that XML does not have, which others may have put there, breaks the listing.
                .encoding_type(EncodingType::Url)
                .set_delimiter((mode == ListMode::Shallow).then(|| "/".to_owned()))
                .set_start_after((!after.is_empty()).then(|| format!("{}{after}", self.root)))
                .set_continuation_token(token.take())
                .max_keys(i32::try_from(limit).unwrap_or(i32::MAX));
            let answer = request
                .send()
                .await
                .map_err(|error| operation.failed(&error))?;
            let mut page = self.read_page(&answer, after);
            let is_empty = page.objects.is_empty() && page.folders.is_empty();
            token = answer.next_continuation_token;
            if answer.is_truncated != Some(true) || token.is_none() {
                page.next = None;
            } else if is_empty {
                // All of it was left out.
                continue;
            }
            return Ok(page);
        }
    }

    /// What is on the page that belongs there, and where it ends.
    fn read_page(&self, answer: &ListObjectsV2Output, after: &str) -> Page {
        // It was asked for, but not every server knows it.
        let encoded = answer.encoding_type == Some(EncodingType::Url);
        let objects = answer
            .contents()
            .iter()
            .filter_map(|object| self.object(object, encoded));
        let mut objects: Vec<Listed> = objects
            .filter(|listed| listed.key.as_str() > after)
            .collect();
        // Servers begin with the folder that `after` is in.
        let folders = answer
            .common_prefixes()
            .iter()
            .filter_map(|folder| self.folder(folder, encoded));
        let mut folders: Vec<Prefix> = folders.filter(|folder| folder.as_str() > after).collect();
        // A server of files may have its own order. It can be mended within a page only.
        objects.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        folders.sort_unstable();
        let last_object = objects.last().map(|listed| listed.key.as_str());
        let last = last_object
            .max(folders.last().map(Prefix::as_str))
            .map(ToOwned::to_owned);
        Page {
            objects,
            folders,
            next: last,
        }
    }

    /// `None` for what is no object of ours: a name that no [`Key`] has, as the markers that consoles make of folders.
    fn object(&self, object: &Object, encoded: bool) -> Option<Listed> {
        let key = Key::new(self.name(object.key()?, encoded)?).ok()?;
        let size = u64::try_from(object.size()?).ok()?;
        let last_modified = timestamp(object.last_modified()?)?;
        Some(Listed {
            key,
            size,
            last_modified,
        })
    }

    fn folder(&self, folder: &CommonPrefix, encoded: bool) -> Option<Prefix> {
        Prefix::new(self.name(folder.prefix()?, encoded)?).ok()
    }

    /// The name below our root.
    fn name(&self, full: &str, encoded: bool) -> Option<String> {
        if !encoded {
            return full.strip_prefix(&self.root).map(ToOwned::to_owned);
        }
        // A space is `+` on some servers and `%20` on others; a plus sign is `%2B` on all.
        let spaced = full.replace('+', " ");
        let full = percent_decode_str(&spaced).decode_utf8().ok()?;
        full.strip_prefix(&self.root).map(ToOwned::to_owned)
    }
}
