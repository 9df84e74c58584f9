//! The vocabulary of the tests: a registry in this process, and a client that speaks to it without a socket.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use moorage_registry_server::{
    auth::{Access, Action, Authorizer, Denied, Identity},
    http::{Options, router},
    registry::{Algorithm, Digest, Registry},
    store::{ListMode, Prefix, Store},
};
use serde_json::{Value, json};
use tower::ServiceExt;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A client of a registry, and a look behind it.
#[derive(Clone)]
pub(crate) struct Client {
    router: Router,
    pub(crate) store: Arc<dyn Store>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().expect("text"))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// Status and error codes: what a refusal is judged by.
    #[track_caller]
    pub(crate) fn refuses(&self, status: u16, code: &str) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.json()["errors"][0]["code"], code, "{self:?}");
    }

    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }
}

impl Client {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self::with(
            store,
            Options {
                delete_enabled: true,
                ..Options::default()
            },
        )
    }

    pub(crate) fn with(store: Arc<dyn Store>, options: Options) -> Self {
        Self::guarded(
            store,
            Arc::new(moorage_registry_server::auth::Anonymous),
            options,
        )
    }

    pub(crate) fn guarded(
        store: Arc<dyn Store>,
        authorizer: Arc<dyn Authorizer>,
        options: Options,
    ) -> Self {
        let registry = Arc::new(Registry::new(Arc::clone(&store)));
        Self {
            router: router(registry, authorizer, options),
            store,
        }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self
            .router
            .clone()
            .oneshot(request)
            .await
            .expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// Serves on a port of its own for as long as the test runs.
    pub(crate) async fn listen(&self) -> std::net::SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(axum::serve(listener, self.router.clone()).into_future());
        address
    }

    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(body.into()).expect("a request"))
            .await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], Body::empty()).await
    }

    pub(crate) async fn head(&self, path: &str) -> Answer {
        self.call(Method::HEAD, path, &[], Body::empty()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, &[], Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str) -> Answer {
        self.call(Method::POST, path, &[], Body::empty()).await
    }

    /// Begins an upload; where it goes on, with all that the registry wants to hear again.
    pub(crate) async fn begin_fresh(&self, name: &str) -> String {
        let answer = self
            .post(&format!("/v2/{name}/blobs/uploads/"))
            .await
            .is(202);
        answer.header("location").to_owned()
    }

    /// Begins an upload; where it goes on once something has been added.
    pub(crate) async fn begin(&self, name: &str) -> String {
        let location = self.begin_fresh(name).await;
        location.split('?').next().unwrap_or_default().to_owned()
    }

    pub(crate) async fn patch(
        &self,
        location: &str,
        range: Option<&str>,
        body: impl Into<Body>,
    ) -> Answer {
        let headers: Vec<_> = range
            .map(|range| ("content-range", range))
            .into_iter()
            .collect();
        self.call(Method::PATCH, location, &headers, body).await
    }

    pub(crate) async fn finish(
        &self,
        location: &str,
        digest: &Digest,
        body: impl Into<Body>,
    ) -> Answer {
        self.call(Method::PUT, &with_digest(location, digest), &[], body)
            .await
    }

    /// Pushes a blob in two requests.
    pub(crate) async fn push_blob(&self, name: &str, content: &[u8]) -> Digest {
        let digest = Algorithm::Sha256.digest(content);
        let location = self.begin_fresh(name).await;
        self.finish(&location, &digest, content.to_vec())
            .await
            .is(201);
        digest
    }

    pub(crate) async fn put_manifest(
        &self,
        name: &str,
        reference: &str,
        media_type: &str,
        document: &Value,
    ) -> Answer {
        let path = format!("/v2/{name}/manifests/{reference}");
        self.call(
            Method::PUT,
            &path,
            &[("content-type", media_type)],
            document.to_string(),
        )
        .await
    }

    /// Pushes an image of one layer, whose content makes it differ from others.
    pub(crate) async fn push_image(&self, name: &str, tag: &str, layer: &[u8]) -> Digest {
        let document = self.image(name, layer).await;
        let answer = self
            .put_manifest(name, tag, OCI_MANIFEST, &document)
            .await
            .is(201);
        answer
            .header("docker-content-digest")
            .parse()
            .expect("a digest")
    }

    /// The manifest of an image of one layer, whose blobs are there.
    pub(crate) async fn image(&self, name: &str, layer: &[u8]) -> Value {
        let config = self.push_blob(name, b"{}").await;
        let digest = self.push_blob(name, layer).await;
        json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": layer.len()}],
        })
    }

    /// All keys whose text contains `part`.
    pub(crate) async fn keys(&self, part: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = self
                .store
                .list(&Prefix::root(), ListMode::Deep, after.as_deref(), 1000)
                .await
                .expect("a page");
            found.extend(
                page.objects
                    .iter()
                    .map(|object| object.key.to_string())
                    .filter(|key| key.contains(part)),
            );
            after = page.next;
            if after.is_none() {
                return found;
            }
        }
    }
}

/// Content that is not the same everywhere, of `length` bytes.
pub(crate) fn content(length: usize) -> Vec<u8> {
    (0..length)
        .map(|index| u8::try_from((index.wrapping_mul(2_654_435_761) >> 7) & 0xff).expect("a byte"))
        .collect()
}

/// Lets `admin` with the password `secret` do everything, `reader` only read, and remembers nothing.
#[derive(Debug, Default)]
pub(crate) struct TwoUsers {
    pub(crate) asked: Mutex<Vec<Vec<Access>>>,
}

#[async_trait]
impl Authorizer for TwoUsers {
    async fn authorize(
        &self,
        authorization: Option<&str>,
        wanted: &[Access],
    ) -> Result<Identity, Denied> {
        self.asked
            .lock()
            .expect("not poisoned")
            .push(wanted.to_vec());
        let reads_only = wanted.iter().all(|access| {
            matches!(
                access,
                Access::Repository {
                    action: Action::Pull,
                    ..
                }
            )
        });
        match authorization {
            Some("Basic YWRtaW46c2VjcmV0") => Ok(Identity {
                user: Some("admin".to_owned()),
            }),
            Some("Basic cmVhZGVyOnNlY3JldA==") if reads_only => Ok(Identity {
                user: Some("reader".to_owned()),
            }),
            Some("Basic cmVhZGVyOnNlY3JldA==") => Err(Denied::Forbidden { challenge: None }),
            _ => Err(Denied::Unauthenticated {
                challenge: "Basic realm=\"test\"".to_owned(),
            }),
        }
    }
}

/// As clients add a parameter to a URL that may have some.
pub(crate) fn with_digest(location: &str, digest: &Digest) -> String {
    let separator = if location.contains('?') { '&' } else { '?' };
    format!("{location}{separator}digest={digest}")
}
