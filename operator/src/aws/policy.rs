//! The IAM policy of a registry's identity: what the registry server does, and nothing else.

use std::fmt;

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::names::{BucketName, KeyPrefix, Region};

/// Name of the inline policy.
pub const POLICY_NAME: &str = "moorage-registry-storage";

/// What the registry server does with the bucket itself.
pub const BUCKET_ACTIONS: [&str; 3] = [
    "s3:ListBucket",
    "s3:GetBucketLocation",
    "s3:ListBucketMultipartUploads",
];

/// What the registry server does with the objects in it.
pub const OBJECT_ACTIONS: [&str; 5] = [
    "s3:PutObject",
    "s3:GetObject",
    "s3:DeleteObject",
    "s3:ListMultipartUploadParts",
    "s3:AbortMultipartUpload",
];

/// A policy document. Two are equal when they say the same JSON, whatever the spaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyDocument(Value);

impl PolicyDocument {
    /// A document that is there and was not looked at.
    #[must_use]
    pub fn unread() -> Self {
        Self(Value::Null)
    }

    /// From JSON, percent-encoded as IAM answers or not. A text that is not JSON becomes a document that equals none of ours, and so is replaced.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let decoded = percent_decode_str(text).decode_utf8_lossy();
        let parsed = serde_json::from_str(text).or_else(|_| serde_json::from_str(&decoded));
        Self(parsed.unwrap_or_else(|_| Value::String(text.to_owned())))
    }
}

impl fmt::Display for PolicyDocument {
    /// The JSON, in one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The eight actions that distribution's S3 driver needs (its documentation, "S3 storage driver", "S3 permission scopes").
///
/// With a prefix, objects are limited to it. Listing is not: a condition on `s3:prefix` would also refuse `HeadBucket`, which sends
/// none. So registries that share a bucket can see each other's keys, and cannot read, write or delete what is behind them.
#[must_use]
pub fn policy_document(region: &Region, bucket: &BucketName, prefix: &KeyPrefix) -> PolicyDocument {
    let bucket_arn = format!("arn:{}:s3:::{bucket}", region.partition());
    let objects_arn = format!("{bucket_arn}/{}*", prefix.key_start());
    PolicyDocument(json!({
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": "Bucket", "Effect": "Allow", "Action": BUCKET_ACTIONS, "Resource": bucket_arn},
            {"Sid": "Objects", "Effect": "Allow", "Action": OBJECT_ACTIONS, "Resource": objects_arn},
        ]
    }))
}
