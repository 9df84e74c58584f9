//! `http`, `health` and the bounds of lists: how the server is reached.

use std::{fmt, net::IpAddr, path::PathBuf, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

pub use self::tls::{ClientAuth, MinimumTls, Tls};
use super::super::{
    raw::Value,
    reader::{Reader, Show},
};

mod tls;

/// The port registries are at.
const DEFAULT_PORT: u16 = 5000;
/// Time that requests in flight have at the end. Distribution's is 0, which cuts off every push when a pod is replaced; a
/// minute lets the parts of most layers through.
const DEFAULT_DRAIN: Duration = Duration::from_mins(1);
/// As distribution: most names one page of the catalog or of tags has.
const DEFAULT_ENTRIES: u64 = 1000;
/// Most names one page may be configured to have. Bounds the memory one request can ask for to a few megabytes.
const MAX_ENTRIES: u64 = 100_000;

/// Section `http`.
#[derive(Debug)]
pub struct Http {
    /// `addr` and `net`.
    pub address: Address,
    /// `prefix`: path in front of `/v2/`, beginning and ending with a slash.
    pub prefix: String,
    /// `host`: what the world calls this server, for `Location` headers.
    pub host: Option<Url>,
    /// `relativeurls`: `Location` without a host.
    pub relative_urls: bool,
    /// `draintimeout`: how long requests in flight may take at the end. Default 60 s; 0 cuts them off.
    pub drain: Duration,
    /// `draindelay`, a key of ours: for how long, once it is asked to stop and `/readyz` says so, the server still takes requests, until
    /// those who send them know. Default 0: nobody does.
    pub drain_delay: Duration,
    /// `headers`: added to every response.
    pub headers: HeaderMap,
    /// Whether HTTP/2 is offered over TLS: `http2.disabled`, the other way round.
    pub http2: bool,
    /// `h2c.enabled`: HTTP/2 without TLS.
    pub h2c: bool,
    /// `tls`, where a certificate is configured.
    pub tls: Option<Tls>,
}

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A TCP port.
    Tcp {
        /// One address, or all of them.
        host: Option<IpAddr>,
        /// 0 lets the system choose.
        port: u16,
    },
    /// A socket in the file system.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host: None, port } => write!(f, ":{port}"),
            Self::Tcp {
                host: Some(host),
                port,
            } => std::net::SocketAddr::new(*host, *port).fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Bounds of what one answer lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `catalog.maxentries`.
    pub catalog: usize,
    /// `tags.maxtags`.
    pub tags: usize,
}

pub(super) fn limits(reader: &mut Reader<'_>) -> Limits {
    let mut entries = |path| {
        usize::try_from(reader.number(path, DEFAULT_ENTRIES, 1..=MAX_ENTRIES)).unwrap_or(usize::MAX)
    };
    Limits {
        catalog: entries("catalog.maxentries"),
        tags: entries("tags.maxtags"),
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Http> {
    let address = address(reader);
    let prefix = reader.parsed_or("http.prefix", "/".to_owned(), "/", prefix);
    let host = host(reader);
    let relative_urls = reader.flag("http.relativeurls", false);
    let drain = reader.duration("http.draintimeout", DEFAULT_DRAIN);
    let drain_delay = reader.duration("http.draindelay", Duration::ZERO);
    let headers = headers(reader);
    let http2 = !reader.flag("http.http2.disabled", false);
    let h2c = reader.flag("http.h2c.enabled", false);
    let problems = reader.problems.len();
    let tls = tls::read(reader);
    if tls.is_some() && h2c {
        reader.problem(
            "http.h2c.enabled",
            "is HTTP/2 without TLS, and http.tls is configured: over TLS HTTP/2 is offered anyway",
        );
    }
    if !reader.flag("health.storagedriver.enabled", true) {
        reader.warn(
            "health.storagedriver.enabled",
            "without effect: /readyz always looks at the store; /livez does not",
        );
    }
    if reader.problems.len() > problems && tls.is_none() {
        // A TLS section that could not be understood must not become a server without TLS.
        return None;
    }
    Some(Http {
        address: address?,
        prefix,
        host,
        relative_urls,
        drain,
        drain_delay,
        headers,
        http2,
        h2c,
        tls,
    })
}

fn address(reader: &mut Reader<'_>) -> Option<Address> {
    let default = Address::Tcp {
        host: None,
        port: DEFAULT_PORT,
    };
    let unix = reader.parsed_or("http.net", false, "tcp", |text| match text {
        "tcp" | "" => Ok(false),
        "unix" => Ok(true),
        _ => Err(format!(
            "{text:?} is not a kind of network: tcp and unix are"
        )),
    });
    if reader.node("http.addr").is_none() {
        if unix {
            reader.problem(
                "http.addr",
                "must be set with net: unix: the path of the socket",
            );
            return None;
        }
        reader.note("http.addr", &default);
        return Some(default);
    }
    reader.parsed("http.addr", Show::Plainly, |text| {
        if unix {
            Ok(Address::Unix(text.into()))
        } else {
            tcp(text)
        }
    })
}

fn tcp(text: &str) -> Result<Address, String> {
    let wrong =
        || format!("{text:?} is not an address such as :5000, 127.0.0.1:5000 or [::1]:5000");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let host = match host {
        "" => None,
        "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
        host => Some(host.parse().map_err(|_| wrong())?),
    };
    Ok(Address::Tcp { host, port })
}

fn prefix(text: &str) -> Result<String, String> {
    let inner = text.trim_matches('/');
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    if !inner.chars().all(fits)
        || inner.split('/').any(|part| part == "." || part == "..")
        || inner.contains("//")
    {
        return Err(format!(
            "{text:?} is not a path of letters, digits and -._~"
        ));
    }
    Ok(if inner.is_empty() {
        "/".to_owned()
    } else {
        format!("/{inner}/")
    })
}

fn host(reader: &mut Reader<'_>) -> Option<Url> {
    reader.parsed("http.host", Show::Plainly, |text| {
        let wrong = || {
            format!("{text:?} is not an address with a scheme such as https://registry.example.com")
        };
        let url = Url::parse(text).map_err(|_| wrong())?;
        let good = matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some()
            && url.query().is_none();
        if good { Ok(url) } else { Err(wrong()) }
    })
}

fn headers(reader: &mut Reader<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in reader.names("http.headers") {
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            reader.problem(
                "http.headers",
                format!("{name:?} is not the name of a header"),
            );
            continue;
        };
        let items = match reader
            .node("http.headers")
            .and_then(|node| node.entry(&name))
            .map(|node| &node.value)
        {
            Some(Value::List(items)) => items.iter().map(|item| &item.value).collect(),
            Some(value) => vec![value],
            None => Vec::new(),
        };
        for item in items {
            match item {
                Value::Scalar(text) if let Ok(value) = HeaderValue::from_str(text) => {
                    reader.note("http.headers", format_args!("{name}: {text}"));
                    headers.append(header.clone(), value);
                }
                Value::Null => {}
                _ => reader.problem(
                    "http.headers",
                    format!("{name} has a value that cannot be sent in a header"),
                ),
            }
        }
    }
    headers
}
