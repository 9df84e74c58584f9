//! Connections that do not get on, over a pipe in memory and with little patience.

use axum::routing::get;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::JoinHandle,
    time::timeout,
};

use super::{
    super::{House, Peer, speak},
    *,
};

const NEVER: Duration = Duration::from_hours(1);
/// Long enough for a busy machine to do what takes no time.
const SOON: Duration = Duration::from_secs(30);
const AT_ONCE: Duration = Duration::from_millis(50);
const ENDLESS: Patience = Patience {
    idle: NEVER,
    idle_in_a_crowd: NEVER,
    head: NEVER,
    sending: NEVER,
};
const PING: &[u8] = b"GET /ping HTTP/1.1\r\nHost: a\r\n\r\n";

/// A connection of its own; the task ends with it.
fn connect(patience: Patience, version: Version, places: Places) -> (DuplexStream, JoinHandle<()>) {
    let long = || async { vec![b'x'; 1024 * 1024] };
    let slow = || async {
        sleep(AT_ONCE * 4).await;
        "slow"
    };
    let router = axum::Router::new()
        .route("/ping", get(|| async { "pong" }))
        .route("/long", get(long))
        .route("/slow", get(slow));
    let house = House {
        greeting: super::super::Greeting {
            tls: None,
            h2c: false,
        },
        router,
        places: Arc::new(places),
        patience,
        closing: Arc::default(),
    };
    let (client, server) = duplex(1024);
    let serving = async move {
        let peer = Peer {
            address: None,
            over_tls: false,
        };
        let graceful = GracefulShutdown::new();
        // Its error is what the test waits for.
        let _ = speak(server, version, peer, &house, graceful.watcher()).await;
    };
    (client, tokio::spawn(serving))
}

async fn ping(client: &mut DuplexStream) {
    client.write_all(PING).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"pong") {
        let read = timeout(SOON, client.read_buf(&mut answer)).await;
        assert_ne!(read.unwrap().unwrap(), 0, "closed before an answer");
    }
}

async fn ends(server: JoinHandle<()>) {
    timeout(SOON, server).await.expect("an end").unwrap();
}

#[tokio::test]
async fn a_head_that_does_not_end_ends_the_connection_however_slowly_it_drips() {
    let patience = Patience {
        head: AT_ONCE,
        ..ENDLESS
    };
    let (mut client, server) = connect(patience, Version::One, Places::new(100));
    ping(&mut client).await;
    client
        .write_all(b"GET /ping HTTP/1.1\r\nX: ")
        .await
        .unwrap();
    // Ends with an error when the server has closed.
    let drip = async { while client.write_all(b"x").await.is_ok() && !server.is_finished() {} };
    timeout(SOON, drip).await.expect("the server closes");
    ends(server).await;
}

#[tokio::test]
async fn an_idle_connection_outlasts_the_time_for_a_head_before_and_between_requests() {
    let patience = Patience {
        head: AT_ONCE,
        idle_in_a_crowd: AT_ONCE,
        ..ENDLESS
    };
    let (mut client, server) = connect(patience, Version::One, Places::new(100));
    for _ in 0..2 {
        // That nothing happens can only be seen by waiting.
        assert!(timeout(AT_ONCE * 3, client.read_u8()).await.is_err());
        ping(&mut client).await;
    }
    drop(client);
    ends(server).await;
}

#[tokio::test]
async fn an_idle_connection_ends_in_its_time() {
    let patience = Patience {
        idle: AT_ONCE,
        idle_in_a_crowd: AT_ONCE,
        ..ENDLESS
    };
    let (mut client, server) = connect(patience, Version::One, Places::new(100));
    ping(&mut client).await;
    ends(server).await;
}

/// Otherwise a stranger could take all places for an hour, with a connection each.
#[tokio::test]
async fn an_idle_connection_gives_its_place_up_early_when_places_are_scarce() {
    let patience = Patience {
        idle_in_a_crowd: AT_ONCE,
        ..ENDLESS
    };
    let places = Places::new(4);
    for _ in 0..4 {
        places.take().await.unwrap().forget();
    }
    let (mut client, server) = connect(patience, Version::One, places);
    ping(&mut client).await;
    ends(server).await;
}

#[tokio::test]
async fn a_request_may_take_longer_than_a_connection_may_be_idle() {
    let patience = Patience {
        idle: AT_ONCE,
        idle_in_a_crowd: AT_ONCE,
        head: AT_ONCE,
        ..ENDLESS
    };
    let (mut client, server) = connect(patience, Version::One, Places::new(100));
    client
        .write_all(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    timeout(SOON, client.read_to_end(&mut answer))
        .await
        .unwrap()
        .unwrap();
    assert!(answer.ends_with(b"slow"), "{answer:?}");
    ends(server).await;
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_loses_the_connection() {
    let patience = Patience {
        sending: AT_ONCE,
        ..ENDLESS
    };
    let (mut client, server) = connect(patience, Version::One, Places::new(100));
    client
        .write_all(b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    ends(server).await;
}

#[tokio::test]
async fn an_http_2_connection_that_does_not_begin_ends() {
    let patience = Patience {
        head: AT_ONCE,
        ..ENDLESS
    };
    let (mut client, server) = connect(patience, Version::Two, Places::new(100));
    client.write_all(&PREFACE[..10]).await.unwrap();
    ends(server).await;
}
