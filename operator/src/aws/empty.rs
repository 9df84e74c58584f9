//! Emptying a bucket, or a folder of it: objects, their old versions, delete markers, and uploads that were never finished.
//!
//! A bounded part per call, and nothing remembered between calls: what is deleted is not listed again. Objects under a legal hold
//! or a retention lock cannot be deleted by anybody, and end in an error that says so.

use aws_sdk_s3::{
    Client,
    types::{Delete, ObjectIdentifier},
};

use super::{
    clients::Aws,
    desired::DesiredBucket,
    error::{Error, Kind},
    names::KeyPrefix,
    s3::{bucket_arn, not_sent},
    step::StepOutcome,
};

/// Pages of up to 1,000 that one call deletes, so that a worker sees to other registries in between.
const PAGES_PER_CALL: usize = 10;

impl Aws {
    pub(super) async fn empty_bucket(
        &self,
        bucket: &DesiredBucket,
        prefix: &KeyPrefix,
    ) -> Result<StepOutcome, Error> {
        let mut deleted = 0;
        for _ in 0..PAGES_PER_CALL {
            let page = match self.list_page(bucket, &prefix.key_start()).await {
                Ok(page) => page,
                Err(Error {
                    kind: Kind::NotFound,
                    ..
                }) => return Ok(StepOutcome::Done),
                Err(error) => return Err(error),
            };
            if page.is_empty() {
                let aborted = self.abort_uploads(bucket, &prefix.key_start()).await?;
                return Ok(match aborted {
                    0 => StepOutcome::Done,
                    _ => more_to_do(deleted, aborted),
                });
            }
            deleted += page.len();
            self.delete_page(bucket, page).await?;
        }
        Ok(more_to_do(deleted, 0))
    }

    /// Whether nothing is in the bucket, old versions included.
    pub(super) async fn is_empty(&self, bucket: &DesiredBucket) -> Result<bool, Error> {
        Ok(self.list_page(bucket, "").await?.is_empty())
    }

    /// The first versions and delete markers there are, at most 1,000.
    async fn list_page(
        &self,
        bucket: &DesiredBucket,
        prefix: &str,
    ) -> Result<Vec<ObjectIdentifier>, Error> {
        let call = self.call("s3:ListBucketVersions", bucket_arn(bucket));
        let s3 = self.s3(bucket);
        let answer = s3
            .list_object_versions()
            .bucket(bucket.name.as_str())
            .prefix(prefix)
            .send()
            .await;
        let page = match answer {
            Ok(page) => page,
            Err(error)
                if !bucket.store.is_aws()
                    && error
                        .raw_response()
                        .is_some_and(|raw| raw.status().as_u16() == 501) =>
            {
                return self.list_unversioned(&s3, bucket, prefix).await;
            }
            Err(error) => return Err(call.failed(error)),
        };
        let versions = page
            .versions()
            .iter()
            .map(|found| (found.key(), found.version_id()));
        let markers = page
            .delete_markers()
            .iter()
            .map(|found| (found.key(), found.version_id()));
        versions
            .chain(markers)
            .map(|(key, version)| identifier(key.unwrap_or_default(), version))
            .collect::<Result<_, _>>()
            .map_err(|error| not_sent(&call, &error))
    }

    /// For stores that have no versions.
    async fn list_unversioned(
        &self,
        s3: &Client,
        bucket: &DesiredBucket,
        prefix: &str,
    ) -> Result<Vec<ObjectIdentifier>, Error> {
        let call = self.call("s3:ListBucket", bucket_arn(bucket));
        let answer = s3
            .list_objects_v2()
            .bucket(bucket.name.as_str())
            .prefix(prefix)
            .send()
            .await;
        let page = answer.map_err(|error| call.failed(error))?;
        let objects = page
            .contents()
            .iter()
            .map(|found| identifier(found.key().unwrap_or_default(), None));
        objects
            .collect::<Result<_, _>>()
            .map_err(|error| not_sent(&call, &error))
    }

    /// S3 answers 200 to a request that deletes a part: what it could not delete is in the body.
    async fn delete_page(
        &self,
        bucket: &DesiredBucket,
        page: Vec<ObjectIdentifier>,
    ) -> Result<(), Error> {
        let call = self.call(
            "s3:DeleteObjectVersion",
            format!("{}/*", bucket_arn(bucket)),
        );
        let batch = Delete::builder()
            .set_objects(Some(page))
            .quiet(true)
            .build();
        let batch = batch.map_err(|error| not_sent(&call, &error))?;
        let answer = self
            .s3(bucket)
            .delete_objects()
            .bucket(bucket.name.as_str())
            .delete(batch)
            .send()
            .await;
        let answer = answer.map_err(|error| call.failed(error))?;
        let Some(first) = answer.errors().first() else {
            return Ok(());
        };
        Err(match first.code() {
            Some("AccessDenied") => call.denied(),
            Some("SlowDown") => call.refused(Kind::Throttled { after: None }),
            Some("InternalError" | "ServiceUnavailable") => call.refused(Kind::Unavailable),
            code => call.refused(Kind::Invalid {
                code: code.unwrap_or("unknown").to_owned(),
                message: format!(
                    "object {:?}: {}",
                    first.key().unwrap_or_default(),
                    first.message().unwrap_or_default()
                ),
            }),
        })
    }

    /// Aborts one page of uploads and says how many there were. Uploads have no batch request.
    async fn abort_uploads(&self, bucket: &DesiredBucket, prefix: &str) -> Result<usize, Error> {
        let call = self.call("s3:ListBucketMultipartUploads", bucket_arn(bucket));
        let s3 = self.s3(bucket);
        let answer = s3
            .list_multipart_uploads()
            .bucket(bucket.name.as_str())
            .prefix(prefix)
            .send()
            .await;
        let page = match answer.map_err(|error| call.failed(error)) {
            Ok(page) => page,
            Err(Error {
                kind: Kind::NotFound,
                ..
            }) => return Ok(0),
            Err(error) => return Err(error),
        };
        for upload in page.uploads() {
            let call = self.call(
                "s3:AbortMultipartUpload",
                format!("{}/*", bucket_arn(bucket)),
            );
            let answer = s3
                .abort_multipart_upload()
                .bucket(bucket.name.as_str())
                .set_key(upload.key().map(str::to_owned))
                .set_upload_id(upload.upload_id().map(str::to_owned))
                .send()
                .await;
            match answer.map_err(|error| call.failed(error)) {
                Ok(_)
                | Err(Error {
                    kind: Kind::NotFound,
                    ..
                }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(page.uploads().len())
    }
}

fn more_to_do(objects: usize, uploads: usize) -> StepOutcome {
    StepOutcome::MoreToDo {
        progress: format!(
            "{objects} objects and {uploads} unfinished uploads deleted, looking for more"
        ),
    }
}

fn identifier(
    key: &str,
    version: Option<&str>,
) -> Result<ObjectIdentifier, aws_smithy_types::error::operation::BuildError> {
    ObjectIdentifier::builder()
        .key(key)
        .set_version_id(version.map(str::to_owned))
        .build()
}
