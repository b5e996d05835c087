//! What ovsdb-server says of one Open vSwitch bridge: a read-only JSON-RPC client (RFC 7047) that keeps a replica by `monitor_cond`.
//!
//! [`Ovsdb`] is one connection: it lives as long as everything it hears is sound. [`OvsdbWatch`] reconnects and keeps the last good snapshot.
//! It never writes to the database, and a cut connection, a garbled message or a row of a wrong type is an error, never "no bridge".
//!
//! Crates looked at and not taken: `ovsdb-client` 0.0.1 (180 lines on jsonrpsee, unbounded messages, no keep-alive) and `ovsdb` 0.0.6 (whole
//! tables in memory, monitor without error handling).

mod cell;
mod client;
mod eligibility;
mod reasons;
mod replica;
mod rows;
mod watch;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::jsonrpc::JsonRpcError;

pub use self::client::Ovsdb;
pub use self::watch::{OvsdbState, OvsdbWatch};
pub use super::told::Health;

/// Open vSwitch's run directory: the value of `OVS_RUNDIR` if it is set and not empty, else the distributions' directory. The database's socket
/// is `db.sock` in it, a bridge's OpenFlow socket `<bridge>.mgmt`.
pub fn default_rundir(ovs_rundir: Option<&OsStr>) -> PathBuf {
    match ovs_rundir {
        Some(directory) if !directory.is_empty() => directory.into(),
        _ => Path::new("/var/run/openvswitch").into(),
    }
}

/// Why ovsdb-server's word could not be had, or not be trusted.
#[derive(Debug, thiserror::Error)]
pub enum OvsdbError {
    /// No connection.
    #[error("cannot connect to {path}: {source}; is ovsdb-server running, and is OVS_RUNDIR its run directory?")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What connect(2) said.
        source: std::io::Error,
    },
    /// Reading or writing failed.
    #[error("the connection to ovsdb-server broke: {0}")]
    Io(#[from] std::io::Error),
    /// End of file.
    #[error("ovsdb-server closed the connection")]
    Closed,
    /// Nothing heard, not even an answer to our echo.
    #[error("ovsdb-server has not answered for {0} s; is it stopped or overloaded?")]
    Silent(u64),
    /// More than we are ready to hold.
    #[error("ovsdb-server sent more than {0}; this is no database of a bridge that can be accelerated")]
    TooMuch(&'static str),
    /// Not JSON, or not JSON-RPC.
    #[error("what ovsdb-server sent cannot be read: {0}")]
    Garbage(String),
    /// The server refused a request.
    #[error("ovsdb-server refused `{method}`: {error}")]
    Refused {
        /// `get_schema` or `monitor_cond`.
        method: &'static str,
        /// Its words.
        error: String,
    },
    /// A table or column we need is not in its schema.
    #[error("ovsdb-server's schema has no {0}; Open vSwitch 2.13 or newer is needed")]
    Schema(String),
    /// A row that does not fit the schema, or points nowhere.
    #[error("table {table}, row {row}: {what}")]
    Row {
        /// Table.
        table: &'static str,
        /// UUID.
        row: String,
        /// What is wrong.
        what: String,
    },
}

impl From<JsonRpcError> for OvsdbError {
    fn from(error: JsonRpcError) -> Self {
        match error {
            JsonRpcError::Garbage(what) => Self::Garbage(what),
            JsonRpcError::TooMuch(what) => Self::TooMuch(what),
        }
    }
}

/// Everything that is made of messages: cut, read, taken in, and the bridge shown; how many were sound. See [`crate::fuzz`].
#[cfg(any(test, feature = "fuzz"))]
pub fn fuzz(input: &[u8]) -> usize {
    use super::jsonrpc::{Framer, message, read};
    let mut framer = Framer::default();
    framer.buffer.extend_from_slice(input);
    let (mut replica, mut sound) = (replica::Replica::default(), 0);
    while let Ok(Some(bytes)) = framer.next() {
        let Ok(message) = message(&bytes) else { break };
        if let Some(result) = message.result {
            let _ = replica.monitor_request(result.get());
        }
        let update = message
            .params
            .and_then(|params| read::<(serde::de::IgnoredAny, &serde_json::value::RawValue)>(params.get()).ok());
        let Some(updates) = message.result.or(update.map(|(_, updates)| updates)) else { continue };
        if replica.apply(updates.get()).is_err() {
            break;
        }
        if let Ok(snapshot) = eligibility::snapshot(&replica, "br0") {
            let bridge = snapshot.bridge.iter();
            let reasons = bridge.flat_map(|b| b.interfaces.iter().flat_map(|i| &i.ineligible).chain(&b.ineligible));
            reasons.for_each(|reason| assert!(!reason.contains(char::is_control), "{reason:?}"));
            sound += 1;
        }
    }
    sound
}
