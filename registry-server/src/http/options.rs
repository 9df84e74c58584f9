//! What can be chosen about the HTTP side of a registry.

use std::time::Duration;

use axum::http::HeaderMap;
use url::Url;

use super::health::Health;
use crate::registry::MAX_MANIFEST;

/// How a registry is served. The default is distribution's, where distribution has one.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own in distribution's configuration"
)]
pub struct Options {
    /// What comes before `/v2/` in paths: begins and ends with a slash. `http.prefix`. Default `/`.
    pub prefix: String,
    /// The scheme and host clients know this registry by, for the URLs it hands out. `http.host`. Default: taken from each request.
    pub host: Option<Url>,
    /// Whether URLs are handed out without scheme and host. `http.relativeurls`. Default no.
    pub relative_urls: bool,
    /// Headers of every answer. `http.headers`. Default none.
    pub headers: HeaderMap,
    /// The most repositories the catalog lists at once; asking for more is an error. `catalog.maxentries`. Default 1,000.
    pub catalog_max_entries: usize,
    /// The most tags listed at once; asking for more yields as many. `tags.maxtags`. Default 1,000.
    pub tags_max: usize,
    /// Whether manifests, tags and blobs can be removed. `storage.delete.enabled`. Default no.
    pub delete_enabled: bool,
    /// Whether nothing can be written or removed. `storage.maintenance.readonly`. Default no.
    pub read_only: bool,
    /// Whether everybody who may push may read every repository, as with one password file. A blob can then be mounted without
    /// saying from where. Default no, because the registry cannot see it: who accepts tokens for single repositories must not.
    pub everything_is_readable: bool,
    /// Whether blobs are read from the store itself, where it has URLs for that. Default yes; `storage.redirect.disable` is no.
    pub redirect: bool,
    /// For how long such a URL is valid. Default 20 minutes: a client that queues layers, or resumes one, uses it long after it got it.
    pub presign_ttl: Duration,
    /// The largest manifest accepted, in bytes. Default 4 MiB. Should be what the registry has been given.
    pub max_manifest_bytes: u64,
    /// For how long a client may send nothing in the middle of a body. Default 60 seconds.
    pub body_idle_timeout: Duration,
    /// What the probes answer by.
    pub health: Health,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            prefix: "/".to_owned(),
            host: None,
            relative_urls: false,
            headers: HeaderMap::new(),
            catalog_max_entries: 1000,
            tags_max: 1000,
            delete_enabled: false,
            read_only: false,
            everything_is_readable: false,
            redirect: true,
            presign_ttl: Duration::from_mins(20),
            max_manifest_bytes: MAX_MANIFEST,
            body_idle_timeout: Duration::from_mins(1),
            health: Health::default(),
        }
    }
}
