//! Packets per second beside Open vSwitch's kernel datapath: small frames through fastbridge's two hooks and through the switch alone, ports of
//! one bridge, in turns. Made for an emulated machine (`cargo xtask vm`), where nothing but a ratio means anything.

use anyhow::Result;
use bridge_tests::lab::SlowPath;

use super::{Load, Paths, Samples, Which, check_shares, rate_row, turn_of};
use crate::{progress::Progress, report::Row, stats::ratios};

/// Frames of one turn: an emulated machine takes seconds for them.
const FRAMES: u32 = 1 << 16;

/// Measures, and adds the rows; one that says SKIP where the kernel has no such datapath.
pub(crate) fn measure(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let what = "fastbridge / Open vSwitch, kernel datapath";
    if let Some(why) = SlowPath::OvsKernel.lacking()? {
        rows.push(Row::skip(what, why));
        return Ok(());
    }
    let rounds = if quick { 5 } else { 15 };
    progress.part("beside Open vSwitch: building the lab", (rounds + 1) * Which::BESIDE_OVS.len());
    let mut paths = Paths::beside_ovs()?;
    let before = paths.forwarded()?;
    let mut samples = Which::BESIDE_OVS.map(|which| Samples::new(which, Load::OneFlow));
    // The first round warms caches and counts for nothing but the shares.
    for round in 0..=rounds {
        paths.prime()?;
        for turn in 0..samples.len() {
            let sample = &mut samples[(turn + round) % Which::BESIDE_OVS.len()];
            progress.step(sample.which.name());
            let rate = turn_of(&mut paths, sample, FRAMES)?;
            if round > 0 {
                sample.rates.push(rate);
            }
        }
    }
    let after = paths.forwarded()?;
    check_shares(&samples, [after[0] - before[0], after[1] - before[1]])?;
    for sample in &samples {
        rows.push(rate_row(sample)?);
    }
    let [xdp, tc, ovs] = &samples;
    for (name, path) in [("XDP", xdp), ("TC", tc)] {
        let what = format!("fastbridge {name}, reference policy / Open vSwitch, kernel datapath, 1 flow");
        rows.push(Row::figure(&what, "x", &ratios(&path.rates, &ovs.rates)));
    }
    Ok(())
}
