//! What a denied frame costs: frames that come from outside and that the policy lets nobody have. Nothing may arrive; what counts is each path's
//! own counter.

use anyhow::Result;

use super::{
    FRAMES,
    contest::{Contest, Lane},
    kind::Kind,
    load::Load,
    site::Plan,
    userspace,
};
use crate::{
    progress::Progress,
    report::{Bound, Row},
    topology::Rules,
};

const KINDS: [Kind; 3] = [Kind::BareDrop, Kind::Xdp, Kind::Tc];
const LOADS: [Load; 2] = [Load::Denied, Load::DeniedFlows];
/// One more to see that a path is there at all.
const ALL_LOADS: [Load; 3] = [Load::OneFlow, Load::Denied, Load::DeniedFlows];

/// Measures, and adds the rows.
pub(crate) fn measure(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let rounds = if quick { 3 } else { 31 };
    progress.part("cost of a drop: building the labs", 0);
    let plans = [(0, Plan::new(&KINDS, &ALL_LOADS)), (1, Plan::new(&[Kind::Nftables], &ALL_LOADS))];
    let mut contest = Contest::build(&plans)?;
    let policy = Rules::Reference.name();
    for load in LOADS {
        for kind in KINDS.into_iter().chain([Kind::Nftables]) {
            contest.enter(lane(kind, load), &kind.name(&policy), FRAMES);
        }
    }
    progress.part("cost of a drop", contest.turns(rounds));
    contest.run(rounds, progress)?;
    contest.tell(rows);
    for load in LOADS {
        let name = load.name();
        let compare =
            |what: &str, over, under| contest.ratio(&format!("{what}, {name}"), lane(over, load), lane(under, load));
        let bare = compare("fastbridge XDP / bare XDP_DROP", Kind::Xdp, Kind::BareDrop);
        rows.push(bare.required(Bound::AtLeast(0.85)));
        rows.push(compare("fastbridge XDP / nftables", Kind::Xdp, Kind::Nftables));
        rows.push(compare("fastbridge TC / nftables", Kind::Tc, Kind::Nftables));
    }
    contest.complete()?;
    drop(contest);
    userspace::drops(quick, progress, rows)
}

fn lane(kind: Kind, load: Load) -> Lane {
    Lane { site: usize::from(kind == Kind::Nftables), kind, load }
}
