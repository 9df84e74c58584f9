//! Buckets: look, create, tag, empty, delete.
//!
//! Does not configure a bucket (encryption, lifecycle, public access block), and never reads an object.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_s3::{
    error::{ProvideErrorMetadata, SdkError},
    types::{BucketLocationConstraint, CreateBucketConfiguration, Tag, Tagging},
};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use jiff::Timestamp;

use super::{
    clients::Aws,
    desired::{Desired, DesiredBucket, Existing, TAG_CLUSTER},
    error::{Call, Error, Kind},
    names::{AccountId, Region},
    observed::BucketState,
    step::{Leftovers, StepOutcome},
};

/// `arn:aws:s3:::bucket`.
pub(super) fn bucket_arn(bucket: &DesiredBucket) -> String {
    format!("arn:{}:s3:::{}", bucket.region.partition(), bucket.name)
}

/// What `GetBucketLocation` says.
enum Location {
    Nowhere,
    Here(Region),
    /// The bucket is there, and this call about it is denied.
    Denied(Error),
}

impl Aws {
    /// Two calls, or three for a bucket that is not clearly ours.
    pub(super) async fn observe_bucket(
        &self,
        want: &Desired,
        account: Option<&AccountId>,
    ) -> Result<BucketState, Error> {
        let bucket = &want.bucket;
        let region = match self.bucket_location(bucket, account).await? {
            Location::Nowhere => return Ok(BucketState::Absent),
            Location::Here(region) => region,
            Location::Denied(error) if !bucket.store.is_aws() => return Err(error),
            Location::Denied(error) => {
                // Denied is what AWS answers for a bucket of somebody else, and also where our own policy has a gap.
                return match self.own_bucket_created(bucket).await {
                    Ok(None) => Ok(BucketState::Forbidden),
                    Ok(Some(_)) | Err(_) => Err(error),
                };
            }
        };
        if region != bucket.region {
            return Ok(BucketState::Present {
                region,
                tags: BTreeMap::new(),
                created: None,
            });
        }
        let tags = self.bucket_tags(bucket, account).await?;
        let contested = bucket.store.is_aws()
            && bucket.existing == Existing::Refuse
            && !tags.contains_key(TAG_CLUSTER);
        if !contested {
            return Ok(BucketState::Present {
                region,
                tags,
                created: None,
            });
        }
        Ok(match self.own_bucket_created(bucket).await? {
            Some(created) => BucketState::Present {
                region,
                tags,
                created: Some(created),
            },
            None => BucketState::Forbidden,
        })
    }

    /// `GetBucketLocation` and not `HeadBucket`, because its answer has a body: it tells which permission is missing, and a bucket
    /// that does not exist from one that may not be seen.
    async fn bucket_location(
        &self,
        bucket: &DesiredBucket,
        account: Option<&AccountId>,
    ) -> Result<Location, Error> {
        let call = self.call("s3:GetBucketLocation", bucket_arn(bucket));
        let answer = self
            .s3(bucket)
            .get_bucket_location()
            .bucket(bucket.name.as_str())
            .set_expected_bucket_owner(account.map(ToString::to_string))
            .send()
            .await;
        // Other stores say whatever they like, and have one region per endpoint.
        let here = |region: Option<Region>| match region {
            Some(region) if bucket.store.is_aws() => region,
            _ => bucket.region.clone(),
        };
        let error = match answer {
            Ok(location) => {
                let constraint = location
                    .location_constraint()
                    .map_or("", BucketLocationConstraint::as_str);
                return Ok(Location::Here(here(region_of_constraint(constraint))));
            }
            Err(error) => error,
        };
        if let Some(region) = region_in_redirect(&error) {
            return Ok(Location::Here(here(Some(region))));
        }
        let error = call.failed(error);
        match error.kind {
            Kind::NotFound => Ok(Location::Nowhere),
            Kind::Denied { .. } => Ok(Location::Denied(error)),
            _ => Err(error),
        }
    }

    /// When a bucket of our own account was created; `None` when our account has no such bucket.
    async fn own_bucket_created(&self, bucket: &DesiredBucket) -> Result<Option<Timestamp>, Error> {
        let call = self.call("s3:ListAllMyBuckets", "*");
        // The exact name is the first of all that begin with it.
        let answer = self
            .s3(bucket)
            .list_buckets()
            .prefix(bucket.name.as_str())
            .max_buckets(1)
            .send()
            .await
            .map_err(|error| call.failed(error))?;
        let found = answer
            .buckets()
            .iter()
            .find(|found| found.name() == Some(bucket.name.as_str()));
        Ok(found.map(|found| {
            found
                .creation_date()
                .and_then(timestamp)
                .unwrap_or(Timestamp::MIN)
        }))
    }

    async fn bucket_tags(
        &self,
        bucket: &DesiredBucket,
        account: Option<&AccountId>,
    ) -> Result<BTreeMap<String, String>, Error> {
        let call = self.call("s3:GetBucketTagging", bucket_arn(bucket));
        let answer = self
            .s3(bucket)
            .get_bucket_tagging()
            .bucket(bucket.name.as_str())
            .set_expected_bucket_owner(account.map(ToString::to_string))
            .send()
            .await;
        let error = match answer {
            Ok(tagging) => {
                let tags = tagging.tag_set().iter();
                return Ok(tags
                    .map(|tag| (tag.key().to_owned(), tag.value().to_owned()))
                    .collect());
            }
            Err(error) if error.code() == Some("NoSuchTagSet") => return Ok(BTreeMap::new()),
            Err(error) => error,
        };
        let has_no_tags = !bucket.store.is_aws()
            && error
                .raw_response()
                .is_some_and(|raw| raw.status().as_u16() == 501);
        if has_no_tags {
            Ok(BTreeMap::new())
        } else {
            Err(call.failed(error))
        }
    }

    pub(super) async fn create_bucket(
        &self,
        bucket: &DesiredBucket,
        tags: &BTreeMap<String, String>,
    ) -> Result<StepOutcome, Error> {
        let call = self.call("s3:CreateBucket", bucket_arn(bucket));
        let mut configuration = CreateBucketConfiguration::builder();
        let has_constraint = bucket.region.as_str() != Region::US_EAST_1;
        if has_constraint {
            configuration = configuration
                .location_constraint(BucketLocationConstraint::from(bucket.region.as_str()));
        }
        // Tags in the same call leave no moment at which the bucket is nobody's. Other stores do not know them.
        let has_tags = bucket.store.is_aws();
        if has_tags {
            configuration = configuration.set_tags(Some(sdk_tags(&call, tags)?));
        }
        let configuration = (has_constraint || has_tags).then(|| configuration.build());
        self.s3(bucket)
            .create_bucket()
            .bucket(bucket.name.as_str())
            .set_create_bucket_configuration(configuration)
            .send()
            .await
            .map_err(|error| call.failed(error))?;
        Ok(StepOutcome::Done)
    }

    /// Reads the tags and writes all of them back with ours among them: S3 replaces the whole set.
    pub(super) async fn tag_bucket(
        &self,
        bucket: &DesiredBucket,
        tags: &BTreeMap<String, String>,
        remove: &BTreeSet<String>,
    ) -> Result<StepOutcome, Error> {
        let mut have = self.bucket_tags(bucket, None).await?;
        have.retain(|key, _| !remove.contains(key));
        self.put_tags(bucket, have, tags).await
    }

    pub(super) async fn claim_bucket(
        &self,
        bucket: &DesiredBucket,
        tags: &BTreeMap<String, String>,
    ) -> Result<StepOutcome, Error> {
        let have = self.bucket_tags(bucket, None).await?;
        if tags.iter().all(|(key, value)| have.get(key) == Some(value)) {
            return Ok(StepOutcome::Done);
        }
        if have.contains_key(TAG_CLUSTER) || !self.is_empty(bucket).await? {
            let message = format!(
                "bucket {} appeared while it was being created, and is in use; whose it is decides the next look",
                bucket.name
            );
            return Err(Call::new("s3:PutBucketTagging", bucket_arn(bucket))
                .refused(Kind::Conflict { message }));
        }
        self.put_tags(bucket, have, tags).await
    }

    async fn put_tags(
        &self,
        bucket: &DesiredBucket,
        mut all: BTreeMap<String, String>,
        tags: &BTreeMap<String, String>,
    ) -> Result<StepOutcome, Error> {
        let call = self.call("s3:PutBucketTagging", bucket_arn(bucket));
        all.extend(tags.clone());
        let tagging = Tagging::builder()
            .set_tag_set(Some(sdk_tags(&call, &all)?))
            .build();
        let tagging = tagging.map_err(|error| not_sent(&call, &error))?;
        self.s3(bucket)
            .put_bucket_tagging()
            .bucket(bucket.name.as_str())
            .tagging(tagging)
            .send()
            .await
            .map_err(|error| call.failed(error))?;
        Ok(StepOutcome::Done)
    }

    pub(super) async fn delete_bucket(
        &self,
        bucket: &DesiredBucket,
        leftovers: Leftovers,
    ) -> Result<StepOutcome, Error> {
        let call = self.call("s3:DeleteBucket", bucket_arn(bucket));
        let answer = self
            .s3(bucket)
            .delete_bucket()
            .bucket(bucket.name.as_str())
            .send()
            .await;
        match answer {
            Ok(_) => Ok(StepOutcome::Done),
            Err(error)
                if error.code() == Some("BucketNotEmpty") && leftovers == Leftovers::Keep =>
            {
                Ok(StepOutcome::Done)
            }
            Err(error) => match call.failed(error) {
                Error {
                    kind: Kind::NotFound,
                    ..
                } => Ok(StepOutcome::Done),
                error => Err(error),
            },
        }
    }
}

/// An input that the SDK's builder finds incomplete. It cannot happen with the names we make; if it does, it is said.
pub(super) fn not_sent(call: &Call, error: &dyn std::error::Error) -> Error {
    call.refused(Kind::Invalid {
        code: "not sent".to_owned(),
        message: error.to_string(),
    })
}

fn sdk_tags(call: &Call, tags: &BTreeMap<String, String>) -> Result<Vec<Tag>, Error> {
    let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
    tags.iter()
        .map(tag)
        .collect::<Result<_, _>>()
        .map_err(|error| not_sent(call, &error))
}

/// Two regions are called otherwise here (S3 API reference, `GetBucketLocation`).
fn region_of_constraint(constraint: &str) -> Option<Region> {
    match constraint {
        "" => Region::US_EAST_1.parse().ok(),
        "EU" => "eu-west-1".parse().ok(),
        other => other.parse().ok(),
    }
}

/// Where a bucket is that another region's endpoint was asked about: 301 or 400, and the region in a header.
fn region_in_redirect<E>(error: &SdkError<E, HttpResponse>) -> Option<Region> {
    let response = error
        .raw_response()
        .filter(|raw| [301, 307, 400].contains(&raw.status().as_u16()))?;
    response.headers().get("x-amz-bucket-region")?.parse().ok()
}

/// A time of the SDK, to the second.
pub(super) fn timestamp(time: &aws_smithy_types::DateTime) -> Option<Timestamp> {
    Timestamp::from_second(time.secs()).ok()
}
