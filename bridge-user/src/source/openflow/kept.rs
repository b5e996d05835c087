//! One question asked again and again: over one connection as long as that holds.

use std::path::{Path, PathBuf};

use super::{OpenFlow, OpenFlowError, Orders};

/// Asks the switch of one bridge what it is told to do.
pub struct OrderWatch {
    rundir: PathBuf,
    bridge: String,
    connection: Option<OpenFlow>,
}

impl OrderWatch {
    /// Connects with the first question.
    pub fn new(rundir: &Path, bridge: &str) -> Self {
        Self { rundir: rundir.into(), bridge: bridge.into(), connection: None }
    }

    /// As [`OpenFlow::orders`]. A call that is dropped costs the connection, not the next answer.
    ///
    /// # Errors
    /// As there, of a connection made for this question: the switch may have been restarted since the last one.
    pub async fn orders(&mut self) -> Result<Orders, OpenFlowError> {
        if let Some(mut kept) = self.connection.take()
            && let Ok(orders) = kept.orders().await
        {
            self.connection = Some(kept);
            return Ok(orders);
        }
        let mut made = OpenFlow::connect(&self.rundir, &self.bridge).await?;
        let orders = made.orders().await?;
        self.connection = Some(made);
        Ok(orders)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{UnixListener, UnixStream},
    };

    use super::super::message::{BARRIER_REPLY, HELLO, STATS_REPLY, message};
    use super::super::orders::CONFIG_REPLY;
    use super::*;

    /// A bridge without any flow and port.
    async fn answer(stream: &mut UnixStream) -> std::io::Result<()> {
        let flows = &[0xff, 0xff, 0, 0, 0, 0, 0x23, 0x20, 0, 0, 0, 0, 0, 0, 0, 0][..];
        for (kind, body) in [(STATS_REPLY, flows), (CONFIG_REPLY, &[0; 4]), (STATS_REPLY, &[0, 13, 0, 0])] {
            let mut request = [0; 68];
            stream.read_exact(&mut request[..8]).await?;
            let length = usize::from(request[3]);
            stream.read_exact(&mut request[8..length]).await?;
            let xid = u32::from_be_bytes([request[4], request[5], request[6], request[7]]);
            stream.write_all(&message(kind, xid, body)).await?;
        }
        Ok(())
    }

    /// Answers two questions on each connection, then closes it.
    async fn serve(listener: UnixListener, connections: Arc<AtomicU32>) {
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.fetch_add(1, Ordering::Relaxed);
            let _asker_left = converse(&mut stream).await;
        }
    }

    async fn converse(stream: &mut UnixStream) -> std::io::Result<()> {
        stream.write_all(&message(HELLO, 9, &[])).await?;
        stream.read_exact(&mut [0; 16]).await?;
        stream.write_all(&message(BARRIER_REPLY, 1, &[])).await?;
        answer(stream).await?;
        answer(stream).await
    }

    #[tokio::test]
    async fn a_connection_is_kept_and_a_broken_one_made_anew() {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("br0.mgmt")).unwrap();
        let connections = Arc::new(AtomicU32::new(0));
        let server = tokio::spawn(serve(listener, Arc::clone(&connections)));
        let mut watch = OrderWatch::new(directory.path(), "br0");
        for (asked, expected) in [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)] {
            assert_eq!(watch.orders().await.unwrap(), Orders::default(), "question {asked}");
            assert_eq!(connections.load(Ordering::Relaxed), expected, "question {asked}");
        }
        server.abort();
        let _aborted = server.await;
        assert!(watch.orders().await.is_err());
    }

    #[tokio::test]
    async fn a_question_that_was_dropped_costs_no_answer() {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("br0.mgmt")).unwrap();
        let connections = Arc::new(AtomicU32::new(0));
        let mut watch = OrderWatch::new(directory.path(), "br0");
        // Nobody answers yet.
        let unanswered = tokio::time::timeout(std::time::Duration::from_millis(20), watch.orders()).await;
        assert!(unanswered.is_err());
        let server = tokio::spawn(serve(listener, Arc::clone(&connections)));
        assert_eq!(watch.orders().await.unwrap(), Orders::default());
        server.abort();
    }
}
