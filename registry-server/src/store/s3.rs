//! A store in a bucket of S3 or of a server that speaks its protocol.
//!
//! Conditional writes (`If-None-Match`, `If-Match`) are S3's own; a server that ignores them is not fit for more than one
//! replica. Checksums beyond those that the protocol demands are not sent, because many such servers do not know them.
//!
//! Actions used, and no others: on the bucket `s3:ListBucket`; on objects `s3:GetObject`, `s3:PutObject`, `s3:DeleteObject`
//! and `s3:AbortMultipartUpload`.

use std::{fmt, ops::Range, time::Duration};

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    presigning::PresigningConfig,
    primitives::ByteStream as Body,
    types::{CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;
use futures::{StreamExt, stream};

pub use self::config::{Addressing, Credentials, Encryption, S3Config};
use self::failure::Operation;
use super::{
    ETag, Error, Key, Kind, ListMode, MultipartId, Object, ObjectMeta, Page, Part, PartSize,
    Prefix, PresignedMethod, PutMode, Result, Store,
};

mod config;
mod copying;
mod deleting;
mod failure;
mod listing;
mod writing;

/// What distribution gives its objects; nobody reads it.
const CONTENT_TYPE: &str = "application/octet-stream";

/// A [`Store`] of objects below a prefix of a bucket.
pub struct S3 {
    client: Client,
    /// The client whose endpoint is in presigned URLs.
    presigning: Client,
    config: S3Config,
    /// What every key begins with in the bucket: empty, or with `/` at its end.
    root: String,
}

impl S3 {
    /// A store as configured. Makes no call to it: [`Store::check`] does. Where the configuration names no credentials or no
    /// region, they are looked for in the environment, in files, and at the instance's metadata service, in this order.
    ///
    /// # Errors
    /// [`Kind::Misconfigured`] when the user agent is one that HTTP does not allow.
    pub async fn new(config: S3Config) -> Result<Self> {
        let client = config.client().await?;
        let presigning = match &config.redirect_endpoint {
            Some(endpoint) => Client::from_conf(
                client
                    .config()
                    .to_builder()
                    .endpoint_url(endpoint.as_str())
                    .build(),
            ),
            None => client.clone(),
        };
        let root = match config.root.as_str().trim_end_matches('/') {
            "" => String::new(),
            root => format!("{root}/"),
        };
        Ok(Self {
            client,
            presigning,
            config,
            root,
        })
    }

    /// The key in the bucket.
    fn full(&self, key: &Key) -> String {
        format!("{}{key}", self.root)
    }

    /// An operation as errors name it.
    fn operation<'a>(
        &'a self,
        verb: &'static str,
        object: &'a str,
        action: &'static str,
    ) -> Operation<'a> {
        Operation {
            verb,
            object,
            action,
            bucket: &self.config.bucket,
        }
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for S3 {
    async fn head(&self, key: &Key) -> Result<ObjectMeta> {
        let operation = self.operation("look up", key.as_str(), "s3:GetObject");
        let request = self
            .client
            .head_object()
            .bucket(&self.config.bucket)
            .key(self.full(key));
        let found = request
            .send()
            .await
            .map_err(|error| operation.failed(&error))?;
        operation.meta(found.content_length, found.e_tag, found.last_modified)
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>) -> Result<Object> {
        let operation = self.operation("read", key.as_str(), "s3:GetObject");
        if range.as_ref().is_some_and(Range::is_empty) {
            return Err(Error::new(Kind::InvalidRange, "read", key.as_str()));
        }
        let ranged = range.is_some();
        let request = self
            .client
            .get_object()
            .bucket(&self.config.bucket)
            .key(self.full(key));
        let request = request.set_range(range.map(|range| match range.end.checked_sub(1) {
            // Beyond this no object goes, and not every server counts further.
            Some(last) if i64::try_from(last).is_ok() => format!("bytes={}-{last}", range.start),
            _ => format!("bytes={}-", range.start),
        }));
        let found = request
            .send()
            .await
            .map_err(|error| operation.failed(&error))?;
        let whole = found
            .content_range
            .as_deref()
            .and_then(|range| range.rsplit_once('/'))
            .and_then(|(_, size)| size.parse().ok());
        if ranged && whole.is_none() {
            return Err(operation.unexpected("the answer to a range has no Content-Range"));
        }
        let meta = operation.meta(
            whole.or(found.content_length),
            found.e_tag,
            found.last_modified,
        )?;
        let key = key.clone();
        let body = stream::try_unfold(found.body, move |mut body| {
            let key = key.clone();
            async move {
                let chunk = body.try_next().await.map_err(|error| {
                    Error::new(Kind::Unavailable, "read", key.as_str()).because(error)
                })?;
                Ok(chunk.map(|chunk| (chunk, body)))
            }
        });
        Ok(Object {
            meta,
            body: body.boxed(),
        })
    }

    async fn put(&self, key: &Key, body: Bytes, mode: PutMode) -> Result<ETag> {
        self.write(key, body, &mode).await
    }

    async fn delete(&self, keys: &[Key]) -> Result<()> {
        self.remove(keys).await
    }

    async fn copy(&self, from: &Key, to: &Key) -> Result<()> {
        self.copy_within(from, to).await
    }

    async fn list(
        &self,
        prefix: &Prefix,
        mode: ListMode,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page> {
        self.page(prefix, mode, after.unwrap_or_default(), limit.max(1))
            .await
    }

    async fn create_multipart(&self, key: &Key) -> Result<MultipartId> {
        let operation = self.operation("begin the upload of", key.as_str(), "s3:PutObject");
        let request = self
            .client
            .create_multipart_upload()
            .bucket(&self.config.bucket)
            .key(self.full(key));
        let request = request
            .content_type(CONTENT_TYPE)
            .set_acl(self.config.acl())
            .set_storage_class(self.config.storage_class())
            .set_server_side_encryption(self.config.encryption.method())
            .set_ssekms_key_id(self.config.encryption.key_id());
        let created = request
            .send()
            .await
            .map_err(|error| operation.failed(&error))?;
        created
            .upload_id
            .map(MultipartId)
            .ok_or_else(|| operation.unexpected("the answer has no upload id"))
    }

    async fn upload_part(
        &self,
        key: &Key,
        id: &MultipartId,
        number: u16,
        body: Bytes,
    ) -> Result<Part> {
        let operation = self.operation("upload a part of", key.as_str(), "s3:PutObject");
        if !(1..=Part::MAX_NUMBER).contains(&number) {
            return Err(Error::new(
                Kind::InvalidParts,
                "upload a part of",
                key.as_str(),
            ));
        }
        let size = body.len() as u64;
        let request = self
            .client
            .upload_part()
            .bucket(&self.config.bucket)
            .key(self.full(key))
            .upload_id(&id.0);
        let request = request
            .part_number(number.into())
            .body(Body::from(body))
            .customize();
        // Over TLS the bytes are protected already; hashing them once more would cost as much as the digest of the blob.
        let request = if self.config.is_encrypted() {
            request.disable_payload_signing()
        } else {
            request
        };
        let uploaded = request
            .send()
            .await
            .map_err(|error| operation.failed(&error))?;
        let etag = uploaded
            .e_tag
            .ok_or_else(|| operation.unexpected("the answer has no ETag"))?;
        Ok(Part { number, etag, size })
    }

    async fn complete_multipart(&self, key: &Key, id: &MultipartId, parts: &[Part]) -> Result<()> {
        if !self.config.part_size.accepts(parts) {
            return Err(Error::new(
                Kind::InvalidParts,
                "complete the upload of",
                key.as_str(),
            ));
        }
        let parts = parts.iter().map(|part| (part.number, part.etag.clone()));
        self.complete(key, &id.0, parts).await
    }

    async fn abort_multipart(&self, key: &Key, id: &MultipartId) -> Result<()> {
        let operation = self.operation(
            "abort the upload of",
            key.as_str(),
            "s3:AbortMultipartUpload",
        );
        let request = self
            .client
            .abort_multipart_upload()
            .bucket(&self.config.bucket)
            .key(self.full(key))
            .upload_id(&id.0);
        match request
            .send()
            .await
            .map_err(|error| operation.failed(&error))
        {
            Err(error) if error.is_not_found() => Ok(()),
            outcome => outcome.map(|_| ()),
        }
    }

    async fn presign(
        &self,
        method: PresignedMethod,
        key: &Key,
        valid_for: Duration,
    ) -> Result<Option<url::Url>> {
        if !self.config.presign {
            return Ok(None);
        }
        let operation = self.operation("presign", key.as_str(), "s3:GetObject");
        let validity = PresigningConfig::expires_in(valid_for)
            .map_err(|error| operation.unexpected(error.to_string()))?;
        let (bucket, key) = (&self.config.bucket, self.full(key));
        let signed = match method {
            PresignedMethod::Get => {
                let request = self.presigning.get_object().bucket(bucket).key(key);
                request
                    .presigned(validity)
                    .await
                    .map_err(|error| operation.failed(&error))?
            }
            PresignedMethod::Head => {
                let request = self.presigning.head_object().bucket(bucket).key(key);
                request
                    .presigned(validity)
                    .await
                    .map_err(|error| operation.failed(&error))?
            }
        };
        let url = signed
            .uri()
            .parse()
            .map_err(|error: url::ParseError| operation.unexpected(error.to_string()))?;
        Ok(Some(url))
    }

    fn part_size(&self) -> PartSize {
        self.config.part_size
    }

    async fn check(&self) -> Result<()> {
        // A HEAD would be answered without a body, and so without a reason.
        let operation = self.operation("reach the bucket", &self.config.bucket, "s3:ListBucket");
        let request = self
            .client
            .list_objects_v2()
            .bucket(&self.config.bucket)
            .prefix(&self.root)
            .max_keys(1);
        request
            .send()
            .await
            .map_err(|error| operation.failed(&error))
            .map(|_| ())
    }
}

impl S3 {
    async fn complete(
        &self,
        key: &Key,
        id: &str,
        parts: impl Iterator<Item = (u16, String)>,
    ) -> Result<()> {
        let operation = self.operation("complete the upload of", key.as_str(), "s3:PutObject");
        let parts = parts.map(|(number, etag)| {
            CompletedPart::builder()
                .part_number(number.into())
                .e_tag(etag)
                .build()
        });
        let parts = CompletedMultipartUpload::builder()
            .set_parts(Some(parts.collect()))
            .build();
        let request = self
            .client
            .complete_multipart_upload()
            .bucket(&self.config.bucket)
            .key(self.full(key))
            .upload_id(id);
        match request.multipart_upload(parts).send().await {
            Err(error) if !failure::is_completed_all_the_same(&error) => {
                Err(operation.failed(&error))
            }
            _ => Ok(()),
        }
    }
}
