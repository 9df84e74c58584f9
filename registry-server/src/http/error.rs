//! What a client is answered when something fails: all of error → status and code, on one page.

use std::{error::Error as StdError, time::Duration};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::endpoint::InvalidPath;
use crate::{
    registry::{self, BodyError, InvalidManifest, Reference},
    store::{self, Kind},
};

/// How long a client is asked to wait when the store does not say it.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The error codes of the OCI distribution specification, and distribution's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Code {
    Unknown,
    Unsupported,
    Unauthorized,
    Denied,
    Unavailable,
    DigestInvalid,
    SizeInvalid,
    RangeInvalid,
    NameInvalid,
    TagInvalid,
    NameUnknown,
    ManifestUnknown,
    ManifestInvalid,
    ManifestBlobUnknown,
    BlobUnknown,
    BlobUploadUnknown,
    BlobUploadInvalid,
    PaginationNumberInvalid,
}

impl Code {
    fn status(self) -> StatusCode {
        match self {
            Self::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Denied => StatusCode::FORBIDDEN,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::RangeInvalid => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::DigestInvalid
            | Self::SizeInvalid
            | Self::NameInvalid
            | Self::TagInvalid
            | Self::ManifestInvalid
            | Self::ManifestBlobUnknown
            | Self::PaginationNumberInvalid => StatusCode::BAD_REQUEST,
            Self::NameUnknown
            | Self::ManifestUnknown
            | Self::BlobUnknown
            | Self::BlobUploadUnknown
            | Self::BlobUploadInvalid => StatusCode::NOT_FOUND,
        }
    }

    /// The words that distribution uses, which some tools look for.
    fn message(self) -> &'static str {
        match self {
            Self::Unknown => "unknown error",
            Self::Unsupported => "the operation is unsupported",
            Self::Unauthorized => "authentication required",
            Self::Denied => "requested access to the resource is denied",
            Self::Unavailable => "service unavailable",
            Self::DigestInvalid => "provided digest did not match uploaded content",
            Self::SizeInvalid => "provided length did not match content length",
            Self::RangeInvalid => "invalid content range",
            Self::NameInvalid => "invalid repository name",
            Self::TagInvalid => "manifest tag did not match URI",
            Self::NameUnknown => "repository name not known to registry",
            Self::ManifestUnknown => "manifest unknown",
            Self::ManifestInvalid => "manifest invalid",
            Self::ManifestBlobUnknown | Self::BlobUnknown => "blob unknown to registry",
            Self::BlobUploadUnknown => "blob upload unknown to registry",
            Self::BlobUploadInvalid => "blob upload invalid",
            Self::PaginationNumberInvalid => "invalid number of results requested",
        }
    }
}

/// A refusal, ready to be sent.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    entries: Vec<Entry>,
    /// Boxed, so that a `Result` with this in it stays small.
    headers: Box<HeaderMap>,
}

#[derive(Debug, Serialize)]
struct Entry {
    code: &'static str,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Value>,
}

impl ApiError {
    pub(super) fn new(code: Code) -> Self {
        Self::with_details(code, [None])
    }

    fn with_details(code: Code, details: impl IntoIterator<Item = Option<Value>>) -> Self {
        let entry = |detail| Entry {
            code: code.into(),
            message: code.message(),
            detail,
        };
        Self {
            status: code.status(),
            entries: details.into_iter().map(entry).collect(),
            headers: Box::default(),
        }
    }

    pub(super) fn detail(mut self, detail: impl Into<Value>) -> Self {
        if let Some(entry) = self.entries.first_mut() {
            entry.detail = Some(detail.into());
        }
        self
    }

    pub(super) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Self {
        // What is no header value is left out: a header is never worth a crash.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({ "errors": self.entries }).to_string();
        body.push('\n');
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        *response.headers_mut() = *self.headers;
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        response
    }
}

impl From<registry::Error> for ApiError {
    fn from(error: registry::Error) -> Self {
        use registry::Error as E;
        match error {
            E::BlobUnknown { digest } => Self::new(Code::BlobUnknown).detail(digest.to_string()),
            E::ManifestUnknown {
                reference: Reference::Tag(tag),
            } => Self::new(Code::ManifestUnknown).detail(format!("unknown tag={tag}")),
            E::ManifestUnknown {
                reference: Reference::Digest(digest),
            } => Self::new(Code::ManifestUnknown).detail(format!("unknown digest={digest}")),
            E::NameUnknown { name } => {
                Self::new(Code::NameUnknown).detail(json!({ "name": name.as_str() }))
            }
            E::UploadUnknown => Self::new(Code::BlobUploadUnknown),
            error @ E::UploadSpoiled => {
                Self::new(Code::BlobUploadInvalid).detail(error.to_string())
            }
            E::OutOfOrder { offset } => {
                Self::new(Code::RangeInvalid).header(header::RANGE, &super::uploads::range(offset))
            }
            error @ E::BlobTooLarge { .. } => Self::new(Code::SizeInvalid)
                .detail(error.to_string())
                .status(StatusCode::PAYLOAD_TOO_LARGE),
            error @ E::SizeMismatch { .. } => {
                Self::new(Code::SizeInvalid).detail(error.to_string())
            }
            error @ E::DigestMismatch { .. } => {
                Self::new(Code::DigestInvalid).detail(error.to_string())
            }
            E::ManifestInvalid { source } => source.into(),
            E::ManifestBlobUnknown { digests } => Self::with_details(
                Code::ManifestBlobUnknown,
                digests.into_iter().map(|digest| Some(json!(digest))),
            ),
            E::Body {
                source: BodyError::Stalled,
            } => Self::new(Code::SizeInvalid)
                .detail(BodyError::Stalled.to_string())
                .status(StatusCode::REQUEST_TIMEOUT),
            E::Body {
                source: BodyError::Broken(_),
            } => Self::new(Code::SizeInvalid).detail("the body ended early"),
            E::Store { source } => source.into(),
            error @ (E::Corrupt { .. } | E::Interrupted) => internal(&error),
        }
    }
}

impl From<InvalidManifest> for ApiError {
    fn from(error: InvalidManifest) -> Self {
        let answer = Self::new(Code::ManifestInvalid).detail(error.to_string());
        match error {
            InvalidManifest::TooLarge { .. } => answer.status(StatusCode::PAYLOAD_TOO_LARGE),
            InvalidManifest::Syntax { .. }
            | InvalidManifest::Schema1
            | InvalidManifest::UnknownMediaType { .. }
            | InvalidManifest::MediaTypeMismatch { .. }
            | InvalidManifest::Ambiguous
            | InvalidManifest::Missing { .. } => answer,
        }
    }
}

/// A store that fails is never the client's fault: 503 where asking again can help or a person has to act, and never 403.
impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        let unavailable = |after: Duration| {
            tracing::warn!(error = %chain(&error), "the store failed");
            Self::new(Code::Unavailable)
                .header(header::RETRY_AFTER, &after.as_secs().max(1).to_string())
        };
        match error.kind() {
            Kind::Throttled { retry_after } => unavailable(retry_after.unwrap_or(RETRY_AFTER)),
            Kind::Timeout | Kind::Unavailable | Kind::Denied { .. } | Kind::Misconfigured => {
                unavailable(RETRY_AFTER)
            }
            // 507 and not 503: clients try both again, and a person who sees this one knows what to do.
            Kind::Full => unavailable(RETRY_AFTER).status(StatusCode::INSUFFICIENT_STORAGE),
            Kind::NotFound
            | Kind::PreconditionFailed
            | Kind::InvalidRange
            | Kind::InvalidParts
            | Kind::Other => internal(&error),
        }
    }
}

impl From<InvalidPath> for ApiError {
    fn from(error: InvalidPath) -> Self {
        match error {
            // Only reached where the path is a known one; see `dispatch`.
            InvalidPath::NotFound => Self::new(Code::NameUnknown),
            InvalidPath::Name(reason) => Self::new(Code::NameInvalid).detail(reason.to_string()),
            InvalidPath::Digest(reason) => {
                Self::new(Code::DigestInvalid).detail(reason.to_string())
            }
            InvalidPath::Tag(reason) => Self::new(Code::TagInvalid).detail(reason.to_string()),
            InvalidPath::Upload => Self::new(Code::BlobUploadUnknown),
        }
    }
}

/// A fault of ours: the client learns that there is one, the log all of it.
fn internal(error: &(dyn StdError + 'static)) -> ApiError {
    tracing::error!(error = %chain(error), "a request failed");
    ApiError::new(Code::Unknown)
}

/// The error and all its causes on one line.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(": ");
        words.push_str(&error.to_string());
        cause = error.source();
    }
    words
}
