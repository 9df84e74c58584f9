//! The part of the plan that is about the bucket: whose it is, and what follows from that.

use std::collections::{BTreeMap, BTreeSet};

use super::{Blocked, BlockedReason, DeletionPolicy, Subject, holds, tags};
use crate::aws::{
    BucketState, Desired, Existing, Owner, Step,
    desired::{TAG_CLUSTER, TAG_NAME, TAG_NAMESPACE},
    step::Leftovers,
};

/// Whose a bucket is that we may use.
pub(super) enum Standing<'a> {
    /// There is none.
    Absent,
    /// It carries our tags.
    Ours { tags: &'a BTreeMap<String, String> },
    /// It bears the name that only this registry derives, was created after the registry was declared, and nothing says whose it
    /// is: our own, made by a run that was stopped before it could tag it. See docs/adr/0010.
    Unclaimed,
    /// It carries the tags of a registry that shares it with us.
    Shared,
    /// It carries no ownership tags, and the spec says to use it.
    Adopted,
}

pub(super) fn standing<'a>(want: &Desired, have: &'a BucketState) -> Result<Standing<'a>, Blocked> {
    let name = &want.bucket.name;
    let (region, tags, created) = match have {
        BucketState::Absent => return Ok(Standing::Absent),
        BucketState::Forbidden => {
            return Err(blocked_bucket(
                BlockedReason::BucketOwnedByAnotherAccount,
                format!(
                    "bucket {name} belongs to another AWS account (or the operator's policy does not allow s3:ListBucket on it); bucket \
                     names are unique in the world, so choose another one"
                ),
            ));
        }
        BucketState::Present {
            region,
            tags,
            created,
        } => (region, tags, created),
    };
    if *region != want.bucket.region {
        let message = format!(
            "bucket {name} is in region {region}, and spec.storage.s3.region says {}; a bucket cannot be moved",
            want.bucket.region
        );
        return Err(blocked_bucket(
            BlockedReason::BucketInAnotherRegion,
            message,
        ));
    }
    if want.owner.is_named_by(tags) {
        return Ok(Standing::Ours { tags });
    }
    if tags.contains_key(TAG_CLUSTER) {
        if want.shares_with.iter().any(|other| other.is_named_by(tags)) {
            return Ok(Standing::Shared);
        }
        return Err(blocked_bucket(
            BlockedReason::BucketOwnedByAnotherRegistry,
            belongs_to_another(want, tags),
        ));
    }
    match want.bucket.existing {
        Existing::Adopt => Ok(Standing::Adopted),
        Existing::Refuse
            if *name == want.owner.bucket_name()
                && created.is_some_and(|created| created >= want.registry_created) =>
        {
            Ok(Standing::Unclaimed)
        }
        Existing::Refuse => Err(blocked_bucket(
            BlockedReason::BucketExists,
            format!(
                "bucket {name} exists in this AWS account and was not created for this registry; to use it (it will never be emptied \
                 or deleted), set spec.storage.s3.existing to Adopt"
            ),
        )),
    }
}

fn belongs_to_another(want: &Desired, tags: &BTreeMap<String, String>) -> String {
    let tag = |key: &str| tags.get(key).map_or("?", String::as_str);
    let mut message = format!(
        "bucket {} carries the tags of registry {}/{} in cluster {}",
        want.bucket.name,
        tag(TAG_NAMESPACE),
        tag(TAG_NAME),
        tag(TAG_CLUSTER),
    );
    message.push_str("; choose another bucket, or, when that registry is gone for good, remove the bucket's moorage.dev/ tags and set ");
    message.push_str("spec.storage.s3.existing to Adopt");
    message
}

fn blocked_bucket(reason: BlockedReason, message: String) -> Blocked {
    Blocked {
        subject: Subject::Bucket,
        reason,
        message,
    }
}

/// A bucket is created with its tags. A stand-in of AWS that ignores them leaves it unclaimed when the run is stopped.
pub(super) fn steps(want: &Desired, standing: &Standing<'_>) -> Vec<Step> {
    let bucket = want.bucket.name.clone();
    let tags = tags::wanted(want);
    match standing {
        Standing::Absent => vec![
            Step::CreateBucket {
                bucket: bucket.clone(),
                region: want.bucket.region.clone(),
                tags: tags.clone(),
            },
            // In us-east-1, creating a bucket that we have already succeeds; claiming sees whether it was new.
            Step::ClaimBucket { bucket, tags },
        ],
        Standing::Ours { tags: have } => {
            let remove = tags::left_over(have, &tags);
            if holds(have, &tags) && remove.is_empty() {
                return Vec::new();
            }
            vec![Step::TagBucket {
                bucket,
                tags,
                remove,
            }]
        }
        Standing::Unclaimed => vec![Step::ClaimBucket { bucket, tags }],
        Standing::Shared | Standing::Adopted => Vec::new(),
    }
}

pub(super) fn removal(want: &Desired, have: &BucketState, policy: DeletionPolicy) -> Vec<Step> {
    let bucket = want.bucket.name.clone();
    let own_folder = || Step::EmptyBucket {
        bucket: want.bucket.name.clone(),
        prefix: want.bucket.prefix.clone(),
    };
    let is_whole = want.bucket.prefix.is_whole_bucket();
    match (standing(want, have), policy) {
        (Ok(Standing::Ours { .. }), _) if !want.shares_with.is_empty() => {
            let mut steps = Vec::new();
            if policy == DeletionPolicy::Delete && !is_whole {
                steps.push(own_folder());
            }
            steps.extend(heir(want).map(|heir| Step::TagBucket {
                bucket,
                tags: heir.tags(),
                // The heir finds on its next look which of our tags it does not want.
                remove: BTreeSet::new(),
            }));
            steps
        }
        (Ok(Standing::Ours { .. }), DeletionPolicy::Delete) => {
            let leftovers = if is_whole {
                Leftovers::Fail
            } else {
                Leftovers::Keep
            };
            vec![own_folder(), Step::DeleteBucket { bucket, leftovers }]
        }
        (Ok(Standing::Shared), DeletionPolicy::Delete) if !is_whole => vec![own_folder()],
        (Ok(Standing::Unclaimed), DeletionPolicy::Delete) => {
            vec![Step::DeleteBucket {
                bucket,
                leftovers: Leftovers::Keep,
            }]
        }
        (
            Ok(
                Standing::Ours { .. }
                | Standing::Shared
                | Standing::Unclaimed
                | Standing::Adopted
                | Standing::Absent,
            )
            | Err(_),
            _,
        ) => Vec::new(),
    }
}

/// Who has the bucket after us, when others still use it: without tags that name one of them they would all be refused.
fn heir(want: &Desired) -> Option<&Owner> {
    want.shares_with.iter().min()
}
