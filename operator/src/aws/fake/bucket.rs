//! The buckets of the fake.

use std::collections::BTreeMap;

use super::{FakeBucket, World, conflict};
use crate::aws::{
    BucketName, BucketState, Desired, Existing, KeyPrefix, Kind, Region, Step, StepOutcome,
    desired::TAG_CLUSTER, step::Leftovers,
};

/// Objects that one [`Step::EmptyBucket`] deletes.
const OBJECTS_PER_CALL: usize = 10_000;

impl World {
    pub(super) fn bucket_state(&self, want: &Desired) -> BucketState {
        let Some(found) = self.buckets.get(want.bucket.name.as_str()) else {
            return BucketState::Absent;
        };
        if found.account != self.account {
            return BucketState::Forbidden;
        }
        if found.region != want.bucket.region {
            return BucketState::Present {
                region: found.region.clone(),
                tags: BTreeMap::new(),
                created: None,
            };
        }
        let contested = want.bucket.store.is_aws()
            && want.bucket.existing == Existing::Refuse
            && !found.tags.contains_key(TAG_CLUSTER);
        BucketState::Present {
            region: found.region.clone(),
            tags: found.tags.clone(),
            created: contested.then_some(found.created),
        }
    }

    pub(super) fn carry_out_on_bucket(&mut self, step: &Step) -> Result<StepOutcome, Kind> {
        match step {
            Step::CreateBucket {
                bucket,
                region,
                tags,
            } => self.create_bucket(bucket, region, tags)?,
            Step::TagBucket {
                bucket,
                tags,
                remove,
            } => {
                let found = self.bucket(bucket)?;
                found.tags.retain(|key, _| !remove.contains(key));
                found.tags.extend(tags.clone());
            }
            Step::ClaimBucket { bucket, tags } => claim(self.bucket(bucket)?, tags)?,
            Step::EmptyBucket { bucket, prefix } => {
                return Ok(self
                    .bucket(bucket)
                    .map_or(StepOutcome::Done, |found| empty(found, prefix)));
            }
            Step::DeleteBucket { bucket, leftovers } => {
                let is_empty = self
                    .bucket(bucket)
                    .is_ok_and(|found| found.objects.is_empty());
                match leftovers {
                    _ if is_empty => drop(self.buckets.remove(bucket.as_str())),
                    Leftovers::Fail if self.buckets.contains_key(bucket.as_str()) => {
                        return Err(conflict());
                    }
                    Leftovers::Fail | Leftovers::Keep => {}
                }
            }
            other => unreachable!("not about a bucket: {other}"),
        }
        Ok(StepOutcome::Done)
    }

    fn bucket(&mut self, name: &BucketName) -> Result<&mut FakeBucket, Kind> {
        self.buckets.get_mut(name.as_str()).ok_or(Kind::NotFound)
    }

    fn create_bucket(
        &mut self,
        name: &BucketName,
        region: &Region,
        tags: &BTreeMap<String, String>,
    ) -> Result<(), Kind> {
        match self.buckets.get(name.as_str()) {
            Some(found) if found.account != self.account => {
                return Err(Kind::OwnedElsewhere {
                    owner: "it belongs to another AWS account".to_owned(),
                });
            }
            Some(_) if region.as_str() == Region::US_EAST_1 => return Ok(()),
            Some(_) => return Err(conflict()),
            None => {}
        }
        let tags = if self.tags_at_creation {
            tags.clone()
        } else {
            BTreeMap::new()
        };
        self.make_bucket(name.as_str(), region.as_str()).tags = tags;
        Ok(())
    }
}

fn claim(found: &mut FakeBucket, tags: &BTreeMap<String, String>) -> Result<(), Kind> {
    let is_done = tags
        .iter()
        .all(|(key, value)| found.tags.get(key) == Some(value));
    if !is_done && (found.tags.contains_key(TAG_CLUSTER) || !found.objects.is_empty()) {
        return Err(conflict());
    }
    found.tags.extend(tags.clone());
    Ok(())
}

fn empty(found: &mut FakeBucket, prefix: &KeyPrefix) -> StepOutcome {
    let start = prefix.key_start();
    let below = found.objects.iter().filter(|key| key.starts_with(&start));
    let batch: Vec<_> = below.take(OBJECTS_PER_CALL).cloned().collect();
    found.objects.retain(|key| !batch.contains(key));
    let uploads = found.uploads.len();
    if batch.len() < OBJECTS_PER_CALL {
        found.uploads.retain(|key| !key.starts_with(&start));
    }
    if batch.len() == OBJECTS_PER_CALL || found.uploads.len() < uploads {
        return StepOutcome::MoreToDo {
            progress: format!("{} objects deleted", batch.len()),
        };
    }
    StepOutcome::Done
}
