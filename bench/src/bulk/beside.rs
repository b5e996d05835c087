//! fastbridge beside the bridge of a lab while something is sent: the reference policy, no other setting.

use anyhow::{Context as _, Result, bail};
use bridge_tests::{
    bpffs::Bpffs,
    fastbridge::{Control, Fastbridge},
    lab::Lab,
};
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::topology::Topology;

/// A running manager; stopped, and everything of it removed, by [`Beside::end`].
pub(super) struct Beside {
    // Dropped in this order: the manager before its pins.
    fastbridge: Fastbridge,
    control: Control,
    _pins: Bpffs,
    _topology: NamedTempFile,
}

impl Beside {
    /// Starts it; returns when it is ready.
    pub(super) fn begin(lab: &Lab) -> Result<Self> {
        let pins = Bpffs::mount()?;
        let control = Control::new(lab, pins.path())?;
        let topology = Topology::default().file()?;
        let fastbridge = control.start(topology.path())?;
        Ok(Self { fastbridge, control, _pins: pins, _topology: topology })
    }

    /// Stops it; the share of what came in by `port` that it forwarded itself.
    ///
    /// # Errors
    /// It forwarded nothing: then something else was measured.
    pub(super) fn end(mut self, port: &str) -> Result<f64> {
        let counters = self.control.show("counters")?;
        self.fastbridge.terminate()?;
        self.control.detach()?;
        let port = &counters["ports"][port];
        let forward = port["forward"].as_u64().context("fastbridge does not count the sender's port")?;
        let punts: u64 =
            port["punt"].as_object().into_iter().flat_map(|map| map.values()).filter_map(Value::as_u64).sum();
        if forward == 0 {
            bail!("fastbridge forwarded none of the streams' frames: {port}");
        }
        Ok(forward as f64 / (forward + punts) as f64)
    }
}
