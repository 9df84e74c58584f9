//! `/livez` and `/readyz`, for the kubelet.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{Router, http::StatusCode, routing::get};
use snafu::{ResultExt, Snafu};
use tokio::net::TcpListener;

/// The probes cannot be served.
#[derive(Debug, Snafu)]
pub enum Error {
    /// The address is taken, or not ours.
    #[snafu(display("failed to listen on {address} for health probes (--health-address)"))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The socket is gone.
    #[snafu(display("failed to serve health probes on {address}"))]
    Serve {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// Whether the operator has seen every `ContainerRegistry` once and works on them.
#[derive(Clone, Debug, Default)]
pub struct Ready(Arc<AtomicBool>);

impl Ready {
    /// From now on.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn status(&self) -> (StatusCode, &'static str) {
        if self.0.load(Ordering::Relaxed) {
            (StatusCode::OK, "ok\n")
        } else {
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "the ContainerRegistries have not been listed yet\n",
            )
        }
    }
}

/// Answers until the future is dropped.
///
/// # Errors
/// When the address cannot be used.
pub async fn serve(address: SocketAddr, ready: Ready) -> Result<(), Error> {
    let listener = TcpListener::bind(address)
        .await
        .context(ListenSnafu { address })?;
    axum::serve(listener, router(ready))
        .await
        .context(ServeSnafu { address })
}

fn router(ready: Ready) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(move || std::future::ready(ready.status())))
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use tower::ServiceExt;

    use super::*;

    async fn ask(ready: &Ready, path: &str) -> StatusCode {
        let request = Request::get(path)
            .body(Body::empty())
            .expect("the path is a path");
        router(ready.clone())
            .oneshot(request)
            .await
            .expect("the router answers")
            .status()
    }

    #[tokio::test]
    async fn it_is_alive_at_once_and_ready_when_told() {
        let ready = Ready::default();
        assert_eq!(ask(&ready, "/livez").await, StatusCode::OK);
        assert_eq!(
            ask(&ready, "/readyz").await,
            StatusCode::SERVICE_UNAVAILABLE
        );
        ready.set();
        assert_eq!(ask(&ready, "/readyz").await, StatusCode::OK);
    }
}
