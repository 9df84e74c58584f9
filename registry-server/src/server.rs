//! Connections: where they come in, what one of them may cost, and how they end.
//!
//! Whoever connects is a stranger until a request says otherwise, so all of it is bounded: how many connections there are, how
//! long one may take to say what it wants, how large the head of a request is, how many requests one connection carries at once.
//!
//! What a request means is the router's business.

use std::{
    io::{self, Cursor},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use axum::{Router, extract::ConnectInfo};
use hyper::{Request, body::Incoming};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};
use tower::ServiceExt;
use tracing::{debug, info, warn};

pub use self::listener::{BindError, Listener};
use crate::{http::OverTls, tls};

mod listener;

/// Most connections at once; further ones wait in the system's queue. Half the files the process may open, at most this.
const MAX_CONNECTIONS: usize = 4096;
/// How long a client may take to finish TLS, or to say which version of HTTP it speaks.
const GREETING: Duration = Duration::from_secs(10);
/// How long a client may take for the head of a request, the wait for the next request included. Longer than the 60 s after which
/// load balancers close idle connections by default, so that it is they who close them.
const REQUEST_HEAD: Duration = Duration::from_secs(75);
/// Largest head of a request, in bytes, and what is read ahead of a body.
const MAX_HEAD: usize = 64 * 1024;
/// Most requests one HTTP/2 connection carries at once: clients pull three to ten layers at a time.
const MAX_STREAMS: u32 = 128;
/// What one HTTP/2 request, and one connection, may send ahead of being read, in bytes. Bounds memory; limits the speed of a push
/// to this much for each round trip.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// How often an idle HTTP/2 connection is asked whether somebody is there, and how long it may take to answer.
const PING: Duration = Duration::from_secs(30);
/// How long to wait before accepting again when the system refuses, as it does when too many files are open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// What an HTTP/2 connection without TLS begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How connections are greeted.
#[derive(Debug, Clone)]
pub struct Greeting {
    /// TLS, or none.
    pub tls: Option<Arc<tls::Files>>,
    /// Whether HTTP/2 is understood without TLS.
    pub h2c: bool,
}

/// How serving came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were cut off because their requests took longer than the drain may.
    pub cut_off: usize,
}

/// Serves until `stop`, then takes no more connections and lets the requests under way finish, for at most as long as `drain`.
pub async fn serve(
    listener: Listener,
    greeting: Greeting,
    router: Router,
    stop: impl Future<Output = ()>,
    drain: Duration,
) -> Drained {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(max_connections()));
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = connections.join_next() => continue,
            next = next => next,
        };
        match (place, accepted) {
            (Ok(place), Ok((stream, peer))) => {
                let serving = connection(
                    stream,
                    peer,
                    greeting.clone(),
                    router.clone(),
                    graceful.watcher(),
                    place,
                );
                connections.spawn(serving);
            }
            (_, Err(error)) => {
                warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            // The semaphore is never closed.
            (Err(_), _) => break,
        }
    }
    drop(listener);
    info!(
        connections = graceful.count(),
        seconds = drain.as_secs(),
        "stopping: requests under way are finished first"
    );
    let finished = async {
        graceful.shutdown().await;
        while connections.join_next().await.is_some() {}
    };
    if timeout(drain, finished).await.is_err() {
        let cut_off = connections.len();
        warn!(
            connections = cut_off,
            "requests took longer than http.draintimeout and were cut off"
        );
        connections.shutdown().await;
        return Drained { cut_off };
    }
    Drained { cut_off: 0 }
}

fn max_connections() -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = files
        .and_then(|files| usize::try_from(files / 2).ok())
        .unwrap_or(MAX_CONNECTIONS);
    half.clamp(16, MAX_CONNECTIONS)
}

/// One connection, from its greeting to its end. What goes wrong concerns nobody else.
async fn connection(
    stream: listener::Stream,
    peer: Option<SocketAddr>,
    greeting: Greeting,
    router: Router,
    watcher: Watcher,
    _place: OwnedSemaphorePermit,
) {
    let peer = Peer {
        address: peer,
        over_tls: greeting.tls.is_some(),
    };
    let outcome = match greeting.tls {
        Some(files) => match timeout(GREETING, files.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => {
                let version = match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => Version::Two,
                    _ => Version::One,
                };
                speak(stream, version, peer, router, watcher).await
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err("no TLS within the time for it".into()),
        },
        None if greeting.h2c => match timeout(GREETING, preface(stream)).await {
            Ok(Ok((stream, version))) => speak(stream, version, peer, router, watcher).await,
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err("no request within the time for it".into()),
        },
        None => speak(stream, Version::One, peer, router, watcher).await,
    };
    if let Err(error) = outcome {
        debug!(%error, peer = ?peer.address, "a connection ended early");
    }
}

/// What handlers are told of a connection.
#[derive(Clone, Copy)]
struct Peer {
    address: Option<SocketAddr>,
    over_tls: bool,
}

/// Version of HTTP that a connection speaks to its end.
#[derive(Clone, Copy)]
enum Version {
    One,
    Two,
}

/// Reads as much as tells the version, and puts it back.
async fn preface<S>(mut stream: S) -> io::Result<(impl AsyncRead + AsyncWrite + use<S>, Version)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut read = Vec::with_capacity(PREFACE.len());
    while read.len() < PREFACE.len() && PREFACE.starts_with(&read) {
        let mut rest = (&mut stream).take(u64::try_from(PREFACE.len() - read.len()).unwrap_or(0));
        if rest.read_buf(&mut read).await? == 0 {
            break;
        }
    }
    let version = if read == PREFACE {
        Version::Two
    } else {
        Version::One
    };
    let (reader, writer) = tokio::io::split(stream);
    Ok((
        tokio::io::join(Cursor::new(read).chain(reader), writer),
        version,
    ))
}

async fn speak(
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    version: Version,
    peer: Peer,
    router: Router,
    watcher: Watcher,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let Peer { address, over_tls } = peer;
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        if let Some(address) = address {
            request.extensions_mut().insert(ConnectInfo(address));
        }
        if over_tls {
            request.extensions_mut().insert(OverTls);
        }
        router.clone().oneshot(request)
    });
    let io = TokioIo::new(Box::pin(stream));
    let builder = builder(version);
    let connection = builder.serve_connection(io, service).into_owned();
    watcher.watch(connection).await
}

fn builder(version: Version) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_HEAD)
        .max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    match version {
        Version::One => builder.http1_only(),
        Version::Two => builder.http2_only(),
    }
}
