//! The manager: how fast it is ready, how much memory it has, how fast a policy is swapped, whether that or a restart loses frames, how soon
//! a new port is served, what many ports and stations cost.

mod flow;
mod hotplug;
mod ports;
mod restart;
pub(crate) mod scale;
mod swap;

use anyhow::Result;

use crate::{progress::Progress, report::Row};

/// Measures, and adds the rows.
pub(crate) fn measure(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let rounds = if quick { 1 } else { 3 };
    progress.part("control: 200 ports", rounds);
    ports::measure(rounds, progress, rows)?;
    let swaps = if quick { 5 } else { 20 };
    progress.part("control: policy swaps", swaps);
    swap::measure(swaps, progress, rows)?;
    let rounds = if quick { 1 } else { 5 };
    progress.part("control: restarts", rounds * 3);
    restart::measure(rounds, progress, rows)?;
    let rounds = if quick { 2 } else { 9 };
    progress.part("control: hotplug", rounds * 2);
    hotplug::measure(rounds, progress, rows)
}
