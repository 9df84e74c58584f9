//! Pulling: blobs, manifests, lists.

use std::sync::Arc;

use axum::http::Method;
use moorage_registry_server::{http::Options, registry::Algorithm, store::Store};
use serde_json::json;

use crate::client::{Client, OCI_INDEX, OCI_MANIFEST, content};

pub(crate) async fn a_pushed_image_is_pulled_by_tag_and_by_digest(store: Arc<dyn Store>) {
    let client = Client::new(store);
    let digest = client.push_image("lib/a", "v1", b"layer").await;
    for reference in ["v1".to_owned(), digest.to_string()] {
        let path = format!("/v2/lib/a/manifests/{reference}");
        let answer = client.get(&path).await.is(200);
        assert_eq!(Algorithm::Sha256.digest(&answer.body), digest);
        assert_eq!(answer.header("content-type"), OCI_MANIFEST);
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        assert_eq!(answer.header("etag"), format!("\"{digest}\""));
        let head = client.head(&path).await.is(200);
        assert_eq!(head.header("content-length"), answer.body.len().to_string());
        assert!(head.body.is_empty());
        client
            .call(
                Method::GET,
                &path,
                &[("if-none-match", &digest.to_string())],
                "",
            )
            .await
            .is(304);
    }
}

pub(crate) async fn the_bucket_looks_as_distribution_leaves_it(store: Arc<dyn Store>) {
    let client = Client::new(store);
    let digest = client.push_image("lib/a", "v1", b"layer").await;
    let (manifest, config, layer) = (
        digest.hex().to_owned(),
        Algorithm::Sha256.digest(b"{}").hex().to_owned(),
        Algorithm::Sha256.digest(b"layer").hex().to_owned(),
    );
    let root = "docker/registry/v2";
    let repository = format!("{root}/repositories/lib/a");
    let mut expected: Vec<String> = [&manifest, &config, &layer]
        .iter()
        .map(|hex| format!("{root}/blobs/sha256/{}/{hex}/data", &hex[..2]))
        .collect();
    expected.extend(
        [&config, &layer]
            .iter()
            .map(|hex| format!("{repository}/_layers/sha256/{hex}/link")),
    );
    expected.push(format!(
        "{repository}/_manifests/revisions/sha256/{manifest}/link"
    ));
    expected.push(format!("{repository}/_manifests/tags/v1/current/link"));
    expected.push(format!(
        "{repository}/_manifests/tags/v1/index/sha256/{manifest}/link"
    ));
    expected.sort();
    assert_eq!(client.keys("").await, expected);
}

pub(crate) async fn a_range_of_a_blob_is_served(store: Arc<dyn Store>) {
    let client = Client::with(
        store,
        Options {
            redirect: false,
            ..Options::default()
        },
    );
    let digest = client.push_blob("a", b"0123456789").await;
    let path = format!("/v2/a/blobs/{digest}");
    let cases = [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=8-99", "89", "bytes 8-9/10"),
    ];
    for (range, body, content_range) in cases {
        let answer = client
            .call(Method::GET, &path, &[("range", range)], "")
            .await
            .is(206);
        assert_eq!(
            (answer.body.as_ref(), answer.header("content-range")),
            (body.as_bytes(), content_range)
        );
        assert_eq!(answer.header("content-length"), body.len().to_string());
    }
    let beyond = client
        .call(Method::GET, &path, &[("range", "bytes=10-")], "")
        .await;
    beyond.refuses(416, "RANGE_INVALID");
    assert_eq!(beyond.header("content-range"), "bytes */10");
    let whole = client.get(&path).await.is(200);
    assert_eq!(whole.body.as_ref(), b"0123456789");
    assert_eq!(whole.header("accept-ranges"), "bytes");
    let head = client.head(&path).await.is(200);
    assert_eq!((head.header("content-length"), head.body.len()), ("10", 0));
}

pub(crate) async fn a_blob_is_only_found_where_it_was_pushed(store: Arc<dyn Store>) {
    let client = Client::new(store);
    let digest = client.push_blob("secret/a", b"secret").await;
    client
        .get(&format!("/v2/public/b/blobs/{digest}"))
        .await
        .refuses(404, "BLOB_UNKNOWN");
    client
        .head(&format!("/v2/public/b/blobs/{digest}"))
        .await
        .is(404);
}

pub(crate) async fn tags_are_listed_in_order_and_in_pages(store: Arc<dyn Store>) {
    let client = Client::new(store);
    let document = client.image("a", b"layer").await;
    // In this order a store would list them by the slash behind each name.
    for tag in ["1.0-rc", "1.0.1", "1.0", "latest", "1"] {
        client
            .put_manifest("a", tag, OCI_MANIFEST, &document)
            .await
            .is(201);
    }
    let all = client.get("/v2/a/tags/list").await.is(200);
    assert_eq!(
        all.json(),
        json!({"name": "a", "tags": ["1", "1.0", "1.0-rc", "1.0.1", "latest"]})
    );
    let mut path = "/v2/a/tags/list?n=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = client.get(&path).await.is(200);
        let tags = page.json()["tags"].as_array().cloned().expect("a list");
        assert!(tags.len() <= 2);
        seen.extend(tags);
        let Some((next, _)) = page
            .header("link")
            .strip_prefix('<')
            .and_then(|link| link.split_once('>'))
        else {
            break;
        };
        next.clone_into(&mut path);
    }
    assert_eq!(json!(seen), all.json()["tags"]);
    let none = client.get("/v2/a/tags/list?n=0").await.is(200);
    assert_eq!(
        (none.json()["tags"].clone(), none.header("link")),
        (json!([]), "")
    );
    client
        .get("/v2/a/tags/list?n=x")
        .await
        .refuses(400, "PAGINATION_NUMBER_INVALID");
    client
        .get("/v2/nothing/tags/list")
        .await
        .refuses(404, "NAME_UNKNOWN");
}

pub(crate) async fn the_catalog_lists_each_repository_once_in_pages(store: Arc<dyn Store>) {
    let client = Client::new(store);
    let names = ["a", "a-b", "a/b", "a/b/c", "a/0", "team/x/y", "z"];
    for name in names {
        client.push_image(name, "v1", name.as_bytes()).await;
    }
    client.push_blob("only/blobs", b"x").await;
    let mut expected = names.map(ToOwned::to_owned).to_vec();
    expected.sort();
    for size in [1, 2, 100] {
        let mut path = format!("/v2/_catalog?n={size}");
        let mut seen = Vec::new();
        loop {
            let page = client.get(&path).await.is(200);
            let names = page.json()["repositories"]
                .as_array()
                .cloned()
                .expect("a list");
            seen.extend(
                names
                    .iter()
                    .map(|name| name.as_str().expect("a name").to_owned()),
            );
            let Some((next, _)) = page
                .header("link")
                .strip_prefix('<')
                .and_then(|link| link.split_once('>'))
            else {
                break;
            };
            next.clone_into(&mut path);
        }
        seen.sort();
        assert_eq!(seen, expected, "in pages of {size}");
    }
    client
        .get("/v2/_catalog?n=-1")
        .await
        .refuses(400, "PAGINATION_NUMBER_INVALID");
    client
        .get("/v2/_catalog?n=5000")
        .await
        .refuses(400, "PAGINATION_NUMBER_INVALID");
    client
        .get("/v2/_catalog?n=99999999999999999999")
        .await
        .refuses(400, "PAGINATION_NUMBER_INVALID");
}

pub(crate) async fn referrers_are_listed_filtered_and_merged_with_the_fallback_tag(
    store: Arc<dyn Store>,
) {
    let client = Client::new(store);
    let subject = client.push_image("a", "v1", b"layer").await;
    let path = format!("/v2/a/referrers/{subject}");
    assert_eq!(
        client.get(&path).await.is(200).json()["manifests"],
        json!([])
    );

    let mut signature = client.image("a", b"signature").await;
    signature["artifactType"] = json!("application/x-signature");
    signature["annotations"] = json!({"by": "me"});
    signature["subject"] = json!({"mediaType": OCI_MANIFEST, "digest": subject, "size": 1});
    let answer = client
        .put_manifest("a", "signature", OCI_MANIFEST, &signature)
        .await
        .is(201);
    assert_eq!(answer.header("oci-subject"), subject.to_string());
    let digest = answer.header("docker-content-digest").to_owned();

    // What a client has written down that did not know of the list.
    let old = client.push_image("a", "old", b"old").await;
    let fallback = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
        {"mediaType": OCI_MANIFEST, "digest": old, "size": 7, "artifactType": "application/x-old"},
    ]});
    let tag = format!("sha256-{}", subject.hex());
    client
        .put_manifest("a", &tag, OCI_INDEX, &fallback)
        .await
        .is(201);

    let all = client.get(&path).await.is(200);
    assert_eq!(all.header("content-type"), OCI_INDEX);
    assert_eq!(
        all.json()["manifests"].as_array().map(Vec::len),
        Some(2),
        "{all:?}"
    );
    let filtered = client
        .get(&format!("{path}?artifactType=application/x-signature"))
        .await
        .is(200);
    assert_eq!(filtered.header("oci-filters-applied"), "artifactType");
    assert_eq!(
        filtered.json()["manifests"],
        json!([{
            "mediaType": OCI_MANIFEST, "digest": digest, "size": signature.to_string().len(),
            "artifactType": "application/x-signature", "annotations": {"by": "me"},
        }])
    );

    client
        .delete(&format!("/v2/a/manifests/{digest}"))
        .await
        .is(202);
    assert_eq!(
        client.get(&path).await.json()["manifests"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

pub(crate) async fn a_large_blob_comes_back_as_it_went(store: Arc<dyn Store>) {
    let client = Client::with(
        store,
        Options {
            redirect: false,
            ..Options::default()
        },
    );
    let content = content(11 * 1024 * 1024 + 3);
    let digest = client.push_blob("a", &content).await;
    let answer = client.get(&format!("/v2/a/blobs/{digest}")).await.is(200);
    assert!(answer.body == content, "the content differs");
}
