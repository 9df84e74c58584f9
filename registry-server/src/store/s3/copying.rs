//! Copying within the bucket: in one call, or in parts at once where that would keep somebody waiting.

use std::ops::Range;

use futures::{StreamExt, TryStreamExt, stream};
use url::form_urlencoded::byte_serialize;

use super::{
    super::{Key, MultipartId, Part, Result, Store},
    S3,
};

/// Above this an object is copied in parts, and this is their size, in bytes. S3 copies some 100 MB/s in one call, and up to
/// 5 GiB; in parts it is done as many times faster as there are at once. A load balancer gives up after 60 s.
const PART: u64 = 64 * 1024 * 1024;

/// Parts copied at once.
const CONCURRENT: usize = 16;

impl S3 {
    pub(super) async fn copy_within(&self, from: &Key, to: &Key) -> Result<()> {
        let size = self.head(from).await?.size;
        if size <= PART {
            return self.copy_whole(from, to).await;
        }
        let id = self.create_multipart(to).await?;
        let copied = self.copy_in_parts(from, to, &id, size).await;
        if copied.is_err() {
            // The first failure is the one to tell; a bucket's lifecycle rule removes what is left.
            let _ = self.abort_multipart(to, &id).await;
        }
        copied
    }

    async fn copy_whole(&self, from: &Key, to: &Key) -> Result<()> {
        let operation = self.operation("copy", from.as_str(), "s3:PutObject");
        let request = self
            .client
            .copy_object()
            .bucket(&self.config.bucket)
            .key(self.full(to))
            .copy_source(self.source(from));
        let request = request
            .set_acl(self.config.acl())
            .set_storage_class(self.config.storage_class())
            .set_server_side_encryption(self.config.encryption.method())
            .set_ssekms_key_id(self.config.encryption.key_id());
        request
            .send()
            .await
            .map_err(|error| operation.failed(&error))
            .map(|_| ())
    }

    async fn copy_in_parts(&self, from: &Key, to: &Key, id: &MultipartId, size: u64) -> Result<()> {
        let copies: Vec<_> = pieces(size)
            .map(|(number, piece)| self.copy_part(from, to, id, number, piece))
            .collect();
        let mut parts: Vec<(u16, String)> = stream::iter(copies)
            .buffer_unordered(CONCURRENT)
            .try_collect()
            .await?;
        parts.sort_unstable();
        self.complete(to, &id.0, parts.into_iter()).await
    }

    async fn copy_part(
        &self,
        from: &Key,
        to: &Key,
        id: &MultipartId,
        number: u16,
        piece: Range<u64>,
    ) -> Result<(u16, String)> {
        let operation = self.operation("copy", from.as_str(), "s3:PutObject");
        let request = self
            .client
            .upload_part_copy()
            .bucket(&self.config.bucket)
            .key(self.full(to))
            .upload_id(&id.0);
        let request = request
            .part_number(number.into())
            .copy_source(self.source(from))
            .copy_source_range(format!(
                "bytes={}-{}",
                piece.start,
                piece.end.saturating_sub(1)
            ));
        let copied = request
            .send()
            .await
            .map_err(|error| operation.failed(&error))?;
        let etag = copied.copy_part_result.and_then(|part| part.e_tag);
        Ok((
            number,
            etag.ok_or_else(|| operation.unexpected("the answer has no ETag"))?,
        ))
    }

    /// The value of `x-amz-copy-source`, which is part of a URL but, unlike the rest of it, not encoded by the SDK.
    fn source(&self, key: &Key) -> String {
        let full = self.full(key);
        let encoded = full.split('/').map(|segment| {
            byte_serialize(segment.as_bytes())
                .collect::<String>()
                .replace('+', "%20")
        });
        format!(
            "{}/{}",
            self.config.bucket,
            encoded.collect::<Vec<_>>().join("/")
        )
    }
}

/// The numbers of the parts and the bytes in each. For what does not fit into as many parts as there can be, larger ones.
fn pieces(size: u64) -> impl Iterator<Item = (u16, Range<u64>)> {
    let length = PART.max(size.div_ceil(u64::from(Part::MAX_NUMBER)));
    (1..=Part::MAX_NUMBER).map_while(move |number| {
        let start = u64::from(number - 1).checked_mul(length)?;
        (start < size).then(|| (number, start..size.min(start.saturating_add(length))))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// To 50 TB, the largest object that S3 has.
        #[test]
        fn pieces_cover_an_object_without_gap_or_overlap(size in 1..50_000_000_000_000_u64) {
            let mut end = 0;
            for ((number, piece), expected) in pieces(size).zip(1..) {
                prop_assert_eq!(number, expected);
                prop_assert_eq!(piece.start, end);
                prop_assert!(!piece.is_empty() && piece.end - piece.start <= 5 * 1024 * 1024 * 1024);
                end = piece.end;
            }
            prop_assert_eq!(end, size);
        }
    }
}
