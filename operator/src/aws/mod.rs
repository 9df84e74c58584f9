//! AWS, as far as one registry needs it: look at what there is ([`Cloud::observe`]), change one thing ([`Cloud::carry_out`]).
//!
//! What to change is decided elsewhere ([`crate::controller::plan`]), from values of this module and without I/O. Nothing here
//! knows Kubernetes, keeps a record of what it made, or repeats a failed step: every object is found again by its name, path and
//! tags, and the caller decides when to try again.

use std::fmt::Debug;

use async_trait::async_trait;

mod access_key;
mod certificates;
mod clients;
pub mod desired;
mod empty;
pub mod error;
mod iam;
pub mod names;
pub mod observed;
mod policies;
pub mod policy;
mod s3;
pub mod step;

#[cfg(test)]
mod conformance;
#[cfg(test)]
pub mod fake;
#[cfg(test)]
mod moto;

pub use self::{
    clients::Aws,
    desired::{
        Desired, DesiredBucket, DesiredIdentity, Existing, Owner, PolicyKind, StaticCredentials,
        StoreAccess,
    },
    error::{Error, Kind},
    names::{
        AccessKeyId, AccountId, BucketName, CertificateArn, ClusterId, InvalidValue, KeyPrefix,
        Region, UserName,
    },
    observed::{BucketState, CertificateState, KeyState, ManagedPolicyState, Observed, UserState},
    policy::{PolicyDocument, policy_document},
    step::{NewAccessKey, Step, StepOutcome},
};

/// The most reads one [`Cloud::observe`] makes, whatever it finds. AWS limits IAM calls for the account as a whole, and every
/// registry is looked at again and again.
pub const MOST_READS: usize = 10;

/// What the controller needs of AWS.
///
/// Both the real one and the one in memory pass the same list of cases (`conformance`).
#[async_trait]
pub trait Cloud: Debug + Send + Sync {
    /// Looks at everything that `desired` names. Changes nothing, and makes at most [`MOST_READS`] reads.
    ///
    /// What is missing is not an error but a state, and so is a bucket that belongs to somebody else.
    ///
    /// # Errors
    /// When AWS could not be asked: [`Kind::NoCredentials`], [`Kind::Denied`], [`Kind::Throttled`], [`Kind::Unavailable`].
    async fn observe(&self, desired: &Desired) -> Result<Observed, Error>;

    /// Carries out one step. Repeating one that is done already succeeds, but for those that create something: they answer
    /// [`Kind::Conflict`], because what is there now may be somebody else's, and [`Step::CreateAccessKey`] makes another key.
    ///
    /// Not cancel-safe: a call that is under way when the future is dropped may still take effect. The next
    /// [`observe`](Cloud::observe) shows whether it did.
    ///
    /// # Errors
    /// See [`Kind`]; the object is then as it was before, or (after [`Kind::Unavailable`]) as the step would have left it.
    async fn carry_out(&self, desired: &Desired, step: &Step) -> Result<StepOutcome, Error>;
}

#[async_trait]
impl Cloud for Aws {
    async fn observe(&self, desired: &Desired) -> Result<Observed, Error> {
        let found = match desired.identity.user() {
            Some(user) => self.find_user(desired, user).await?,
            None => None,
        };
        let account = match &found {
            Some(found) => Some(found.account.clone()),
            None if desired.bucket.store.is_aws() => {
                Some(self.account(&desired.bucket.region).await?)
            }
            None => None,
        };
        let bucket = self.observe_bucket(desired, account.as_ref()).await?;
        let mut observed = Observed {
            bucket,
            user: None,
            managed_policy: None,
            certificate: self.observe_certificate(desired).await?,
            account,
        };
        if let Some(user) = desired.identity.user() {
            if let Some(found) = found {
                observed.user = self.observe_user(desired, user, found).await?;
            }
            if let Some(account) = &observed.account {
                observed.managed_policy = self
                    .observe_managed_policy(desired, desired.policy_arn(account, user))
                    .await?;
            }
        }
        Ok(observed)
    }

    async fn carry_out(&self, desired: &Desired, step: &Step) -> Result<StepOutcome, Error> {
        let bucket = &desired.bucket;
        match step {
            Step::CreateBucket { tags, .. } => self.create_bucket(bucket, tags).await,
            Step::TagBucket { tags, remove, .. } => self.tag_bucket(bucket, tags, remove).await,
            Step::ClaimBucket { tags, .. } => self.claim_bucket(bucket, tags).await,
            Step::EmptyBucket { prefix, .. } => self.empty_bucket(bucket, prefix).await,
            Step::DeleteBucket { leftovers, .. } => self.delete_bucket(bucket, *leftovers).await,
            Step::CreateUser { user, path, tags } => {
                self.create_user(desired, user, path, tags).await
            }
            Step::TagUser { user, tags } => self.tag_user(desired, user, tags).await,
            Step::PutUserPolicy { user, document } => {
                self.put_user_policy(desired, user, document).await
            }
            Step::DeleteUserPolicy { user, policy } => {
                self.delete_user_policy(desired, user, policy).await
            }
            Step::CreatePolicy {
                name,
                path,
                document,
                tags,
            } => {
                self.create_policy(desired, name, path, document, tags)
                    .await
            }
            Step::CreatePolicyVersion { arn, document } => {
                self.create_policy_version(desired, arn, document).await
            }
            Step::DeletePolicyVersion { arn, version } => {
                self.delete_policy_version(desired, arn, version).await
            }
            Step::AttachPolicy { user, arn } => self.attach_policy(desired, user, arn).await,
            Step::DetachPolicy { user, arn } => self.detach_policy(desired, user, arn).await,
            Step::DeletePolicy { arn } => self.delete_policy(desired, arn).await,
            Step::CreateAccessKey { user } => self.create_access_key(desired, user).await,
            Step::DeleteAccessKey { user, id } => self.delete_access_key(desired, user, id).await,
            Step::DeleteUser { user } => self.delete_user(desired, user).await,
        }
    }
}
