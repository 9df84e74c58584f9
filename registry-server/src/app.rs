//! From a configuration to a server that has ended well: configuration → [`App`] → serve → drain.
//!
//! Here the parts are put together and nowhere else. None of them knows the others.

use std::{io, sync::Arc, time::Duration};

use axum::Router;
use snafu::{ResultExt, Snafu};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
    time::{Instant, timeout},
};
use tracing::{error, info, warn};

use crate::{
    auth::{Anonymous, Authorizer, Htpasswd, Silly, htpasswd},
    config::{Address, Auth, Config, Driver, Http, Limits, Storage},
    http::{self, Health},
    registry::Registry,
    server::{self, BindError, Drained, Ending, Greeting, Listener},
    store::{self, PartSize, Store, filesystem::Filesystem, memory::Memory, s3::S3},
    tls,
};

/// Why the server could not start.
#[derive(Debug, Snafu)]
pub enum Error {
    /// The store cannot be opened.
    #[snafu(display("failed to open the store"))]
    Store {
        /// Why.
        source: store::Error,
    },
    /// The users cannot be read.
    #[snafu(display("failed to set up authentication"))]
    Auth {
        /// Why.
        source: htpasswd::Error,
    },
    /// The certificate cannot be used.
    #[snafu(display("failed to set up TLS"))]
    Tls {
        /// Why.
        source: tls::Error,
    },
    /// The address cannot be had.
    #[snafu(transparent)]
    Bind {
        /// Why.
        source: BindError,
    },
    /// The system gives no signals.
    #[snafu(display("failed to listen for signals"))]
    Signals {
        /// The system's word.
        source: io::Error,
    },
}

/// A server that has everything it needs and listens, but answers nobody yet.
#[derive(Debug)]
pub struct App {
    listener: Listener,
    greeting: Greeting,
    router: Router,
    registry: Arc<Registry>,
    health: Health,
    ending: Ending,
}

impl App {
    /// Opens the store, reads users and certificates, and takes the address.
    ///
    /// # Errors
    /// The first of these that fails.
    pub async fn build(config: Config) -> Result<Self, Error> {
        let Config {
            log: _,
            storage,
            auth,
            http,
            limits,
            warnings: _,
            notes: _,
            settings: _,
        } = config;
        let health = Health::default();
        let options = options(&storage, &http, limits, health.clone());
        let store = open(storage.driver).await.context(StoreSnafu)?;
        let open_to_all = auth == Auth::Anonymous;
        let authorizer = authorizer(auth).await?;
        let tls = http.tls.map(|files| tls::Files::open(files, http.http2));
        let tls = tls.transpose().context(TlsSnafu)?.map(Arc::new);
        let listener = Listener::bind(&http.address).await?;
        announce(
            &http.address,
            &listener,
            tls.is_some(),
            open_to_all,
            options.read_only,
        );
        let registry = Arc::new(Registry::new(store));
        let router = http::router(Arc::clone(&registry), authorizer, options);
        let greeting = Greeting { tls, h2c: http.h2c };
        Ok(Self {
            listener,
            greeting,
            router,
            registry,
            health,
            ending: Ending {
                delay: http.drain_delay,
                drain: http.drain,
            },
        })
    }

    /// Where it listens, with the port the system chose for port 0. `None` for a socket in the file system.
    #[must_use]
    pub fn local_address(&self) -> Option<std::net::SocketAddr> {
        self.listener.local()
    }

    /// Serves until `stop`. Then says to probes that it is going, takes connections for `http.draindelay` more, and lets requests
    /// under way and writes whose client has left come to their end within `http.draintimeout`.
    pub async fn run(self, stop: impl Future<Output = ()>) -> Drained {
        let Self {
            listener,
            greeting,
            router,
            registry,
            health,
            ending,
        } = self;
        let mut stopped = None;
        let stop = async {
            stop.await;
            health.start_draining();
            stopped = Some(Instant::now());
        };
        let tls = greeting.tls.clone();
        let serving = server::serve(listener, greeting, router, stop, ending);
        let beside = async {
            check(&registry).await;
            match tls {
                None => std::future::pending().await,
                Some(files) => files.follow().await,
            }
        };
        let drained = tokio::select! {
            drained = serving => drained,
            never = beside => match never {},
        };
        let all = ending.delay.saturating_add(ending.drain);
        let left = all.saturating_sub(stopped.map_or(Duration::ZERO, |stopped| stopped.elapsed()));
        if timeout(left, registry.drain()).await.is_err() && !left.is_zero() {
            warn!("writes to the store took longer than http.draintimeout and were cut off");
        }
        drained
    }
}

/// Builds the server and runs it until SIGTERM or SIGINT. A second signal ends it at once.
///
/// # Errors
/// As [`App::build`].
pub async fn serve(config: Config) -> Result<Drained, Error> {
    let mut signals = Signals::new().context(SignalsSnafu)?;
    let app = App::build(config).await?;
    let stop = Notify::new();
    let mut running = std::pin::pin!(app.run(stop.notified()));
    tokio::select! {
        drained = &mut running => return Ok(drained),
        name = signals.next() => info!(signal = name, "asked to stop"),
    }
    stop.notify_one();
    tokio::select! {
        drained = &mut running => {
            info!("stopped");
            Ok(drained)
        }
        name = signals.next() => {
            warn!(signal = name, "asked to stop again: stopping at once");
            Ok(Drained { cut_off: 0 })
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

fn options(storage: &Storage, http: &Http, limits: Limits, health: Health) -> http::Options {
    http::Options {
        prefix: http.prefix.clone(),
        host: http.host.clone(),
        relative_urls: http.relative_urls,
        headers: http.headers.clone(),
        catalog_max_entries: limits.catalog,
        tags_max: limits.tags,
        delete_enabled: storage.delete,
        read_only: storage.read_only,
        redirect: storage.redirect,
        // Each way of logging in that there is opens every repository or none.
        everything_is_readable: true,
        health,
        ..http::Options::default()
    }
}

async fn open(driver: Driver) -> Result<Arc<dyn Store>, store::Error> {
    Ok(match driver {
        Driver::Filesystem { root } => {
            let store = Filesystem::open(&root, PartSize::DEFAULT).await?;
            let folder = std::path::absolute(&root).unwrap_or(root);
            info!(folder = %folder.display(), "images are kept in a folder");
            Arc::new(store)
        }
        Driver::Memory => {
            warn!("images are kept in memory: they are gone when the server stops");
            Arc::new(Memory::new())
        }
        Driver::S3(config) => {
            let endpoint = config
                .endpoint
                .as_ref()
                .map_or_else(|| "AWS".to_owned(), ToString::to_string);
            info!(bucket = config.bucket, prefix = config.root.as_str(), %endpoint, "images are kept in a bucket");
            Arc::new(S3::new(*config).await?)
        }
    })
}

async fn authorizer(auth: Auth) -> Result<Arc<dyn Authorizer>, Error> {
    Ok(match auth {
        Auth::Anonymous => Arc::new(Anonymous),
        Auth::Silly { realm, service } => {
            warn!(
                "auth.silly believes everybody: it is for trying out clients and protects nothing"
            );
            Arc::new(Silly::new(realm, service))
        }
        Auth::Htpasswd { realm, path } => {
            Arc::new(Htpasswd::open(path, &realm).await.context(AuthSnafu)?)
        }
    })
}

/// Tells whoever has started it where it is, who may come in, and what to do next.
fn announce(address: &Address, listener: &Listener, tls: bool, open_to_all: bool, read_only: bool) {
    if open_to_all {
        warn!(
            "there is no password: whoever reaches this server may pull and push. To have one: moorage-registry hash-password USER > \
             htpasswd, then start with REGISTRY_AUTH=htpasswd REGISTRY_AUTH_HTPASSWD_PATH=htpasswd"
        );
    }
    if read_only {
        info!("pushes and deletes are refused: storage.maintenance.readonly is set");
    }
    let scheme = if tls { "https" } else { "http" };
    let (Some(local), Address::Tcp { host, .. }) = (listener.local(), address) else {
        info!(%address, "serving");
        return;
    };
    let name = match host {
        Some(host) if !host.is_loopback() && !host.is_unspecified() => local.to_string(),
        _ => format!("localhost:{}", local.port()),
    };
    info!(
        address = %local,
        "serving {scheme}://{name}/v2/ - push with: docker tag IMAGE {name}/NAME && docker push {name}/NAME"
    );
}

/// A look at the store, so that what is wrong with it is in the log before the first push. Not a reason to end: a store may come
/// back, and until then /readyz says what is the matter.
async fn check(registry: &Registry) {
    /// Longer than a store takes that works.
    const PATIENCE: Duration = Duration::from_secs(10);
    match timeout(PATIENCE, registry.check()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            error!(error = %snafu::Report::from_error(error), "the store cannot be used yet");
        }
        Err(_) => error!("the store does not answer"),
    }
}
