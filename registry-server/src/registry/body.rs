//! The bytes a client sends, as the domain sees them.

use std::fmt;

use bytes::Bytes;
use futures::{StreamExt, stream, stream::BoxStream};

/// What a client sends, as it arrives.
pub type Body = BoxStream<'static, Result<Bytes, BodyError>>;

/// Why a body ended early.
#[derive(Debug)]
pub enum BodyError {
    /// Nothing came for too long.
    Stalled,
    /// The connection broke, or what was sent was not well formed.
    Broken(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stalled => f.write_str("the client sent nothing for too long"),
            Self::Broken(_) => f.write_str("the client broke off"),
        }
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Stalled => None,
            Self::Broken(source) => Some(source.as_ref()),
        }
    }
}

/// A body that is already there.
#[must_use]
pub fn whole(bytes: impl Into<Bytes>) -> Body {
    let bytes = bytes.into();
    stream::iter((!bytes.is_empty()).then_some(Ok(bytes))).boxed()
}
