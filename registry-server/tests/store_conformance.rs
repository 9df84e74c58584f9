//! The promises of a store, kept by real S3 servers, and what is true of S3 beyond them.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "this is a test: a failure ends it with a message"
)]

mod programs;
mod support;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use moorage_registry_server::store::{
    Key, Kind, ListMode, Prefix, PresignedMethod, PutMode, Store,
    conformance::{self, BoxError},
    s3::{Credentials, S3, S3Config},
};
use support::S3Server;
use url::Url;

fn fetch(method: PresignedMethod, url: Url) -> BoxFuture<'static, Result<(u16, Bytes), BoxError>> {
    async move {
        let client = reqwest::Client::new();
        let request = match method {
            PresignedMethod::Get => client.get(url),
            PresignedMethod::Head => client.head(url),
        };
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.bytes().await?))
    }
    .boxed()
}

async fn conforms(config: impl Fn() -> S3Config) {
    let make = async || -> Result<Arc<dyn Store>, BoxError> {
        let store: Arc<dyn Store> = Arc::new(S3::new(config()).await?);
        Ok(store)
    };
    conformance::run(make, &fetch)
        .await
        .unwrap_or_else(|failures| panic!("{failures}"));
}

fn key(key: &str) -> Key {
    Key::new(key).expect("a key")
}

async fn store(config: S3Config) -> S3 {
    S3::new(config).await.expect("a store")
}

#[tokio::test]
async fn a_bucket_of_moto_keeps_the_promises_of_a_store() {
    let Some(server) = S3Server::moto("a_bucket_of_moto_keeps_the_promises_of_a_store").await
    else {
        return;
    };
    conforms(|| server.config()).await;
}

#[tokio::test]
async fn a_bucket_of_versitygw_keeps_the_promises_of_a_store() {
    let Some(server) =
        S3Server::versitygw("a_bucket_of_versitygw_keeps_the_promises_of_a_store").await
    else {
        return;
    };
    conforms(|| server.config()).await;
}

/// The policy that the operator gives to a registry's key is enough for all that a store does, and no call is made beyond it.
#[tokio::test]
async fn eight_actions_are_enough() {
    let Some(server) = S3Server::moto("eight_actions_are_enough").await else {
        return;
    };
    let bucket = format!("arn:aws:s3:::{}", support::BUCKET);
    let policy = serde_json::json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Resource": bucket,
          "Action": ["s3:ListBucket", "s3:GetBucketLocation", "s3:ListBucketMultipartUploads"] },
        { "Effect": "Allow", "Resource": format!("{bucket}/*"),
          "Action": ["s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"] },
    ]});
    let credentials = server.enforce(&policy.to_string()).await;
    let config = |config| S3Config {
        credentials: credentials.clone(),
        ..config
    };
    conforms(|| config(server.config())).await;
    let other = store(S3Config {
        bucket: "another".to_owned(),
        ..config(server.config())
    })
    .await;
    let error = other.head(&key("a")).await.expect_err("another bucket");
    assert_eq!(
        error.kind(),
        &Kind::Denied {
            action: "s3:GetObject"
        },
        "IAM is not enforced"
    );
}

#[tokio::test]
async fn keys_are_below_the_root_directory_and_nothing_else_is_seen() {
    let Some(server) =
        S3Server::moto("keys_are_below_the_root_directory_and_nothing_else_is_seen").await
    else {
        return;
    };
    let config = S3Config {
        root: Prefix::new("some/root/").expect("a prefix"),
        ..server.config()
    };
    let store = store(config).await;
    store
        .put(
            &key("docker/x"),
            Bytes::from_static(b"x"),
            PutMode::IfAbsent,
        )
        .await
        .expect("written");
    let client = server.client();
    // A neighbour whose name begins alike, a marker that a console made of a folder, and a name that is no key of ours.
    for other in [
        "some/rootless",
        "some/root/folder/",
        "some/root/a//b",
        "some/root/control\u{1}",
    ] {
        let put = client
            .put_object()
            .bucket(support::BUCKET)
            .key(other)
            .body(Bytes::new().into());
        put.send().await.expect("written");
    }
    client
        .head_object()
        .bucket(support::BUCKET)
        .key("some/root/docker/x")
        .send()
        .await
        .expect("there");
    let page = store
        .list(&Prefix::root(), ListMode::Deep, None, 2)
        .await
        .expect("a page");
    let keys: Vec<_> = page
        .objects
        .iter()
        .map(|listed| listed.key.as_str())
        .collect();
    assert_eq!(keys, ["docker/x"]);
}

#[tokio::test]
async fn what_a_person_has_to_change_is_said_by_name() {
    let Some(server) = S3Server::versitygw("what_a_person_has_to_change_is_said_by_name").await
    else {
        return;
    };
    let secret = Credentials::AccessKey {
        id: support::ACCESS_KEY.to_owned(),
        secret: "wrong".into(),
        session_token: None,
    };
    let unknown = Credentials::AccessKey {
        id: "nobody".to_owned(),
        secret: "wrong".into(),
        session_token: None,
    };
    for (credentials, said) in [(secret, "SignatureDoesNotMatch"), (unknown, "access key")] {
        let denied = store(S3Config {
            credentials,
            ..server.config()
        })
        .await;
        let error = denied.check().await.expect_err("denied");
        assert_eq!(
            error.kind(),
            &Kind::Denied {
                action: "s3:ListBucket"
            }
        );
        let source = std::error::Error::source(&error)
            .expect("a source")
            .to_string();
        assert!(source.contains(said), "{source}");
        let error = denied
            .put(&key("a"), Bytes::new(), PutMode::Overwrite)
            .await
            .expect_err("denied");
        assert_eq!(
            error.kind(),
            &Kind::Denied {
                action: "s3:PutObject"
            }
        );
    }
    let missing = store(S3Config {
        bucket: "no-such-bucket".to_owned(),
        ..server.config()
    })
    .await;
    let error = missing.check().await.expect_err("no bucket");
    assert_eq!(error.kind(), &Kind::Misconfigured);
    assert!(error.to_string().contains("no-such-bucket"), "{error}");
    let error = missing.get(&key("a"), None).await.expect_err("no bucket");
    assert_eq!(
        error.kind(),
        &Kind::Misconfigured,
        "a missing bucket must not look like a missing object"
    );
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let Some(server) = S3Server::versitygw("a_server_that_is_not_there_is_unavailable").await
    else {
        return;
    };
    let config = S3Config {
        max_attempts: 1,
        connect_timeout: Duration::from_secs(1),
        ..server.config()
    };
    drop(server);
    let error = store(config)
        .await
        .head(&key("a"))
        .await
        .expect_err("nobody is there");
    assert!(
        matches!(error.kind(), Kind::Unavailable | Kind::Timeout),
        "{error:?}"
    );
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_presigned_url_names_the_redirect_endpoint_and_no_secret() {
    let Some(server) =
        S3Server::moto("a_presigned_url_names_the_redirect_endpoint_and_no_secret").await
    else {
        return;
    };
    let redirect_endpoint = Some("https://cdn.example.com".parse().expect("a URL"));
    let redirecting = store(S3Config {
        redirect_endpoint,
        ..server.config()
    })
    .await;
    let minutes = Duration::from_mins(20);
    let url = redirecting
        .presign(PresignedMethod::Get, &key("a"), minutes)
        .await
        .expect("signed")
        .expect("a URL");
    assert_eq!(url.host_str(), Some("cdn.example.com"));
    assert!(!url.as_str().contains(support::SECRET_KEY));
    assert!(
        url.query_pairs()
            .any(|(name, value)| name == "X-Amz-Expires" && value == "1200"),
        "{url}"
    );
    let silent = store(S3Config {
        presign: false,
        ..server.config()
    })
    .await;
    assert_eq!(
        silent
            .presign(PresignedMethod::Get, &key("a"), minutes)
            .await
            .expect("an answer"),
        None
    );
    assert!(
        !format!("{silent:?}").contains(support::SECRET_KEY),
        "the secret is in Debug"
    );
}
