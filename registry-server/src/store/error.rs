//! What can go wrong with a store, told apart by what the caller has to do about it.
//!
//! An [`Error`] keeps the source as the store gave it, for the log. Nothing here decides what a client is answered.

use std::{error::Error as StdError, fmt, time::Duration};

/// A result whose error is the store's.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation on a store that failed.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    operation: &'static str,
    object: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What a caller decides by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// No such object, or no such multipart upload. Often not a failure but the answer.
    NotFound,
    /// The condition of a write did not hold: somebody else was there first. Nothing has been written.
    PreconditionFailed,
    /// The range begins at or after the end of the object, or is empty.
    InvalidRange,
    /// The parts a multipart upload was to be completed with are not those that were uploaded. The upload is still open.
    InvalidParts,
    /// The store refuses the credentials, or they do not allow the action. A person must change something; trying again does not help.
    Denied {
        /// What was not allowed: an IAM action as `s3:GetObject`, or `read` or `write` for files.
        action: &'static str,
    },
    /// The store asks to be asked less often. Trying again later helps.
    Throttled {
        /// How long to wait, where the store says it.
        retry_after: Option<Duration>,
    },
    /// No answer in time. A write may or may not have taken effect.
    Timeout,
    /// No space is left, or a quota is used up.
    Full,
    /// The store cannot be reached, broke off, or has an error of its own. A write may or may not have taken effect.
    Unavailable,
    /// The store is not what the configuration says: no such bucket, another region, not a folder. A person must change something.
    Misconfigured,
    /// Anything else: a request the store does not understand, an answer we do not. Trying again does not help.
    Other,
}

impl Error {
    /// A failure of `operation` ("read", "list", …: a verb for "failed to …") on `object` (a key, a prefix, a bucket).
    #[must_use]
    pub fn new(kind: Kind, operation: &'static str, object: impl Into<String>) -> Self {
        Self {
            kind,
            operation,
            object: object.into(),
            source: None,
        }
    }

    /// Adds what caused it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What to decide by.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// What was being done, as a verb: "read", "list", ….
    #[must_use]
    pub fn operation(&self) -> &'static str {
        self.operation
    }

    /// What it was being done to: a key, a prefix or a bucket.
    #[must_use]
    pub fn object(&self) -> &str {
        &self.object
    }

    /// Whether there is no such object or upload.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind == Kind::NotFound
    }

    /// Whether the condition of a write did not hold.
    #[must_use]
    pub fn is_precondition_failed(&self) -> bool {
        self.kind == Kind::PreconditionFailed
    }

    /// Whether the same call may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self.kind {
            Kind::Throttled { .. } | Kind::Timeout | Kind::Unavailable | Kind::Full => true,
            Kind::NotFound
            | Kind::PreconditionFailed
            | Kind::InvalidRange
            | Kind::InvalidParts
            | Kind::Denied { .. }
            | Kind::Misconfigured
            | Kind::Other => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to {} {:?}", self.operation, self.object)?;
        match &self.kind {
            Kind::NotFound => f.write_str(": there is no such object"),
            Kind::PreconditionFailed => f.write_str(": it has been changed by somebody else"),
            Kind::InvalidRange => f.write_str(": the range is empty or outside the object"),
            Kind::InvalidParts => f.write_str(": the parts are not those that were uploaded"),
            Kind::Denied { action } => write!(f, ": the store does not allow {action}"),
            Kind::Throttled { retry_after: None } => {
                f.write_str(": the store asks for fewer requests")
            }
            Kind::Throttled {
                retry_after: Some(after),
            } => {
                write!(
                    f,
                    ": the store asks for fewer requests and to wait {} s",
                    after.as_secs()
                )
            }
            Kind::Timeout => f.write_str(": no answer in time"),
            Kind::Full => f.write_str(": no space is left"),
            Kind::Unavailable => f.write_str(": the store is not available"),
            Kind::Misconfigured => f.write_str(": the store is not what the configuration says"),
            Kind::Other => Ok(()),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_the_operation_the_object_and_what_is_missing() {
        let error = Error::new(
            Kind::Denied {
                action: "s3:PutObject",
            },
            "write",
            "a/b",
        );
        assert_eq!(
            error.to_string(),
            r#"failed to write "a/b": the store does not allow s3:PutObject"#
        );
    }

    #[test]
    fn the_source_is_kept() {
        let error = Error::new(Kind::Other, "read", "a")
            .because(std::io::Error::other("the disk is on fire"));
        assert_eq!(
            error.source().expect("a source").to_string(),
            "the disk is on fire"
        );
    }

    #[test]
    fn what_a_person_must_change_is_not_transient() {
        assert!(!Error::new(Kind::Misconfigured, "reach", "bucket").is_transient());
        assert!(Error::new(Kind::Throttled { retry_after: None }, "read", "a").is_transient());
    }
}
