//! `/v2/<name>/blobs/<digest>`

use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    App, Call,
    conditions::{Wanted, has_already, wanted},
    error::{ApiError, Code},
    set,
};
use crate::{
    registry::{Blob, Digest, RepositoryName},
    store::PresignedMethod,
};

/// What is named by its content never changes: a year, as distribution says.
const FOREVER: &str = "max-age=31536000";

/// `GET` and `HEAD`.
pub(super) async fn read(
    app: &App,
    name: &RepositoryName,
    digest: &Digest,
    call: &Call,
) -> Result<Response, ApiError> {
    let blob = app.registry.blob(name, digest).await?;
    if has_already(&call.headers, &digest.to_string()) {
        return Ok(described(StatusCode::NOT_MODIFIED, &blob));
    }
    if app.options.redirect {
        let method = if call.is_head() {
            PresignedMethod::Head
        } else {
            PresignedMethod::Get
        };
        if let Some(url) = app
            .registry
            .presign_blob(&blob, method, app.options.presign_ttl)
            .await?
        {
            let mut response = described(StatusCode::TEMPORARY_REDIRECT, &blob);
            // The URL is valid for minutes, so the answer that holds it must not be kept for a year.
            response.headers_mut().remove(header::CACHE_CONTROL);
            set(&mut response, header::LOCATION, url.as_str());
            return Ok(response);
        }
    }
    send(app, &blob, call).await
}

/// The bytes, or those of them that are wanted.
async fn send(app: &App, blob: &Blob, call: &Call) -> Result<Response, ApiError> {
    let size = blob.meta.size;
    let (status, range) = match wanted(&call.headers, size, &etag(blob)) {
        Wanted::Whole => (StatusCode::OK, 0..size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Unsatisfiable => {
            return Err(ApiError::new(Code::RangeInvalid)
                .header(header::CONTENT_RANGE, &format!("bytes */{size}")));
        }
    };
    let mut response = described(status, blob);
    set(
        &mut response,
        header::CONTENT_TYPE,
        "application/octet-stream",
    );
    set(
        &mut response,
        header::CONTENT_LENGTH,
        &(range.end - range.start).to_string(),
    );
    set(&mut response, header::ACCEPT_RANGES, "bytes");
    if status == StatusCode::PARTIAL_CONTENT {
        set(
            &mut response,
            header::CONTENT_RANGE,
            &format!("bytes {}-{}/{size}", range.start, range.end - 1),
        );
    }
    if !call.is_head() && !range.is_empty() {
        let range = (status == StatusCode::PARTIAL_CONTENT).then_some(range);
        *response.body_mut() = Body::from_stream(app.registry.open_blob(blob, range).await?);
    }
    Ok(response)
}

/// `DELETE`
pub(super) async fn delete(
    app: &App,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Response, ApiError> {
    app.registry.delete_blob(name, digest).await?;
    let mut response = StatusCode::ACCEPTED.into_response();
    set(&mut response, "docker-content-digest", &digest.to_string());
    Ok(response)
}

fn described(status: StatusCode, blob: &Blob) -> Response {
    let mut response = status.into_response();
    set(
        &mut response,
        "docker-content-digest",
        &blob.digest.to_string(),
    );
    set(&mut response, header::ETAG, &etag(blob));
    set(&mut response, header::CACHE_CONTROL, FOREVER);
    response
}

fn etag(blob: &Blob) -> String {
    format!("\"{}\"", blob.digest)
}
