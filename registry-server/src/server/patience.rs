//! How long a connection may keep its place without getting on: the clocks that run while it is read from and written to.
//!
//! What is measured, and from when to when, is told apart here; what a request means, and how long its body may pause, is not.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes};
use futures::task::AtomicWaker;
use http_body::{Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};

use super::{PREFACE, Version};

/// How long a client may keep the server waiting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// How long a connection without a request is kept.
    idle: Duration,
    /// The same while places are scarce, and how often an idle connection is looked at.
    idle_in_a_crowd: Duration,
    /// How long a client may take for the head of a request, from its first byte.
    head: Duration,
    /// How long a client may take nothing of an answer.
    sending: Duration,
}

impl Patience {
    pub(super) const DEFAULT: Self = Self {
        // Longer than a load balancer of AWS may be told to keep it (4,000 s for classic and application load balancers): when
        // it is the server that closes, a request that is on its way is answered with 502.
        idle: Duration::from_secs(4060),
        // Longer than the 60 s after which load balancers close idle connections by default.
        idle_in_a_crowd: Duration::from_secs(75),
        head: Duration::from_secs(30),
        // A client may unpack what it has got before it reads on.
        sending: Duration::from_mins(5),
    };

    /// After how long a wait is to be looked at.
    fn shortest(&self, awaited: Awaited) -> Duration {
        match awaited {
            Awaited::Request => self.idle_in_a_crowd,
            Awaited::RestOfHead => self.head,
        }
    }

    fn longest(&self, awaited: Awaited, places: &Places) -> Duration {
        match awaited {
            Awaited::Request if places.are_scarce() => self.idle_in_a_crowd,
            Awaited::Request => self.idle,
            Awaited::RestOfHead => self.head,
        }
    }
}

/// The places for connections.
#[derive(Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    total: usize,
}

impl Places {
    pub(super) fn new(total: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(total)),
            total,
        }
    }

    /// Waits for a place. Cancel-safe. `None` is never seen: the semaphore is not closed.
    pub(super) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.free).acquire_owned().await.ok()
    }

    /// Whether less than a quarter of the places is free.
    fn are_scarce(&self) -> bool {
        self.free.available_permits() < self.total / 4
    }
}

/// What a connection is at, shared by its stream and its answers.
#[derive(Debug)]
pub(super) struct Progress {
    state: Mutex<State>,
    /// Whoever waits for more bytes.
    reader: AtomicWaker,
}

#[derive(Debug)]
struct State {
    version: Version,
    /// Requests that are being answered.
    answering: usize,
    /// Bytes of a head have come, and the request has not begun yet.
    in_head: bool,
    /// Bytes that are missing of what an HTTP/2 connection begins with.
    preface: usize,
    /// Counts changes, so that no clock goes on from one wait to the next.
    turn: u64,
}

/// For what a connection is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Request,
    RestOfHead,
}

impl Progress {
    pub(super) fn new(version: Version) -> Arc<Self> {
        let is_two = matches!(version, Version::Two);
        Arc::new(Self {
            state: Mutex::new(State {
                version,
                answering: 0,
                in_head: is_two,
                preface: if is_two { PREFACE.len() } else { 0 },
                turn: 0,
            }),
            reader: AtomicWaker::new(),
        })
    }

    /// A request begins. Its answer ends when what is returned is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Answering {
        self.change(|state| {
            state.answering += 1;
            state.in_head = false;
        });
        Answering(Arc::clone(self))
    }

    fn arrived(&self, bytes: usize) {
        let mut state = self.lock();
        match state.version {
            Version::One => {
                let begins = state.answering == 0 && !state.in_head;
                state.in_head |= begins;
                state.turn += u64::from(begins);
            }
            // From here on pings tell whether somebody is there, and a request has no beginning that shows.
            Version::Two if state.preface > 0 => {
                state.preface = state.preface.saturating_sub(bytes);
                state.in_head = state.preface > 0;
                state.turn += u64::from(!state.in_head);
            }
            Version::Two => {}
        }
    }

    fn awaited(&self) -> Option<(Awaited, u64)> {
        let state = self.lock();
        let awaited = match *state {
            State { answering: 1.., .. } => return None,
            State { in_head: true, .. } => Awaited::RestOfHead,
            _ => Awaited::Request,
        };
        Some((awaited, state.turn))
    }

    fn change(&self, how: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        how(&mut state);
        state.turn += 1;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Answering(Arc<Progress>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.change(|state| state.answering -= 1);
        // Or nobody would look at the clock that begins now.
        self.0.reader.wake();
    }
}

/// The body of an answer, which lasts until it has been sent.
pub(super) struct Answer {
    pub(super) body: Body,
    pub(super) _answering: Answering,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that ends with an error when the other side keeps it waiting for too long.
pub(super) struct Patient<S> {
    stream: Pin<Box<S>>,
    progress: Arc<Progress>,
    places: Arc<Places>,
    patience: Patience,
    reading: Option<Clock>,
    writing: Option<Pin<Box<Sleep>>>,
}

struct Clock {
    awaited: Awaited,
    turn: u64,
    since: Instant,
    next: Pin<Box<Sleep>>,
}

impl<S> Patient<S> {
    pub(super) fn new(
        stream: S,
        progress: Arc<Progress>,
        places: Arc<Places>,
        patience: Patience,
    ) -> Self {
        Self {
            stream: Box::pin(stream),
            progress,
            places,
            patience,
            reading: None,
            writing: None,
        }
    }

    /// Ready when nothing has come for too long.
    fn poll_reading(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        self.progress.reader.register(cx.waker());
        let Some((awaited, turn)) = self.progress.awaited() else {
            self.reading = None;
            return Poll::Pending;
        };
        if self
            .reading
            .as_ref()
            .is_some_and(|clock| (clock.awaited, clock.turn) != (awaited, turn))
        {
            self.reading = None;
        }
        let patience = self.patience;
        let clock = self.reading.get_or_insert_with(|| Clock {
            awaited,
            turn,
            since: Instant::now(),
            next: Box::pin(sleep(patience.shortest(awaited))),
        });
        loop {
            std::task::ready!(clock.next.as_mut().poll(cx));
            if clock.since.elapsed() >= patience.longest(awaited, &self.places) {
                return Poll::Ready(io::Error::new(io::ErrorKind::TimedOut, awaited.why()));
            }
            let next = Instant::now() + patience.shortest(awaited);
            clock.next.as_mut().reset(next);
        }
    }

    /// What a write has come to, or an error when it has come to nothing for too long.
    fn within_patience<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing = None;
            return written;
        }
        let patience = self.patience.sending;
        let clock = self
            .writing
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        std::task::ready!(clock.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not take the answer",
        )))
    }
}

impl Awaited {
    fn why(self) -> &'static str {
        match self {
            Self::Request => "no request for a long time",
            Self::RestOfHead => "no end of a head within the time for it",
        }
    }
}

impl<S: AsyncRead> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        match self.stream.as_mut().poll_read(cx, into) {
            Poll::Pending => self.poll_reading(cx).map(Err),
            read @ Poll::Ready(_) => {
                let bytes = into.filled().len() - before;
                if bytes > 0 {
                    self.progress.arrived(bytes);
                }
                read
            }
        }
    }
}

impl<S: AsyncWrite> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream.as_mut().poll_write(cx, bytes);
        self.within_patience(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream.as_mut().poll_write_vectored(cx, bytes);
        self.within_patience(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.stream.as_mut().poll_flush(cx);
        self.within_patience(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = self.stream.as_mut().poll_shutdown(cx);
        self.within_patience(cx, shut)
    }
}

#[cfg(test)]
mod tests;
