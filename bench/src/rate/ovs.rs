//! Packets per second beside Open vSwitch's kernel datapath: small frames through fastbridge's two hooks and through the switch alone, with
//! and without the same policy in OpenFlow, in turns. Made for an emulated machine (`cargo xtask vm`), where nothing but a ratio means anything.

use anyhow::{Context as _, Result, bail};
use bridge_tests::lab::{Lab, SlowPath};

use super::{
    contest::{Contest, Lane},
    kind::{Kind, OVS_BRIDGE},
    load::Load,
    site::Plan,
    userspace,
};
use crate::{
    policy::{Policy, openflow},
    progress::Progress,
    report::Row,
    topology::Rules,
};

const KINDS: [Kind; 4] = [Kind::Xdp, Kind::Tc, Kind::Ovs, Kind::OvsPolicy];
const LOADS: [Load; 2] = [Load::OneFlow, Load::Denied];
const WHERE: &str = "OVS kernel datapath";
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
    progress.part("beside Open vSwitch's kernel datapath: building the lab", 0);
    let plan = Plan { slow_path: SlowPath::OvsKernel, ..Plan::new(&KINDS, &LOADS) };
    let mut contest = Contest::build(&[(0, plan)])?;
    let policy = Rules::Reference.name();
    for load in LOADS {
        for kind in KINDS.into_iter().filter(|&kind| kind != Kind::Ovs || !load.is_denied()) {
            contest.enter(lane(kind, load), &format!("{WHERE}: {}", kind.name(&policy)), FRAMES);
        }
    }
    progress.part("beside Open vSwitch's kernel datapath", contest.turns(rounds));
    contest.run(rounds, progress)?;
    contest.tell(rows);
    for over in [Kind::Xdp, Kind::Tc] {
        for (under, load) in
            [(Kind::Ovs, Load::OneFlow), (Kind::OvsPolicy, Load::OneFlow), (Kind::OvsPolicy, Load::Denied)]
        {
            let what = format!("{WHERE}: {} / {}, {}", over.name(&policy), under.name(&policy), load.name());
            rows.push(contest.ratio(&what, lane(over, load), lane(under, load)));
        }
    }
    contest.complete()
}

fn lane(kind: Kind, load: Load) -> Lane {
    Lane { site: 0, kind, load }
}

/// Moves ports to Open vSwitch's second bridge where their kind wants that, and gives it the policy or AF_XDP ports.
pub(super) fn prepare(lab: &Lab, kinds: &[Kind], policy: &Policy) -> Result<()> {
    let ovs = lab.ovs().context("the lab has no Open vSwitch")?;
    if kinds.contains(&Kind::OvsPolicy) {
        ovs.vsctl(&["add-br", OVS_BRIDGE, "--", "set", "bridge", OVS_BRIDGE, ovs.datapath()])?;
        for port in Kind::OvsPolicy.ports() {
            ovs.vsctl(&["del-port", port, "--", "add-port", OVS_BRIDGE, port])?;
        }
        ovs.ofctl(&["del-flows", OVS_BRIDGE])?;
        for flow in openflow::text(policy)?.lines() {
            ovs.ofctl(&["add-flow", OVS_BRIDGE, flow])?;
        }
    }
    if kinds.contains(&Kind::OvsAfXdp) {
        for port in Kind::OvsAfXdp.ports() {
            if let Some(why) = userspace::open_af_xdp(lab, port)? {
                bail!(why);
            }
        }
    }
    Ok(())
}
