//! Other policies than the reference one: many prefixes, rules with ports, from an access port to a trunk. Each has labs of its own, and is
//! compared with the bare redirects of one more.

use anyhow::Result;
use bridge_tests::{find_tool, lab::SlowPath};

use super::{
    FRAMES,
    contest::{Contest, Lane},
    kind::Kind,
    load::Load,
    site::Plan,
};
use crate::{
    progress::Progress,
    report::{Bound, Row},
    topology::Rules,
};

const HOOKS: [(Kind, Kind, f64); 2] = [(Kind::Xdp, Kind::BareXdp, 0.92), (Kind::Tc, Kind::BareTc, 0.97)];
const LOADS: [Load; 2] = [Load::OneFlow, Load::Stations(4096)];
const POLICIES: [Rules; 2] = [Rules::Prefixes(10_000), Rules::Ports];
const VID: u16 = 10;
const VLAN: &str = "reference policy, VLAN access to trunk";
/// Numbers of sites: the bare redirects' with a bridge that knows no policy, the VLAN's; those of the policies are these and their own.
const BARE: usize = 0;
const WITH_VLAN: usize = 1;
const POLICY: usize = 10;
const NFTABLES: usize = 20;

/// Measures, and adds the rows.
pub(crate) fn measure(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let (rounds, loads) = if quick { (3, &LOADS[..1]) } else { (15, &LOADS[..]) };
    progress.part("other policies: building the labs", 0);
    let hooks = HOOKS.map(|(hook, ..)| hook);
    let mut plans = vec![(BARE, Plan::new(&[Kind::BareXdp, Kind::BareTc, Kind::Bridge], &LOADS))];
    for (n, rules) in POLICIES.into_iter().enumerate() {
        plans.push((POLICY + n, Plan::new(&hooks, &LOADS).rules(rules)));
        plans.push((NFTABLES + n, Plan::new(&[Kind::Nftables], &LOADS).rules(rules)));
    }
    let (vlan, absent) = vlan_plan()?;
    plans.extend(vlan.map(|plan| (WITH_VLAN, plan)));
    let mut contest = Contest::build(&plans)?;
    for (kind, why) in absent {
        contest.absent(WITH_VLAN, kind, &why);
    }
    for &load in loads {
        enter(&mut contest, load);
    }
    progress.part("other policies", contest.turns(rounds));
    contest.run(rounds, progress)?;
    contest.tell(rows);
    for &load in loads {
        compare(&contest, load, rows);
    }
    if quick {
        rows.push(Row::skip(&format!("other policies, {}", LOADS[1].name()), "a quick run leaves it out"));
    }
    contest.complete()
}

/// A kind of path that cannot be had, and why.
type Absent = (Kind, String);

/// The plan of the site with VLANs, and the paths that it cannot have. Not every kernel's bridge knows VLANs; then beside Open vSwitch, whose
/// userspace datapath lets only XDP forward.
fn vlan_plan() -> Result<(Option<Plan<'static>>, Vec<Absent>)> {
    let plan = |slow_path, kinds| Plan { slow_path, vlan: Some(VID), ..Plan::new(kinds, &LOADS) };
    let Some(why) = SlowPath::LinuxVlanBridge.lacking()? else {
        return Ok((Some(plan(SlowPath::LinuxVlanBridge, &[Kind::Xdp, Kind::Tc, Kind::Bridge])), Vec::new()));
    };
    let mut absent = vec![(Kind::Tc, why.to_owned()), (Kind::Bridge, why.to_owned())];
    if let Err(missing) = find_tool("ovs-vswitchd") {
        absent.push((Kind::Xdp, missing.to_string()));
        return Ok((None, absent));
    }
    Ok((Some(plan(SlowPath::OvsUserspace, &[Kind::Xdp])), absent))
}

fn enter(contest: &mut Contest, load: Load) {
    let mut enter = |site, kind: Kind, policy: &str| {
        contest.enter(Lane { site, kind, load }, &kind.name(policy), FRAMES);
    };
    for (hook, bare, _) in HOOKS {
        enter(BARE, bare, "");
        for (n, rules) in POLICIES.into_iter().enumerate() {
            enter(POLICY + n, hook, &rules.name());
        }
        enter(WITH_VLAN, hook, VLAN);
    }
    for (n, rules) in POLICIES.into_iter().enumerate() {
        enter(NFTABLES + n, Kind::Nftables, &rules.name());
    }
    enter(BARE, Kind::Bridge, "");
    let lane = Lane { site: WITH_VLAN, kind: Kind::Bridge, load };
    contest.enter(lane, "Linux bridge, no policy, VLAN access to trunk", FRAMES);
}

fn compare(contest: &Contest, load: Load, rows: &mut Vec<Row>) {
    let ratio = |policy: &str, (site, kind): (usize, Kind), (other, under): (usize, Kind)| {
        let what = format!("{} / {}, {}", kind.name(policy), under.name(policy), load.name());
        contest.ratio(&what, Lane { site, kind, load }, Lane { site: other, kind: under, load })
    };
    for (hook, bare, least) in HOOKS {
        for (n, rules) in POLICIES.into_iter().enumerate() {
            let row = ratio(&rules.name(), (POLICY + n, hook), (BARE, bare));
            // What rules with ports have a say in, and what gets a tag, is decided anew, frame by frame: nothing is required of that.
            let judged = load == Load::OneFlow && rules != Rules::Ports;
            rows.push(if judged { row.required(Bound::AtLeast(least)) } else { row });
            rows.push(ratio(&rules.name(), (POLICY + n, hook), (BARE, Kind::Bridge)));
            rows.push(ratio(&rules.name(), (POLICY + n, hook), (NFTABLES + n, Kind::Nftables)));
        }
        rows.push(ratio(VLAN, (WITH_VLAN, hook), (BARE, bare)));
        rows.push(ratio(VLAN, (WITH_VLAN, hook), (WITH_VLAN, Kind::Bridge)));
    }
}
