//! What the maps cannot say: names. Kept as JSON in a pinned map of its own, so that `show` works with no manager alive
//! and a new manager finds the rule slots of the old one.
//!
//! Written whole each time something changes; a sequence number tells a reader that it read while a writer wrote.

use std::{collections::BTreeMap, path::Path};

use aya::maps::{HashMap, Map, MapData};
use bridge_common::abi::maps::Limits;
use serde::{Deserialize, Serialize};

use super::{error::DataplaneError, maps::failed};
use crate::topology::model::Policy;

/// Name of the pinned map.
pub const NOTES: &str = "NOTES";
const CHUNK: usize = 4096;
const MAX_CHUNKS: u32 = 8192;
/// Key of the header; chunks have 1 and up.
const HEADER: u32 = 0;
const BPF_F_NO_PREALLOC: u32 = 1;

type Chunks = HashMap<MapData, u32, [u8; CHUNK]>;

/// Names and words for people.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Notes {
    /// Crate version of the manager that wrote it.
    pub version: String,
    /// Name of the bridge.
    pub bridge: String,
    /// `linux`, `ovs`, `ovs-userspace`.
    pub slow_path: String,
    /// Ports by slot.
    pub ports: BTreeMap<u16, PortNote>,
    /// Rule slot to rule id; slot 0 is `default`.
    pub rule_ids: Vec<Option<String>>,
    /// Names of stations by MAC (as text).
    pub stations: BTreeMap<String, String>,
    /// The policy in force.
    pub policy: Option<Policy>,
    /// Ports that no hook of ours can reach.
    pub unpoliced: Vec<String>,
    /// Sentences for people.
    pub remarks: Vec<String>,
    /// libvirt, if it is a source.
    #[serde(default)]
    pub libvirt: Option<LibvirtNote>,
    /// Capacities.
    pub limits: Option<LimitsNote>,
}

/// One port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PortNote {
    /// Interface name.
    pub name: String,
    /// Interface index.
    pub ifindex: u32,
    /// `tc`, `xdp+tc` or `xdp`.
    pub hook: String,
    /// Stations are not limited.
    pub uplink: bool,
    /// How the bridge treats tags there; empty: they mean nothing to it.
    #[serde(default)]
    pub vlan: String,
    /// Its programs are attached.
    pub attached: bool,
    /// Why it does not take part in forwarding.
    pub reasons: Vec<String>,
    /// Frames that it had received before its programs were attached.
    pub before_attach: u64,
}

/// libvirt as a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LibvirtNote {
    /// Where it is.
    pub uri: String,
    /// Why it does not answer; `None`: its word is current.
    pub lost: Option<String>,
    /// Interfaces with a tap that running domains have, by its last word.
    pub interfaces: usize,
}

impl LibvirtNote {
    /// One line for people.
    pub fn words(&self) -> String {
        match &self.lost {
            None => format!("{} answers, {} interfaces of running domains", self.uri, self.interfaces),
            Some(why) => format!("{why}; its last word stands ({} interfaces)", self.interfaces),
        }
    }
}

/// [`Limits`] as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitsNote {
    /// See [`Limits`].
    pub stations: u32,
    /// See [`Limits`].
    pub flows: u32,
    /// See [`Limits`].
    pub ports: u32,
    /// See [`Limits`].
    pub prefixes: u32,
}

impl From<&Limits> for LimitsNote {
    fn from(limits: &Limits) -> Self {
        let Limits { stations, flows, ports, prefixes, .. } = *limits;
        Self { stations, flows, ports, prefixes }
    }
}

/// The pinned map that holds them.
pub struct NoteMap {
    map: Chunks,
    written: Option<Notes>,
}

impl NoteMap {
    /// Opens the pinned map in `dir`, or makes it.
    ///
    /// # Errors
    /// [`DataplaneError::Map`].
    pub fn open_or_create(dir: &Path) -> Result<Self, DataplaneError> {
        let path = dir.join(NOTES);
        if path.exists() {
            return Self::open(dir);
        }
        let map = Chunks::create(MAX_CHUNKS, BPF_F_NO_PREALLOC).map_err(failed(NOTES))?;
        map.pin(&path).map_err(|error| DataplaneError::Pins { path, what: error.to_string() })?;
        Self::open(dir)
    }

    /// Opens the pinned map in `dir`.
    ///
    /// # Errors
    /// [`DataplaneError::Map`].
    pub fn open(dir: &Path) -> Result<Self, DataplaneError> {
        let data = MapData::from_pin(dir.join(NOTES)).and_then(Map::from_map_data).map_err(failed(NOTES))?;
        Ok(Self { map: data.try_into().map_err(failed(NOTES))?, written: None })
    }

    /// Writes the notes, unless they are the ones written last.
    ///
    /// # Errors
    /// [`DataplaneError::Notes`] when they are too long, [`DataplaneError::Map`].
    pub fn write(&mut self, notes: &Notes) -> Result<(), DataplaneError> {
        if self.written.as_ref() == Some(notes) {
            return Ok(());
        }
        let text = serde_json::to_vec(notes).map_err(|error| DataplaneError::Notes(error.to_string()))?;
        if text.len() > CHUNK * (MAX_CHUNKS as usize - 1) {
            return Err(DataplaneError::Notes(format!("{} bytes are too many", text.len())));
        }
        let sequence = self.header().map_or(0, |(sequence, _)| sequence | 1);
        self.set_header(sequence.wrapping_add(2) | 1, 0)?;
        for (index, chunk) in text.chunks(CHUNK).enumerate() {
            let mut padded = [0; CHUNK];
            padded[..chunk.len()].copy_from_slice(chunk);
            self.map.insert(index as u32 + 1, padded, 0).map_err(failed(NOTES))?;
        }
        self.set_header(sequence.wrapping_add(3) & !1, text.len() as u64)?;
        self.written = Some(notes.clone());
        Ok(())
    }

    /// Reads the notes; none were written yet: empty ones.
    ///
    /// # Errors
    /// [`DataplaneError::Notes`] when they are no JSON of ours, or are being written again and again.
    pub fn read(&self) -> Result<Notes, DataplaneError> {
        for _ in 0..100 {
            let Some((before, length)) = self.header() else { return Ok(Notes::default()) };
            let text = self.chunks(length as usize);
            if before & 1 == 0 && self.header().is_some_and(|(after, _)| after == before) {
                return serde_json::from_slice(&text).map_err(|error| DataplaneError::Notes(error.to_string()));
            }
            std::thread::sleep(std::time::Duration::from_millis(2)); // a writer is at it
        }
        Err(DataplaneError::Notes("a manager keeps writing them, or died while it wrote".into()))
    }

    fn chunks(&self, length: usize) -> Vec<u8> {
        let count = length.div_ceil(CHUNK).min(MAX_CHUNKS as usize) as u32;
        let mut text: Vec<u8> = (1..=count).filter_map(|key| self.map.get(&key, 0).ok()).flatten().collect();
        text.truncate(length);
        text
    }

    fn header(&self) -> Option<(u64, u64)> {
        let chunk = self.map.get(&HEADER, 0).ok()?;
        let word = |at: usize| chunk[at..at + 8].try_into().map(u64::from_le_bytes).ok();
        Some((word(0)?, word(8)?))
    }

    fn set_header(&mut self, sequence: u64, length: u64) -> Result<(), DataplaneError> {
        let mut chunk = [0; CHUNK];
        chunk[..8].copy_from_slice(&sequence.to_le_bytes());
        chunk[8..16].copy_from_slice(&length.to_le_bytes());
        self.map.insert(HEADER, chunk, 0).map_err(failed(NOTES))
    }
}
