//! The registry over HTTP: the OCI distribution API, with the habits of distribution where the specification leaves a choice.
//!
//! A request goes through `middleware` (identity, log, headers), is told apart by `endpoint`, allowed by `access`, and
//! answered by the file named like its resource. What fails becomes an answer in `error`. TLS, sockets and stopping are
//! not here: whoever accepts connections hands them to [`router`].

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
    routing::{any, get},
};

pub use self::{
    endpoint::Endpoint, endpoint::InvalidPath, health::Health, options::Options, origin::OverTls,
};
use self::{
    error::{ApiError, Code},
    origin::Origin,
    query::Query,
};
use crate::{auth::Authorizer, registry::Registry};

mod access;
mod blobs;
mod body;
mod conditions;
mod endpoint;
mod error;
mod health;
mod manifests;
mod middleware;
mod options;
mod origin;
mod query;
mod referrers;
mod tags;
mod uploads;

/// What every handler needs.
#[derive(Debug)]
struct App {
    registry: Arc<Registry>,
    authorizer: Arc<dyn Authorizer>,
    options: Options,
}

/// Everything a registry answers, as one service.
///
/// - `/v2/…` below [`Options::prefix`]: the API.
/// - `/`: 200, for load balancers that know nothing else to ask for.
/// - `/livez`, `/readyz`, `/healthz`: probes without a password.
pub fn router(
    registry: Arc<Registry>,
    authorizer: Arc<dyn Authorizer>,
    options: Options,
) -> Router {
    let prefix = options.prefix.trim_end_matches('/').to_owned();
    let app = Arc::new(App {
        registry,
        authorizer,
        options,
    });
    Router::new()
        .route("/", get(root))
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/healthz", get(health::ready))
        .route(&format!("{prefix}/v2"), any(api))
        .route(&format!("{prefix}/v2/"), any(api))
        .route(&format!("{prefix}/v2/{{*rest}}"), any(api))
        .fallback(not_found)
        .layer(from_fn_with_state(Arc::clone(&app), middleware::around))
        .with_state(app)
}

async fn root() -> impl IntoResponse {
    [(header::CACHE_CONTROL, "no-cache")]
}

async fn not_found() -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (StatusCode::NOT_FOUND, headers, "404 page not found\n").into_response()
}

/// A request of the API without its body.
struct Call {
    method: Method,
    headers: HeaderMap,
    query: Query,
    origin: Origin,
    trace: middleware::Trace,
}

impl Call {
    fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }
}

async fn api(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let prefix = app.options.prefix.trim_end_matches('/');
    let path = parts
        .uri
        .path()
        .strip_prefix(prefix)
        .and_then(|path| path.strip_prefix("/v2"))
        .unwrap_or_default();
    let endpoint = Endpoint::parse(path.strip_prefix('/').unwrap_or(path));
    let over_tls = parts.extensions.get::<OverTls>().is_some();
    let call = Call {
        origin: Origin::of(&app.options, &parts.headers, &parts.uri, over_tls),
        query: Query::parse(parts.uri.query().unwrap_or_default()),
        trace: parts.extensions.get().cloned().unwrap_or_default(),
        method: parts.method,
        headers: parts.headers,
    };
    let endpoint = match endpoint {
        Ok(endpoint) => endpoint,
        Err(InvalidPath::NotFound) => return not_found().await,
        Err(invalid) => {
            return refuse(&app, &call, invalid).await.into_response();
        }
    };
    match dispatch(&app, endpoint, call, body).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

/// Says what is wrong with a path, but only to those who may ask anything at all.
async fn refuse(app: &App, call: &Call, invalid: InvalidPath) -> ApiError {
    if let Err(denied) = app.identify(call, &[]).await {
        return denied;
    }
    match invalid {
        // Nothing can be there under a tag that cannot be: only who wants to make one has done something wrong.
        InvalidPath::Tag(_) if call.method != Method::PUT => ApiError::new(Code::ManifestUnknown),
        other => other.into(),
    }
}

/// Every endpoint and method, on one page.
async fn dispatch(
    app: &App,
    endpoint: Endpoint,
    call: Call,
    body: Body,
) -> Result<Response, ApiError> {
    app.authorize(&endpoint, &call).await?;
    app.check_method(&endpoint, &call.method)?;
    let reads = matches!(call.method, Method::GET | Method::HEAD);
    match endpoint {
        Endpoint::Ping => Ok(ping()),
        Endpoint::Catalog => tags::catalog(app, &call).await,
        Endpoint::Tags(name) => tags::list(app, &name, &call).await,
        Endpoint::Manifest(name, reference) if reads => {
            manifests::read(app, &name, &reference, &call).await
        }
        Endpoint::Manifest(name, reference) if call.method == Method::PUT => {
            manifests::write(app, name, reference, &call, body).await
        }
        Endpoint::Manifest(name, reference) => manifests::delete(app, &name, &reference).await,
        Endpoint::Blob(name, digest) if reads => blobs::read(app, &name, &digest, &call).await,
        Endpoint::Blob(name, digest) => blobs::delete(app, &name, &digest).await,
        Endpoint::Uploads(name) => uploads::begin(app, name, &call, body).await,
        Endpoint::Upload(name, id) if reads => uploads::status(app, name, id, &call).await,
        Endpoint::Upload(name, id) if call.method == Method::PATCH => {
            uploads::append(app, name, id, &call, body).await
        }
        Endpoint::Upload(name, id) if call.method == Method::PUT => {
            uploads::finish(app, name, id, &call, body).await
        }
        Endpoint::Upload(name, id) => uploads::cancel(app, &name, id).await,
        Endpoint::Referrers(name, digest) => referrers::list(app, &name, &digest, &call).await,
    }
}

fn ping() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], "{}").into_response()
}

/// JSON with the line end that distribution's answers have.
fn json(value: &serde_json::Value) -> Response {
    let mut body = value.to_string();
    body.push('\n');
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A header value of what we have made ourselves; what is none after all is left out rather than answered with a crash.
fn set(response: &mut Response, name: impl header::IntoHeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
