//! A lab with fastbridge running beside its bridge: pins, topology file and manager in one value, and its counters as numbers. Knows the
//! command line only, as `fastbridge` does.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::bpffs::Bpffs;
use crate::error::{Error, Result};
use crate::fastbridge::{Control, Fastbridge};
use crate::lab::Lab;
use crate::sweep;

/// A manager that runs beside a lab's bridge. Dropped: killed, with everything it attached.
#[derive(Debug)]
pub struct Session {
    // Fields drop in this order: the manager, its pins (which hold the programs), the lab, the file.
    manager: Fastbridge,
    _pins: Bpffs,
    lab: Lab,
    topology: TopologyFile,
}

impl Session {
    /// Starts the manager with this topology (the text of a file) and waits until it is ready.
    pub fn start(lab: Lab, topology: &str) -> Result<Self> {
        let topology = TopologyFile::write(topology)?;
        let pins = Bpffs::mount()?;
        let manager = Control::new(&lab, pins.path())?.start(&topology.0)?;
        Ok(Self { manager, _pins: pins, lab, topology })
    }

    /// The lab.
    #[must_use]
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// The lab, to change it.
    pub fn lab_mut(&mut self) -> &mut Lab {
        &mut self.lab
    }

    /// The running manager.
    #[must_use]
    pub fn manager(&self) -> &Fastbridge {
        &self.manager
    }

    /// How to ask it.
    #[must_use]
    pub fn control(&self) -> &Control {
        self.manager.control()
    }

    /// Writes another topology over the file; the manager sees it by itself.
    pub fn rewrite(&self, topology: &str) -> Result<()> {
        self.topology.rewrite(topology)
    }

    /// The counters of now.
    pub fn counters(&self) -> Result<Counters> {
        Ok(Counters(self.control().show("counters")?))
    }
}

/// `show counters --json`.
#[derive(Debug, Clone, PartialEq)]
pub struct Counters(pub Value);

impl Counters {
    /// Frames forwarded from this port.
    #[must_use]
    pub fn forward(&self, port: &str) -> u64 {
        self.0["ports"][port]["forward"].as_u64().unwrap_or_default()
    }

    /// Frames from this port punted for this reason.
    #[must_use]
    pub fn punt(&self, port: &str, reason: &str) -> u64 {
        self.0["ports"][port]["punt"][reason].as_u64().unwrap_or_default()
    }

    /// Frames from this port dropped for this reason.
    #[must_use]
    pub fn dropped(&self, port: &str, reason: &str) -> u64 {
        self.0["ports"][port]["drop"][reason].as_u64().unwrap_or_default()
    }

    /// Frames that were to leave through this port and were dropped there for this reason.
    #[must_use]
    pub fn egress_dropped(&self, port: &str, reason: &str) -> u64 {
        self.0["ports"][port]["egress"]["drop"][reason].as_u64().unwrap_or_default()
    }

    /// All verdicts of frames that entered this port.
    #[must_use]
    pub fn entered(&self, port: &str) -> u64 {
        let port = &self.0["ports"][port];
        let sum = |reasons: &Value| -> u64 {
            reasons.as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum()
        };
        port["forward"].as_u64().unwrap_or_default() + sum(&port["punt"]) + sum(&port["drop"])
    }

    /// Frames by reason of their drop, over all ports, at ingress.
    #[must_use]
    pub fn drops(&self) -> BTreeMap<String, u64> {
        let mut drops = BTreeMap::new();
        for (_, port) in self.0["ports"].as_object().into_iter().flatten() {
            for (reason, count) in port["drop"].as_object().into_iter().flatten() {
                *drops.entry(reason.clone()).or_default() += count.as_u64().unwrap_or_default();
            }
        }
        drops
    }
}

/// A topology file of this session's own; removed when dropped.
#[derive(Debug)]
struct TopologyFile(PathBuf);

impl TopologyFile {
    fn write(text: &str) -> Result<Self> {
        let directory = PathBuf::from(sweep::RUN_DIR).join(format!("{}-topology", sweep::fresh_prefix()));
        std::fs::create_dir(&directory).map_err(|e| Error::io(format!("cannot create {}", directory.display()), e))?;
        let file = Self(directory.join("topology.toml"));
        file.rewrite(text)?;
        Ok(file)
    }

    fn rewrite(&self, text: &str) -> Result<()> {
        std::fs::write(&self.0, text).map_err(|e| Error::io(format!("cannot write {}", self.0.display()), e))
    }
}

impl Drop for TopologyFile {
    fn drop(&mut self) {
        if let Some(directory) = self.0.parent() {
            sweep::remove_dir(directory);
        }
    }
}
