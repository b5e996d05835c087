//! The page over HTTP/1.1: `GET /metrics`, and `/` with a link to it.
//!
//! Each connection serves one request and lives a bounded time, and their number is bounded, so that no client can
//! keep the others out for long. Must not: block the runtime (snapshots are taken on the blocking pool), look at maps.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{Snapshot, exposition};

/// Takes a snapshot now. Called once for each page, off the runtime's threads.
pub type Provider = Arc<dyn Fn() -> Snapshot + Send + Sync>;

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be used.
    #[error(
        "cannot listen on {address} for metrics: {source}; choose another [metrics] listen address, or stop what uses it"
    )]
    Bind {
        /// The address of the topology file.
        address: SocketAddr,
        /// What the kernel said.
        source: std::io::Error,
    },
}

/// What a client may take of us.
#[derive(Clone, Copy, Debug)]
struct Patience {
    connections: usize,
    headers: Duration,
    whole: Duration,
    goodbye: Duration,
}

const PATIENCE: Patience = Patience {
    connections: 32,
    headers: Duration::from_secs(3),
    whole: Duration::from_secs(10),
    goodbye: Duration::from_secs(1),
};

/// A bound endpoint that does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    patience: Patience,
}

impl Server {
    /// Binds `listen`; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is taken or not ours.
    pub async fn bind(listen: SocketAddr) -> Result<Self, ServeError> {
        let bind = |source| ServeError::Bind { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        Ok(Self { listener, address, patience: PATIENCE })
    }

    /// The address in use.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` holds true or its sender is gone; requests under way get a second to end.
    pub async fn run(self, provider: Provider, mut stop: watch::Receiver<bool>) {
        let mut connections = JoinSet::new();
        tokio::select! {
            () = accept(&self.listener, self.patience, &provider, &mut connections) => {}
            // An error means that the sender is gone: nobody is left to stop us later.
            _ = stop.wait_for(|&stop| stop) => {}
        }
        drop(self.listener);
        let ended = async { while connections.join_next().await.is_some() {} };
        // Who is slower than that is cut off when the set is dropped.
        let _ = timeout(self.patience.goodbye, ended).await;
    }
}

/// Binds `listen` and answers until `stop` holds true or its sender is gone.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(listen: SocketAddr, provider: Provider, stop: watch::Receiver<bool>) -> Result<(), ServeError> {
    Server::bind(listen).await?.run(provider, stop).await;
    Ok(())
}

async fn accept(listener: &TcpListener, patience: Patience, provider: &Provider, connections: &mut JoinSet<()>) {
    let places = Arc::new(Semaphore::new(patience.connections));
    // Waiting for a place before accepting leaves the rest in the kernel's backlog. The semaphore is never closed.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, place, patience, Arc::clone(provider)));
            }
            Err(error) => {
                tracing::warn!(%error, "metrics: a connection could not be accepted");
                // Out of file descriptors, most likely: it would fail again at once.
                sleep(Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, _place: OwnedSemaphorePermit, patience: Patience, provider: Provider) {
    let service = service_fn(move |request| answer(request, Arc::clone(&provider)));
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(patience.headers)
        .keep_alive(false)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(patience.whole, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "metrics: a connection ended early"),
        Err(_) => tracing::debug!("metrics: a connection took too long"),
    }
}

type Answer = Response<Full<Bytes>>;

async fn answer(request: Request<Incoming>, provider: Provider) -> Result<Answer, Infallible> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(refused);
    }
    Ok(match request.uri().path() {
        "/metrics" => page(provider).await,
        "/" => {
            let link = "<!doctype html><title>fastbridge</title><a href=\"/metrics\">metrics</a>\n";
            with_type(text(StatusCode::OK, link), "text/html; charset=utf-8")
        }
        _ => text(StatusCode::NOT_FOUND, "try /metrics\n"),
    })
}

async fn page(provider: Provider) -> Answer {
    match tokio::task::spawn_blocking(move || exposition::render(&provider())).await {
        Ok(Ok(page)) => with_type(text(StatusCode::OK, page), exposition::CONTENT_TYPE),
        Ok(Err(error)) => {
            tracing::error!(%error, "metrics: the page could not be written");
            text(StatusCode::INTERNAL_SERVER_ERROR, "the page could not be written; see the manager's log\n")
        }
        Err(error) => {
            tracing::error!(%error, "metrics: the snapshot could not be taken");
            text(StatusCode::INTERNAL_SERVER_ERROR, "the snapshot could not be taken; see the manager's log\n")
        }
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    with_type(response, "text/plain; charset=utf-8")
}

fn with_type(mut response: Answer, kind: &'static str) -> Answer {
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
