//! Open vSwitch's userspace datapath, with AF_PACKET and with AF_XDP ports, beside fastbridge's XDP path in the same lab.
//!
//! Its work is done by threads of its own, so that the generating core's time says nothing of it: for all paths of these labs it is the time
//! that passes until the last frame is there. The generator offers more than the switch takes (RFC 2285: forwarding rate at maximum offered
//! load), and the switch has the other cores to itself; fastbridge has none but the generating one. That flatters the switch.

use anyhow::{Context as _, Result};
use bridge_tests::{
    find_tool,
    lab::{Lab, MachineSpec, SlowPath},
};

use super::{
    FRAMES,
    contest::{Contest, Lane},
    kind::{Kind, OVS_BRIDGE},
    load::Load,
    site::{Clock, Plan},
};
use crate::{
    progress::Progress,
    report::{Bound, Row},
    topology::Rules,
};

const WHERE: &str = "OVS userspace";
const POLLING: &str = "OVS userspace, polling AF_XDP ports";
/// Of the core that its thread polls ports from; the generator has the highest.
const PMD_CORE: &str = "other_config:pmd-cpu-mask=0x1";

/// The switch alone with both kinds of ports, and fastbridge.
pub(crate) fn measure(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let wanted = [(Kind::Ovs, None), (Kind::OvsPolicy, None), (Kind::OvsAfXdp, Some(Bound::AtLeast(3.9)))];
    if let Some(why) = lacking()? {
        rows.extend(wanted.map(|(kind, _)| Row::skip(&against(kind, Load::OneFlow), &why)));
        return Ok(());
    }
    // One after the other: the thread that polls AF_XDP ports leaves its core to nobody.
    beside(&[Kind::Xdp, Kind::Ovs, Kind::OvsPolicy], &wanted[..2], quick, progress, rows)?;
    if let Some(why) = lacking_af_xdp()? {
        rows.push(Row::skip(&against(Kind::OvsAfXdp, Load::OneFlow), &why));
        return Ok(());
    }
    beside(&[Kind::Xdp, Kind::OvsAfXdp], &wanted[2..], quick, progress, rows)
}

/// Denied frames.
pub(super) fn drops(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let kinds = [Kind::Xdp, Kind::OvsPolicy];
    let what = against(Kind::OvsPolicy, Load::Denied);
    if let Some(why) = lacking()? {
        rows.push(Row::skip(&what, &why));
        return Ok(());
    }
    let loads = [Load::OneFlow, Load::Denied];
    let contest = contest(&kinds, &loads, Load::Denied, quick, progress)?;
    contest.tell(rows);
    rows.push(contest.ratio(&what, lane(Kind::Xdp, Load::Denied), lane(Kind::OvsPolicy, Load::Denied)));
    contest.complete()
}

fn beside(
    kinds: &[Kind],
    wanted: &[(Kind, Option<Bound>)],
    quick: bool,
    progress: &Progress,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let contest = contest(kinds, &[Load::OneFlow], Load::OneFlow, quick, progress)?;
    contest.tell(rows);
    for &(kind, bound) in wanted {
        let what = against(kind, Load::OneFlow);
        let row = contest.ratio(&what, lane(Kind::Xdp, Load::OneFlow), lane(kind, Load::OneFlow));
        rows.push(bound.into_iter().fold(row, Row::required));
    }
    contest.complete()
}

fn contest(kinds: &[Kind], loads: &[Load], load: Load, quick: bool, progress: &Progress) -> Result<Contest> {
    let rounds = if quick { 3 } else { 11 };
    progress.part("beside OVS userspace: building the lab", 0);
    let plan = Plan { slow_path: SlowPath::OvsUserspace, clock: Clock::Wall, ..Plan::new(kinds, loads) };
    let mut contest = Contest::build(&[(0, plan)])?.lossy();
    contest.remark(0, "time that passes; the switch works on a core of its own");
    // fastbridge takes part in each of these contests.
    let place = if kinds.contains(&Kind::OvsAfXdp) { POLLING } else { WHERE };
    for &kind in kinds {
        let what = format!("{place}: {}", kind.name(&Rules::Reference.name()));
        contest.enter(lane(kind, load), &what, FRAMES);
    }
    progress.part("beside OVS userspace", contest.turns(rounds));
    contest.run(rounds, progress)?;
    Ok(contest)
}

fn lane(kind: Kind, load: Load) -> Lane {
    Lane { site: 0, kind, load }
}

fn against(kind: Kind, load: Load) -> String {
    let policy = Rules::Reference.name();
    format!("{WHERE}: {} / {}, {}", Kind::Xdp.name(&policy), kind.name(&policy), load.name())
}

/// What is not there that the switch needs.
fn lacking() -> Result<Option<String>> {
    if let Err(missing) = find_tool("ovs-vswitchd") {
        return Ok(Some(missing.to_string()));
    }
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return Ok(Some("the switch and the generator need a core each".into()));
    }
    Ok(SlowPath::OvsUserspace.lacking()?.map(String::from))
}

/// Why a port cannot be an AF_XDP one: tried in a lab of its own.
fn lacking_af_xdp() -> Result<Option<String>> {
    let lab = Lab::builder(SlowPath::OvsUserspace).machine(MachineSpec::raw("m0", "vnet0")).build()?;
    open_af_xdp(&lab, "vnet0")
}

/// Moves a port to Open vSwitch's second bridge as an AF_XDP port; what it says if it could not open it.
pub(super) fn open_af_xdp(lab: &Lab, port: &str) -> Result<Option<String>> {
    let ovs = lab.ovs().context("the lab has no Open vSwitch")?;
    ovs.vsctl(&["set", "open_vswitch", ".", PMD_CORE])?;
    ovs.vsctl(&["--may-exist", "add-br", OVS_BRIDGE, "--", "set", "bridge", OVS_BRIDGE, ovs.datapath()])?;
    ovs.vsctl(&["del-port", port])?;
    let interface = ["--", "set", "interface", port, "type=afxdp", "options:n_rxq=1", "options:xdp-mode=best-effort"];
    ovs.vsctl(&[&["add-port", OVS_BRIDGE, port][..], &interface].concat())?;
    let error = ovs.vsctl(&["get", "interface", port, "error"])?;
    let error = error.trim().trim_matches('"');
    Ok((error != "[]").then(|| format!("Open vSwitch cannot open an AF_XDP port: {error}")))
}
