//! Pushing and removing: uploads in every way there is, manifests, mounts.

use std::sync::Arc;

use axum::{body::Body, http::Method};
use futures::stream;
use moorage_registry_server::{
    http::Options,
    registry::{Algorithm, Digest},
    store::Store,
};
use serde_json::json;

use crate::client::{Client, OCI_INDEX, OCI_MANIFEST, content, with_digest};

const MIB: usize = 1024 * 1024;

pub(crate) async fn a_blob_is_pushed_in_chunks(store: Arc<dyn Store>) {
    let client = Client::new(store);
    let location = client.begin("a").await;
    let answer = client.patch(&location, Some("0-4"), "hello").await.is(202);
    assert_eq!(
        (answer.header("range"), answer.header("location")),
        ("0-4", location.as_str())
    );
    assert!(!answer.header("docker-upload-uuid").is_empty());
    let standing = client.get(&location).await.is(204);
    assert_eq!(standing.header("range"), "0-4");
    client.patch(&location, Some("5-9"), "world").await.is(202);
    let digest = Algorithm::Sha256.digest(b"helloworld!");
    let answer = client.finish(&location, &digest, "!").await.is(201);
    assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    assert_eq!(answer.header("location"), format!("/v2/a/blobs/{digest}"));
    client.head(&format!("/v2/a/blobs/{digest}")).await;
    client
        .get(&location)
        .await
        .refuses(404, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(client.keys("_uploads").await, Vec::<String>::new());
}

/// Sizes on both sides of one and two parts, in chunks that do not fit them.
pub(crate) async fn any_chunking_makes_the_same_blob(store: Arc<dyn Store>) {
    let client = Client::with(
        store,
        Options {
            redirect: false,
            ..Options::default()
        },
    );
    let plans: [&[usize]; 5] = [
        &[5 * MIB],
        &[5 * MIB - 1, 1],
        &[1, 5 * MIB],
        &[3 * MIB, 3 * MIB, 5 * MIB + 7],
        &[10 * MIB, 0, 1],
    ];
    for (number, plan) in plans.into_iter().enumerate() {
        let whole = content(plan.iter().sum());
        for last_with_digest in [false, true] {
            // Another repository each time, so that nothing is found that an earlier one left.
            let name = format!("r{number}/{last_with_digest}");
            let location = client.begin(&name).await;
            let mut rest = whole.as_slice();
            let (patched, last) = if last_with_digest {
                (&plan[..plan.len() - 1], plan[plan.len() - 1])
            } else {
                (plan, 0)
            };
            for length in patched {
                let (chunk, after) = rest.split_at(*length);
                client.patch(&location, None, chunk.to_vec()).await.is(202);
                rest = after;
            }
            assert_eq!(rest.len(), last);
            let digest = Algorithm::Sha256.digest(&whole);
            client
                .finish(&location, &digest, rest.to_vec())
                .await
                .is(201);
            let answer = client
                .get(&format!("/v2/{name}/blobs/{digest}"))
                .await
                .is(200);
            assert!(answer.body == whole, "{plan:?} came back different");
            assert_eq!(client.keys("_uploads").await, Vec::<String>::new());
        }
    }
}

pub(crate) async fn a_blob_is_pushed_in_one_request(store: Arc<dyn Store>) {
    let client = Client::new(store);
    for content in [b"".to_vec(), b"small".to_vec(), content(6 * MIB)] {
        let digest = Algorithm::Sha256.digest(&content);
        let headers = [("content-length", content.len().to_string())];
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let path = format!("/v2/a/blobs/uploads/?digest={digest}");
        client
            .call(Method::POST, &path, &headers, content.clone())
            .await
            .is(201);
        assert_eq!(
            client.keys(digest.hex()).await.len(),
            2,
            "its bytes and its link"
        );
    }
    assert_eq!(client.keys("_uploads").await, Vec::<String>::new());
}

pub(crate) async fn an_empty_blob_is_a_blob(store: Arc<dyn Store>) {
    let client = Client::with(
        store,
        Options {
            redirect: false,
            ..Options::default()
        },
    );
    let digest = client.push_blob("a", b"").await;
    let answer = client.get(&format!("/v2/a/blobs/{digest}")).await.is(200);
    assert_eq!(answer.header("content-length"), "0");
}

pub(crate) async fn a_sha512_digest_is_taken_early_and_late(store: Arc<dyn Store>) {
    let client = Client::with(
        store,
        Options {
            redirect: false,
            ..Options::default()
        },
    );
    for (name, length, parameter) in [
        ("a", 10, "?digest-algorithm=sha512"),
        ("b", 6 * MIB, "?digest-algorithm=sha512"),
        ("c", 10, ""),
        ("d", 6 * MIB, ""),
    ] {
        let content = content(length);
        let digest = Algorithm::Sha512.digest(&content);
        let answer = client
            .post(&format!("/v2/{name}/blobs/uploads/{parameter}"))
            .await
            .is(202);
        let location = answer.header("location").to_owned();
        client.patch(&location, None, content.clone()).await.is(202);
        client.finish(&location, &digest, "").await.is(201);
        let answer = client
            .get(&format!("/v2/{name}/blobs/{digest}"))
            .await
            .is(200);
        assert!(answer.body == content);
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
    }
    client
        .post("/v2/a/blobs/uploads/?digest-algorithm=md5")
        .await
        .refuses(400, "DIGEST_INVALID");
}

pub(crate) async fn a_blob_with_a_wrong_digest_leaves_nothing(store: Arc<dyn Store>) {
    let client = Client::new(store);
    let wrong = Algorithm::Sha256.digest(b"something else");
    for length in [5, 6 * MIB] {
        for patched in [false, true] {
            let location = client.begin("a").await;
            let body = content(length);
            let body = if patched {
                client.patch(&location, None, body).await.is(202);
                Vec::new()
            } else {
                body
            };
            client
                .finish(&location, &wrong, body)
                .await
                .refuses(400, "DIGEST_INVALID");
            client
                .get(&location)
                .await
                .refuses(404, "BLOB_UPLOAD_UNKNOWN");
            assert_eq!(client.keys("").await, Vec::<String>::new());
        }
    }
    let location = client.begin("a").await;
    client
        .call(Method::PUT, &location, &[], "x")
        .await
        .refuses(400, "DIGEST_INVALID");
    let garbage = client
        .call(
            Method::PUT,
            &format!("{location}?digest=sha256:../../x"),
            &[],
            "x",
        )
        .await;
    garbage.refuses(400, "DIGEST_INVALID");
}

pub(crate) async fn a_truncated_upload_goes_on_where_it_broke_off(store: Arc<dyn Store>) {
    let client = Client::new(store);
    for length in [100, 6 * MIB] {
        let content = content(length);
        let digest = Algorithm::Sha256.digest(&content);
        let location = client.begin("a").await;
        let cut = length - 10;
        let broken = stream::iter([
            Ok(content[..cut].to_vec()),
            Err(std::io::Error::other("the cable was cut")),
        ]);
        client
            .patch(&location, None, Body::from_stream(broken))
            .await
            .is(400);
        let standing = client.get(&location).await.is(204);
        assert_eq!(standing.header("range"), format!("0-{}", cut - 1));
        assert_eq!(
            client.keys("blobs/").await,
            Vec::<String>::new(),
            "something is visible too early"
        );
        let range = format!("{cut}-{}", length - 1);
        client
            .patch(&location, Some(&range), content[cut..].to_vec())
            .await
            .is(202);
        client.finish(&location, &digest, "").await.is(201);
        client
            .delete(&format!("/v2/a/blobs/{digest}"))
            .await
            .is(202);
        client
            .store
            .delete(&[moorage_registry_server::layout::blob_data(&digest)])
            .await
            .expect("removed");
    }
}

pub(crate) async fn a_truncated_last_request_can_be_repeated(store: Arc<dyn Store>) {
    let client = Client::new(store);
    let content = content(6 * MIB);
    let digest = Algorithm::Sha256.digest(&content);
    let location = client.begin_fresh("a").await;
    let broken = stream::iter([
        Ok(content[..=5 * MIB].to_vec()),
        Err(std::io::Error::other("the cable was cut")),
    ]);
    client
        .finish(&location, &digest, Body::from_stream(broken))
        .await
        .is(400);
    assert_eq!(
        client.keys("blobs/").await,
        Vec::<String>::new(),
        "something is visible too early"
    );
    client.finish(&location, &digest, content).await.is(201);
}

pub(crate) async fn chunks_out_of_order_are_refused_with_the_place_to_go_on(store: Arc<dyn Store>) {
    let client = Client::new(store);
    let location = client.begin("a").await;
    client.patch(&location, Some("0-4"), "hello").await.is(202);
    for range in ["99-103", "0-4", "4-8"] {
        let answer = client.patch(&location, Some(range), "world").await;
        answer.refuses(416, "RANGE_INVALID");
        assert_eq!(
            (answer.header("range"), answer.header("location")),
            ("0-4", location.as_str())
        );
    }
    client
        .patch(&location, Some("nonsense"), "world")
        .await
        .refuses(416, "RANGE_INVALID");
    client
        .patch(&location, Some("5-20"), "world")
        .await
        .refuses(400, "SIZE_INVALID");
    assert_eq!(client.get(&location).await.header("range"), "0-4");
    let digest = Algorithm::Sha256.digest(b"hello");
    let late = client
        .call(
            Method::PUT,
            &with_digest(&location, &digest),
            &[("content-range", "9-13")],
            "world",
        )
        .await;
    late.refuses(416, "RANGE_INVALID");
    client.finish(&location, &digest, "").await.is(201);
}

/// Each body waits for the other, so both have read the state before either writes it.
pub(crate) async fn of_two_clients_on_one_upload_only_one_gets_its_bytes_in(store: Arc<dyn Store>) {
    let client = Client::new(store);
    for length in [100, 6 * MIB] {
        let location = client.begin("a").await;
        let barrier = Arc::new(tokio::sync::Barrier::new(2));
        let body = |byte: u8| {
            let barrier = Arc::clone(&barrier);
            Body::from_stream(stream::once(async move {
                barrier.wait().await;
                Ok::<_, std::io::Error>(vec![byte; length])
            }))
        };
        let (first, second) = futures::future::join(
            client.patch(&location, None, body(b'1')),
            client.patch(&location, None, body(b'2')),
        )
        .await;
        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [202, 416], "{first:?} {second:?}");
        let winner = if first.status.as_u16() == 202 {
            b'1'
        } else {
            b'2'
        };
        assert_eq!(
            client.get(&location).await.header("range"),
            format!("0-{}", length - 1)
        );
        let digest = Algorithm::Sha256.digest(&vec![winner; length]);
        client.finish(&location, &digest, "").await.is(201);
    }
}

pub(crate) async fn an_upload_belongs_to_its_repository(store: Arc<dyn Store>) {
    let client = Client::new(store);
    let location = client.begin("mine").await;
    client.patch(&location, None, "secret").await.is(202);
    let theirs = location.replace("/mine/", "/theirs/");
    let digest = Algorithm::Sha256.digest(b"secret");
    client
        .get(&theirs)
        .await
        .refuses(404, "BLOB_UPLOAD_UNKNOWN");
    client
        .patch(&theirs, None, "x")
        .await
        .refuses(404, "BLOB_UPLOAD_UNKNOWN");
    client
        .finish(&theirs, &digest, "")
        .await
        .refuses(404, "BLOB_UPLOAD_UNKNOWN");
    client
        .delete(&theirs)
        .await
        .refuses(404, "BLOB_UPLOAD_UNKNOWN");
    client.finish(&location, &digest, "").await.is(201);
}

pub(crate) async fn a_cancelled_upload_is_gone(store: Arc<dyn Store>) {
    let client = Client::new(store);
    for length in [5, 6 * MIB] {
        let location = client.begin("a").await;
        client.patch(&location, None, content(length)).await.is(202);
        client.delete(&location).await.is(204);
        client
            .get(&location)
            .await
            .refuses(404, "BLOB_UPLOAD_UNKNOWN");
        client
            .patch(&location, None, "x")
            .await
            .refuses(404, "BLOB_UPLOAD_UNKNOWN");
        client
            .delete(&location)
            .await
            .refuses(404, "BLOB_UPLOAD_UNKNOWN");
        assert_eq!(client.keys("").await, Vec::<String>::new());
    }
}

pub(crate) async fn a_blob_is_mounted_from_a_repository_that_has_it(store: Arc<dyn Store>) {
    let client = Client::new(store);
    let digest = client.push_blob("from/a", b"layer").await;
    let path = format!("/v2/to/b/blobs/uploads/?mount={digest}");
    client.post(&format!("{path}&from=other/c")).await.is(202);
    client.post(&path).await.is(202);
    client
        .head(&format!("/v2/to/b/blobs/{digest}"))
        .await
        .is(404);
    let answer = client.post(&format!("{path}&from=from/a")).await.is(201);
    assert_eq!(
        answer.header("location"),
        format!("/v2/to/b/blobs/{digest}")
    );
    assert_eq!(client.keys("to/b/_layers").await.len(), 1);
    client
        .post("/v2/to/b/blobs/uploads/?mount=sha256:x&from=from/a")
        .await
        .refuses(400, "DIGEST_INVALID");
}

pub(crate) async fn a_manifest_whose_blobs_are_missing_is_refused_with_each_of_them(
    store: Arc<dyn Store>,
) {
    let client = Client::new(store);
    let mut document = client.image("a", b"layer").await;
    let missing: Vec<Digest> = [b"one", b"two"]
        .iter()
        .map(|content| Algorithm::Sha256.digest(*content))
        .collect();
    document["layers"] = missing
        .iter()
        .map(|digest| json!({"mediaType": "x/y", "digest": digest, "size": 3}))
        .collect();
    let answer = client
        .put_manifest("a", "v1", OCI_MANIFEST, &document)
        .await;
    answer.refuses(400, "MANIFEST_BLOB_UNKNOWN");
    let named: Vec<_> = answer.json()["errors"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|error| error["detail"].clone())
        .collect();
    assert_eq!(
        named,
        missing
            .iter()
            .map(|digest| json!(digest))
            .collect::<Vec<_>>()
    );
    client
        .get("/v2/a/manifests/v1")
        .await
        .refuses(404, "MANIFEST_UNKNOWN");
    // A link alone is not enough: the bytes have to be there.
    let layer = client.push_blob("a", b"one").await;
    client.push_blob("a", b"two").await;
    client
        .store
        .delete(&[moorage_registry_server::layout::blob_data(&layer)])
        .await
        .expect("removed");
    client
        .put_manifest("a", "v1", OCI_MANIFEST, &document)
        .await
        .refuses(400, "MANIFEST_BLOB_UNKNOWN");
    // Nor are the bytes alone, which belong to whoever has pushed them.
    let document = client.image("other", b"theirs").await;
    client
        .put_manifest("mine", "v1", OCI_MANIFEST, &document)
        .await
        .refuses(400, "MANIFEST_BLOB_UNKNOWN");
}

pub(crate) async fn an_index_is_kept_when_its_manifests_are_there(store: Arc<dyn Store>) {
    let client = Client::new(store);
    let child = client.push_image("a", "v1", b"layer").await;
    let index = |digest: &Digest| json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [{"mediaType": OCI_MANIFEST, "digest": digest, "size": 1}]});
    client
        .put_manifest("a", "all", OCI_INDEX, &index(&child))
        .await
        .is(201);
    let missing = Algorithm::Sha256.digest(b"missing");
    client
        .put_manifest("a", "bad", OCI_INDEX, &index(&missing))
        .await
        .refuses(400, "MANIFEST_BLOB_UNKNOWN");
}

pub(crate) async fn bad_manifests_are_refused(store: Arc<dyn Store>) {
    let client = Client::new(store);
    let document = client.image("a", b"layer").await;
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    client
        .put_manifest("a", "v1", docker, &document)
        .await
        .refuses(400, "MANIFEST_INVALID");
    client
        .put_manifest("a", "v1", "text/plain", &json!({}))
        .await
        .refuses(400, "MANIFEST_INVALID");
    client
        .put_manifest("a", "v1", OCI_MANIFEST, &json!([]))
        .await
        .refuses(400, "MANIFEST_INVALID");
    let wrong = Algorithm::Sha256.digest(b"x").to_string();
    client
        .put_manifest("a", &wrong, OCI_MANIFEST, &document)
        .await
        .refuses(400, "DIGEST_INVALID");
    client
        .put_manifest("a", "-bad", OCI_MANIFEST, &document)
        .await
        .refuses(400, "TAG_INVALID");
    client
        .put_manifest("a", "sha256:bad", OCI_MANIFEST, &document)
        .await
        .refuses(400, "DIGEST_INVALID");
    let large = vec![b' '; 10_000_000];
    let answer = client
        .call(
            Method::PUT,
            "/v2/a/manifests/v1",
            &[("content-type", OCI_MANIFEST)],
            large,
        )
        .await;
    answer.refuses(413, "MANIFEST_INVALID");
    assert_eq!(client.keys("_manifests").await, Vec::<String>::new());
}

pub(crate) async fn a_push_by_digest_can_set_many_tags(store: Arc<dyn Store>) {
    let client = Client::new(store);
    let document = client.image("a", b"layer").await;
    let digest = Algorithm::Sha256.digest(document.to_string().as_bytes());
    let tags: Vec<String> = (0..12).map(|number| format!("t{number:02}")).collect();
    let query: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
    let answer = client
        .put_manifest(
            "a",
            &format!("{digest}?{}", query.join("&")),
            OCI_MANIFEST,
            &document,
        )
        .await
        .is(201);
    let named: Vec<_> = answer
        .headers
        .get_all("oci-tag")
        .iter()
        .map(|tag| tag.to_str().expect("text").to_owned())
        .collect();
    assert_eq!(named, tags);
    assert_eq!(
        client.get("/v2/a/tags/list").await.json()["tags"],
        json!(tags)
    );
    let bad = client
        .put_manifest("a", &format!("{digest}?tag=-x"), OCI_MANIFEST, &document)
        .await;
    bad.refuses(400, "TAG_INVALID");
}

pub(crate) async fn what_is_deleted_is_gone(store: Arc<dyn Store>) {
    let client = Client::new(store);
    let first = client.push_image("a", "v1", b"one").await;
    let second = client.push_image("a", "v2", b"two").await;
    client
        .put_manifest(
            "a",
            "also-v2",
            OCI_MANIFEST,
            &client.image("a", b"two").await,
        )
        .await
        .is(201);

    client.delete("/v2/a/manifests/v1").await.is(202);
    client
        .get("/v2/a/manifests/v1")
        .await
        .refuses(404, "MANIFEST_UNKNOWN");
    client
        .get(&format!("/v2/a/manifests/{first}"))
        .await
        .is(200);
    client
        .delete("/v2/a/manifests/v1")
        .await
        .refuses(404, "MANIFEST_UNKNOWN");

    client
        .delete(&format!("/v2/a/manifests/{second}"))
        .await
        .is(202);
    client
        .get("/v2/a/manifests/v2")
        .await
        .refuses(404, "MANIFEST_UNKNOWN");
    assert_eq!(
        client.get("/v2/a/tags/list").await.is(200).json()["tags"],
        json!([])
    );
    client
        .delete(&format!("/v2/a/manifests/{second}"))
        .await
        .refuses(404, "MANIFEST_UNKNOWN");

    let blob = Algorithm::Sha256.digest(b"one");
    client.delete(&format!("/v2/a/blobs/{blob}")).await.is(202);
    client
        .get(&format!("/v2/a/blobs/{blob}"))
        .await
        .refuses(404, "BLOB_UNKNOWN");
    client
        .delete(&format!("/v2/a/blobs/{blob}"))
        .await
        .refuses(404, "BLOB_UNKNOWN");
}

pub(crate) async fn a_ticket_is_for_uploads_that_nothing_was_added_to(store: Arc<dyn Store>) {
    let client = Client::new(store);
    let location = client.begin_fresh("a").await;
    let digest = Algorithm::Sha256.digest(b"helloworld");
    let answer = client.patch(&location, None, "hello").await.is(202);
    let standing = answer.header("location").to_owned();
    assert_ne!(standing, location);
    let stale = client.finish(&location, &digest, "world").await;
    stale.refuses(416, "RANGE_INVALID");
    assert_eq!(stale.header("range"), "0-4");
    client.finish(&standing, &digest, "world").await.is(201);
    assert_eq!(client.keys("_uploads").await, Vec::<String>::new());

    let location = client.begin_fresh("a").await;
    client.patch(&location, None, "hello").await.is(202);
    let all = Algorithm::Sha256.digest(b"hello");
    client.finish(&location, &all, "").await.is(201);

    let location = client.begin_fresh("a").await.replace("/a/", "/b/");
    client
        .finish(&location, &digest, "helloworld")
        .await
        .refuses(404, "BLOB_UPLOAD_UNKNOWN");
}

pub(crate) async fn an_upload_is_taken_up_by_another_replica(store: Arc<dyn Store>) {
    let (one, two) = (Client::new(Arc::clone(&store)), Client::new(store));
    let whole = content(12 * MIB);
    let location = one.begin("a").await;
    two.patch(&location, None, whole[..6 * MIB].to_vec())
        .await
        .is(202);
    one.patch(&location, None, whole[6 * MIB..].to_vec())
        .await
        .is(202);
    two.finish(&location, &Algorithm::Sha256.digest(&whole), "")
        .await
        .is(201);
}
