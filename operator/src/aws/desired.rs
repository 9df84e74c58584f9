//! What one registry wants of AWS.
//!
//! Made by the controller's `validate` only, so that whoever holds a [`Desired`] holds names that have been checked. What is
//! there already is [`super::observed`]; how to get from one to the other is [`crate::controller::plan`].

use std::collections::BTreeMap;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::names::{
    AccessKeyId, AccountId, BucketName, CertificateArn, ClusterId, KeyPrefix, Region, UserName,
};

/// Tag with the [`ClusterId`] of the owner.
pub const TAG_CLUSTER: &str = "moorage.dev/cluster";
/// Tag with the namespace of the owner.
pub const TAG_NAMESPACE: &str = "moorage.dev/namespace";
/// Tag with the name of the owner.
pub const TAG_NAME: &str = "moorage.dev/name";
/// Tag with the uid of the owner. It changes when a registry is deleted and applied again.
pub const TAG_UID: &str = "moorage.dev/uid";
/// Tag of a bucket that tells which of its other tags come from the spec: 6 hexadecimal digits of the SHA-256 of each key, one after
/// the other. 40 keys are 240 of the 256 characters that a value may have (S3 user guide, "Using cost allocation S3 bucket tags").
pub const TAG_SPEC_TAGS: &str = "moorage.dev/spec-tags";

/// The `ContainerRegistry` that an AWS object belongs to. Its four parts are the ownership tags of the object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner {
    /// The cluster that the registry is declared in.
    pub cluster: ClusterId,
    /// Namespace of the `ContainerRegistry`.
    pub namespace: String,
    /// Name of the `ContainerRegistry`.
    pub name: String,
    /// Uid of the `ContainerRegistry`.
    pub uid: String,
}

impl Owner {
    /// The ownership tags.
    #[must_use]
    pub fn tags(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (TAG_CLUSTER.to_owned(), self.cluster.to_string()),
            (TAG_NAMESPACE.to_owned(), self.namespace.clone()),
            (TAG_NAME.to_owned(), self.name.clone()),
            (TAG_UID.to_owned(), self.uid.clone()),
        ])
    }

    /// Whether these tags name this registry, the uid apart: a registry that was deleted and applied again finds what it retained.
    #[must_use]
    pub fn is_named_by(&self, tags: &BTreeMap<String, String>) -> bool {
        let tag = |key: &str| tags.get(key).map(String::as_str);
        tag(TAG_CLUSTER) == Some(self.cluster.as_str())
            && tag(TAG_NAMESPACE) == Some(&self.namespace)
            && tag(TAG_NAME) == Some(&self.name)
    }

    /// The IAM path of everything that this operator makes: `/moorage/<cluster>/`.
    #[must_use]
    pub fn iam_path(&self) -> String {
        format!("/moorage/{}/", self.cluster)
    }

    /// A name that is the same each time and that no other registry in the account has: readable parts, cut to fit, and 10
    /// digits of a hash of all of them. Lower-case, because IAM takes names that differ only in case for the same.
    ///
    /// `longest` is the limit of the kind of object, at least 32.
    #[must_use]
    pub fn derived_name(&self, longest: usize) -> String {
        let whole = format!("{}/{}/{}", self.cluster, self.namespace, self.name);
        let hash = hex::encode(Sha256::digest(whole.as_bytes()));
        let hash = hash.get(..10).unwrap_or_default();
        let readable: String = format!("{}-{}", self.namespace, self.name)
            .to_ascii_lowercase()
            .chars()
            .map(|c| {
                if c.is_ascii_lowercase() || c.is_ascii_digit() {
                    c
                } else {
                    '-'
                }
            })
            .take(longest.saturating_sub("moorage--".len() + hash.len()))
            .collect();
        format!("moorage-{}-{hash}", readable.trim_matches('-'))
    }

    /// The IAM user of this registry.
    ///
    /// It begins with `moorage-`, so that a policy can name users that do not exist yet: IAM checks a call about such a user
    /// against an ARN without the path.
    ///
    /// # Panics
    /// Never: a derived name of 64 characters is a user name.
    #[must_use]
    pub fn user_name(&self) -> UserName {
        #[expect(
            clippy::expect_used,
            reason = "the characters of a derived name are a subset of those of a user name"
        )]
        self.derived_name(64)
            .parse()
            .expect("a derived name is a user name")
    }

    /// The bucket of this registry when the spec names none.
    ///
    /// # Panics
    /// Never: a derived name of 63 characters is a bucket name.
    #[must_use]
    pub fn bucket_name(&self) -> BucketName {
        #[expect(
            clippy::expect_used,
            reason = "the characters of a derived name are a subset of those of a bucket name"
        )]
        self.derived_name(63)
            .parse()
            .expect("a derived name is a bucket name")
    }
}

/// Everything in AWS that one registry wants.
#[derive(Clone, Debug)]
pub struct Desired {
    /// The registry.
    pub owner: Owner,
    /// When the `ContainerRegistry` was created. A bucket that is older was not made for it.
    pub registry_created: Timestamp,
    /// The bucket.
    pub bucket: DesiredBucket,
    /// Other registries of this cluster that name the same bucket, with prefixes that do not overlap ours.
    pub shares_with: Vec<Owner>,
    /// The identity that the registry's pods use.
    pub identity: DesiredIdentity,
    /// The certificate that the spec names, which must exist.
    pub certificate: Option<CertificateArn>,
}

impl Desired {
    /// The ARN that the managed policy of the user has, or will have once it is created.
    #[must_use]
    pub fn policy_arn(&self, account: &AccountId, user: &UserName) -> String {
        format!(
            "arn:{}:iam::{account}:policy{}{user}",
            self.bucket.region.partition(),
            self.owner.iam_path()
        )
    }

    /// A text that changes whenever anything that is wanted changes, the secrets included; it shows nothing of them.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(format!("{self:?}"));
        if let StoreAccess::Compatible { credentials, .. } = &self.bucket.store {
            hash.update(credentials.secret_access_key.expose_secret());
            hash.update(
                credentials
                    .session_token
                    .as_ref()
                    .map_or("", |token| token.expose_secret()),
            );
        }
        hex::encode(hash.finalize())
    }
}

/// The bucket that a registry wants.
#[derive(Clone, Debug)]
pub struct DesiredBucket {
    /// Its name.
    pub name: BucketName,
    /// Where it is to be.
    pub region: Region,
    /// The folder in it that the registry keeps to.
    pub prefix: KeyPrefix,
    /// What to do when it is there already, without our tags.
    pub existing: Existing,
    /// Tags that the spec asks for, beside those of ownership, at most 40. Kept in sync, those that leave the spec included; tags of
    /// others are left alone. Not written to an adopted bucket.
    pub tags: BTreeMap<String, String>,
    /// Which store it is in, and how to get at it.
    pub store: StoreAccess,
}

/// What to do with a bucket of our account that carries no tags of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Existing {
    /// Leave it and say so.
    Refuse,
    /// Use it. It is never tagged, emptied or deleted.
    Adopt,
}

/// Which store holds the bucket.
#[derive(Clone, Debug)]
pub enum StoreAccess {
    /// Amazon S3, with the operator's own credentials.
    Aws,
    /// An S3-compatible store, with the credentials of the registry.
    Compatible {
        /// Where it answers: `https://minio.example.com`.
        endpoint: String,
        /// Whether the bucket is in the path of the URL and not in the host name.
        force_path_style: bool,
        /// The keys from the Secret that the spec names.
        credentials: StaticCredentials,
    },
}

impl StoreAccess {
    /// Whether this is Amazon S3.
    #[must_use]
    pub fn is_aws(&self) -> bool {
        matches!(self, Self::Aws)
    }
}

/// Keys that do not change by themselves.
#[derive(Clone, Debug)]
pub struct StaticCredentials {
    /// Not secret.
    pub access_key_id: String,
    /// Secret.
    pub secret_access_key: SecretString,
    /// Secret; only with temporary keys.
    pub session_token: Option<SecretString>,
}

/// How the registry's pods prove to S3 who they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DesiredIdentity {
    /// An IAM user made for this registry alone, with one access key.
    IamUser {
        /// Its name, the same each time: [`Owner::user_name`]. Its path is [`Owner::iam_path`].
        user: UserName,
        /// Where its policy is.
        policy: PolicyKind,
        /// The access key that the registry's Secret holds. Every other key of the user is a leftover.
        recorded_key: Option<AccessKeyId>,
    },
    /// Keys that somebody else provides. Nothing is made in IAM.
    Provided {
        /// The user that this registry had before, when it had one: it is removed.
        former_user: Option<UserName>,
    },
}

impl DesiredIdentity {
    /// The user that is looked at: the one that is wanted, or the one that is to go.
    #[must_use]
    pub fn user(&self) -> Option<&UserName> {
        match self {
            Self::IamUser { user, .. } => Some(user),
            Self::Provided { former_user } => former_user.as_ref(),
        }
    }
}

/// Where the policy of the user is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicyKind {
    /// In the user itself.
    Inline,
    /// A policy of its own, attached to the user: for accounts whose rules forbid inline policies.
    Managed,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn derived_names_are_names_whatever_they_are_derived_from(namespace in ".*", name in ".*", cluster in "[a-z0-9]{1,63}") {
            let owner = Owner { cluster: cluster.parse().unwrap(), namespace, name, uid: String::new() };
            prop_assert!(owner.user_name().as_str().starts_with("moorage-"));
            prop_assert!(owner.bucket_name().as_str().len() <= 63);
        }
    }

    /// `a` in `b-c` and `a-b` in `c` read the same; the hash tells them apart. So does it where the readable part is cut.
    #[test]
    fn different_registries_have_different_names() {
        let owner = |cluster: &str, namespace: &str, name: &str| Owner {
            cluster: cluster.parse().unwrap(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: "any".to_owned(),
        };
        let long = "x".repeat(63);
        let names: std::collections::BTreeSet<_> = [
            owner("blue", "a", "b-c"),
            owner("blue", "a-b", "c"),
            owner("green", "a", "b-c"),
            owner("blue", &long, "y"),
            owner("blue", &long, "z"),
        ]
        .iter()
        .map(|owner| owner.user_name().to_string())
        .collect();
        assert_eq!(names.len(), 5, "{names:?}");
    }
}
