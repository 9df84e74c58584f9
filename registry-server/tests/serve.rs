//! The program from its start to its end, as a person or a cluster runs it.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is a test: a failure ends it with a message"
)]

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use reqwest::StatusCode;
use rustix::process::Signal;

use crate::process::{SOON, Server, moorage_registry, run, succeed};

mod process;

const HTPASSWD: &[(&str, &str)] = &[
    ("REGISTRY_AUTH", "htpasswd"),
    ("REGISTRY_AUTH_HTPASSWD_PATH", "htpasswd"),
    ("REGISTRY_AUTH_HTPASSWD_REALM", "Registry Realm"),
];

async fn get(url: &str) -> reqwest::Response {
    reqwest::get(url).await.expect("an answer")
}

#[tokio::test]
async fn without_any_configuration_it_serves_a_folder_and_says_all_one_has_to_know() {
    let server = Server::start(&[]);
    let log = server.log();
    let port = server.address().port();
    for part in [
        "registry-data",
        "there is no password",
        "REGISTRY_AUTH=htpasswd",
        &format!("docker push localhost:{port}/NAME"),
    ] {
        assert!(log.contains(part), "{part:?} is not in the log:\n{log}");
    }
    assert_eq!(get(&server.url("/v2/")).await.status(), StatusCode::OK);
    assert!(
        server.folder.path().join("registry-data").is_dir()
            || std::path::Path::new("/var/lib/registry").is_dir()
    );
}

#[test]
fn an_address_that_is_taken_is_an_error_that_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(moorage_registry(folder.path())
        .env("REGISTRY_HTTP_ADDR", &address)
        .env("REGISTRY_STORAGE", "inmemory"));
    let log = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(
        log.contains("another process does already") && log.contains("REGISTRY_HTTP_ADDR=:5001"),
        "{log}"
    );
}

#[test]
fn a_wrong_configuration_is_told_with_all_its_problems_and_an_exit_code_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(
        folder.path().join("config.yml"),
        "version: 0.1\nhttp: {addr: x}\nstorage: {s3: {region: eu-west-1}}\n",
    )
    .expect("written");
    let output = run(moorage_registry(folder.path())
        .args(["serve", "config.yml"])
        .env("REGISTRY_LOG_LEVEL", "loud"));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn check_config_shows_each_setting_with_its_origin_and_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = "version: 0.1
log: {level: warn, fields: {service: registry}}
storage:
  s3: {bucket: team-a, region: eu-central-1, accesskey: AKIAIOSFODNN7EXAMPLE, secretkey: hunter2}
  delete: {enabled: true}
http:
  secret: hunter3
  draintimeout: 5m
";
    std::fs::write(folder.path().join("config.yml"), config).expect("written");
    let variables = [
        ("REGISTRY_CONFIGURATION_PATH", "config.yml"),
        ("REGISTRY_STORAGE_S3_SECRETKEY", "hunter4"),
        ("REGISTRY_STORAGE_S3_ROOTDIRECTORY", "/images"),
        ("REGISTRY_HTTP_ADR", ":80"),
    ];
    let text = succeed(
        moorage_registry(folder.path())
            .arg("check-config")
            .envs(variables)
            .envs(HTPASSWD.iter().copied()),
    );
    assert!(!text.contains("hunter"), "{text}");
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn a_user_added_with_hash_password_can_log_in_and_nobody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut hashing = moorage_registry(folder.path())
        .args(["hash-password", "--cost", "5", "alice"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    hashing
        .stdin
        .take()
        .expect("a pipe")
        .write_all(b"open sesame\n")
        .expect("written");
    let line = hashing.wait_with_output().expect("it ends").stdout;
    assert!(
        line.starts_with(b"alice:$2y$05$"),
        "{}",
        String::from_utf8_lossy(&line)
    );
    std::fs::write(folder.path().join("htpasswd"), line).expect("written");

    let server = Server::start_in(folder, HTPASSWD);
    let refused = get(&server.url("/v2/")).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(
        refused.headers()["www-authenticate"],
        r#"Basic realm="Registry Realm""#
    );
    let login = |password: &str| {
        reqwest::Client::new()
            .get(server.url("/v2/"))
            .basic_auth("alice", Some(password))
            .send()
    };
    assert_eq!(
        login("open sesame").await.expect("an answer").status(),
        StatusCode::OK
    );
    assert_eq!(
        login("wrong").await.expect("an answer").status(),
        StatusCode::UNAUTHORIZED
    );
    assert!(!server.log().contains("open sesame"), "{}", server.log());
    // Probes have no password.
    assert_eq!(get(&server.url("/livez")).await.status(), StatusCode::OK);
    assert_eq!(get(&server.url("/readyz")).await.status(), StatusCode::OK);
}

#[test]
fn a_password_that_bcrypt_would_cut_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("password"), "x".repeat(73)).expect("written");
    let output = run(moorage_registry(folder.path()).args([
        "hash-password",
        "--password-file",
        "password",
        "alice",
    ]));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("more than 72 bytes"));
}

/// A bucket at `endpoint`.
fn s3_at(endpoint: &str) -> [(&str, &str); 7] {
    [
        ("REGISTRY_STORAGE", "s3"),
        ("REGISTRY_STORAGE_S3_BUCKET", "team-a"),
        ("REGISTRY_STORAGE_S3_REGION", "eu-central-1"),
        ("REGISTRY_STORAGE_S3_REGIONENDPOINT", endpoint),
        ("REGISTRY_STORAGE_S3_FORCEPATHSTYLE", "true"),
        ("REGISTRY_STORAGE_S3_ACCESSKEY", "AKIAIOSFODNN7EXAMPLE"),
        ("REGISTRY_STORAGE_S3_SECRETKEY", "secret"),
    ]
}

/// A server that knows no access key until it is told to, as S3 in the first seconds of a key.
async fn forgetful_s3() -> (String, Arc<AtomicBool>) {
    let knows_key = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&knows_key);
    let answer = move || async move {
        if flag.load(Ordering::Relaxed) {
            let empty = "<ListBucketResult><Name>team-a</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>";
            (StatusCode::OK, empty)
        } else {
            let unknown = "<Error><Code>InvalidAccessKeyId</Code><Message>The key does not exist</Message></Error>";
            (StatusCode::FORBIDDEN, unknown)
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let router = axum::Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    (endpoint, knows_key)
}

/// IAM takes seconds until S3 knows a new key. A server that ended meanwhile would be restarted later and later.
#[tokio::test]
async fn a_server_whose_access_key_is_not_known_yet_lives_and_becomes_ready_by_itself() {
    let (endpoint, knows_key) = forgetful_s3().await;
    let mut server = Server::start(&s3_at(&endpoint));
    assert_eq!(get(&server.url("/livez")).await.status(), StatusCode::OK);
    let answer = get(&server.url("/readyz")).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    // Anybody may ask; what the store says, and what it is called, is for the log.
    let told = answer.text().await.expect("a body");
    assert!(
        told.contains("log") && !told.contains("InvalidAccessKeyId") && !told.contains(&endpoint),
        "{told}"
    );
    server.until_logged("InvalidAccessKeyId");
    knows_key.store(true, Ordering::Relaxed);
    let deadline = tokio::time::Instant::now() + SOON;
    while get(&server.url("/readyz")).await.status() != StatusCode::OK {
        assert!(
            tokio::time::Instant::now() < deadline,
            "not ready; its log:\n{}",
            server.log()
        );
    }
}

/// Begins an upload of two bytes, and sends one.
async fn half_an_upload(server: &Server) -> TcpStream {
    let begun = reqwest::Client::new()
        .post(server.url("/v2/slow/blobs/uploads/"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(begun.status(), StatusCode::ACCEPTED);
    let location = begun.headers()["location"]
        .to_str()
        .expect("text")
        .to_owned();
    let path = location
        .split_once(&server.address().to_string())
        .map_or(location.as_str(), |(_, path)| path)
        .to_owned();
    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/octet-stream\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
        server.address()
    );
    stream.write_all(head.as_bytes()).expect("sent");
    // The server asks for the body only when it is handling the request.
    let mut answer = [0; 25];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"a").expect("sent");
    stream
}

#[tokio::test]
async fn a_request_whose_client_leaves_before_the_answer_is_in_the_log() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", silent.local_addr().expect("an address"));
    let mut server = Server::start(&s3_at(&endpoint));
    let mut client = TcpStream::connect(server.address()).expect("a connection");
    client
        .write_all(b"GET /v2/a/manifests/v1 HTTP/1.1\r\nHost: a\r\n\r\n")
        .expect("sent");
    // One for the look at the start, one for the request: which are never answered.
    let _calls = [silent.accept(), silent.accept()];
    client.shutdown(Shutdown::Both).expect("closed");
    server.until_logged("path=\"/v2/a/manifests/v1\" status=499");
}

#[tokio::test]
async fn an_upload_under_way_is_finished_after_sigterm_and_nobody_new_comes_in() {
    let mut server = Server::start(&[("REGISTRY_HTTP_DRAINTIMEOUT", "1m")]);
    let mut upload = half_an_upload(&server).await;
    server.signal(Signal::TERM);
    server.until_logged("requests under way are finished first");
    let address = server.address();
    server.until("the port to be closed", |_| {
        TcpStream::connect(address).is_err().then_some(())
    });

    upload.write_all(b"b").expect("sent");
    let mut answer = String::new();
    upload.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert!(
        answer.to_lowercase().contains("connection: close"),
        "{answer}"
    );
    assert_eq!(server.ended().code(), Some(0), "{}", server.log());
}

/// As in a rolling update: requests come until everybody who sends them has learned that this server is going.
#[tokio::test]
async fn requests_are_taken_for_a_while_after_sigterm_and_each_ends_its_connection() {
    let mut server = Server::start(&[("REGISTRY_HTTP_DRAINDELAY", "2s")]);
    let kept = reqwest::Client::new();
    let ready = || kept.get(server.url("/readyz")).send();
    assert_eq!(ready().await.expect("an answer").status(), StatusCode::OK);
    server.signal(Signal::TERM);
    server.until_logged("until load balancers have noticed");
    for client in [kept, reqwest::Client::new()] {
        for (path, status) in [("/v2/", 200), ("/readyz", 503), ("/livez", 200)] {
            let answer = client
                .get(server.url(path))
                .send()
                .await
                .expect("an answer");
            assert_eq!(answer.status().as_u16(), status, "{path}");
            assert_eq!(answer.headers()["connection"], "close", "{path}");
        }
    }
    let address = server.address();
    server.until("the port to be closed", |_| {
        TcpStream::connect(address).is_err().then_some(())
    });
    assert_eq!(server.ended().code(), Some(0), "{}", server.log());
}

#[tokio::test]
async fn a_request_that_takes_longer_than_the_drain_is_cut_off_and_said_to_be() {
    let mut server = Server::start(&[("REGISTRY_HTTP_DRAINTIMEOUT", "100ms")]);
    let mut upload = half_an_upload(&server).await;
    server.signal(Signal::TERM);
    assert_eq!(server.ended().code(), Some(0));
    assert!(server.log().contains("were cut off"), "{}", server.log());
    let mut answer = Vec::new();
    // Closed or reset: either way nothing was acknowledged.
    let _ = upload.read_to_end(&mut answer);
    assert!(answer.is_empty());
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let mut server = Server::start(&[("REGISTRY_HTTP_DRAINTIMEOUT", "1h")]);
    let _upload = half_an_upload(&server).await;
    server.signal(Signal::INT);
    server.until_logged("requests under way are finished first");
    server.signal(Signal::INT);
    assert_eq!(server.ended().code(), Some(0), "{}", server.log());
}

/// Without this a redeployment would wait out the whole drain for each client that keeps a connection.
#[tokio::test]
async fn connections_without_a_request_do_not_keep_it_from_ending() {
    let mut server = Server::start(&[("REGISTRY_HTTP_DRAINTIMEOUT", "1h")]);
    let client = reqwest::Client::new();
    assert_eq!(
        client
            .get(server.url("/v2/"))
            .send()
            .await
            .expect("an answer")
            .status(),
        StatusCode::OK
    );
    let _silent = TcpStream::connect(server.address()).expect("a connection");
    server.signal(Signal::TERM);
    assert_eq!(server.ended().code(), Some(0), "{}", server.log());
}

/// A new certificate in the same files. Yields it as PEM.
fn certificate(folder: &std::path::Path) -> String {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(folder.join("tls.crt"), cert.pem()).expect("written");
    std::fs::write(folder.join("tls.key"), signing_key.serialize_pem()).expect("written");
    cert.pem()
}

fn trusting(pem: &str) -> reqwest::Client {
    let root = reqwest::Certificate::from_pem(pem.as_bytes()).expect("a certificate");
    reqwest::Client::builder()
        .tls_certs_only([root])
        .timeout(SOON)
        .build()
        .expect("a client")
}

#[tokio::test]
async fn a_new_certificate_is_used_for_new_connections_and_old_ones_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = certificate(folder.path());
    let server = Server::start_in(
        folder,
        &[
            ("REGISTRY_HTTP_TLS_CERTIFICATE", "tls.crt"),
            ("REGISTRY_HTTP_TLS_KEY", "tls.key"),
        ],
    );
    let url = format!("https://localhost:{}/v2/", server.address().port());
    let old = trusting(&first);
    assert_eq!(
        old.get(&url).send().await.expect("an answer").status(),
        StatusCode::OK
    );

    let second = certificate(server.folder.path());
    let deadline = std::time::Instant::now() + SOON;
    while trusting(&second).get(&url).send().await.is_err() {
        assert!(
            std::time::Instant::now() < deadline,
            "the new certificate is not used:\n{}",
            server.log()
        );
        tokio::task::yield_now().await;
    }
    // The same connection as before; a new one would be refused, as the next line shows.
    assert_eq!(
        old.get(&url).send().await.expect("an answer").status(),
        StatusCode::OK
    );
    assert!(trusting(&first).get(&url).send().await.is_err());
}

#[test]
fn http_2_without_tls_is_spoken_where_it_is_enabled() {
    let server = Server::start(&[("REGISTRY_HTTP_H2C_ENABLED", "true")]);
    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    // The preface in two pieces, and an empty SETTINGS frame.
    stream.write_all(b"PRI * HTTP/2.0\r\n").expect("sent");
    stream
        .write_all(b"\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .expect("sent");
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).expect("a frame");
    assert_eq!(frame[3], 4, "the first frame is SETTINGS: {frame:?}");

    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_request_whose_head_has_no_end_is_refused() {
    let server = Server::start(&[]);
    let mut stream = TcpStream::connect(server.address()).expect("a connection");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    let head = format!(
        "GET /v2/ HTTP/1.1\r\nHost: a\r\nX: {}",
        "x".repeat(128 * 1024)
    );
    // The server may close before it has read all of it.
    let _ = stream.write_all(head.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_socket_in_the_file_system_is_served_and_taken_over_from_one_that_was_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("registry.sock");
    // Left behind: bound, and then nobody listens.
    drop(std::os::unix::net::UnixListener::bind(&socket).expect("a socket"));
    let mut child = moorage_registry(folder.path())
        .envs([
            ("REGISTRY_HTTP_NET", "unix"),
            ("REGISTRY_HTTP_ADDR", "registry.sock"),
            ("REGISTRY_STORAGE", "inmemory"),
        ])
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let deadline = std::time::Instant::now() + SOON;
    let mut stream = loop {
        if let Ok(stream) = std::os::unix::net::UnixStream::connect(&socket) {
            break stream;
        }
        assert!(std::time::Instant::now() < deadline, "nobody listens");
        std::thread::yield_now();
    };
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        .expect("sent");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    child.kill().expect("stopped");
    child.wait().expect("ended");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn lines_of_the_log_are_json_with_the_configured_fields_and_requests_can_be_left_out() {
    let base = [("REGISTRY_LOG_FIELDS", "{service: registry}")];
    for (disabled, expected) in [("false", true), ("true", false)] {
        let variables = [&base[..], &[("REGISTRY_LOG_ACCESSLOG_DISABLED", disabled)]].concat();
        let mut server = Server::start(&variables);
        assert_eq!(get(&server.url("/v2/")).await.status(), StatusCode::OK);
        server.signal(Signal::TERM);
        server.ended();
        let log = server.log();
        assert_eq!(log.contains("moorage::access"), expected, "{log}");
        assert!(
            log.lines().all(|line| line.ends_with("service=registry")),
            "{log}"
        );
    }
    let folder = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let output = run(moorage_registry(folder.path()).envs([
        ("REGISTRY_HTTP_ADDR", address.as_str()),
        ("REGISTRY_LOG_FORMATTER", "json"),
        ("REGISTRY_LOG_FIELDS", "{service: \"a \\\"b\\\"\"}"),
    ]));
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        let line: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(line["service"], "a \"b\"");
    }
}
