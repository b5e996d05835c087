//! The reference policy: fastbridge's two hooks, the bare redirects that are their ceilings (of TC also with an empty program where frames
//! leave, since fastbridge must judge there what the host sends; of XDP also with one look-up and two counts), and the Linux bridge with and
//! without the same policy in nftables, which has a lab of its own: fastbridge yields to such rules.

use anyhow::Result;

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

const KINDS: [Kind; 8] = [
    Kind::BareXdp,
    Kind::BareXdpCounting,
    Kind::Xdp,
    Kind::BareTc,
    Kind::BareTcEgress,
    Kind::Tc,
    Kind::Bridge,
    Kind::NetfilterBridge,
];
/// Each of these only gives one more figure to compare with.
const ONE_FLOW: [Kind; 3] = [Kind::NetfilterBridge, Kind::BareTcEgress, Kind::BareXdpCounting];
const STATIONS: u32 = 4096;
const LOADS: [Load; 3] = [Load::OneFlow, Load::Flows, Load::Stations(STATIONS)];

/// Measures, and adds the rows.
pub(crate) fn measure(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let rounds = if quick { 4 } else { 31 };
    progress.part("packets per second: building the labs", 0);
    let plans = [(0, Plan::new(&KINDS, &LOADS)), (1, Plan::new(&[Kind::Nftables], &LOADS))];
    let mut contest = Contest::build(&plans)?;
    for load in LOADS {
        for kind in KINDS.into_iter().chain([Kind::Nftables]) {
            if !ONE_FLOW.contains(&kind) || load == Load::OneFlow {
                contest.enter(lane(kind, load), &kind.name(&Rules::Reference.name()), FRAMES);
            }
        }
    }
    progress.part("packets per second", contest.turns(rounds));
    contest.run(rounds, progress)?;
    contest.tell(rows);
    judge(&contest, rows);
    contest.complete()
}

fn lane(kind: Kind, load: Load) -> Lane {
    Lane { site: usize::from(kind == Kind::Nftables), kind, load }
}

/// What is compared, and what is required of it: of nothing that goes on between so many stations that not all are remembered. A ceiling
/// stands below what it bounds.
const RATIOS: [(&str, Kind, Kind, Option<f64>); 7] = [
    ("fastbridge TC / bare TC redirect", Kind::Tc, Kind::BareTc, Some(0.97)),
    ("fastbridge XDP / bare XDP redirect", Kind::Xdp, Kind::BareXdp, Some(0.92)),
    ("fastbridge TC / Linux bridge with the same policy in nftables", Kind::Tc, Kind::Nftables, Some(1.65)),
    (
        "bare TC redirect / Linux bridge with the same policy in nftables: the ceiling",
        Kind::BareTc,
        Kind::Nftables,
        None,
    ),
    ("fastbridge XDP / Linux bridge with the same policy in nftables", Kind::Xdp, Kind::Nftables, Some(4.0)),
    ("fastbridge TC / Linux bridge", Kind::Tc, Kind::Bridge, None),
    ("fastbridge XDP / Linux bridge", Kind::Xdp, Kind::Bridge, None),
];
/// Of one flow only.
const MORE: [(&str, Kind, Kind); 6] = [
    ("fastbridge XDP / bare XDP redirect, one look-up and two counts", Kind::Xdp, Kind::BareXdpCounting),
    ("bare XDP redirect, with / without one look-up and two counts: the ceiling", Kind::BareXdpCounting, Kind::BareXdp),
    ("fastbridge TC / bare TC redirect, an empty program at egress", Kind::Tc, Kind::BareTcEgress),
    ("bare TC redirect, with / without an empty program at egress: the ceiling", Kind::BareTcEgress, Kind::BareTc),
    ("bare TC redirect / Linux bridge: the ceiling", Kind::BareTc, Kind::Bridge),
    ("fastbridge TC / Linux bridge as a new namespace has it (br_netfilter on)", Kind::Tc, Kind::NetfilterBridge),
];

fn judge(contest: &Contest, rows: &mut Vec<Row>) {
    let compare = |what: &str, over, under, load: Load| {
        contest.ratio(&format!("{what}, {}", load.name()), lane(over, load), lane(under, load))
    };
    for load in LOADS {
        for (what, over, under, least) in RATIOS {
            let least = least.filter(|_| !load.is_of_stations()).map(Bound::AtLeast);
            rows.push(least.into_iter().fold(compare(what, over, under, load), Row::required));
        }
    }
    rows.extend(MORE.map(|(what, over, under)| compare(what, over, under, Load::OneFlow)));
}
