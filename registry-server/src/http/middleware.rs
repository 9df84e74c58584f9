//! What surrounds every request: an id, the headers of every answer, one line in the log, and an answer even after a panic.
//!
//! The log never has the `Authorization` header or the query, which can hold tokens and signatures.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::FutureExt;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tracing::Instrument;
use uuid::Uuid;

use super::{
    App,
    error::{ApiError, Code},
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
/// The longest id taken over from a client, in bytes.
const MAX_REQUEST_ID: usize = 128;
/// What the log says of a request whose client has left before there was an answer, as other servers' logs do.
const CLIENT_LEFT: u16 = 499;

/// What is found out about a request while it is handled.
#[derive(Debug, Clone, Default)]
pub(super) struct Trace {
    user: Arc<OnceLock<String>>,
}

impl Trace {
    pub(super) fn set_user(&self, user: String) {
        // The first one stays: a request has one identity.
        self.user.get_or_init(|| user);
    }
}

/// The outermost layer.
pub(super) async fn around(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let trace = Trace::default();
    request.extensions_mut().insert(trace.clone());
    let id = request_id(&request);
    let path = request.uri().path().to_owned();
    // Written also when the client leaves before there is an answer: then this future is dropped.
    let mut record = Finished(Record {
        method: request.method().clone(),
        path: path.clone(),
        id: id.clone(),
        trace,
        begun: Instant::now(),
        status: CLIENT_LEFT,
        sent: 0,
    });
    let prefix = app.options.prefix.trim_end_matches('/');
    let is_api = path
        .strip_prefix(prefix)
        .is_some_and(|path| path == "/v2" || path.starts_with("/v2/"));

    let span = tracing::info_span!("request", request_id = %id);
    let handled = AssertUnwindSafe(next.run(request).instrument(span))
        .catch_unwind()
        .await;
    let mut response = handled.unwrap_or_else(|_| {
        tracing::error!(request_id = %id, path, "a handler panicked");
        ApiError::new(Code::Unknown).into_response()
    });

    let headers = response.headers_mut();
    if is_api {
        headers.insert(API_VERSION, HeaderValue::from_static("registry/2.0"));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
    }
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    // All values of a name, in place of what has been said by it.
    for name in app.options.headers.keys() {
        headers.remove(name);
    }
    for (name, value) in &app.options.headers {
        headers.append(name.clone(), value.clone());
    }
    record.0.status = response.status().as_u16();
    response.map(|body| Body::new(Logged { body, record }))
}

/// The client's, if it is one that can be written into a log, or else a new one.
fn request_id(request: &Request) -> String {
    let sane = |id: &&str| {
        (1..=MAX_REQUEST_ID).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
    };
    let theirs = request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .filter(sane);
    theirs.map_or_else(|| Uuid::new_v4().to_string(), ToOwned::to_owned)
}

/// One line of the log.
#[derive(Debug)]
struct Record {
    method: Method,
    path: String,
    id: String,
    trace: Trace,
    begun: Instant,
    status: u16,
    sent: u64,
}

/// Writes the line when the answer has been sent, or given up by the client.
#[derive(Debug)]
struct Finished(Record);

impl Drop for Finished {
    fn drop(&mut self) {
        let Record {
            method,
            path,
            id,
            trace,
            begun,
            status,
            sent,
        } = &self.0;
        tracing::info!(
            target: "moorage::access",
            method = %method,
            path,
            status,
            bytes = sent,
            duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            user = trace.user.get().map_or("-", String::as_str),
            request_id = id,
            "request"
        );
    }
}

/// A body that counts what is sent.
struct Logged {
    body: Body,
    record: Finished,
}

impl HttpBody for Logged {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match &frame {
            Poll::Ready(Some(Ok(frame))) => {
                let sent = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.record.0.sent = self.record.0.sent.saturating_add(sent);
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::warn!(request_id = self.record.0.id, %error, "an answer broke off");
            }
            Poll::Ready(None) | Poll::Pending => {}
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
