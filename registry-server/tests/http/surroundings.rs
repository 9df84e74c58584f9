//! What is true of all requests: rights, methods, headers, probes, paths. One store is enough for these.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Method, Request, header::STRICT_TRANSPORT_SECURITY},
};
use moorage_registry_server::{
    http::{Health, Options},
    registry::Algorithm,
    store::{PartSize, Store, counting::Counting, memory::Memory},
};
use rstest::rstest;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::client::{Client, OCI_MANIFEST, TwoUsers, content};

fn memory() -> Arc<dyn Store> {
    Arc::new(Memory::with_part_size(PartSize::SMALLEST))
}

const ADMIN: (&str, &str) = ("authorization", "Basic YWRtaW46c2VjcmV0");
const READER: (&str, &str) = ("authorization", "Basic cmVhZGVyOnNlY3JldA==");

#[tokio::test]
async fn answers_look_as_distribution_writes_them() {
    let client = Client::guarded(memory(), Arc::new(TwoUsers::default()), Options::default());
    let ping = client.get("/v2/").await.is(401);
    assert_eq!(ping.header("www-authenticate"), "Basic realm=\"test\"");
    assert_eq!(
        ping.header("docker-distribution-api-version"),
        "registry/2.0"
    );
    assert_eq!(ping.header("x-content-type-options"), "nosniff");
    assert_eq!(ping.header("content-type"), "application/json");
    assert_eq!(
        ping.json(),
        json!({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required", "detail": null}]})
    );
    let manifest = client.get("/v2/lib/a/manifests/x").await.is(401);
    let detail = json!([{"Type": "repository", "Class": "", "Name": "lib/a", "Action": "pull"}]);
    assert_eq!(manifest.json()["errors"][0]["detail"], detail);
    for path in ["/v2/", "/v2"] {
        let ping = client.call(Method::GET, path, &[ADMIN], "").await.is(200);
        assert_eq!(
            (ping.body.as_ref(), ping.header("content-type")),
            (b"{}".as_slice(), "application/json")
        );
    }
    let unknown = client.get("/v2/nope").await.is(404);
    assert_eq!(unknown.body.as_ref(), b"404 page not found\n");
    let root = client.get("/").await.is(200);
    assert_eq!(root.header("cache-control"), "no-cache");
}

#[rstest]
#[case::nothing(None)]
#[case::empty(Some(""))]
#[case::other_scheme(Some("Bearer x"))]
#[case::no_base64(Some("Basic ????"))]
#[case::no_text(Some("Basic \u{ff}\u{fe}"))]
#[tokio::test]
async fn garbage_in_authorization_is_no_credential(#[case] value: Option<&str>) {
    let client = Client::guarded(memory(), Arc::new(TwoUsers::default()), Options::default());
    for path in [
        "/v2/",
        "/v2/_catalog",
        "/v2/a/tags/list",
        "/v2/a/manifests/v1",
        "/v2/A/manifests/v1",
    ] {
        let mut request = Request::builder().uri(path);
        if let Some(value) = value {
            request = request.header(
                "authorization",
                HeaderValue::from_bytes(value.as_bytes()).expect("a value"),
            );
        }
        client
            .send(request.body(Body::empty()).expect("a request"))
            .await
            .refuses(401, "UNAUTHORIZED");
    }
}

#[tokio::test]
async fn who_may_only_read_cannot_write() {
    let store = memory();
    let client = Client::guarded(
        Arc::clone(&store),
        Arc::new(TwoUsers::default()),
        Options {
            delete_enabled: true,
            ..Options::default()
        },
    );
    let digest = Client::new(store).push_image("a", "v1", b"layer").await;
    client
        .call(Method::GET, "/v2/a/manifests/v1", &[READER], "")
        .await
        .is(200);
    client
        .call(Method::POST, "/v2/a/blobs/uploads/", &[READER], "")
        .await
        .refuses(403, "DENIED");
    client
        .call(Method::PUT, "/v2/a/manifests/v1", &[READER], "")
        .await
        .refuses(403, "DENIED");
    client
        .call(
            Method::DELETE,
            &format!("/v2/a/manifests/{digest}"),
            &[READER],
            "",
        )
        .await
        .refuses(403, "DENIED");
    client
        .call(Method::GET, "/v2/_catalog", &[READER], "")
        .await
        .refuses(403, "DENIED");
}

#[rstest]
#[case("/v2/../../etc/passwd", 404)]
#[case("/v2/a/../../b/manifests/v1", 400)]
#[case("/v2/%2e%2e/manifests/v1", 400)]
#[case("/v2/a%2f..%2fb/manifests/v1", 400)]
#[case("/v2/A/manifests/v1", 400)]
#[case("/v2/a/manifests/..", 404)]
#[case("/v2/a/manifests/sha256:..%2f..%2f", 404)]
#[case("/v2/a/blobs/sha256:zz", 400)]
#[case("/v2/a/blobs/..%2f..%2fx", 404)]
#[case("/v2/a/blobs/uploads/..", 404)]
#[case("/v2//manifests/v1", 400)]
#[tokio::test]
async fn paths_that_lead_elsewhere_lead_nowhere(#[case] path: &str, #[case] status: u16) {
    let client = Client::new(memory());
    client.get(path).await.is(status);
    assert_eq!(client.keys("").await, Vec::<String>::new());
}

#[tokio::test]
async fn nothing_can_be_deleted_where_deleting_is_off() {
    let client = Client::with(memory(), Options::default());
    let digest = client.push_image("a", "v1", b"layer").await;
    let blob = Algorithm::Sha256.digest(b"layer");
    for path in [
        "/v2/a/manifests/v1".to_owned(),
        format!("/v2/a/manifests/{digest}"),
        format!("/v2/a/blobs/{blob}"),
    ] {
        let answer = client.delete(&path).await;
        answer.refuses(405, "UNSUPPORTED");
        assert!(!answer.header("allow").contains("DELETE"));
        client.head(&path).await.is(200);
    }
    // What nobody has seen yet can always be dropped.
    let location = client.begin("a").await;
    client.delete(&location).await.is(204);
}

#[tokio::test]
async fn nothing_can_be_written_where_the_registry_is_read_only() {
    let store = memory();
    Client::new(Arc::clone(&store))
        .push_image("a", "v1", b"layer")
        .await;
    let client = Client::with(
        store,
        Options {
            read_only: true,
            delete_enabled: true,
            ..Options::default()
        },
    );
    client.get("/v2/a/manifests/v1").await.is(200);
    client
        .post("/v2/a/blobs/uploads/")
        .await
        .refuses(405, "UNSUPPORTED");
    client
        .put_manifest("a", "v1", OCI_MANIFEST, &json!({}))
        .await
        .refuses(405, "UNSUPPORTED");
    client
        .delete("/v2/a/manifests/v1")
        .await
        .refuses(405, "UNSUPPORTED");
}

#[tokio::test]
async fn where_everything_is_readable_a_blob_is_mounted_without_saying_from_where() {
    let options = Options {
        everything_is_readable: true,
        ..Options::default()
    };
    let client = Client::with(memory(), options);
    let digest = client.push_blob("from/a", b"layer").await;
    let path = format!("/v2/to/b/blobs/uploads/?mount={digest}");
    client.post(&path).await.is(201);
    client
        .head(&format!("/v2/to/b/blobs/{digest}"))
        .await
        .is(200);
    let missing = Algorithm::Sha256.digest(b"nowhere");
    client
        .post(&format!("/v2/to/b/blobs/uploads/?mount={missing}"))
        .await
        .is(202);
}

#[tokio::test]
async fn urls_are_absolute_where_the_client_says_how_it_came() {
    let client = Client::new(memory());
    let headers = [
        ("host", "registry.example.com"),
        ("x-forwarded-proto", "https"),
    ];
    let answer = client
        .call(Method::POST, "/v2/a/blobs/uploads/", &headers, "")
        .await
        .is(202);
    assert!(
        answer
            .header("location")
            .starts_with("https://registry.example.com/v2/a/blobs/uploads/")
    );
    assert_eq!(answer.header("range"), "0-0");
}

#[tokio::test]
async fn everything_is_found_below_a_prefix() {
    let client = Client::with(
        memory(),
        Options {
            prefix: "/team/".to_owned(),
            ..Options::default()
        },
    );
    client.get("/team/v2/").await.is(200);
    client.get("/v2/").await.is(404);
    let answer = client.post("/team/v2/a/blobs/uploads/").await.is(202);
    assert!(
        answer
            .header("location")
            .starts_with("/team/v2/a/blobs/uploads/"),
        "{answer:?}"
    );
}

#[tokio::test]
async fn all_values_of_a_configured_header_are_sent_and_replace_our_own() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("link", "<https://a.example>"),
        ("link", "<https://b.example>"),
        ("x-content-type-options", "mine"),
    ] {
        headers.append(name, HeaderValue::from_static(value));
    }
    let client = Client::with(
        memory(),
        Options {
            headers,
            ..Options::default()
        },
    );
    let answer = client.get("/v2/").await.is(200);
    let values = |name| answer.headers.get_all(name).iter().collect::<Vec<_>>();
    assert_eq!(
        values("link"),
        ["<https://a.example>", "<https://b.example>"]
    );
    assert_eq!(values("x-content-type-options"), ["mine"]);
}

#[tokio::test]
async fn configured_headers_and_the_request_id_are_in_every_answer() {
    let headers = HeaderMap::from_iter([(
        STRICT_TRANSPORT_SECURITY,
        HeaderValue::from_static("max-age=1"),
    )]);
    let client = Client::with(
        memory(),
        Options {
            headers,
            ..Options::default()
        },
    );
    for path in ["/v2/", "/", "/v2/nope", "/v2/a/tags/list"] {
        let answer = client
            .call(Method::GET, path, &[("x-request-id", "abc-1")], "")
            .await;
        assert_eq!(
            (
                answer.header("strict-transport-security"),
                answer.header("x-request-id")
            ),
            ("max-age=1", "abc-1")
        );
    }
    let answer = client
        .call(Method::GET, "/v2/", &[("x-request-id", "a b\"")], "")
        .await;
    assert_eq!(
        answer.header("x-request-id").len(),
        36,
        "what cannot go into a log is replaced"
    );
}

#[tokio::test]
async fn probes_need_no_password_and_say_when_the_server_stops() {
    let health = Health::default();
    let options = Options {
        health: health.clone(),
        ..Options::default()
    };
    let client = Client::guarded(memory(), Arc::new(TwoUsers::default()), options);
    for path in ["/livez", "/readyz", "/healthz"] {
        client.get(path).await.is(200);
    }
    health.start_draining();
    client.get("/livez").await.is(200);
    let answer = client.get("/readyz").await.is(503);
    assert_eq!(answer.json()["reason"], "the server is stopping");
}

#[tokio::test]
async fn a_client_that_sends_nothing_is_not_waited_for() {
    let client = Client::with(
        memory(),
        Options {
            body_idle_timeout: Duration::from_millis(20),
            ..Options::default()
        },
    );
    let location = client.begin("a").await;
    let silent = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    client.patch(&location, None, silent).await.is(408);
    client.get(&location).await.is(204);
}

/// Over a socket, because that is where a client can vanish: the server then drops the request while it is being handled.
#[tokio::test]
async fn a_client_that_vanishes_in_the_middle_of_an_upload_can_go_on_with_it() {
    let client = Client::new(memory());
    let address = client.listen().await;
    let whole = content(7 << 20);
    let location = client.begin("a").await;
    let mut socket = tokio::net::TcpStream::connect(address)
        .await
        .expect("a connection");
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n",
        whole.len()
    );
    socket.write_all(head.as_bytes()).await.expect("sent");
    socket.write_all(&whole[..6 << 20]).await.expect("sent");
    drop(socket);

    let deadline = Instant::now() + Duration::from_secs(20);
    let range = loop {
        let standing = client.get(&location).await.is(204);
        let range = standing.header("range").to_owned();
        if range != "0-0" {
            break range;
        }
        assert!(
            Instant::now() < deadline,
            "nothing of what was sent has been kept"
        );
        tokio::task::yield_now().await;
    };
    let received: usize = 1 + range
        .strip_prefix("0-")
        .and_then(|last| last.parse::<usize>().ok())
        .expect("a range");
    assert!(received <= 6 << 20, "{range}");
    client
        .patch(&location, None, whole[received..].to_vec())
        .await
        .is(202);
    client
        .finish(&location, &Algorithm::Sha256.digest(&whole), "")
        .await
        .is(201);
}

/// A store that counts, and a client of a registry on it.
fn counted() -> (Arc<Counting<Memory>>, Client) {
    let store = Arc::new(Counting::new(Memory::new()));
    let client = Client::new(Arc::clone(&store) as Arc<dyn Store>);
    (store, client)
}

#[track_caller]
fn costs(store: &Counting<Memory>, what: &str, budget: u64) {
    let calls = store.take();
    assert!(
        calls.total() <= budget,
        "{what} may cost {budget} calls: {calls:?}"
    );
}

#[tokio::test]
async fn a_push_of_a_blob_costs_the_calls_it_may() {
    let (store, client) = counted();
    for (size, chunked, what, budget) in [
        (12 << 20, true, "12 MiB, POST PATCH PUT", 11),
        (1024, true, "1 KiB, POST PATCH PUT", 8),
        (12 << 20, false, "12 MiB, POST PUT", 7),
        (1024, false, "1 KiB, POST PUT", 4),
    ] {
        let content = content(size);
        let digest = Algorithm::Sha256.digest(&content);
        if chunked {
            let location = client.begin("a").await;
            client.patch(&location, None, content).await.is(202);
            client.finish(&location, &digest, "").await.is(201);
        } else {
            client.push_blob("a", &content).await;
        }
        costs(&store, what, budget);
    }
}

#[tokio::test]
async fn everything_else_costs_the_calls_it_may() {
    let (store, client) = counted();
    let document = client.image("a", b"layer").await;
    let manifest = Algorithm::Sha256.digest(document.to_string().as_bytes());
    let layer = Algorithm::Sha256.digest(b"layer");
    let _ = store.take();
    client
        .put_manifest("a", "v1", OCI_MANIFEST, &document)
        .await
        .is(201);
    costs(&store, "manifest PUT by tag, 2 blobs", 8);
    client.get("/v2/a/manifests/v1").await.is(200);
    costs(&store, "manifest GET by tag", 3);
    client
        .get(&format!("/v2/a/manifests/{manifest}"))
        .await
        .is(200);
    costs(&store, "manifest GET by digest", 2);
    client.head(&format!("/v2/a/blobs/{layer}")).await.is(200);
    costs(&store, "blob HEAD", 2);
    client.head(&format!("/v2/b/blobs/{layer}")).await.is(404);
    costs(&store, "blob HEAD of what is not there", 1);
    client
        .post(&format!("/v2/b/blobs/uploads/?mount={layer}&from=a"))
        .await
        .is(201);
    costs(&store, "mount", 3);
}
