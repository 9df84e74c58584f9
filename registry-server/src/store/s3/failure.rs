//! The one place that reads the SDK's errors and decides what they mean.

use std::{error::Error as StdError, fmt, time::Duration};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::{
    config::http::HttpResponse, error::ProvideErrorMetadata, error::SdkError, primitives::DateTime,
};
use jiff::Timestamp;

use super::super::{ETag, Error, Kind, ObjectMeta};

/// What was asked for, as errors name it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Operation<'a> {
    pub(super) verb: &'static str,
    pub(super) object: &'a str,
    /// The IAM action that allows it.
    pub(super) action: &'static str,
    pub(super) bucket: &'a str,
}

/// What is worth telling a person of an answer.
#[derive(Debug)]
struct Detail {
    bucket: String,
    text: String,
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bucket {:?}: {}", self.bucket, self.text)
    }
}

impl StdError for Detail {}

impl Operation<'_> {
    pub(super) fn failed<E>(&self, error: &SdkError<E, HttpResponse>) -> Error
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        match error {
            SdkError::ServiceError(failure) => {
                let (meta, raw) = (failure.err().meta(), failure.raw());
                let seconds = raw
                    .headers()
                    .get("retry-after")
                    .and_then(|seconds| seconds.parse().ok());
                let status = raw.status().as_u16();
                let code = meta.code().unwrap_or("no error code");
                let text = format!(
                    "{status} {code}: {}",
                    meta.message().unwrap_or("no message")
                );
                self.error(
                    kind(
                        meta.code(),
                        status,
                        self.action,
                        seconds.map(Duration::from_secs),
                    ),
                    text,
                )
            }
            // Its own Display leaves out the cause.
            other => self.error(without_answer(other), chain(other)),
        }
    }

    /// For one of the keys of a bulk delete, which has a code but no status.
    pub(super) fn failed_with(&self, code: Option<&str>, message: Option<&str>) -> Error {
        let text = format!(
            "{}: {}",
            code.unwrap_or("no error code"),
            message.unwrap_or("no message")
        );
        self.error(kind(code, 200, self.action, None), text)
    }

    /// For an answer that S3 does not give.
    pub(super) fn unexpected(&self, what: impl Into<String>) -> Error {
        self.error(Kind::Other, what.into())
    }

    pub(super) fn meta(
        &self,
        size: Option<i64>,
        etag: Option<String>,
        modified: Option<DateTime>,
    ) -> Result<ObjectMeta, Error> {
        let size = size
            .and_then(|size| u64::try_from(size).ok())
            .ok_or_else(|| self.unexpected("the answer has no length"))?;
        let etag = etag
            .map(ETag::new)
            .ok_or_else(|| self.unexpected("the answer has no ETag"))?;
        let last_modified = modified
            .as_ref()
            .and_then(timestamp)
            .ok_or_else(|| self.unexpected("the answer has no Last-Modified"))?;
        Ok(ObjectMeta {
            size,
            etag,
            last_modified,
        })
    }

    fn error(&self, kind: Kind, text: String) -> Error {
        Error::new(kind, self.verb, self.object).because(Detail {
            bucket: self.bucket.to_owned(),
            text,
        })
    }
}

pub(super) fn timestamp(time: &DateTime) -> Option<Timestamp> {
    i32::try_from(time.subsec_nanos())
        .ok()
        .and_then(|nanoseconds| Timestamp::new(time.secs(), nanoseconds).ok())
}

/// Whether the server has completed an upload and said so in other words than S3, so that the SDK cannot read it: moto calls
/// the element `CompleteMultipartUploadResponse`. An error that comes with a status of 200 is an `Error` element.
pub(super) fn is_completed_all_the_same<E>(error: &SdkError<E, HttpResponse>) -> bool {
    const ELEMENT: &[u8] = b"<CompleteMultipartUploadResponse";
    let answer = error
        .raw_response()
        .filter(|answer| answer.status().as_u16() == 200);
    let body = answer
        .and_then(|answer| answer.body().bytes())
        .unwrap_or_default();
    body.windows(ELEMENT.len()).any(|window| window == ELEMENT)
}

/// From S3's error code, or from the status.
fn kind(
    code: Option<&str>,
    status: u16,
    action: &'static str,
    retry_after: Option<Duration>,
) -> Kind {
    let known = code.and_then(|code| of_code(code, action, retry_after));
    known.unwrap_or_else(|| of_status(status, action, retry_after))
}

/// API reference, "Error responses", and what other servers add to it.
fn of_code(code: &str, action: &'static str, retry_after: Option<Duration>) -> Option<Kind> {
    Some(match code {
        "NoSuchKey" | "NoSuchUpload" | "NotFound" => Kind::NotFound,
        "PreconditionFailed" => Kind::PreconditionFailed,
        "InvalidRange" => Kind::InvalidRange,
        "InvalidPart" | "InvalidPartOrder" | "EntityTooSmall" => Kind::InvalidParts,
        "NoSuchBucket"
        | "InvalidBucketName"
        | "PermanentRedirect"
        | "TemporaryRedirect"
        | "AuthorizationHeaderMalformed"
        | "IllegalLocationConstraintException" => Kind::Misconfigured,
        "AccessDenied"
        | "AllAccessDisabled"
        | "AccountProblem"
        | "ExpiredToken"
        | "InvalidAccessKeyId"
        | "InvalidToken"
        | "RequestTimeTooSkewed"
        | "SignatureDoesNotMatch"
        // What versitygw says instead of `InvalidAccessKeyId`.
        | "XAdminUserNotFound" => Kind::Denied { action },
        "SlowDown"
        | "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "TooManyRequests" => Kind::Throttled { retry_after },
        "RequestTimeout" => Kind::Timeout,
        "QuotaExceeded" | "InsufficientStorage" | "XMinioStorageFull" => Kind::Full,
        "InternalError" => Kind::Unavailable,
        _ => return None,
    })
}

/// Where there is no code, or none that we know: a `HEAD` has no body to put one in.
fn of_status(status: u16, action: &'static str, retry_after: Option<Duration>) -> Kind {
    match status {
        404 => Kind::NotFound,
        412 => Kind::PreconditionFailed,
        416 => Kind::InvalidRange,
        401 | 403 => Kind::Denied { action },
        300..=399 => Kind::Misconfigured,
        429 | 503 => Kind::Throttled { retry_after },
        408 | 504 => Kind::Timeout,
        507 => Kind::Full,
        500..=599 => Kind::Unavailable,
        _ => Kind::Other,
    }
}

/// For a call that never got an answer.
fn without_answer<E: StdError + 'static>(error: &SdkError<E, HttpResponse>) -> Kind {
    let mut cause = error.source();
    while let Some(error) = cause {
        match error.downcast_ref::<CredentialsError>() {
            Some(CredentialsError::ProviderTimedOut(_)) => return Kind::Timeout,
            Some(
                CredentialsError::CredentialsNotLoaded(_)
                | CredentialsError::InvalidConfiguration(_),
            ) => {
                return Kind::Misconfigured;
            }
            Some(_) => return Kind::Unavailable,
            None => cause = error.source(),
        }
    }
    match error {
        SdkError::ConstructionFailure(_) => Kind::Other,
        SdkError::TimeoutError(_) => Kind::Timeout,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => Kind::Timeout,
        _ => Kind::Unavailable,
    }
}

fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const DENIED: Kind = Kind::Denied {
        action: "s3:GetObject",
    };

    #[rstest]
    #[case::missing(Some("NoSuchKey"), 404, Kind::NotFound)]
    #[case::missing_without_a_body(None, 404, Kind::NotFound)]
    #[case::no_bucket_is_not_a_missing_object(Some("NoSuchBucket"), 404, Kind::Misconfigured)]
    #[case::another_region(Some("PermanentRedirect"), 301, Kind::Misconfigured)]
    #[case::not_allowed(Some("AccessDenied"), 403, DENIED)]
    #[case::not_allowed_without_a_body(None, 403, DENIED)]
    #[case::unknown_key(Some("InvalidAccessKeyId"), 403, DENIED)]
    #[case::wrong_secret(Some("SignatureDoesNotMatch"), 403, DENIED)]
    #[case::too_fast(Some("SlowDown"), 503, Kind::Throttled { retry_after: Some(Duration::from_secs(7)) })]
    #[case::their_fault(Some("InternalError"), 500, Kind::Unavailable)]
    #[case::too_short_a_part(Some("EntityTooSmall"), 400, Kind::InvalidParts)]
    #[case::condition(Some("PreconditionFailed"), 412, Kind::PreconditionFailed)]
    #[case::something_new(Some("Unheard"), 400, Kind::Other)]
    fn an_answer_tells_the_caller_what_to_do(
        #[case] code: Option<&str>,
        #[case] status: u16,
        #[case] expected: Kind,
    ) {
        assert_eq!(
            kind(code, status, "s3:GetObject", Some(Duration::from_secs(7))),
            expected
        );
    }
}
