//! Probes, for whoever decides whether this process lives and gets requests. They need no password, so they say that
//! something is wrong and not what: names of buckets and answers of the store are for the log.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::App;
use crate::registry::Registry;

/// For how long the store is believed to be as it was last seen. Anybody may ask, and must not be able to flood the store.
const FRESH: Duration = Duration::from_secs(5);
/// How long the store may take to answer. Shorter than the timeouts usual for probes would be too strict, longer would hang them.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Whether this process can serve, shared by the probes and whoever stops it. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    draining: AtomicBool,
    checking: AtomicBool,
    seen: Mutex<Option<(Instant, Result<(), &'static str>)>>,
}

impl Health {
    /// From now on answers that the process is about to stop, so that no new requests are sent to it.
    pub fn start_draining(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    /// Whether requests should be sent here.
    ///
    /// # Errors
    /// Why not, in words for a person.
    async fn ready(&self, registry: &Registry) -> Result<(), &'static str> {
        if self.0.draining.load(Ordering::Relaxed) {
            return Err("the server is stopping");
        }
        let seen = *self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen {
            Some((at, outcome)) if at.elapsed() < FRESH => outcome,
            // One at a time; the others are told what was last known.
            seen if self.0.checking.swap(true, Ordering::AcqRel) => seen.map_or_else(
                || Err("the store has not been looked at yet"),
                |(_, outcome)| outcome,
            ),
            _ => {
                let _done = Done(&self.0.checking);
                let outcome = check(registry).await;
                *self.0.seen.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((Instant::now(), outcome));
                outcome
            }
        }
    }
}

/// Lets the next one check, also when the probe was dropped half way.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

async fn check(registry: &Registry) -> Result<(), &'static str> {
    match tokio::time::timeout(TIMEOUT, registry.check()).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the store cannot be used");
            Err("the store cannot be used; the server's log says why")
        }
        Err(_) => Err("the store does not answer in time"),
    }
}

/// `/livez`: the process is up and handles requests.
pub(super) async fn live() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// `/readyz` and `/healthz`: requests can be served.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.options.health.ready(&app.registry).await {
        Ok(()) => Json(json!({ "status": "ok" })).into_response(),
        Err(reason) => (
            StatusCode::SERVICE_UNAVAILABLE,
            Json(json!({ "status": "unavailable", "reason": reason })),
        )
            .into_response(),
    }
}
