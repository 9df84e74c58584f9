//! `/v2/<name>/blobs/uploads/` and `/v2/<name>/blobs/uploads/<id>`

use axum::{
    body::Body,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    App, Call, Origin,
    body::incoming,
    conditions::content_range,
    endpoint::Endpoint,
    error::{ApiError, Code},
    set,
};
use crate::{
    auth::{Access, Action},
    registry::{
        Algorithm, Chunk, Digest, Error, InvalidDigest, Progress, RepositoryName, UploadId,
    },
};

/// The parameter, named as distribution's, in which a client carries on what it has been told of an upload.
const STATE: &str = "_state";

/// `POST`: begins an upload, takes a whole blob, or mounts one.
pub(super) async fn begin(
    app: &App,
    name: RepositoryName,
    call: &Call,
    body: Body,
) -> Result<Response, ApiError> {
    if let Some(digest) = digest(call, "mount")?
        && mount(app, &name, &digest, call).await?
    {
        return Ok(created(name, digest, &call.origin));
    }
    if let Some(digest) = digest(call, "digest")?
        && has_content(call, &body, &digest)
    {
        app.registry
            .put_blob(&name, chunk(app, call, body)?, &digest)
            .await?;
        return Ok(created(name, digest, &call.origin));
    }
    let algorithm = match call.query.first("digest-algorithm") {
        Some(algorithm) => algorithm
            .parse()
            .map_err(|_| invalid(&InvalidDigest::Unsupported))?,
        None => Algorithm::Sha256,
    };
    let progress = app.registry.begin_upload(&name, algorithm).await?;
    let location = call
        .origin
        .url(&Endpoint::Upload(name.clone(), progress.id));
    let location = format!("{location}?{STATE}={}", progress.id.ticket(&name));
    let mut response = standing(StatusCode::ACCEPTED, name, progress, &call.origin);
    set(&mut response, header::LOCATION, &location);
    Ok(response)
}

/// `GET` and `HEAD`: where the upload stands.
pub(super) async fn status(
    app: &App,
    name: RepositoryName,
    id: UploadId,
    call: &Call,
) -> Result<Response, ApiError> {
    let progress = app.registry.upload(&name, id).await?;
    Ok(standing(
        StatusCode::NO_CONTENT,
        name,
        progress,
        &call.origin,
    ))
}

/// `PATCH`: more bytes.
pub(super) async fn append(
    app: &App,
    name: RepositoryName,
    id: UploadId,
    call: &Call,
    body: Body,
) -> Result<Response, ApiError> {
    let appended = app
        .registry
        .append_upload(&name, id, chunk(app, call, body)?)
        .await;
    let progress = appended.map_err(|error| located(error, &name, id, &call.origin))?;
    Ok(standing(StatusCode::ACCEPTED, name, progress, &call.origin))
}

/// `PUT`: the last bytes, if there are any, and the digest of all.
pub(super) async fn finish(
    app: &App,
    name: RepositoryName,
    id: UploadId,
    call: &Call,
    body: Body,
) -> Result<Response, ApiError> {
    let digest = digest(call, "digest")?;
    let digest = digest.ok_or_else(|| {
        ApiError::new(Code::DigestInvalid).detail("the parameter digest is missing")
    })?;
    let is_fresh = call
        .query
        .first(STATE)
        .is_some_and(|state| state == id.ticket(&name));
    let chunk = chunk(app, call, body)?;
    let finished = if is_fresh {
        app.registry
            .finish_fresh_upload(&name, id, chunk, &digest)
            .await
    } else {
        app.registry.finish_upload(&name, id, chunk, &digest).await
    };
    finished.map_err(|error| located(error, &name, id, &call.origin))?;
    Ok(created(name, digest, &call.origin))
}

/// `DELETE`: not after all.
pub(super) async fn cancel(
    app: &App,
    name: &RepositoryName,
    id: UploadId,
) -> Result<Response, ApiError> {
    app.registry.cancel_upload(name, id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Whether the blob is now in the repository because another one has it, one that the client may read.
///
/// Without `from`, only what the repository has already is found, unless everything is readable: that the bytes lie somewhere must
/// not give them to everybody who can name them. Where nothing is found the client goes on with an upload, as the specification says.
async fn mount(
    app: &App,
    name: &RepositoryName,
    digest: &Digest,
    call: &Call,
) -> Result<bool, ApiError> {
    let from = match call.query.first("from") {
        None if app.options.everything_is_readable => {
            return mounted(app.registry.mount_blob_from_anywhere(name, digest).await);
        }
        None => name.clone(),
        Some(from) => match from.parse::<RepositoryName>() {
            Ok(from) => from,
            Err(_) => return Ok(false),
        },
    };
    if from != *name {
        let pull = Access::Repository {
            name: from.clone(),
            action: Action::Pull,
        };
        if app.identify(call, &[pull]).await.is_err() {
            return Ok(false);
        }
    }
    mounted(app.registry.mount_blob(name, &from, digest).await)
}

fn mounted(outcome: Result<(), Error>) -> Result<bool, ApiError> {
    match outcome {
        Ok(()) => Ok(true),
        Err(Error::BlobUnknown { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether a `POST ?digest=` brings the blob. Some clients name the digest early and send the bytes later.
fn has_content(call: &Call, body: &Body, digest: &Digest) -> bool {
    let empty = match content_length(call) {
        Some(length) => length == 0,
        None => {
            !call.headers.contains_key(header::TRANSFER_ENCODING)
                && http_body::Body::is_end_stream(body)
        }
    };
    !empty || digest.algorithm().digest(b"") == *digest
}

/// The bytes a request brings, and where it says they belong.
fn chunk(app: &App, call: &Call, body: Body) -> Result<Chunk, ApiError> {
    let range = content_range(&call.headers).map_err(|()| ApiError::new(Code::RangeInvalid))?;
    if let (Some(range), Some(length)) = (range, content_length(call))
        && range.length != length
    {
        return Err(ApiError::new(Code::SizeInvalid));
    }
    Ok(Chunk {
        start: range.map(|range| range.first),
        length: range.map(|range| range.length),
        body: incoming(body, app.options.body_idle_timeout),
    })
}

fn content_length(call: &Call) -> Option<u64> {
    call.headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn digest(call: &Call, parameter: &str) -> Result<Option<Digest>, ApiError> {
    call.query
        .first(parameter)
        .map(str::parse)
        .transpose()
        .map_err(|reason| invalid(&reason))
}

fn invalid(reason: &InvalidDigest) -> ApiError {
    ApiError::new(Code::DigestInvalid).detail(reason.to_string())
}

/// What the registry has of an upload, as `Range` says it: the first and the last byte. Nothing looks like one byte, as in
/// distribution: there is no way to say it in this form.
pub(super) fn range(offset: u64) -> String {
    format!("0-{}", offset.saturating_sub(1))
}

fn standing(
    status: StatusCode,
    name: RepositoryName,
    progress: Progress,
    origin: &Origin,
) -> Response {
    let mut response = status.into_response();
    set(
        &mut response,
        header::LOCATION,
        &origin.url(&Endpoint::Upload(name, progress.id)),
    );
    set(&mut response, header::RANGE, &range(progress.offset));
    set(
        &mut response,
        "docker-upload-uuid",
        &progress.id.to_string(),
    );
    if status != StatusCode::NO_CONTENT {
        set(&mut response, header::CONTENT_LENGTH, "0");
    }
    response
}

fn created(name: RepositoryName, digest: Digest, origin: &Origin) -> Response {
    let mut response = StatusCode::CREATED.into_response();
    set(&mut response, "docker-content-digest", &digest.to_string());
    set(
        &mut response,
        header::LOCATION,
        &origin.url(&Endpoint::Blob(name, digest)),
    );
    set(&mut response, header::CONTENT_LENGTH, "0");
    response
}

/// A client that is out of step is told where to go on.
fn located(error: Error, name: &RepositoryName, id: UploadId, origin: &Origin) -> ApiError {
    let out_of_step = matches!(error, Error::OutOfOrder { .. });
    let answer = ApiError::from(error);
    if out_of_step {
        answer.header(
            header::LOCATION,
            &origin.url(&Endpoint::Upload(name.clone(), id)),
        )
    } else {
        answer
    }
}
