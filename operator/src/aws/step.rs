//! One change in AWS, as a value: it can be listed, compared, printed in an event, and carried out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use secrecy::SecretString;

use super::{
    names::{AccessKeyId, BucketName, KeyPrefix, Region, UserName},
    policy::{POLICY_NAME, PolicyDocument},
};

/// One change. Its `Display` is a sentence without a full stop, as events show it; as `&'static str` it is the name of its variant,
/// for metrics.
#[derive(Clone, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub enum Step {
    /// Create the bucket. Where the store can, the tags are put on in the same call.
    CreateBucket {
        /// Its name.
        bucket: BucketName,
        /// Where.
        region: Region,
        /// What it is tagged with.
        tags: BTreeMap<String, String>,
    },
    /// Put these tags on the bucket, take those off, and leave its others as they are.
    TagBucket {
        /// The bucket.
        bucket: BucketName,
        /// The tags to put on.
        tags: BTreeMap<String, String>,
        /// The keys of the tags to take off.
        remove: BTreeSet<String>,
    },
    /// As [`Step::TagBucket`], for a bucket that was made for us while nothing on it says so. Refused when it carries tags of
    /// another registry, or has something in it.
    ClaimBucket {
        /// The bucket.
        bucket: BucketName,
        /// The tags to put on.
        tags: BTreeMap<String, String>,
    },
    /// Create the user, with its tags.
    CreateUser {
        /// Its name.
        user: UserName,
        /// Its path.
        path: String,
        /// Its tags.
        tags: BTreeMap<String, String>,
    },
    /// Put these tags on the user.
    TagUser {
        /// The user.
        user: UserName,
        /// The tags to put on.
        tags: BTreeMap<String, String>,
    },
    /// Write the inline policy of our name.
    PutUserPolicy {
        /// The user.
        user: UserName,
        /// What it says.
        document: PolicyDocument,
    },
    /// Delete an inline policy.
    DeleteUserPolicy {
        /// The user.
        user: UserName,
        /// The name of the policy.
        policy: String,
    },
    /// Create the managed policy.
    CreatePolicy {
        /// Its name, which is the user's.
        name: UserName,
        /// Its path.
        path: String,
        /// What it says.
        document: PolicyDocument,
        /// Its tags.
        tags: BTreeMap<String, String>,
    },
    /// Give the managed policy a new version and make that the default.
    CreatePolicyVersion {
        /// The policy.
        arn: String,
        /// What it is to say.
        document: PolicyDocument,
    },
    /// Delete a version of the managed policy.
    DeletePolicyVersion {
        /// The policy.
        arn: String,
        /// The id of the version.
        version: String,
    },
    /// Attach the managed policy to the user.
    AttachPolicy {
        /// The user.
        user: UserName,
        /// The policy.
        arn: String,
    },
    /// Detach a managed policy from the user.
    DetachPolicy {
        /// The user.
        user: UserName,
        /// The policy.
        arn: String,
    },
    /// Delete the managed policy, which has no version left but its default.
    DeletePolicy {
        /// The policy.
        arn: String,
    },
    /// Create an access key. The only step that yields something.
    CreateAccessKey {
        /// The user.
        user: UserName,
    },
    /// Delete an access key.
    DeleteAccessKey {
        /// The user.
        user: UserName,
        /// The key.
        id: AccessKeyId,
    },
    /// Delete the user, which has no key and no policy left.
    DeleteUser {
        /// The user.
        user: UserName,
    },
    /// Delete objects, versions, delete markers and unfinished uploads: a bounded number at a time.
    EmptyBucket {
        /// The bucket.
        bucket: BucketName,
        /// Only what is below it.
        prefix: KeyPrefix,
    },
    /// Delete the bucket.
    DeleteBucket {
        /// The bucket.
        bucket: BucketName,
        /// What to do when something is still in it.
        leftovers: Leftovers,
    },
}

/// What to do when a bucket that is to be deleted is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftovers {
    /// Somebody still writes into it: fail, and try again later.
    Fail,
    /// They lie outside our prefix, so they are not ours: leave the bucket, and be done.
    Keep,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateBucket { bucket, region, .. } => {
                write!(f, "create bucket {bucket} in {region}")
            }
            Self::TagBucket { bucket, .. } => write!(f, "tag bucket {bucket}"),
            Self::ClaimBucket { bucket, .. } => write!(
                f,
                "claim bucket {bucket}, which was created for this registry"
            ),
            Self::CreateUser { user, path, .. } => write!(f, "create IAM user {path}{user}"),
            Self::TagUser { user, .. } => write!(f, "tag IAM user {user}"),
            Self::PutUserPolicy { user, .. } => {
                write!(f, "write policy {POLICY_NAME} of IAM user {user}")
            }
            Self::DeleteUserPolicy { user, policy } => {
                write!(f, "delete policy {policy} of IAM user {user}")
            }
            Self::CreatePolicy { name, path, .. } => write!(f, "create IAM policy {path}{name}"),
            Self::CreatePolicyVersion { arn, .. } => {
                write!(f, "write a new version of IAM policy {arn}")
            }
            Self::DeletePolicyVersion { arn, version } => {
                write!(f, "delete version {version} of IAM policy {arn}")
            }
            Self::AttachPolicy { user, arn } => write!(f, "attach IAM policy {arn} to user {user}"),
            Self::DetachPolicy { user, arn } => {
                write!(f, "detach IAM policy {arn} from user {user}")
            }
            Self::DeletePolicy { arn } => write!(f, "delete IAM policy {arn}"),
            Self::CreateAccessKey { user } => write!(f, "create an access key of IAM user {user}"),
            Self::DeleteAccessKey { user, id } => {
                write!(f, "delete access key {id} of IAM user {user}")
            }
            Self::DeleteUser { user } => write!(f, "delete IAM user {user}"),
            Self::EmptyBucket { bucket, prefix } if prefix.is_whole_bucket() => {
                write!(f, "empty bucket {bucket}")
            }
            Self::EmptyBucket { bucket, prefix } => {
                write!(f, "delete everything below {prefix}/ in bucket {bucket}")
            }
            Self::DeleteBucket {
                bucket,
                leftovers: Leftovers::Fail,
            } => write!(f, "delete bucket {bucket}"),
            Self::DeleteBucket {
                bucket,
                leftovers: Leftovers::Keep,
            } => write!(f, "delete bucket {bucket} if it is empty"),
        }
    }
}

/// What came of a step.
#[derive(Debug)]
pub enum StepOutcome {
    /// It is done.
    Done,
    /// It is done, and this is the new key. Nobody can ask for the secret again.
    KeyCreated(NewAccessKey),
    /// A part of it is done ([`Step::EmptyBucket`]); carry it out again.
    MoreToDo {
        /// How far it is: "1000 objects deleted".
        progress: String,
    },
}

/// A new access key.
#[derive(Clone, Debug)]
pub struct NewAccessKey {
    /// Its id, which is not secret.
    pub id: AccessKeyId,
    /// Its secret.
    pub secret: SecretString,
}
