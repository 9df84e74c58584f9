//! The table of the error codes of AWS, and what each means. Nothing here knows the SDK.

/// The meaning of an error code, without what goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Denied,
    BadCredentials,
    Throttled,
    Conflict,
    OwnedElsewhere,
    LimitExceeded,
    NotFound,
    Unavailable,
    Invalid,
}

impl Meaning {
    /// S3, IAM, ACM and STS in one table: their codes do not contradict each other. What has no known code (a HEAD, a proxy in
    /// between) is told by its HTTP status.
    pub(super) fn of(code: &str, status: u16) -> Self {
        match code {
            "AccessDenied"
            | "AccessDeniedException"
            | "UnauthorizedOperation"
            | "AllAccessDisabled" => Self::Denied,
            "InvalidAccessKeyId"
            | "InvalidClientTokenId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidToken"
            | "UnrecognizedClientException"
            | "MissingAuthenticationToken"
            | "AuthFailure"
            | "IncompleteSignature" => Self::BadCredentials,
            "Throttling"
            | "ThrottlingException"
            | "TooManyRequestsException"
            | "RequestLimitExceeded"
            | "SlowDown"
            | "PriorRequestNotComplete" => Self::Throttled,
            "OperationAborted"
            | "ConcurrentModification"
            | "DeleteConflict"
            | "EntityTemporarilyUnmodifiable"
            | "BucketNotEmpty"
            | "BucketAlreadyOwnedByYou"
            | "EntityAlreadyExists" => Self::Conflict,
            "BucketAlreadyExists" => Self::OwnedElsewhere,
            "LimitExceeded"
            | "LimitExceededException"
            | "TooManyBuckets"
            | "ServiceQuotaExceededException" => Self::LimitExceeded,
            "NoSuchEntity"
            | "NoSuchBucket"
            | "NoSuchTagSet"
            | "NotFound"
            | "ResourceNotFoundException"
            | "NoSuchUpload" => Self::NotFound,
            // S3 answers these with 403, and no policy would help.
            "RequestTimeTooSkewed" | "OptInRequired" | "NotSignedUp" | "AccountProblem" => {
                Self::Invalid
            }
            // S3 answers this with 400.
            "RequestTimeout" => Self::Unavailable,
            _ => Self::of_status(status),
        }
    }

    fn of_status(status: u16) -> Self {
        match status {
            403 => Self::Denied,
            404 => Self::NotFound,
            429 => Self::Throttled,
            // 501: the store does not know the operation, and will not learn it by being asked again.
            500 | 502.. => Self::Unavailable,
            _ => Self::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("AccessDenied", 403, Meaning::Denied)]
    #[case("", 403, Meaning::Denied)]
    #[case("SignatureDoesNotMatch", 403, Meaning::BadCredentials)]
    #[case("RequestTimeTooSkewed", 403, Meaning::Invalid)]
    #[case("OptInRequired", 403, Meaning::Invalid)]
    #[case("RequestTimeout", 400, Meaning::Unavailable)]
    #[case("SlowDown", 503, Meaning::Throttled)]
    #[case("Throttling", 400, Meaning::Throttled)]
    #[case("OperationAborted", 409, Meaning::Conflict)]
    #[case("BucketAlreadyExists", 409, Meaning::OwnedElsewhere)]
    #[case("InternalError", 500, Meaning::Unavailable)]
    #[case("", 502, Meaning::Unavailable)]
    #[case("NotImplemented", 501, Meaning::Invalid)]
    fn an_answer_means_what_its_code_says_or_else_its_status(
        #[case] code: &str,
        #[case] status: u16,
        #[case] meaning: Meaning,
    ) {
        assert_eq!(Meaning::of(code, status), meaning);
    }
}
