//! AWS, as far as one registry needs it: look at what there is ([`Cloud::observe`]), change one thing ([`Cloud::carry_out`]).
//!
//! What to change is decided elsewhere ([`crate::controller::plan`]), from values of this module and without I/O. Nothing here
//! knows Kubernetes, keeps a record of what it made, or repeats a failed step: every object is found again by its name, path and
//! tags, and the caller decides when to try again.

use std::fmt::Debug;

use async_trait::async_trait;

pub mod desired;
pub mod error;
pub mod names;
pub mod observed;
pub mod policy;
pub mod step;

pub use self::{
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

    /// Carries out one step. Repeating a step that is done already succeeds, except for [`Step::CreateAccessKey`], which makes
    /// another key.
    ///
    /// Not cancel-safe: a call that is under way when the future is dropped may still take effect. The next
    /// [`observe`](Cloud::observe) shows whether it did.
    ///
    /// # Errors
    /// See [`Kind`]; the object is then as it was before, or (after [`Kind::Unavailable`]) as the step would have left it.
    async fn carry_out(&self, desired: &Desired, step: &Step) -> Result<StepOutcome, Error>;
}
