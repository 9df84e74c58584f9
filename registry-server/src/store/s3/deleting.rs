//! Deleting, by one call for a thousand objects where the server can.

use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use futures::{StreamExt, stream};

use super::{
    super::{Error, Key, Kind, Result},
    S3,
};

/// As many as S3 takes in one call (API reference, `DeleteObjects`).
const AT_ONCE: usize = 1000;

/// Deletes under way at once where they have to be made one by one.
const CONCURRENT: usize = 16;

impl S3 {
    pub(super) async fn remove(&self, keys: &[Key]) -> Result<()> {
        let mut outcome = Ok(());
        for keys in keys.chunks(AT_ONCE) {
            let removed = match keys {
                [key] => self.remove_one(key).await,
                keys => match self.remove_many(keys).await {
                    // Some servers do not have the call, or want a checksum for it that has gone out of use.
                    Err(error) if *error.kind() == Kind::Other => self.remove_each(keys).await,
                    outcome => outcome,
                },
            };
            outcome = outcome.and(removed);
        }
        outcome
    }

    async fn remove_one(&self, key: &Key) -> Result<()> {
        let operation = self.operation("delete", key.as_str(), "s3:DeleteObject");
        let request = self
            .client
            .delete_object()
            .bucket(&self.config.bucket)
            .key(self.full(key));
        match request
            .send()
            .await
            .map_err(|error| operation.failed(&error))
        {
            // S3 does not say so, but others do.
            Err(error) if error.is_not_found() => Ok(()),
            outcome => outcome.map(|_| ()),
        }
    }

    async fn remove_each(&self, keys: &[Key]) -> Result<()> {
        let removals: Vec<_> = keys.iter().map(|key| self.remove_one(key)).collect();
        let outcomes: Vec<_> = stream::iter(removals)
            .buffer_unordered(CONCURRENT)
            .collect()
            .await;
        outcomes.into_iter().collect()
    }

    async fn remove_many(&self, keys: &[Key]) -> Result<()> {
        let first = keys.first().map(Key::as_str).unwrap_or_default();
        let operation = self.operation("delete", first, "s3:DeleteObject");
        let identify = |key: &Key| ObjectIdentifier::builder().key(self.full(key)).build();
        let objects = keys
            .iter()
            .map(identify)
            .collect::<Result<_, _>>()
            .map_err(|error| operation.unexpected(error.to_string()))?;
        let delete = Delete::builder()
            .quiet(true)
            .set_objects(Some(objects))
            .build();
        let delete = delete.map_err(|error| operation.unexpected(error.to_string()))?;
        let request = self
            .client
            .delete_objects()
            .bucket(&self.config.bucket)
            .delete(delete);
        let answer = request
            .send()
            .await
            .map_err(|error| operation.failed(&error))?;
        let failure = |error: &aws_sdk_s3::types::Error| -> Error {
            let object = error
                .key()
                .and_then(|key| key.strip_prefix(&self.root))
                .unwrap_or(first);
            self.operation("delete", object, "s3:DeleteObject")
                .failed_with(error.code(), error.message())
        };
        answer
            .errors()
            .iter()
            .map(failure)
            .find(|error| !error.is_not_found())
            .map_or(Ok(()), Err)
    }
}
