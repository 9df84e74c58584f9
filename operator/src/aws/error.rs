//! What can go wrong with AWS, and what each means for the one who has to act.
//!
//! The one place where answers of the SDK become errors of ours. Messages are the same each time (no request ids): they end in
//! conditions, and a condition that changes wakes the controller again. The whole chain is for the log.

use std::time::Duration;

use snafu::Snafu;

/// An operation on AWS that failed.
#[derive(Debug, Snafu)]
#[snafu(display("failed to carry out {action} on {resource}: {kind}"))]
pub struct Error {
    /// The IAM action: `s3:CreateBucket`.
    pub action: &'static str,
    /// The ARN, or as much of it as is known.
    pub resource: String,
    /// What it means.
    pub kind: Kind,
    /// What the SDK said, with all its causes, on one line: for the log. Holds request ids, so not for a condition.
    pub detail: String,
}

/// What a failure means.
#[derive(Clone, Debug, PartialEq, Eq, Snafu)]
pub enum Kind {
    /// The credentials are good and may not do this.
    #[snafu(display("permission denied; this policy statement would allow it: {statement}"))]
    Denied {
        /// The action that was denied, as it is written in a policy.
        action: String,
        /// The statement that would allow it.
        statement: String,
    },
    /// There are no credentials.
    #[snafu(display(
        "the operator has no AWS credentials; give it some by one of: a role for its service account (EKS Pod Identity, or the \
         annotation eks.amazonaws.com/role-arn), the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY from a Secret, or an \
         instance profile of the node"
    ))]
    NoCredentials,
    /// There are credentials, and AWS does not know them or finds them expired.
    #[snafu(display(
        "AWS does not accept the credentials ({code}): they are unknown, wrong or expired"
    ))]
    BadCredentials {
        /// The error code of AWS.
        code: String,
    },
    /// AWS asks to go slower.
    #[snafu(display("AWS asks to slow down"))]
    Throttled {
        /// How long to wait at least, when AWS says so.
        after: Option<Duration>,
    },
    /// No answer, or one that says that AWS is at fault. The change may have been made.
    #[snafu(display("AWS cannot be reached or does not answer"))]
    Unavailable,
    /// The object is not there.
    #[snafu(display("it does not exist"))]
    NotFound,
    /// Somebody else has it.
    #[snafu(display("{owner}"))]
    OwnedElsewhere {
        /// Who, as a sentence.
        owner: String,
    },
    /// A limit of the account is reached.
    #[snafu(display("a limit of the AWS account is reached: {message}"))]
    LimitExceeded {
        /// What AWS says.
        message: String,
    },
    /// Another operation on the object is under way, or something else has to go first.
    #[snafu(display("{message}"))]
    Conflict {
        /// What is in the way.
        message: String,
    },
    /// AWS finds the request wrong.
    #[snafu(display("AWS refuses the request ({code}): {message}"))]
    Invalid {
        /// The error code of AWS.
        code: String,
        /// What AWS says.
        message: String,
    },
}

impl Kind {
    /// Whether it can pass by itself, so that trying again is right.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Throttled { .. } | Self::Unavailable | Self::Conflict { .. } => true,
            Self::Denied { .. }
            | Self::NoCredentials
            | Self::BadCredentials { .. }
            | Self::NotFound
            | Self::OwnedElsewhere { .. }
            | Self::LimitExceeded { .. }
            | Self::Invalid { .. } => false,
        }
    }
}
