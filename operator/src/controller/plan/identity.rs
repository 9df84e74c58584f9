//! The part of the plan that is about the IAM user, its policy and its keys.

use super::{Blocked, BlockedReason, Subject, holds};
use crate::aws::{
    Desired, DesiredIdentity, KeyState, ManagedPolicyState, Observed, PolicyKind, Step, UserName,
    UserState,
    policy::{POLICY_NAME, policy_document},
};

fn is_ours(want: &Desired, user: &UserState) -> bool {
    user.path == want.owner.iam_path() && want.owner.is_named_by(&user.tags)
}

pub(super) fn steps(want: &Desired, have: &Observed) -> Result<Vec<Step>, Blocked> {
    let (user, kind, recorded_key) = match &want.identity {
        DesiredIdentity::Provided { .. } => return Ok(removal(want, have)),
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
pub(super) fn removal(want: &Desired, have: &Observed) -> Vec<Step> {
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
