//! What there is in AWS of one registry, at one moment.
//!
//! Facts only; whether an object is ours, and what follows from that, is decided in [`crate::controller::plan`].

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    names::{AccessKeyId, AccountId, Region},
    policy::PolicyDocument,
};

/// The answer of [`super::Cloud::observe`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The account of the operator's credentials. `None` when nothing in AWS proper was asked about.
    pub account: Option<AccountId>,
    /// The bucket.
    pub bucket: BucketState,
    /// The IAM user; `None` when there is none, or none is asked for.
    pub user: Option<UserState>,
    /// The managed policy of our name and path. It can be there without the user, after a crash.
    pub managed_policy: Option<ManagedPolicyState>,
    /// The certificate.
    pub certificate: CertificateState,
}

/// The bucket, as far as it can be seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BucketState {
    /// No bucket of this name, in any account.
    Absent,
    /// It is there, and in our account.
    Present {
        /// Where it is.
        region: Region,
        /// All its tags. Empty, and not asked for, when it is in another region than wanted.
        tags: BTreeMap<String, String>,
        /// When it was created. Asked for only where it decides something: a bucket without tags of ours that is not to be adopted.
        created: Option<Timestamp>,
    },
    /// It is there, and not in our account.
    Forbidden,
}

/// An IAM user. Of one at a path that is not ours only `arn`, `path` and `tags` are looked at; the rest is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserState {
    /// Its ARN.
    pub arn: String,
    /// Its path, with a slash at both ends.
    pub path: String,
    /// All its tags.
    pub tags: BTreeMap<String, String>,
    /// The inline policy of our name, [`super::policy::POLICY_NAME`]; [`PolicyDocument::unread`] when a managed one is wanted.
    pub inline: Option<PolicyDocument>,
    /// Names of the other inline policies.
    pub other_inline: Vec<String>,
    /// ARNs of the managed policies attached to it.
    pub attached: Vec<String>,
    /// Its access keys; AWS allows two.
    pub keys: Vec<KeyState>,
}

/// An access key, without its secret, which AWS never shows again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// Its id.
    pub id: AccessKeyId,
    /// Whether AWS accepts it.
    pub active: bool,
    /// When it was created.
    pub created: Timestamp,
}

/// The managed policy of a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedPolicyState {
    /// Its ARN.
    pub arn: String,
    /// What its default version says. `None` when it was not asked for because an inline policy is wanted.
    pub document: Option<PolicyDocument>,
    /// Ids of the versions that are not the default. AWS allows five in all.
    pub other_versions: Vec<String>,
}

/// The certificate that the spec names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateState {
    /// The spec names none.
    NotAsked,
    /// It is there.
    Found {
        /// The main name it is for. IAM does not say.
        domain: Option<String>,
        /// When it ends. A certificate that has not been issued yet has no end.
        not_after: Option<Timestamp>,
    },
    /// There is no such certificate, or not in our account.
    NotFound,
}
