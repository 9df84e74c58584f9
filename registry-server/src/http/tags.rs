//! `/v2/<name>/tags/list` and `/v2/_catalog`: the two lists that come in pages.

use axum::{http::header, response::Response};
use serde_json::json;

use super::{
    App, Call,
    error::{ApiError, Code},
    json as answer,
    query::next_link,
    set,
};
use crate::registry::RepositoryName;

/// How many repositories are listed when the client does not say it, as in distribution.
const CATALOG_DEFAULT: usize = 100;

/// `GET /v2/_catalog`
pub(super) async fn catalog(app: &App, call: &Call) -> Result<Response, ApiError> {
    let max = app.options.catalog_max_entries;
    let limit = match requested(call)? {
        None => CATALOG_DEFAULT.min(max),
        Some(n) if n > max => {
            return Err(ApiError::new(Code::PaginationNumberInvalid).detail(json!({ "n": n })));
        }
        Some(n) => n,
    };
    if limit == 0 {
        return Ok(answer(&json!({ "repositories": [] })));
    }
    let last = call.query.first("last").filter(|last| !last.is_empty());
    let listing = app.registry.repositories(last, limit).await?;
    let names: Vec<&str> = listing.items.iter().map(RepositoryName::as_str).collect();
    let mut response = answer(&json!({ "repositories": names }));
    if let (true, Some(last)) = (listing.more, names.last()) {
        let path = format!("{}/v2/_catalog", app.options.prefix.trim_end_matches('/'));
        set(
            &mut response,
            header::LINK,
            &next_link(&path, &[("last", last), ("n", &limit.to_string())]),
        );
    }
    Ok(response)
}

/// `GET /v2/<name>/tags/list`
pub(super) async fn list(
    app: &App,
    name: &RepositoryName,
    call: &Call,
) -> Result<Response, ApiError> {
    let limit = requested(call)?
        .unwrap_or(app.options.tags_max)
        .min(app.options.tags_max);
    let last = call.query.first("last").filter(|last| !last.is_empty());
    let listing = app.registry.tags(name, last, limit).await?;
    let tags: Vec<&str> = listing
        .items
        .iter()
        .map(crate::registry::Tag::as_str)
        .collect();
    let mut response = answer(&json!({ "name": name.as_str(), "tags": tags }));
    if let (true, Some(last)) = (listing.more, tags.last()) {
        let path = format!(
            "{}/v2/{name}/tags/list",
            app.options.prefix.trim_end_matches('/')
        );
        set(
            &mut response,
            header::LINK,
            &next_link(&path, &[("last", last), ("n", &limit.to_string())]),
        );
    }
    Ok(response)
}

/// `n`, if it is given. Only compared, never used as a size of anything.
fn requested(call: &Call) -> Result<Option<usize>, ApiError> {
    let Some(n) = call.query.first("n").filter(|n| !n.is_empty()) else {
        return Ok(None);
    };
    n.parse()
        .map(Some)
        .map_err(|_| ApiError::new(Code::PaginationNumberInvalid).detail(json!({ "n": n })))
}
