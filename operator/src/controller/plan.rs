//! From what is wanted and what there is to the steps between.
//!
//! Pure and total: no I/O, no clock, no failure. What must not be done is not an error but part of the answer ([`Blocked`]).

use std::collections::BTreeMap;

use crate::aws::{CertificateState, Desired, Observed, Step};

mod bucket;
mod identity;
mod tags;

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
    match bucket::standing(want, &have.bucket) {
        Ok(standing) => {
            plan.steps.extend(bucket::steps(want, &standing));
            match identity::steps(want, have) {
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
    let mut steps = identity::removal(want, have);
    steps.extend(bucket::removal(want, &have.bucket, policy));
    steps
}

fn holds(have: &BTreeMap<String, String>, want: &BTreeMap<String, String>) -> bool {
    want.iter().all(|(key, value)| have.get(key) == Some(value))
}

#[cfg(test)]
mod tests;
