//! From what is wanted and what there is to the steps between.
//!
//! Pure and total: no I/O, no clock, no failure. What must not be done is not an error but part of the answer ([`Blocked`]).

use std::collections::BTreeMap;

use crate::aws::{
    BucketState, CertificateState, Desired, DesiredIdentity, Existing, KeyState,
    ManagedPolicyState, Observed, Owner, PolicyKind, Step, UserName, UserState,
    desired::TAG_CLUSTER,
    policy::{POLICY_NAME, policy_document},
    step::Leftovers,
};

/// What to do, and what cannot be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The steps, in the order in which they are carried out.
    pub steps: Vec<Step>,
    /// What stands in the way.
    pub blocked: Vec<Blocked>,
}

/// Something that a person has to settle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// What it is about.
    pub subject: Subject,
    /// Why; does not change from one release to the next, so that people can match on it.
    pub reason: BlockedReason,
    /// What to do about it, for a condition.
    pub message: String,
}

/// The part of the registry that is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// `BucketReady`.
    Bucket,
    /// `IdentityReady`.
    Identity,
    /// `CertificateReady`.
    Certificate,
}

/// Why something is blocked. The name of the variant is the reason in the condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::Display)]
pub enum BlockedReason {
    /// The bucket is in another AWS account.
    BucketOwnedByAnotherAccount,
    /// The bucket is in our account, without our tags, and the spec does not adopt it.
    BucketExists,
    /// The bucket carries the tags of another registry.
    BucketOwnedByAnotherRegistry,
    /// The bucket is in another region than the spec says.
    BucketInAnotherRegion,
    /// There is an IAM user or policy of our name that is not ours.
    UserNotOurs,
    /// AWS did not say which account this is.
    AccountUnknown,
    /// The certificate is not there.
    CertificateNotFound,
}

/// What becomes of the bucket when its registry is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum DeletionPolicy {
    /// It stays, with all that is in it.
    #[default]
    Retain,
    /// It is emptied and deleted.
    Delete,
}

/// The steps to what is wanted. Carried out, they leave nothing to plan.
///
/// A bucket that is blocked holds back the identity too: it would be for a bucket that is not ours to give access to.
#[must_use]
pub fn plan(want: &Desired, have: &Observed) -> Plan {
    let mut plan = Plan::default();
    match bucket_standing(want, &have.bucket) {
        Ok(standing) => {
            plan.steps.extend(bucket_step(want, &standing));
            match identity_steps(want, have) {
                Ok(steps) => plan.steps.extend(steps),
                Err(blocked) => plan.blocked.push(blocked),
            }
        }
        Err(blocked) => plan.blocked.push(blocked),
    }
    if let (Some(arn), CertificateState::NotFound) = (&want.certificate, &have.certificate) {
        plan.blocked.push(Blocked {
            subject: Subject::Certificate,
            reason: BlockedReason::CertificateNotFound,
            message: format!("there is no certificate {arn}, or it is not in this AWS account; correct the ARN in spec.tls"),
        });
    }
    plan
}

/// The steps that remove what the registry has in AWS. Nothing that is not ours is touched.
///
/// Needs of `want` only the owner, the bucket, `shares_with` and the name of the user, so that an invalid spec cannot hold up a
/// deletion. Access goes first and the bucket last, so that nothing writes into a bucket that is being emptied.
#[must_use]
pub fn plan_deletion(want: &Desired, have: &Observed, policy: DeletionPolicy) -> Vec<Step> {
    let mut steps = identity_removal(want, have);
    steps.extend(bucket_removal(want, &have.bucket, policy));
    steps
}

/// Whose a bucket is that we may use.
enum Standing<'a> {
    /// There is none.
    Absent,
    /// It carries our tags.
    Ours { tags: &'a BTreeMap<String, String> },
    /// It was created after the registry was declared, and nothing says whose it is: our own, made by a run that was stopped
    /// before it could tag it.
    Unclaimed,
    /// It carries the tags of a registry that shares it with us.
    Shared,
    /// It carries no ownership tags, and the spec says to use it.
    Adopted,
}

fn bucket_standing<'a>(want: &Desired, have: &'a BucketState) -> Result<Standing<'a>, Blocked> {
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
        Existing::Refuse if created.is_some_and(|created| created >= want.registry_created) => {
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
        tag(crate::aws::desired::TAG_NAMESPACE),
        tag(crate::aws::desired::TAG_NAME),
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

/// The tags that the bucket is to have. Those of ownership win over those of the spec.
fn bucket_tags(want: &Desired) -> BTreeMap<String, String> {
    let mut tags = want.bucket.tags.clone();
    tags.extend(want.owner.tags());
    tags
}

/// A bucket is created with its tags. Where the store cannot do that and the run is stopped, the next look finds it unclaimed.
fn bucket_step(want: &Desired, standing: &Standing<'_>) -> Vec<Step> {
    let bucket = want.bucket.name.clone();
    let tags = bucket_tags(want);
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
        Standing::Ours { tags: have } if holds(have, &tags) => Vec::new(),
        Standing::Ours { .. } => vec![Step::TagBucket { bucket, tags }],
        Standing::Unclaimed => vec![Step::ClaimBucket { bucket, tags }],
        Standing::Shared | Standing::Adopted => Vec::new(),
    }
}

fn holds(have: &BTreeMap<String, String>, want: &BTreeMap<String, String>) -> bool {
    want.iter().all(|(key, value)| have.get(key) == Some(value))
}

fn is_ours(want: &Desired, user: &UserState) -> bool {
    user.path == want.owner.iam_path() && want.owner.is_named_by(&user.tags)
}

fn identity_steps(want: &Desired, have: &Observed) -> Result<Vec<Step>, Blocked> {
    let (user, kind, recorded_key) = match &want.identity {
        DesiredIdentity::Provided { .. } => return Ok(identity_removal(want, have)),
        DesiredIdentity::IamUser {
            user,
            policy,
            recorded_key,
        } => (user, *policy, recorded_key.as_ref()),
    };
    let mut steps = Vec::new();
    match &have.user {
        None => {
            steps.push(Step::CreateUser {
                user: user.clone(),
                path: want.owner.iam_path(),
                tags: want.owner.tags(),
            });
        }
        Some(found) if !is_ours(want, found) => {
            return Err(Blocked {
                subject: Subject::Identity,
                reason: BlockedReason::UserNotOurs,
                message: format!(
                    "IAM user {} exists and is not this registry's: it lacks the path {} or the moorage.dev/ tags; rename or delete it",
                    found.arn,
                    want.owner.iam_path()
                ),
            });
        }
        Some(found) if !holds(&found.tags, &want.owner.tags()) => {
            steps.push(Step::TagUser {
                user: user.clone(),
                tags: want.owner.tags(),
            });
        }
        Some(_) => {}
    }
    match kind {
        PolicyKind::Inline => steps.extend(inline_policy_steps(want, user, have)),
        PolicyKind::Managed => steps.extend(managed_policy_steps(want, user, have)?),
    }
    let keys = have.user.as_ref().map_or(&[][..], |found| &found.keys);
    let live = keys
        .iter()
        .find(|key| key.active && Some(&key.id) == recorded_key);
    steps.extend(deleted_keys(user, keys, live));
    if live.is_none() {
        steps.push(Step::CreateAccessKey { user: user.clone() });
    }
    Ok(steps)
}

/// Every key but the one that is in use: one that nobody recorded is a leftover of a run that was stopped between creating it and
/// writing it down, and its secret is lost. AWS allows two keys, so leftovers go before a new one is made.
fn deleted_keys(user: &UserName, keys: &[KeyState], keep: Option<&KeyState>) -> Vec<Step> {
    keys.iter()
        .filter(|key| keep.is_none_or(|keep| keep.id != key.id))
        .map(|key| Step::DeleteAccessKey {
            user: user.clone(),
            id: key.id.clone(),
        })
        .collect()
}

/// The new right comes before the old ones go, so that a registry that is running is never without.
fn inline_policy_steps(want: &Desired, user: &UserName, have: &Observed) -> Vec<Step> {
    let document = policy_document(&want.bucket.region, &want.bucket.name, &want.bucket.prefix);
    let found = have.user.as_ref();
    let mut steps = Vec::new();
    if found.and_then(|found| found.inline.as_ref()) != Some(&document) {
        steps.push(Step::PutUserPolicy {
            user: user.clone(),
            document,
        });
    }
    if let Some(found) = found {
        steps.extend(foreign_rights(user, found, None));
    }
    steps.extend(have.managed_policy.iter().flat_map(managed_policy_removal));
    steps
}

fn managed_policy_steps(
    want: &Desired,
    user: &UserName,
    have: &Observed,
) -> Result<Vec<Step>, Blocked> {
    let document = policy_document(&want.bucket.region, &want.bucket.name, &want.bucket.prefix);
    let arn = have
        .account
        .as_ref()
        .map(|account| want.policy_arn(account, user))
        .ok_or_else(|| Blocked {
            subject: Subject::Identity,
            reason: BlockedReason::AccountUnknown,
            message:
                "AWS did not say which account the operator is in, so its policy cannot be named"
                    .to_owned(),
        })?;
    let mut steps = Vec::new();
    match &have.managed_policy {
        None => steps.push(Step::CreatePolicy {
            name: user.clone(),
            path: want.owner.iam_path(),
            document,
            tags: want.owner.tags(),
        }),
        Some(found) if found.document.as_ref() != Some(&document) => {
            steps.extend(old_versions(found));
            steps.push(Step::CreatePolicyVersion {
                arn: arn.clone(),
                document,
            });
        }
        Some(_) => {}
    }
    let found = have.user.as_ref();
    if !found.is_some_and(|found| found.attached.contains(&arn)) {
        steps.push(Step::AttachPolicy {
            user: user.clone(),
            arn: arn.clone(),
        });
    }
    if let Some(found) = found {
        if found.inline.is_some() {
            steps.push(Step::DeleteUserPolicy {
                user: user.clone(),
                policy: POLICY_NAME.to_owned(),
            });
        }
        steps.extend(foreign_rights(user, found, Some(&arn)));
    }
    Ok(steps)
}

/// Policies that somebody put on our user beside the one that is ours. The user may touch its bucket and nothing else.
fn foreign_rights(user: &UserName, found: &UserState, keep: Option<&str>) -> Vec<Step> {
    let inline = found
        .other_inline
        .iter()
        .map(|policy| Step::DeleteUserPolicy {
            user: user.clone(),
            policy: policy.clone(),
        });
    let attached = found
        .attached
        .iter()
        .filter(|arn| keep != Some(arn.as_str()))
        .map(|arn| Step::DetachPolicy {
            user: user.clone(),
            arn: arn.clone(),
        });
    inline.chain(attached).collect()
}

fn old_versions(policy: &ManagedPolicyState) -> Vec<Step> {
    policy
        .other_versions
        .iter()
        .map(|version| Step::DeletePolicyVersion {
            arn: policy.arn.clone(),
            version: version.clone(),
        })
        .collect()
}

fn managed_policy_removal(policy: &ManagedPolicyState) -> Vec<Step> {
    let mut steps = old_versions(policy);
    steps.push(Step::DeletePolicy {
        arn: policy.arn.clone(),
    });
    steps
}

/// IAM deletes neither a user that has keys or policies, nor a policy that is attached or has old versions.
fn identity_removal(want: &Desired, have: &Observed) -> Vec<Step> {
    let mut steps = Vec::new();
    let Some(user) = want.identity.user() else {
        return steps;
    };
    match &have.user {
        // Somebody else's user: what bears its name may be in use by it.
        Some(found) if !is_ours(want, found) => return steps,
        Some(found) => {
            steps.extend(deleted_keys(user, &found.keys, None));
            if found.inline.is_some() {
                steps.push(Step::DeleteUserPolicy {
                    user: user.clone(),
                    policy: POLICY_NAME.to_owned(),
                });
            }
            steps.extend(foreign_rights(user, found, None));
            steps.push(Step::DeleteUser { user: user.clone() });
        }
        None => {}
    }
    steps.extend(have.managed_policy.iter().flat_map(managed_policy_removal));
    steps
}

fn bucket_removal(want: &Desired, have: &BucketState, policy: DeletionPolicy) -> Vec<Step> {
    let bucket = want.bucket.name.clone();
    let own_folder = || Step::EmptyBucket {
        bucket: want.bucket.name.clone(),
        prefix: want.bucket.prefix.clone(),
    };
    let is_whole = want.bucket.prefix.is_whole_bucket();
    match (bucket_standing(want, have), policy) {
        (Ok(Standing::Ours { .. }), _) if !want.shares_with.is_empty() => {
            let mut steps = Vec::new();
            if policy == DeletionPolicy::Delete && !is_whole {
                steps.push(own_folder());
            }
            steps.extend(heir(want).map(|heir| Step::TagBucket {
                bucket,
                tags: heir.tags(),
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

#[cfg(test)]
mod tests;
