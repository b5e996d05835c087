//! Keeps a connection to ovsdb-server, and the last good snapshot while there is none. Never replaces a good snapshot by a failure.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Ovsdb, OvsdbError};
use crate::source::OvsSnapshot;
use crate::source::told::Told;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What ovsdb-server said last.
pub type OvsdbState = Told<OvsSnapshot>;

/// A task that holds the connection; it ends with this.
pub struct OvsdbWatch {
    state: watch::Receiver<OvsdbState>,
    task: JoinHandle<()>,
}

impl OvsdbWatch {
    /// Starts connecting. Must be called inside a tokio runtime.
    pub fn spawn(socket: PathBuf, bridge: String) -> Self {
        let why = format!("not yet connected to {}", socket.display());
        let (sender, state) = watch::channel(OvsdbState::nothing(why));
        Self { state, task: tokio::spawn(keep(socket, bridge, sender)) }
    }

    /// The state of now.
    pub fn state(&self) -> OvsdbState {
        self.state.borrow().clone()
    }

    /// Waits until snapshot or health differ from what was last returned here. Cancel-safe.
    pub async fn changed(&mut self) -> OvsdbState {
        if self.state.changed().await.is_err() {
            // The task holds the sender for ever; only a runtime that shuts down drops it.
            std::future::pending::<()>().await;
        }
        self.state.borrow_and_update().clone()
    }
}

impl Drop for OvsdbWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep(socket: PathBuf, bridge: String, state: watch::Sender<OvsdbState>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let started = Instant::now();
        let Err(error) = follow(&socket, &bridge, &state).await;
        tracing::debug!(%error, "ovsdb");
        OvsdbState::lost(&state, error.to_string());
        // A connection that held for a while starts from the shortest pause again.
        pause = if started.elapsed() > LONGEST_PAUSE { FIRST_PAUSE } else { pause };
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn follow(
    socket: &std::path::Path,
    bridge: &str,
    state: &watch::Sender<OvsdbState>,
) -> Result<std::convert::Infallible, OvsdbError> {
    let mut client = Ovsdb::connect(socket, bridge).await?;
    loop {
        OvsdbState::good(state, client.snapshot()?);
        client.changed().await?;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{UnixListener, UnixStream};

    use super::*;
    use crate::source::jsonrpc::Framer;
    use crate::source::told::Health;

    /// The server's end of a connection, written by hand.
    struct Server(UnixStream, Framer);

    impl Server {
        async fn accept(listener: &UnixListener) -> Self {
            Self(listener.accept().await.unwrap().0, Framer::default())
        }

        async fn read(&mut self) -> Value {
            loop {
                if let Some(message) = self.1.next().unwrap() {
                    return serde_json::from_slice(&message).unwrap();
                }
                assert!(self.0.read_buf(&mut self.1.buffer).await.unwrap() > 0, "the client closed");
            }
        }

        async fn write(&mut self, message: &str) {
            self.0.write_all(message.as_bytes()).await.unwrap();
        }

        /// Answers the schema request and leaves the monitor request to the caller.
        async fn greet(&mut self) {
            assert_eq!(self.read().await["method"], "get_schema");
            let columns = "name bridges ovs_version ports datapath_type other_config mirrors sflow netflow fail_mode stp_enable flood_vlans \
                           interfaces tag trunks vlan_mode qos type ifindex ofport error ingress_policing_rate bfd targets";
            let columns = columns.split_whitespace().map(|column| (column.to_string(), json!({})));
            let table = json!({ "columns": columns.collect::<serde_json::Map<_, _>>() });
            let tables: serde_json::Map<_, _> =
                ["Open_vSwitch", "Bridge", "Port", "Interface", "Mirror", "QoS", "NetFlow", "sFlow", "IPFIX"]
                    .into_iter()
                    .map(|name| (name.to_string(), table.clone()))
                    .collect();
            self.write(&json!({"id": "get_schema", "result": {"tables": tables}, "error": null}).to_string()).await;
            assert_eq!(self.read().await["method"], "monitor_cond");
        }

        async fn rows(&mut self) {
            self.greet().await;
            let rows = json!({"Open_vSwitch": {"s": {"initial": {"bridges": ["uuid", "b"]}}}, "Bridge": {"b": {"initial": {"name": "br0"}}}});
            self.write(&json!({"id": "monitor_cond", "result": rows, "error": null}).to_string()).await;
        }
    }

    fn listen() -> (tempfile::TempDir, PathBuf, UnixListener) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db.sock");
        let listener = UnixListener::bind(&path).unwrap();
        (directory, path, listener)
    }

    #[tokio::test]
    async fn the_last_good_snapshot_outlives_every_kind_of_bad_server() {
        let (_directory, path, listener) = listen();
        let mut watch = OvsdbWatch::spawn(path, "br0".into());
        assert_eq!(watch.state().snapshot, None);
        let garbage = [
            "not json",
            r#"{"x":}"#,
            r#"{"method":"update2","params":["fastbridge",{"Bridge":{"b":{"modify":{"name":1}}}}],"id":null}"#,
            r#"{"method":"update2","params":["fastbridge",{"Bridge":[]}],"id":null}"#,
            r#"{"method":"update2","params":[],"id":null}"#,
            r#"{"method":"update2","id":null}"#,
            r#"{"method":"update2","params":["fastbridge",{"Bridge":{"b":{"delete":null}}}],"id":null}"#,
            r#"{"method":"monitor_canceled","params":["fastbridge"],"id":null}"#,
            r#"{"id":7}"#,
            "",
        ];
        for bad in garbage {
            let mut server = Server::accept(&listener).await;
            server.rows().await;
            let state = watch.changed().await;
            assert_eq!(state.health, Health::Current);
            assert!(state.snapshot.unwrap().bridge.is_some());
            server.write(bad).await;
            // Each is enough, without the end of the stream; the last one is that.
            let _open = (!bad.is_empty()).then_some(server);
            let state = watch.changed().await;
            let at_once = |why: &str| !why.contains("has not answered");
            assert!(matches!(&state.health, Health::Lost { why, .. } if at_once(why)), "{bad}: {:?}", state.health);
            assert!(state.snapshot.as_ref().is_some_and(|s| s.bridge.is_some()), "{bad}: the good snapshot stays");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(watch.state().age() >= Duration::from_millis(20));
    }

    #[tokio::test]
    async fn an_unanswered_or_refused_monitor_is_no_empty_database() {
        let (_directory, path, listener) = listen();
        for answer in [
            "",
            r#"{"id":"monitor_cond","result":null,"error":"no"}"#,
            r#"{"id":"monitor_cond","result":null,"error":null}"#,
        ] {
            let client = tokio::spawn({
                let path = path.clone();
                async move { Ovsdb::connect(&path, "br0").await.map(|_| ()) }
            });
            let mut server = Server::accept(&listener).await;
            server.greet().await;
            server.write(answer).await;
            drop(server);
            assert!(client.await.unwrap().is_err(), "{answer}");
        }
    }

    #[tokio::test]
    async fn echoes_are_answered_and_a_row_that_goes_is_gone() {
        let (_directory, path, listener) = listen();
        let client = tokio::spawn(async move {
            let mut client = Ovsdb::connect(&path, "br0").await.unwrap();
            client.changed().await.unwrap();
            client.snapshot().unwrap()
        });
        let mut server = Server::accept(&listener).await;
        server.rows().await;
        server.write(r#"{"method":"echo","params":[1],"id":"x"}"#).await;
        assert_eq!(server.read().await, json!({"id": "x", "result": [1], "error": null}));
        server.write(r#"{"method":"update2","params":["fastbridge",{"Open_vSwitch":{"s":{"modify":{"bridges":["uuid","b"]}}},"Bridge":{"b":{"delete":null}}}],"id":null}"#).await;
        assert_eq!(client.await.unwrap().bridge, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_asked_and_then_given_up() {
        let (_directory, path, listener) = listen();
        let mut client = tokio::spawn(async move {
            let mut client = Ovsdb::connect(&path, "br0").await.unwrap();
            client.changed().await
        });
        let mut server = Server::accept(&listener).await;
        server.rows().await;
        let asked = server.read().await;
        assert_eq!(asked["method"], "echo");
        server.write(&json!({"id": asked["id"], "result": [], "error": null}).to_string()).await;
        assert_eq!(server.read().await["method"], "echo");
        assert!(matches!((&mut client).await.unwrap(), Err(OvsdbError::Silent(10))));
    }
}
