//! Where connections come in: a TCP port or a socket in the file system.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    pin::Pin,
};

use snafu::{ResultExt, Snafu};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener, UnixStream},
};

use crate::config::Address;

/// Why nothing can come in.
#[derive(Debug, Snafu)]
pub enum BindError {
    /// Somebody else is there.
    #[snafu(display(
        "failed to listen on {address}: another process does already. Stop it, or choose another address, for example \
         REGISTRY_HTTP_ADDR=:5001 (macOS and some desktops use port 5000 themselves)"
    ))]
    InUse {
        /// Where.
        address: Address,
    },
    /// The system does not allow it.
    #[snafu(display(
        "failed to listen on {address}: not permitted. Ports below 1024 belong to root: choose another with REGISTRY_HTTP_ADDR"
    ))]
    NotPermitted {
        /// Where.
        address: Address,
    },
    /// Anything else.
    #[snafu(display("failed to listen on {address}"))]
    Bind {
        /// Where.
        address: Address,
        /// The system's word.
        source: io::Error,
    },
}

/// A place that has been taken.
#[derive(Debug)]
pub enum Listener {
    /// A TCP port.
    Tcp(TcpListener),
    /// A socket in the file system, which is removed at the end.
    Unix(UnixListener, Removed),
}

/// A path that is removed when this goes.
#[derive(Debug)]
pub struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        // Nothing can be done about a failure, and the next start removes a socket nobody listens on.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A connection, whichever way it came.
pub(super) type Stream = Pin<Box<dyn ReadWrite>>;

pub(super) trait ReadWrite: AsyncRead + AsyncWrite + Send {}
impl<S: AsyncRead + AsyncWrite + Send> ReadWrite for S {}

impl Listener {
    /// Takes the place.
    ///
    /// # Errors
    /// [`BindError`], saying what to do.
    pub async fn bind(address: &Address) -> Result<Self, BindError> {
        let bound = match address {
            Address::Tcp {
                host: Some(host),
                port,
            } => TcpListener::bind((*host, *port)).await.map(Self::Tcp),
            Address::Tcp { host: None, port } => everywhere(*port).await.map(Self::Tcp),
            Address::Unix(path) => unix(path).await,
        };
        match bound {
            Ok(listener) => Ok(listener),
            Err(error) => match error.kind() {
                io::ErrorKind::AddrInUse => InUseSnafu {
                    address: address.clone(),
                }
                .fail(),
                io::ErrorKind::PermissionDenied if matches!(address, Address::Tcp { .. }) => {
                    NotPermittedSnafu {
                        address: address.clone(),
                    }
                    .fail()
                }
                _ => Err(error).context(BindSnafu {
                    address: address.clone(),
                }),
            },
        }
    }

    /// The address of a TCP port, with the number the system chose for port 0.
    #[must_use]
    pub fn local(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }

    /// The next connection. Cancel-safe.
    pub(super) async fn accept(&self) -> io::Result<(Stream, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are small and should not wait for each other. A peer that has gone shows at the first read.
                let _ = stream.set_nodelay(true);
                Ok((Box::pin(stream), Some(peer)))
            }
            Self::Unix(listener, _) => Ok((Box::pin(listener.accept().await?.0), None)),
        }
    }
}

/// All addresses: one socket for IPv6 and IPv4, or IPv4 alone where there is no IPv6.
async fn everywhere(port: u16) -> io::Result<TcpListener> {
    let any = |host: IpAddr| TcpListener::bind(SocketAddr::new(host, port));
    match any(Ipv6Addr::UNSPECIFIED.into()).await {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
            ) =>
        {
            any(Ipv4Addr::UNSPECIFIED.into()).await
        }
        // EAFNOSUPPORT has no kind of its own.
        Err(error)
            if error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) =>
        {
            any(Ipv4Addr::UNSPECIFIED.into()).await
        }
        bound => bound,
    }
}

/// A socket that a process left behind when it was killed is taken over; one that answers is not.
async fn unix(path: &Path) -> io::Result<Listener> {
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            match UnixStream::connect(path).await {
                Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {
                    std::fs::remove_file(path)?;
                }
                _ => return Err(error),
            }
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    Ok(Listener::Unix(listener, Removed(path.to_owned())))
}
