//! `/v2/<name>/referrers/<digest>`

use axum::{http::header, response::Response};
use serde_json::json;

use super::{
    App, Call, endpoint::Endpoint, error::ApiError, json as answer, query::next_link, set,
};
use crate::registry::{Digest, MediaType, RepositoryName};

/// How many manifests are looked at for one page. Each can bring annotations of up to the size of a manifest.
const PAGE: usize = 100;

/// `GET`. Nothing known about the subject is an empty list, never 404.
pub(super) async fn list(
    app: &App,
    name: &RepositoryName,
    subject: &Digest,
    call: &Call,
) -> Result<Response, ApiError> {
    let artifact_type = call
        .query
        .first("artifactType")
        .filter(|artifact_type| !artifact_type.is_empty());
    // What is no digest comes before all of them: the list then begins at its beginning.
    let last = call.query.first("last").and_then(|last| last.parse().ok());
    let (listing, reached) = app
        .registry
        .referrers(name, subject, artifact_type, last.as_ref(), PAGE)
        .await?;
    let mut response = answer(&json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OciIndex.as_str(),
        "manifests": listing.items,
    }));
    set(
        &mut response,
        header::CONTENT_TYPE,
        MediaType::OciIndex.as_str(),
    );
    if artifact_type.is_some() {
        set(&mut response, "oci-filters-applied", "artifactType");
    }
    if let (true, Some(reached)) = (listing.more, reached) {
        let prefix = app.options.prefix.trim_end_matches('/');
        let path = format!(
            "{prefix}/v2/{}",
            Endpoint::Referrers(name.clone(), subject.clone())
        );
        let reached = reached.to_string();
        let mut parameters = vec![("last", reached.as_str())];
        parameters.extend(artifact_type.map(|artifact_type| ("artifactType", artifact_type)));
        set(&mut response, header::LINK, &next_link(&path, &parameters));
    }
    Ok(response)
}
