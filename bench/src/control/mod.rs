//! The manager: how fast it is ready, how much memory it has, how fast a policy is swapped and whether that loses frames,
//! what many ports and stations cost.

mod ports;
pub(crate) mod scale;
mod swap;

use anyhow::Result;

use crate::{progress::Progress, report::Row};

/// Measures, and adds the rows.
pub(crate) fn measure(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let rounds = if quick { 3 } else { 7 };
    progress.part("control: 200 ports", rounds);
    ports::measure(rounds, progress, rows)?;
    let swaps = if quick { 5 } else { 20 };
    progress.part("control: policy swaps", swaps);
    swap::measure(swaps, progress, rows)
}
