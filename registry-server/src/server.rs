//! Connections: where they come in, what one of them may cost, and how they end.
//!
//! Whoever connects is a stranger until a request says otherwise, so all of it is bounded: how many connections there are, how
//! long one may take to say what it wants, how large the head of a request is, how many requests one connection carries at once.
//!
//! What a request means is the router's business.

use std::{
    convert::Infallible,
    io::{self, Cursor},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::ConnectInfo};
use hyper::{
    Request, Response,
    body::Incoming,
    header::{CONNECTION, HeaderValue},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    sync::OwnedSemaphorePermit,
    task::JoinSet,
    time::{sleep, timeout},
};
use tower::ServiceExt;
use tracing::{debug, info, warn};

pub use self::listener::{BindError, Listener};
use self::patience::{Answer, Patience, Patient, Places, Progress};
use crate::{http::OverTls, tls};

mod listener;
mod patience;

/// Most connections at once; further ones wait in the system's queue. Half the files the process may open, at most this.
const MAX_CONNECTIONS: usize = 4096;
/// How long a client may take to finish TLS, or to say which version of HTTP it speaks.
const GREETING: Duration = Duration::from_secs(10);
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

/// How long the end may take.
#[derive(Debug, Clone, Copy)]
pub struct Ending {
    /// For how long connections are still taken once `stop` has come, so that those who send requests here can learn of it.
    pub delay: Duration,
    /// For how long requests that are then under way may take.
    pub drain: Duration,
}

/// What all connections have in common.
#[derive(Clone)]
struct House {
    greeting: Greeting,
    router: Router,
    places: Arc<Places>,
    patience: Patience,
    /// Whether each connection is to end with the answer that is next.
    closing: Arc<AtomicBool>,
}

/// Serves until `stop`; then for as long as [`Ending::delay`], ending each connection that is used with its next answer; then
/// takes no more connections and lets the requests under way finish, for at most as long as [`Ending::drain`].
pub async fn serve(
    listener: Listener,
    greeting: Greeting,
    router: Router,
    stop: impl Future<Output = ()>,
    ending: Ending,
) -> Drained {
    let Ending { delay, drain } = ending;
    let house = House {
        greeting,
        router,
        places: Arc::new(Places::new(max_connections())),
        patience: Patience::DEFAULT,
        closing: Arc::default(),
    };
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    accept(&listener, &house, &graceful, &mut connections, stop).await;
    house.closing.store(true, Ordering::Relaxed);
    if !delay.is_zero() {
        info!(
            seconds = delay.as_secs(),
            "stopping: requests are still taken until load balancers have noticed"
        );
        accept(&listener, &house, &graceful, &mut connections, sleep(delay)).await;
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

/// Takes connections until `end`.
async fn accept(
    listener: &Listener,
    house: &House,
    graceful: &GracefulShutdown,
    connections: &mut JoinSet<()>,
    end: impl Future<Output = ()>,
) {
    let mut end = std::pin::pin!(end);
    loop {
        let next = async {
            let place = house.places.take().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            biased;
            () = &mut end => return,
            Some(_) = connections.join_next() => continue,
            next = next => next,
        };
        match accepted {
            Ok((stream, peer)) => {
                let serving = connection(stream, peer, house.clone(), graceful.watcher(), place);
                connections.spawn(serving);
            }
            Err(error) => {
                warn!(%error, "failed to accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
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
    house: House,
    watcher: Watcher,
    _place: Option<OwnedSemaphorePermit>,
) {
    let greeting = &house.greeting;
    let peer = Peer {
        address: peer,
        over_tls: greeting.tls.is_some(),
    };
    let outcome = match &greeting.tls {
        Some(files) => match timeout(GREETING, files.acceptor().accept(stream)).await {
            Ok(Ok(stream)) => {
                let version = match stream.get_ref().1.alpn_protocol() {
                    Some(b"h2") => Version::Two,
                    _ => Version::One,
                };
                speak(stream, version, peer, &house, watcher).await
            }
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err("no TLS within the time for it".into()),
        },
        None if greeting.h2c => match timeout(GREETING, preface(stream)).await {
            Ok(Ok((stream, version))) => speak(stream, version, peer, &house, watcher).await,
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err("no request within the time for it".into()),
        },
        None => speak(stream, Version::One, peer, &house, watcher).await,
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
#[derive(Debug, Clone, Copy)]
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
    house: &House,
    watcher: Watcher,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let progress = Progress::new(version);
    let io = Patient::new(
        stream,
        Arc::clone(&progress),
        Arc::clone(&house.places),
        house.patience,
    );
    let (router, closing) = (house.router.clone(), Arc::clone(&house.closing));
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let answering = progress.begin();
        let (router, closing) = (router.clone(), Arc::clone(&closing));
        async move {
            let mut response = answer(router, request, peer).await?;
            // HTTP/2 has its own way to say it, when the listener is gone.
            if matches!(version, Version::One) && closing.load(Ordering::Relaxed) {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            Ok::<_, Infallible>(response.map(|body| Answer {
                body,
                _answering: answering,
            }))
        }
    });
    let builder = builder(version);
    let connection = builder
        .serve_connection(TokioIo::new(io), service)
        .into_owned();
    watcher.watch(connection).await
}

async fn answer(
    router: Router,
    mut request: Request<Incoming>,
    peer: Peer,
) -> Result<Response<axum::body::Body>, Infallible> {
    let Peer { address, over_tls } = peer;
    if let Some(address) = address {
        request.extensions_mut().insert(ConnectInfo(address));
    }
    if over_tls {
        request.extensions_mut().insert(OverTls);
    }
    router.oneshot(request).await
}

fn builder(version: Version) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        // Its clock does not tell waiting for a request from waiting for the rest of one: `patience` does.
        .header_read_timeout(None)
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
