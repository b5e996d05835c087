//! A minimal OpenFlow 1.0 client to one bridge's management socket, for two things: keeping the bridge's FDB entries young, and asking what it
//! is told to do with frames, of which OVSDB knows nothing ([`Orders`]). It installs no flow and changes no setting.
//!
//! Open one connection for each round of work, or keep one for questions that come often ([`OrderWatch`]): the switch's echo requests are
//! answered only while a call runs. The calls are not cancel-safe; after an error or a dropped call, connect anew.

mod kept;
mod message;
mod orders;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

pub use self::kept::OrderWatch;
pub use self::message::Refresh;
use self::message::{
    BARRIER_REPLY, BARRIER_REQUEST, ECHO_REPLY, ECHO_REQUEST, ERROR, Flows, HEADER, HELLO, STATS_REPLY, VERSION,
    accepts_version_1, flows, flows_request, header, packet_out,
};
pub use self::orders::Orders;
use self::orders::{CONFIG_REPLY, config, config_request, ports, ports_request};

const ANSWER_S: u64 = 5;
/// Packets between two barriers: their errors must fit the socket while we are writing.
const BATCH: usize = 256;

/// Why the switch did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum OpenFlowError {
    /// No connection.
    #[error("cannot connect to {path}: {source}; is ovs-vswitchd running, and does the bridge exist?")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What connect(2) said.
        source: std::io::Error,
    },
    /// Reading or writing failed, or the switch closed the connection.
    #[error("the OpenFlow connection to ovs-vswitchd broke: {0}")]
    Io(#[from] std::io::Error),
    /// No answer.
    #[error("ovs-vswitchd did not answer within {0} s")]
    Timeout(u64),
    /// The switch does not speak OpenFlow 1.0.
    #[error("the bridge does not accept OpenFlow 1.0; add OpenFlow10 to the bridge's column protocols")]
    Version,
    /// OFPT_ERROR.
    #[error("ovs-vswitchd refused a request: OpenFlow error type {kind}, code {code}")]
    Refused {
        /// ofp_error_msg.type
        kind: u16,
        /// ofp_error_msg.code
        code: u16,
    },
    /// Not OpenFlow.
    #[error("what ovs-vswitchd sent cannot be read: {0}")]
    Garbage(&'static str),
}

/// A connection after the HELLOs.
pub struct OpenFlow {
    stream: UnixStream,
    xid: u32,
}

/// A message of the switch: type, xid, all its bytes.
type Message = (u8, u32, Vec<u8>);

impl OpenFlow {
    /// Connects to `<rundir>/<bridge>.mgmt` and exchanges HELLOs.
    pub async fn connect(rundir: &Path, bridge: &str) -> Result<Self, OpenFlowError> {
        let path = rundir.join(format!("{bridge}.mgmt"));
        let stream = UnixStream::connect(&path).await.map_err(|source| OpenFlowError::Connect { path, source })?;
        let mut this = Self { stream, xid: 0 };
        within(this.greet()).await?;
        Ok(this)
    }

    /// Makes the switch see each station send once from its port. The entry's age starts anew; while the switch has
    /// the entry on that port the frame is delivered nowhere, else it is flooded. Ends after the switch did all of them; the first error of
    /// the switch is returned, the others were done.
    pub async fn refresh(&mut self, entries: &[Refresh]) -> Result<(), OpenFlowError> {
        for batch in entries.chunks(BATCH) {
            within(self.refresh_batch(batch)).await?;
        }
        Ok(())
    }

    /// What the bridge is told to do with frames.
    pub async fn orders(&mut self) -> Result<Orders, OpenFlowError> {
        within(self.ask_for_orders()).await
    }

    async fn greet(&mut self) -> Result<(), OpenFlowError> {
        self.stream.write_all(&message::message(HELLO, 0, &[])).await?;
        let (kind, _, bytes) = self.receive().await?;
        match kind {
            HELLO if accepts_version_1(&bytes) => {}
            HELLO => return Err(OpenFlowError::Version),
            ERROR => return Err(refusal(&bytes)),
            _ => return Err(OpenFlowError::Garbage("no HELLO")),
        }
        // Seen to work before anything depends on it.
        let xid = self.next_xid();
        self.stream.write_all(&message::message(BARRIER_REQUEST, xid, &[])).await?;
        self.barrier(xid, xid).await
    }

    async fn refresh_batch(&mut self, batch: &[Refresh]) -> Result<(), OpenFlowError> {
        let first = self.xid.wrapping_add(1);
        let mut bytes = Vec::new();
        for &refresh in batch {
            bytes.extend(packet_out(self.next_xid(), refresh));
        }
        let last = self.next_xid();
        bytes.extend(message::message(BARRIER_REQUEST, last, &[]));
        self.stream.write_all(&bytes).await?;
        self.barrier(first, last).await
    }

    /// Waits for the answer to barrier `last`; the first error about a request from `first` on is returned then.
    async fn barrier(&mut self, first: u32, last: u32) -> Result<(), OpenFlowError> {
        let mut outcome = Ok(());
        loop {
            let (kind, xid, bytes) = self.receive().await?;
            if kind == ERROR && xid.wrapping_sub(first) <= last.wrapping_sub(first) {
                outcome = outcome.and(Err(refusal(&bytes)));
                if xid == last {
                    return outcome;
                }
            }
            if kind == BARRIER_REPLY && xid == last {
                return outcome;
            }
        }
    }

    /// Three questions at once: a switch that is busy is waited for once.
    async fn ask_for_orders(&mut self) -> Result<Orders, OpenFlowError> {
        let [first, second, third] = [self.next_xid(), self.next_xid(), self.next_xid()];
        let questions = [flows_request(first), config_request(second), ports_request(third)];
        self.stream.write_all(&questions.concat()).await?;
        let (mut all, mut normal, mut orders) = (0, 0, Orders::default());
        self.answers(first, STATS_REPLY, |reply| {
            let Flows { all: here, normal: normal_here, more } = flows(reply)?;
            (all, normal) = (all + here, normal + normal_here);
            Ok(more)
        })
        .await?;
        orders.only_normal = all == 1 && normal == 1;
        self.answers(second, CONFIG_REPLY, |reply| config(reply, &mut orders).map(|()| false)).await?;
        self.answers(third, STATS_REPLY, |reply| ports(reply, &mut orders)).await?;
        Ok(orders)
    }

    /// Takes the answers to one question until `take` says that no more follow.
    async fn answers(
        &mut self,
        asked: u32,
        wanted: u8,
        mut take: impl FnMut(&[u8]) -> Result<bool, OpenFlowError>,
    ) -> Result<(), OpenFlowError> {
        loop {
            let (kind, xid, bytes) = self.receive().await?;
            match kind {
                _ if xid != asked => {}
                ERROR => return Err(refusal(&bytes)),
                _ if kind != wanted => {
                    return Err(OpenFlowError::Garbage("an answer of another kind than the question"));
                }
                _ if take(&bytes)? => {}
                _ => return Ok(()),
            }
        }
    }

    /// The next message that is not an echo request. At most 64 KiB, by the format.
    async fn receive(&mut self) -> Result<Message, OpenFlowError> {
        loop {
            let mut start = [0; HEADER];
            self.stream.read_exact(&mut start).await?;
            let (version, kind, length, xid) = header(start)?;
            let mut bytes = start.to_vec();
            bytes.resize(length, 0);
            self.stream.read_exact(&mut bytes[HEADER..]).await?;
            if kind == ECHO_REQUEST {
                self.stream.write_all(&message::message(ECHO_REPLY, xid, &bytes[HEADER..])).await?;
                continue;
            }
            // Only the greeting may be in another version: it is how versions are agreed on.
            if version != VERSION && !matches!(kind, HELLO | ERROR) {
                return Err(OpenFlowError::Version);
            }
            return Ok((kind, xid, bytes));
        }
    }

    fn next_xid(&mut self) -> u32 {
        self.xid = self.xid.wrapping_add(1);
        self.xid
    }
}

async fn within<T>(work: impl Future<Output = Result<T, OpenFlowError>>) -> Result<T, OpenFlowError> {
    tokio::time::timeout(Duration::from_secs(ANSWER_S), work).await.unwrap_or(Err(OpenFlowError::Timeout(ANSWER_S)))
}

/// Type 0 is OFPET_HELLO_FAILED; code 0 of it: no common version.
fn refusal(bytes: &[u8]) -> OpenFlowError {
    match bytes.get(HEADER..HEADER + 4) {
        Some([0, 0, 0, 0]) => OpenFlowError::Version,
        Some(&[k0, k1, c0, c1]) => {
            OpenFlowError::Refused { kind: u16::from_be_bytes([k0, k1]), code: u16::from_be_bytes([c0, c1]) }
        }
        _ => OpenFlowError::Garbage("an error message without a type"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::net::UnixListener;

    use super::*;

    const REFRESH: Refresh = Refresh { ofport: 1, mac: [2; 6], tag: None };

    /// Connects to a switch that answers the greeting, then sends `answer` whatever is asked, and no more.
    async fn against(answer: Vec<u8>) -> Result<OpenFlow, OpenFlowError> {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("br0.mgmt")).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut greeting = message::message(HELLO, 9, &[]);
            greeting[0] = 6;
            stream.write_all(&greeting).await.unwrap();
            stream.read_exact(&mut [0; 16]).await.unwrap();
            stream.write_all(&message::message(BARRIER_REPLY, 1, &[])).await.unwrap();
            let mut request = [0; 512];
            let _ = stream.read(&mut request).await.unwrap();
            stream.write_all(&answer).await.unwrap();
            stream.shutdown().await.unwrap();
            while stream.read(&mut request).await.is_ok_and(|n| n > 0) {}
        });
        OpenFlow::connect(directory.path(), "br0").await
    }

    #[tokio::test]
    async fn the_switchs_error_surfaces() {
        let mut answer = message::message(ERROR, 2, &[0, 1, 0, 7, 1, 13]);
        answer.extend(message::message(BARRIER_REPLY, 3, &[]));
        let refused = against(answer).await.unwrap().refresh(&[REFRESH]).await;
        assert!(matches!(refused, Err(OpenFlowError::Refused { kind: 1, code: 7 })), "{refused:?}");
    }

    #[tokio::test]
    async fn cut_short_and_foreign_answers_are_errors() {
        for answer in [
            vec![],
            vec![1, 19, 0],
            vec![1, 19, 0, 3, 0, 0, 0, 3],
            vec![1, 19, 0, 200, 0, 0, 0, 3, 1],
            vec![4, 21, 0, 8, 0, 0, 0, 3],
            message::message(ERROR, 3, &[0]),
        ] {
            let outcome = against(answer.clone()).await.unwrap().refresh(&[REFRESH]).await;
            assert!(outcome.is_err(), "{answer:?}");
            let outcome = against(answer.clone()).await.unwrap().orders().await;
            assert!(outcome.is_err(), "{answer:?}");
        }
        let stats = message::message(STATS_REPLY, 2, &[0; 20]);
        assert!(matches!(against(stats).await.unwrap().orders().await, Err(OpenFlowError::Garbage(_))));
    }

    #[tokio::test]
    async fn echoes_and_unasked_messages_do_not_disturb() {
        let mut answer = message::message(ECHO_REQUEST, 77, b"hello");
        answer.extend(message::message(12, 0, &[0; 64])); // PORT_STATUS
        answer.extend(message::message(ERROR, 99, &[0, 1, 0, 7]));
        answer.extend(message::message(BARRIER_REPLY, 3, &[]));
        against(answer).await.unwrap().refresh(&[REFRESH]).await.unwrap();
    }
}
