//! A steady flow of allowed frames between two machines while something happens to the manager.

use std::{thread, time::Duration};

use anyhow::Result;
use bridge_tests::lab::{Lab, MachineSpec, SlowPath};

use crate::flood::{Flood, Flooded};

/// Frames per second: a few in each half of a millisecond, so that no gap is missed, and far from what a core can take.
const RATE: f64 = 50_000.0;
/// Traffic before and after what happens.
const MARGIN: Duration = Duration::from_millis(100);

/// Two machines on `vnet0` and `vnet1` of a Linux bridge.
pub(super) struct Flow {
    // Dropped in this order: programs before their interfaces.
    flood: Flood,
    pub(super) lab: Lab,
}

impl Flow {
    pub(super) fn build() -> Result<Self> {
        let raw = |n| MachineSpec::raw(&format!("m{n}"), &format!("vnet{n}"));
        let lab = Lab::builder(SlowPath::LinuxBridge).machine(raw(0)).machine(raw(1)).build()?;
        Ok(Self { flood: Flood::between(lab.machine("m0")?, lab.machine("m1")?)?, lab })
    }

    /// Makes both machines known.
    pub(super) fn introduce(&self) -> Result<()> {
        self.flood.introduce()
    }

    /// Sends before, during and after `work`; what that gave, and what was sent and arrived.
    pub(super) fn during<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<(T, Flooded)> {
        self.flood.during(RATE, || {
            thread::sleep(MARGIN);
            let result = work();
            thread::sleep(MARGIN);
            result
        })
    }
}
