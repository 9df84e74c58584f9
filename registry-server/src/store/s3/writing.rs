//! Writing whole objects, on a condition or without.

use std::time::Duration;

use aws_sdk_s3::{
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStream as Body,
};
use bytes::Bytes;

use super::{
    super::{ETag, Error, Key, Kind, PutMode, Result},
    CONTENT_TYPE, S3,
};

/// How often a write is made that S3 refuses because another to the same key is under way (`ConditionalRequestConflict`).
const ATTEMPTS: u32 = 6;

/// The pause before the second attempt; it doubles from then on.
const PAUSE: Duration = Duration::from_millis(20);

impl S3 {
    pub(super) async fn write(&self, key: &Key, body: Bytes, mode: &PutMode) -> Result<ETag> {
        let mut pause = PAUSE;
        for _ in 1..ATTEMPTS {
            match self.write_once(key, body.clone(), mode).await {
                Ok(Written::Yes(etag)) => return Ok(etag),
                Ok(Written::Conflict) => {
                    // Some more or less, so that those who met do not meet again.
                    tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..1.5))).await;
                    pause *= 2;
                }
                Err(error) => return Err(error),
            }
        }
        match self.write_once(key, body, mode).await? {
            Written::Yes(etag) => Ok(etag),
            Written::Conflict => Err(Error::new(
                Kind::Throttled { retry_after: None },
                "write",
                key.as_str(),
            )),
        }
    }

    async fn write_once(&self, key: &Key, body: Bytes, mode: &PutMode) -> Result<Written> {
        let operation = self.operation("write", key.as_str(), "s3:PutObject");
        let (absent, version) = match mode {
            PutMode::Overwrite => (None, None),
            PutMode::IfAbsent => (Some("*".to_owned()), None),
            PutMode::IfMatch(etag) => (None, Some(etag.as_str().to_owned())),
        };
        let request = self
            .client
            .put_object()
            .bucket(&self.config.bucket)
            .key(self.full(key))
            .body(Body::from(body));
        let request = request
            .content_type(CONTENT_TYPE)
            .set_if_none_match(absent)
            .set_if_match(version)
            .set_acl(self.config.acl())
            .set_storage_class(self.config.storage_class())
            .set_server_side_encryption(self.config.encryption.method())
            .set_ssekms_key_id(self.config.encryption.key_id());
        match request.send().await {
            Ok(written) => {
                let etag = written
                    .e_tag
                    .ok_or_else(|| operation.unexpected("the answer has no ETag"))?;
                Ok(Written::Yes(ETag::new(etag)))
            }
            Err(SdkError::ServiceError(failure))
                if failure.err().code() == Some("ConditionalRequestConflict") =>
            {
                Ok(Written::Conflict)
            }
            Err(error) => {
                let error = operation.failed(&error);
                // Where the version to be replaced is gone altogether, S3 says so.
                let gone = error.is_not_found() && matches!(mode, PutMode::IfMatch(_));
                Err(if gone {
                    Error::new(Kind::PreconditionFailed, "write", key.as_str()).because(error)
                } else {
                    error
                })
            }
        }
    }
}

enum Written {
    Yes(ETag),
    /// Another write to the key was under way, and neither has been judged yet.
    Conflict,
}
