//! What each kind of path says of the frames that it has dropped: its own counter.

use anyhow::{Context as _, Result, bail};
use bridge_tests::{fastbridge::Control, lab::Lab};

use super::kind::{Kind, OVS_BRIDGE};
use crate::policy::{nftables, openflow};

/// Frames that a path has dropped so far because they are denied.
pub(super) fn count(lab: &Lab, control: Option<&Control>, kind: Kind) -> Result<u64> {
    match kind {
        Kind::BareDrop => dropped_in_xdp(&lab.host().run("ethtool", &["-S", kind.ports()[0]])?),
        Kind::Xdp | Kind::Tc => {
            let counters = control.context("there is no fastbridge in this lab")?.show("counters")?;
            Ok(counters["ports"][kind.ports()[0]]["drop"]["policy"].as_u64().unwrap_or(0))
        }
        Kind::Nftables => nftables::denied(lab.host()),
        Kind::OvsPolicy => {
            // Its flows count what the datapath did only after a while, or when they are dropped.
            lab.settle()?;
            Ok(openflow::denied(&lab.ovs().context("the lab has no Open vSwitch")?.ofctl(&["dump-flows", OVS_BRIDGE])?))
        }
        other => bail!("{other:?} denies nothing"),
    }
}

/// Of a veth's statistics: the sum over its queues.
fn dropped_in_xdp(statistics: &str) -> Result<u64> {
    let of_queue = |line: &str| line.trim().split_once("_xdp_drops: ")?.1.parse::<u64>().ok();
    let drops: Vec<_> = statistics.lines().filter_map(of_queue).collect();
    if drops.is_empty() {
        bail!("the veth does not tell what its XDP program dropped: {statistics}");
    }
    Ok(drops.iter().sum())
}
