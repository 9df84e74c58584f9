//! A blob of 4 GiB goes in and out while the server stays small: what is held in memory does not depend on the size of a blob.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is a test: a failure ends it with a message"
)]

use std::pin::pin;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use reqwest::{Body, StatusCode, header};
use sha2::{Digest, Sha256};

use crate::{
    process::Server,
    support::{ACCESS_KEY, BUCKET, S3Server, SECRET_KEY},
};

mod process;
mod programs;
#[allow(dead_code, reason = "each file of tests uses a part of it")]
mod support;

const GIB: u64 = 1024 * 1024 * 1024;
const CHUNK: usize = 1024 * 1024;
/// Most memory the server may ever have had, in bytes.
const LIMIT: u64 = 100 * 1024 * 1024;

/// `size` bytes in pieces, each of which is different.
fn content(size: u64) -> impl Stream<Item = Bytes> {
    stream::iter(0..size / CHUNK as u64).map(|number| {
        let mut chunk = vec![0x5a; CHUNK];
        chunk[..8].copy_from_slice(&number.to_le_bytes());
        Bytes::from(chunk)
    })
}

async fn digest(chunks: impl Stream<Item = Bytes>) -> String {
    let mut hasher = Sha256::new();
    let mut chunks = pin!(chunks);
    while let Some(chunk) = chunks.next().await {
        hasher.update(&chunk);
    }
    format!("sha256:{}", hex::encode(hasher.finalize()))
}

async fn goes_in_and_out(server: &Server, size: u64) {
    let client = reqwest::Client::new();
    let expected = digest(content(size)).await;
    let begun = client
        .post(server.url("/v2/big/blobs/uploads/"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(begun.status(), StatusCode::ACCEPTED);
    let location = begun.headers()["location"]
        .to_str()
        .expect("text")
        .to_owned();
    let location = if location.starts_with('/') {
        server.url(&location)
    } else {
        location
    };
    let body = Body::wrap_stream(content(size).map(Ok::<_, std::convert::Infallible>));
    let patched = client
        .patch(location)
        .header(header::CONTENT_TYPE, "application/octet-stream")
        .body(body)
        .send()
        .await
        .expect("an answer");
    assert_eq!(patched.status(), StatusCode::ACCEPTED, "{}", server.log());
    let location = patched.headers()["location"]
        .to_str()
        .expect("text")
        .to_owned();
    let location = if location.starts_with('/') {
        server.url(&location)
    } else {
        location
    };
    let mut location: reqwest::Url = location.parse().expect("a URL");
    location.query_pairs_mut().append_pair("digest", &expected);
    let put = client.put(location).send().await.expect("an answer");
    assert_eq!(put.status(), StatusCode::CREATED, "{}", server.log());

    let pulled = client
        .get(server.url(&format!("/v2/big/blobs/{expected}")))
        .send()
        .await
        .expect("an answer");
    assert_eq!(pulled.status(), StatusCode::OK);
    let pulled = pulled
        .bytes_stream()
        .map(|chunk| chunk.unwrap_or_else(|error| panic!("{error}\n{}", server.log())));
    assert_eq!(digest(pulled).await, expected);

    let peak = server.peak_memory();
    eprintln!(
        "{} GiB in and out with at most {} MiB of memory",
        size / GIB,
        peak / 1024 / 1024
    );
    assert!(peak < LIMIT, "{} MiB", peak / 1024 / 1024);
}

#[tokio::test(flavor = "multi_thread")]
async fn four_gibibytes_through_a_folder_need_less_than_100_mb() {
    let server = Server::start(&[("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "data")]);
    goes_in_and_out(&server, 4 * GIB).await;
}

/// versitygw keeps parts in files; moto would keep 4 GiB in its memory.
#[tokio::test(flavor = "multi_thread")]
async fn four_gibibytes_through_a_bucket_need_less_than_100_mb() {
    let Some(s3) = S3Server::versitygw("4 GiB through a bucket").await else {
        return;
    };
    let endpoint = s3.config().endpoint.expect("an endpoint").to_string();
    let server = Server::start(&[
        ("REGISTRY_STORAGE", "s3"),
        ("REGISTRY_STORAGE_S3_ACCESSKEY", ACCESS_KEY),
        ("REGISTRY_STORAGE_S3_SECRETKEY", SECRET_KEY),
        ("REGISTRY_STORAGE_S3_BUCKET", BUCKET),
        ("REGISTRY_STORAGE_S3_REGION", "us-east-1"),
        ("REGISTRY_STORAGE_S3_REGIONENDPOINT", &endpoint),
        // Through the server: a redirect would measure the store.
        ("REGISTRY_STORAGE_REDIRECT_DISABLE", "true"),
    ]);
    goes_in_and_out(&server, 4 * GIB).await;
}
