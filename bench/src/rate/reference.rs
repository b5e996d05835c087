//! The reference policy: fastbridge's two hooks, the bare redirects that are their ceilings, and the Linux bridge with and without the same
//! policy in nftables, which has a lab of its own: fastbridge yields to such rules.

use anyhow::Result;

use super::{
    contest::{Contest, Lane},
    frames,
    kind::Kind,
    load::Load,
    site::Plan,
};
use crate::{
    progress::Progress,
    report::{Bound, Row},
    topology::Rules,
};

const KINDS: [Kind; 6] = [Kind::BareXdp, Kind::Xdp, Kind::BareTc, Kind::Tc, Kind::Bridge, Kind::NetfilterBridge];
const STATIONS: u32 = 4096;
const LOADS: [Load; 3] = [Load::OneFlow, Load::Flows, Load::Stations(STATIONS)];

/// Measures, and adds the rows.
pub(crate) fn measure(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let rounds = if quick { 3 } else { 11 };
    progress.part("packets per second: building the labs", 0);
    let plans = [(0, Plan::new(&KINDS, &LOADS)), (1, Plan::new(&[Kind::Nftables], &LOADS))];
    let mut contest = Contest::build(&plans)?;
    for load in LOADS {
        for kind in KINDS.into_iter().chain([Kind::Nftables]) {
            // br_netfilter only gives a second figure to compare with.
            if kind != Kind::NetfilterBridge || load == Load::OneFlow {
                contest.enter(lane(kind, load), &kind.name(&Rules::Reference.name()), frames(kind, quick));
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

fn judge(contest: &Contest, rows: &mut Vec<Row>) {
    let compare = |what: &str, over, under, load: Load| {
        contest.ratio(&format!("{what}, {}", load.name()), lane(over, load), lane(under, load))
    };
    for load in LOADS {
        for (what, over, under, least) in [
            ("fastbridge TC / bare TC redirect", Kind::Tc, Kind::BareTc, 0.97),
            ("fastbridge XDP / bare XDP redirect", Kind::Xdp, Kind::BareXdp, 0.92),
            ("fastbridge TC / Linux bridge", Kind::Tc, Kind::Bridge, 1.5),
            ("fastbridge XDP / Linux bridge", Kind::Xdp, Kind::Bridge, 3.5),
            ("fastbridge TC / Linux bridge with the same policy in nftables", Kind::Tc, Kind::Nftables, 1.65),
            ("fastbridge XDP / Linux bridge with the same policy in nftables", Kind::Xdp, Kind::Nftables, 4.0),
        ] {
            let row = compare(what, over, under, load);
            // Nothing is required of frames that are decided anew, one by one: told all the same.
            rows.push(if matches!(load, Load::Stations(_)) { row } else { row.required(Bound::AtLeast(least)) });
        }
    }
    let what = "bare TC redirect / Linux bridge: the ceiling";
    rows.push(compare(what, Kind::BareTc, Kind::Bridge, Load::OneFlow));
    let what = "fastbridge TC / Linux bridge as a new namespace has it (br_netfilter on)";
    rows.push(compare(what, Kind::Tc, Kind::NetfilterBridge, Load::OneFlow).required(Bound::AtLeast(1.5)));
}
