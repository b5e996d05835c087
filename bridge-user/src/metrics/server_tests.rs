//! The endpoint over real TCP on the loopback of whatever namespace the test runs in.

#![allow(clippy::unwrap_used)]
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::metrics::fixture;

struct Running {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: tokio::task::JoinHandle<()>,
}

async fn start_with(patience: Patience, provider: Provider) -> Running {
    let mut server = Server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    server.patience = patience;
    let (stop, stopped) = watch::channel(false);
    Running { address: server.address(), stop, task: tokio::spawn(server.run(provider, stopped)) }
}

async fn start() -> Running {
    start_with(PATIENCE, Arc::new(fixture::snapshot)).await
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn get(address: SocketAddr, path: &str) -> String {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await
}

#[tokio::test]
async fn metrics_are_served_as_text_and_the_root_links_to_them() {
    let server = start().await;
    let answer = get(server.address, "/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("content-type: text/plain; version=0.0.4\r\n"), "{answer}");
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(body, exposition::render(&fixture::snapshot()).unwrap());
    assert!(get(server.address, "/").await.contains("href=\"/metrics\""));
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let server = start().await;
    assert!(get(server.address, "/other").await.starts_with("HTTP/1.1 404"));
    let answer = ask(server.address, "POST /metrics HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405") && answer.contains("allow: GET, HEAD\r\n"), "{answer}");
    let head = ask(server.address, "HEAD /metrics HTTP/1.1\r\nHost: test\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn each_page_is_a_new_snapshot() {
    let calls = std::sync::atomic::AtomicU64::new(0);
    let provider = move || {
        let flows = calls.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 41;
        Snapshot { flows, ..fixture::snapshot() }
    };
    let server = start_with(PATIENCE, Arc::new(provider)).await;
    assert!(get(server.address, "/metrics").await.contains("\nfastbridge_flows 41\n"));
    assert!(get(server.address, "/metrics").await.contains("\nfastbridge_flows 42\n"));
}

#[tokio::test]
async fn a_snapshot_that_fails_is_a_500_and_not_the_end() {
    let server = start_with(PATIENCE, Arc::new(|| panic!("maps gone"))).await;
    for _ in 0..2 {
        assert!(get(server.address, "/metrics").await.starts_with("HTTP/1.1 500"));
    }
}

/// More clients that never finish their request than there are places: the others are answered as soon as the first
/// of them run out of time, and never later.
#[tokio::test]
async fn clients_that_never_finish_their_request_do_not_keep_others_out() {
    let patience = Patience { connections: 4, headers: Duration::from_millis(300), ..PATIENCE };
    let server = start_with(patience, Arc::new(fixture::snapshot)).await;
    let mut slow = Vec::new();
    for _ in 0..6 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost:").await.unwrap();
        slow.push(stream);
    }
    let answer = timeout(Duration::from_secs(8), get(server.address, "/metrics")).await;
    assert!(answer.unwrap().starts_with("HTTP/1.1 200"));
}

/// A client that asks but does not read cannot keep its place for ever either.
#[tokio::test]
async fn a_client_that_does_not_read_loses_its_place() {
    // More than the kernel buffers for one connection.
    let mut large = fixture::snapshot();
    large.ports[0].name = "x".repeat(400_000);
    let patience = Patience { connections: 1, whole: Duration::from_millis(500), ..PATIENCE };
    let server = start_with(patience, Arc::new(move || large.clone())).await;
    let mut deaf = TcpStream::connect(server.address).await.unwrap();
    deaf.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    let answer = timeout(Duration::from_secs(8), get(server.address, "/")).await;
    assert!(answer.unwrap().starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn it_stops_when_told_even_with_an_idle_client() {
    let server = start().await;
    let _idle = TcpStream::connect(server.address).await.unwrap();
    let begun = Instant::now();
    server.stop.send(true).unwrap();
    server.task.await.unwrap();
    assert!(begun.elapsed() < PATIENCE.headers, "it waited for the idle client");
    assert!(TcpStream::connect(server.address).await.is_err(), "it still listens");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let server = start().await;
    let error = Server::bind(server.address).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot listen on {}", server.address)), "{error}");
}
