//! What clients send: bounded in length or streamed, and never waited for without end.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::{StreamExt, stream};

use crate::registry::{self, BodyError, Error};

/// How much more than the limit is read and thrown away, in bytes, so that a client that sends first and reads afterwards sees why it
/// is refused instead of a broken connection.
const COURTESY: u64 = 32 * 1024 * 1024;

/// A body as the domain takes it: ends with an error when it breaks off, or when nothing comes for `idle`.
pub(super) fn incoming(body: Body, idle: Duration) -> registry::Body {
    stream::unfold(Some(body.into_data_stream()), move |stream| async move {
        let mut stream = stream?;
        match tokio::time::timeout(idle, stream.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(bytes))) => Some((Ok(bytes), Some(stream))),
            Ok(Some(Err(error))) => Some((Err(BodyError::Broken(error.into())), None)),
            Err(_) => Some((Err(BodyError::Stalled), None)),
        }
    })
    .boxed()
}

/// All of a body; `None` when it has more than `limit` bytes.
pub(super) async fn bounded(
    body: Body,
    idle: Duration,
    limit: u64,
) -> Result<Option<Bytes>, Error> {
    let mut body = incoming(body, idle);
    let mut all = BytesMut::new();
    let mut received: u64 = 0;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|source| Error::Body { source })?;
        received = received.saturating_add(chunk.len() as u64);
        if received > limit.saturating_add(COURTESY) {
            return Ok(None);
        }
        if received <= limit {
            all.extend_from_slice(&chunk);
        } else {
            all = BytesMut::new();
        }
    }
    Ok((received <= limit).then(|| all.freeze()))
}
