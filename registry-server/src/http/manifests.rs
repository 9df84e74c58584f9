//! `/v2/<name>/manifests/<reference>`
//!
//! A manifest is served as it was pushed, whatever `Accept` says, as the specification asks for. Distribution refuses OCI manifests
//! to clients that do not name them, and picks an image from a list for clients older than lists (2016); we do neither.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    App, Call,
    body::bounded,
    conditions::has_already,
    endpoint::Endpoint,
    error::{ApiError, Code},
    set,
};
use crate::registry::{Error, InvalidManifest, Reference, RepositoryName, Tag};

/// The most tags one request can set. The specification asks for at least ten.
const MAX_TAGS: usize = 100;

/// `GET` and `HEAD`.
pub(super) async fn read(
    app: &App,
    name: &RepositoryName,
    reference: &Reference,
    call: &Call,
) -> Result<Response, ApiError> {
    let stored = match app.registry.manifest(name, reference).await {
        Ok(stored) => stored,
        // Put there by a server that took kinds we do not serve.
        Err(Error::ManifestInvalid { source }) => {
            return Err(ApiError::new(Code::ManifestUnknown).detail(source.to_string()));
        }
        Err(error) => return Err(error.into()),
    };
    let digest = stored.digest.to_string();
    let mut response = if has_already(&call.headers, &digest) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = StatusCode::OK.into_response();
        set(
            &mut response,
            header::CONTENT_TYPE,
            stored.manifest.media_type.as_str(),
        );
        set(
            &mut response,
            header::CONTENT_LENGTH,
            &stored.bytes.len().to_string(),
        );
        if !call.is_head() {
            *response.body_mut() = Body::from(stored.bytes);
        }
        response
    };
    set(&mut response, "docker-content-digest", &digest);
    set(&mut response, header::ETAG, &format!("\"{digest}\""));
    Ok(response)
}

/// `PUT`
pub(super) async fn write(
    app: &App,
    name: RepositoryName,
    reference: Reference,
    call: &Call,
    body: Body,
) -> Result<Response, ApiError> {
    let tags = tags(call, &reference)?;
    let content_type = content_type(call)?;
    let limit = app.options.max_manifest_bytes;
    let bytes = bounded(body, app.options.body_idle_timeout, limit).await?;
    let bytes = bytes.ok_or(InvalidManifest::TooLarge { limit })?;
    let stored = app
        .registry
        .put_manifest(&name, &reference, &tags, content_type.as_deref(), bytes)
        .await?;
    let mut response = StatusCode::CREATED.into_response();
    set(
        &mut response,
        "docker-content-digest",
        &stored.digest.to_string(),
    );
    if let Some(subject) = &stored.manifest.subject {
        set(&mut response, "oci-subject", &subject.digest.to_string());
    }
    for tag in &tags {
        if let Ok(value) = HeaderValue::from_str(tag.as_str()) {
            response.headers_mut().append("oci-tag", value);
        }
    }
    let location = Endpoint::Manifest(name, Reference::Digest(stored.digest));
    set(&mut response, header::LOCATION, &call.origin.url(&location));
    Ok(response)
}

/// `DELETE`
pub(super) async fn delete(
    app: &App,
    name: &RepositoryName,
    reference: &Reference,
) -> Result<Response, ApiError> {
    match reference {
        Reference::Tag(tag) => app.registry.delete_tag(name, tag).await?,
        Reference::Digest(digest) => app.registry.delete_manifest(name, digest).await?,
    }
    Ok(StatusCode::ACCEPTED.into_response())
}

/// `?tag=`, of which a push by digest can have several.
fn tags(call: &Call, reference: &Reference) -> Result<Vec<Tag>, ApiError> {
    if matches!(reference, Reference::Tag(_)) {
        return Ok(Vec::new());
    }
    let mut tags = Vec::new();
    for tag in call.query.all("tag") {
        let tag: Tag = tag
            .parse()
            .map_err(|error| ApiError::new(Code::TagInvalid).detail(format!("{error}")))?;
        if !tags.contains(&tag) {
            tags.push(tag);
        }
        if tags.len() > MAX_TAGS {
            return Err(ApiError::new(Code::TagInvalid)
                .detail(format!("a request sets at most {MAX_TAGS} tags")));
        }
    }
    Ok(tags)
}

/// `Content-Type` without its parameters.
fn content_type(call: &Call) -> Result<Option<String>, ApiError> {
    let Some(value) = call.headers.get(header::CONTENT_TYPE) else {
        return Ok(None);
    };
    let value = value
        .to_str()
        .map_err(|_| ApiError::new(Code::ManifestInvalid).detail("the Content-Type is not text"))?;
    let value = value.split(';').next().unwrap_or_default().trim();
    Ok((!value.is_empty()).then(|| value.to_owned()))
}
