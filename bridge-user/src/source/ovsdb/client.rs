//! One connection: requests, the replica, echoes in both directions. Ends at the first thing that is not as it must be.

use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::replica::Replica;
use super::{OvsdbError, eligibility};
use crate::source::OvsSnapshot;
use crate::source::jsonrpc::{self, Framer, Message, repeat};

const DATABASE: &str = "Open_vSwitch";
/// After this long without a word from the server we ask for one, and after as long again we give up.
const QUIET_S: u64 = 5;
/// Answers to the server that it does not read.
const MAX_UNSENT: usize = 1 << 20;

/// A connection with a replica of the tables that matter.
pub struct Ovsdb {
    stream: UnixStream,
    framer: Framer,
    unsent: BytesMut,
    bridge: String,
    replica: Replica,
    /// When to ask for a sign of life, or, having asked, to give up.
    deadline: Instant,
    asked: bool,
}

/// What a message was.
enum Heard {
    /// Something that is dealt with.
    Nothing,
    /// The replica changed.
    Update,
    /// The answer to the request of this id: JSON, or the server's error.
    Answer(String, Result<Box<RawValue>, String>),
}

impl Ovsdb {
    /// Connects to ovsdb-server's socket and reads all rows once. `bridge`: whose snapshot is wanted; it need not exist.
    pub async fn connect(socket: &Path, bridge: &str) -> Result<Self, OvsdbError> {
        let stream = UnixStream::connect(socket).await;
        let stream = stream.map_err(|source| OvsdbError::Connect { path: socket.into(), source })?;
        let mut this = Self {
            stream,
            framer: Framer::default(),
            unsent: BytesMut::new(),
            bridge: bridge.into(),
            replica: Replica::default(),
            deadline: Instant::now() + Duration::from_secs(QUIET_S),
            asked: false,
        };
        let schema = this.request("get_schema", json!([DATABASE])).await?;
        let monitored = this.replica.monitor_request(schema.get())?;
        let rows = this.request("monitor_cond", json!([DATABASE, "fastbridge", monitored])).await?;
        this.replica.apply(rows.get())?;
        Ok(this)
    }

    /// The bridge as of the last update read. An error: the rows contradict each other; connect anew.
    pub fn snapshot(&self) -> Result<OvsSnapshot, OvsdbError> {
        eligibility::snapshot(&self.replica, &self.bridge)
    }

    /// Waits until the replica changed (perhaps in nothing that the snapshot shows). Cancel-safe. After an error this connection is of no use.
    /// Must be polled: it is here that the server's echoes are answered.
    pub async fn changed(&mut self) -> Result<(), OvsdbError> {
        loop {
            let message = self.receive().await?;
            match self.hear(&message)? {
                Heard::Update => return Ok(()),
                Heard::Nothing | Heard::Answer(..) => {}
            }
        }
    }

    /// Not cancel-safe: used only while connecting. The method is the id.
    async fn request(&mut self, method: &'static str, params: Value) -> Result<Box<RawValue>, OvsdbError> {
        self.send(&json!({ "method": method, "params": params, "id": method }))?;
        loop {
            let message = self.receive().await?;
            if let Heard::Answer(id, answer) = self.hear(&message)?
                && id == format!("\"{method}\"")
            {
                return answer.map_err(|error| OvsdbError::Refused { method, error });
            }
        }
    }

    fn send(&mut self, message: &Value) -> Result<(), OvsdbError> {
        self.queue(&[&message.to_string()])
    }

    fn queue(&mut self, texts: &[&str]) -> Result<(), OvsdbError> {
        if self.unsent.len() + texts.iter().map(|text| text.len()).sum::<usize>() > MAX_UNSENT {
            return Err(OvsdbError::TooMuch("1 MiB to answer"));
        }
        texts.iter().for_each(|text| self.unsent.extend_from_slice(text.as_bytes()));
        Ok(())
    }

    /// The next message; sends what is to be sent meanwhile. Cancel-safe.
    async fn receive(&mut self) -> Result<BytesMut, OvsdbError> {
        loop {
            if let Some(message) = self.framer.next()? {
                return Ok(message);
            }
            let (mut reader, mut writer) = self.stream.split();
            tokio::select! {
                biased;
                read = reader.read_buf(&mut self.framer.buffer) => {
                    if read? == 0 {
                        return Err(OvsdbError::Closed);
                    }
                    self.asked = false;
                    self.deadline = Instant::now() + Duration::from_secs(QUIET_S);
                }
                written = writer.write_buf(&mut self.unsent), if !self.unsent.is_empty() => { written?; }
                () = tokio::time::sleep_until(self.deadline) => self.ask()?,
            }
        }
    }

    fn ask(&mut self) -> Result<(), OvsdbError> {
        if self.asked {
            return Err(OvsdbError::Silent(2 * QUIET_S));
        }
        self.asked = true;
        self.deadline = Instant::now() + Duration::from_secs(QUIET_S);
        self.send(&json!({ "method": "echo", "params": [], "id": "echo" }))
    }

    fn hear(&mut self, message: &[u8]) -> Result<Heard, OvsdbError> {
        let Message { method, params, result, error, id } = jsonrpc::message(message)?;
        match method.as_deref() {
            Some("echo") => {
                let [result, id] = [params, id].map(|text| text.map_or("null", RawValue::get));
                self.queue(&[r#"{"error":null,"result":"#, result, r#","id":"#, id, "}"])?;
                Ok(Heard::Nothing)
            }
            Some("update2") => {
                let (_monitor, updates): (IgnoredAny, &RawValue) = jsonrpc::read(params.map_or("null", RawValue::get))?;
                self.replica.apply(updates.get())?;
                Ok(Heard::Update)
            }
            // The database is no longer served.
            Some("monitor_canceled") => Err(OvsdbError::Closed),
            // RFC 7047 knows `locked` and `stolen` besides; we hold no lock.
            Some(_) => Ok(Heard::Nothing),
            None => match (id, result, error) {
                (Some(id), _, Some(error)) => Ok(Heard::Answer(id.get().into(), Err(repeat(error.get())))),
                (Some(id), Some(result), None) => Ok(Heard::Answer(id.get().into(), Ok(result.to_owned()))),
                _ => Err(OvsdbError::Garbage("a message that is neither a request nor an answer".into())),
            },
        }
    }
}
