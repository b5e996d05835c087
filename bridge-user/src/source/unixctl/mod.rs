//! A client of ovs-vswitchd's control socket, for one thing: what a bridge's FDB holds. It gives no order.
//!
//! The protocol is JSON-RPC 1.0 (ovs-appctl(8)); the answers are texts for people, whose form has not changed since Open vSwitch 2.13. One
//! connection for each round of work. Calls are not cancel-safe; after an error or a dropped call, connect anew.

mod text;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::BytesMut;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

pub use self::text::{FdbEntry, FdbStats};
use super::jsonrpc::{self, Framer, JsonRpcError, Message, repeat};

/// ovs-vswitchd answers from its main loop, which a reconfiguration may hold up.
const ANSWER: Duration = Duration::from_millis(300);
/// Bytes of a file that holds a process id.
const PID_BYTES: u64 = 32;

/// Why ovs-vswitchd did not tell.
#[derive(Debug, thiserror::Error)]
pub enum UnixctlError {
    /// No process id.
    #[error("cannot read {path}: {source}; is ovs-vswitchd running, and is OVS_RUNDIR its run directory?")]
    Pid {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        source: io::Error,
    },
    /// No connection.
    #[error("cannot connect to {path}: {source}; is ovs-vswitchd running?")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What connect(2) said.
        source: io::Error,
    },
    /// Reading or writing failed, or it closed the connection.
    #[error("the control connection to ovs-vswitchd broke: {0}")]
    Io(#[from] io::Error),
    /// No answer.
    #[error("ovs-vswitchd did not answer on its control socket within {} ms", ANSWER.as_millis())]
    Timeout,
    /// An error instead of an answer.
    #[error("ovs-vswitchd refused {method}: {error}")]
    Refused {
        /// The command.
        method: &'static str,
        /// Its words.
        error: String,
    },
    /// Not JSON-RPC, or too much of it.
    #[error("what ovs-vswitchd sent on its control socket is not understood: {0}")]
    Answer(#[from] JsonRpcError),
    /// A text of another form.
    #[error("{method} of ovs-vswitchd shows a line that is not understood: {line}")]
    Text {
        /// The command.
        method: &'static str,
        /// The line.
        line: String,
    },
}

/// A connection to a running ovs-vswitchd.
pub struct Unixctl {
    stream: UnixStream,
    framer: Framer,
    pid: u32,
}

impl Unixctl {
    /// Connects to `<rundir>/ovs-vswitchd.<pid>.ctl`, the process id being in `<rundir>/ovs-vswitchd.pid`.
    pub async fn connect(rundir: &Path) -> Result<Self, UnixctlError> {
        let path = rundir.join("ovs-vswitchd.pid");
        let pid = read_pid(&path).map_err(|source| UnixctlError::Pid { path, source })?;
        let path = rundir.join(format!("ovs-vswitchd.{pid}.ctl"));
        let stream = UnixStream::connect(&path).await.map_err(|source| UnixctlError::Connect { path, source })?;
        Ok(Self { stream, framer: Framer::default(), pid })
    }

    /// Whom it speaks to: another process has another FDB.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// `fdb/stats-show`: cheap, whatever the FDB's size.
    pub async fn fdb_stats(&mut self, bridge: &str) -> Result<FdbStats, UnixctlError> {
        text::fdb_stats(&self.ask("fdb/stats-show", bridge).await?)
    }

    /// `fdb/show`: every entry.
    pub async fn fdb(&mut self, bridge: &str) -> Result<Vec<FdbEntry>, UnixctlError> {
        text::fdb(&self.ask("fdb/show", bridge).await?)
    }

    async fn ask(&mut self, method: &'static str, bridge: &str) -> Result<String, UnixctlError> {
        tokio::time::timeout(ANSWER, self.exchange(method, bridge)).await.unwrap_or(Err(UnixctlError::Timeout))
    }

    async fn exchange(&mut self, method: &'static str, bridge: &str) -> Result<String, UnixctlError> {
        let request = json!({ "id": 0, "method": method, "params": [bridge] });
        self.stream.write_all(request.to_string().as_bytes()).await?;
        let answer = self.receive().await?;
        let Message { result, error, .. } = jsonrpc::message(&answer)?;
        match (result, error) {
            (Some(result), None) => Ok(jsonrpc::read(result.get())?),
            (_, Some(error)) => Err(UnixctlError::Refused { method, error: repeat(error.get()) }),
            (None, None) => Err(JsonRpcError::Garbage("an answer with neither a result nor an error".into()).into()),
        }
    }

    async fn receive(&mut self) -> Result<BytesMut, UnixctlError> {
        loop {
            if let Some(message) = self.framer.next()? {
                return Ok(message);
            }
            if self.stream.read_buf(&mut self.framer.buffer).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}

fn read_pid(path: &Path) -> io::Result<u32> {
    let mut text = String::new();
    io::Read::read_to_string(&mut io::Read::take(std::fs::File::open(path)?, PID_BYTES), &mut text)?;
    text.trim().parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "no process id"))
}

/// Both texts; how many entries or statistics were read. See [`crate::fuzz`].
#[cfg(any(test, feature = "fuzz"))]
pub fn fuzz(input: &[u8]) -> usize {
    let text = String::from_utf8_lossy(input);
    let (entries, stats) = (text::fdb(&text), text::fdb_stats(&text));
    for error in [entries.as_ref().err(), stats.as_ref().err()].into_iter().flatten() {
        let said = error.to_string();
        assert!(said.len() < 2000 && !said.contains(char::is_control), "{said:?}");
    }
    let entries = entries.map_or(0, |entries| entries.len());
    assert!(entries < text.lines().count().max(1));
    entries + usize::from(stats.is_ok())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::net::UnixListener;

    use super::*;

    fn daemon() -> (tempfile::TempDir, UnixListener) {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ovs-vswitchd.pid"), "17\n").unwrap();
        let listener = UnixListener::bind(directory.path().join("ovs-vswitchd.17.ctl")).unwrap();
        (directory, listener)
    }

    /// Asks a daemon that answers with these bytes, and keeps the connection open if told so.
    async fn told(answer: Vec<u8>, open: bool) -> Result<Vec<FdbEntry>, UnixctlError> {
        let (directory, listener) = daemon();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 200];
            let length = stream.read(&mut request).await.unwrap();
            let _ = stream.write_all(&answer).await;
            if open {
                let _ = stream.read(&mut [0; 1]).await;
            }
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let mut switch = Unixctl::connect(directory.path()).await.unwrap();
        assert_eq!(switch.pid(), 17);
        let outcome = switch.fdb("br \"0").await;
        drop(switch);
        assert_eq!(server.await.unwrap(), r#"{"id":0,"method":"fdb/show","params":["br \"0"]}"#);
        outcome
    }

    #[tokio::test]
    async fn an_answer_is_a_text() {
        let answer = br#"{"error":null,"id":0,"result":" port  VLAN  MAC                Age\n    1     0  02:00:00:00:00:21    3\n"}"#;
        let entries = told(answer.to_vec(), true).await.unwrap();
        assert_eq!(entries, [FdbEntry { ofport: 1, vlan: 0, mac: [2, 0, 0, 0, 0, 0x21], age: Some(3) }]);
    }

    #[tokio::test]
    async fn everything_else_is_an_error() {
        let refused = told(br#"{"error":"no such bridge\n","id":0,"result":null}"#.to_vec(), true).await;
        assert!(
            matches!(&refused, Err(UnixctlError::Refused { error, .. }) if error.contains("no such bridge")),
            "{refused:?}"
        );
        for (answer, open) in [
            (&b""[..], false),
            (b"{", false),
            (b"nonsense", true),
            (br#"{"error":null,"id":0,"result":null}"#, true),
            (br#"{"error":null,"id":0,"result":{}}"#, true),
            (br#"{"error":null,"id":0,"result":7}"#, true),
            (br#"{"error":null,"id":0,"result":"nonsense"}"#, true),
        ] {
            assert!(told(answer.to_vec(), open).await.is_err(), "{}", String::from_utf8_lossy(answer));
        }
    }

    #[tokio::test]
    async fn silence_and_endless_answers_end() {
        assert!(matches!(told(Vec::new(), true).await, Err(UnixctlError::Timeout)));
        assert!(matches!(told(b"{\"result\":\"".to_vec(), true).await, Err(UnixctlError::Timeout)));
    }

    #[tokio::test]
    async fn no_daemon_is_told_by_path() {
        let directory = tempfile::tempdir().unwrap();
        let error = || async { Unixctl::connect(directory.path()).await.err().unwrap().to_string() };
        assert!(error().await.contains("ovs-vswitchd.pid"));
        std::fs::write(directory.path().join("ovs-vswitchd.pid"), "../../etc/passwd").unwrap();
        assert!(error().await.contains("no process id"));
        std::fs::write(directory.path().join("ovs-vswitchd.pid"), "17\n").unwrap();
        assert!(error().await.contains("ovs-vswitchd.17.ctl"));
    }
}
