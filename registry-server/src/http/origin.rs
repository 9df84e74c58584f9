//! The URLs handed out to clients: what comes before the path.

use axum::http::{HeaderMap, Uri, header, uri::Authority};

use super::{Options, endpoint::Endpoint};

/// Marks a request that came over TLS. Whoever accepts connections puts it into the request's extensions.
#[derive(Debug, Clone, Copy)]
pub struct OverTls;

/// What URLs of one request begin with.
#[derive(Debug, Clone)]
pub(super) struct Origin(String);

impl Origin {
    /// By the configuration, else by what a proxy in front says, else by what the client says. Empty when nobody says it: the
    /// URLs are then relative.
    pub(super) fn of(options: &Options, headers: &HeaderMap, uri: &Uri, over_tls: bool) -> Self {
        let prefix = options.prefix.trim_end_matches('/');
        if options.relative_urls {
            return Self(prefix.to_owned());
        }
        if let Some(host) = &options.host {
            return Self(format!("{}{prefix}", host.as_str().trim_end_matches('/')));
        }
        let forwarded = text(headers, "forwarded")
            .map(Forwarded::parse)
            .unwrap_or_default();
        let host = forwarded
            .host
            .or_else(|| first(headers, "x-forwarded-host"))
            .or_else(|| first(headers, header::HOST.as_str()))
            .or_else(|| uri.authority().map(ToString::to_string))
            .filter(|host| {
                host.parse::<Authority>()
                    .is_ok_and(|authority| !authority.as_str().contains('@'))
            });
        let scheme = forwarded
            .proto
            .or_else(|| first(headers, "x-forwarded-proto"));
        let scheme = match scheme.as_deref() {
            Some("https") => "https",
            Some("http") => "http",
            _ if over_tls => "https",
            _ => "http",
        };
        match host {
            Some(host) => Self(format!("{scheme}://{host}{prefix}")),
            None => Self(prefix.to_owned()),
        }
    }

    /// The URL of an endpoint.
    pub(super) fn url(&self, endpoint: &Endpoint) -> String {
        format!("{}/v2/{endpoint}", self.0)
    }
}

/// The first element of `Forwarded` (RFC 7239).
#[derive(Debug, Default, PartialEq, Eq)]
struct Forwarded {
    proto: Option<String>,
    host: Option<String>,
}

impl Forwarded {
    fn parse(value: &str) -> Self {
        let mut parsed = Self::default();
        for pair in value.split(',').next().unwrap_or_default().split(';') {
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            let value = value.trim().trim_matches('"').to_owned();
            match name.trim().to_ascii_lowercase().as_str() {
                "proto" => parsed.proto = Some(value.to_ascii_lowercase()),
                "host" => parsed.host = Some(value),
                _ => {}
            }
        }
        parsed
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The first of a list: what the proxy nearest to the client said.
fn first(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = text(headers, name)?.split(',').next()?.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use rstest::rstest;

    use super::*;

    fn origin(options: &Options, pairs: &[(&'static str, &'static str)], over_tls: bool) -> String {
        let headers = pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect();
        Origin::of(options, &headers, &Uri::from_static("/v2/"), over_tls).url(&Endpoint::Catalog)
    }

    #[rstest]
    #[case::host(&[("host", "a:5000")], "http://a:5000/v2/_catalog")]
    #[case::forwarded_proto(&[("host", "a"), ("x-forwarded-proto", "https")], "https://a/v2/_catalog")]
    #[case::forwarded_host(&[("host", "a"), ("x-forwarded-host", "b, c"), ("x-forwarded-proto", "https,http")], "https://b/v2/_catalog")]
    #[case::forwarded(&[("host", "a"), ("x-forwarded-host", "b"), ("forwarded", "for=1.2.3.4;proto=HTTPS;host=\"c:1\", host=d")], "https://c:1/v2/_catalog")]
    #[case::nobody(&[], "/v2/_catalog")]
    #[case::nonsense(&[("host", "a b"), ("x-forwarded-proto", "javascript")], "/v2/_catalog")]
    fn urls_are_those_the_client_came_by(
        #[case] headers: &[(&'static str, &'static str)],
        #[case] url: &str,
    ) {
        assert_eq!(origin(&Options::default(), headers, false), url);
    }

    #[test]
    fn a_configured_host_goes_before_everything_else() {
        let host = Some("https://registry.example.com:8443".parse().unwrap());
        let options = Options {
            host,
            prefix: "/team/".to_owned(),
            ..Options::default()
        };
        assert_eq!(
            origin(&options, &[("host", "a")], false),
            "https://registry.example.com:8443/team/v2/_catalog"
        );
    }

    #[test]
    fn relative_urls_name_no_host() {
        let options = Options {
            relative_urls: true,
            prefix: "/team/".to_owned(),
            ..Options::default()
        };
        assert_eq!(
            origin(&options, &[("host", "a")], false),
            "/team/v2/_catalog"
        );
    }

    #[test]
    fn a_connection_over_tls_is_https() {
        assert_eq!(
            origin(&Options::default(), &[("host", "a")], true),
            "https://a/v2/_catalog"
        );
    }
}
