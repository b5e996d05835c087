//! What a large installation costs the programs: packet rate with more and more stations, prefixes and ports, and the fall from the fewest to the
//! most. All sizes of a kind take turns; only how full the maps are differs.

use anyhow::Result;

use super::{
    contest::{Contest, Lane},
    frames,
    kind::Kind,
    load::Load,
    newcomer,
    site::{Plan, Site},
};
use crate::{
    progress::Progress,
    report::{Bound, Row},
    topology::{Rules, Topology},
};

const HOOKS: [Kind; 2] = [Kind::Xdp, Kind::Tc];
const STATIONS: [usize; 3] = [10, 1000, 50_000];
const PREFIXES: [usize; 3] = [10, 1000, 10_000];
const PORTS: [usize; 3] = [2, 16, 200];
/// Stations that the map has room for, whatever their number: those of both hooks' ports, and some.
const ROOM: usize = 131_072;
/// A fall of at most 8 %.
const KEPT: Bound = Bound::AtLeast(0.92);
/// More than the programs remember decisions for, so that each frame looks prefixes up.
const MANY: Load = Load::Stations(4096);

/// Measures, and adds the rows.
pub(crate) fn measure(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    stations(quick, progress, rows)?;
    prefixes(quick, progress, rows)?;
    ports(quick, progress, rows)?;
    newcomer::measure(quick, progress, rows)
}

fn room() -> Topology {
    Topology { learned: ROOM, ..Topology::default() }
}

/// Traffic between two stations beside that many known ones, and traffic from all of them.
fn stations(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    progress.part("many stations: building the labs", 0);
    let mut contest = Contest::new();
    let from_all = |count: usize| Load::Stations(count as u32);
    for count in STATIONS {
        let loads = [Load::OneFlow, from_all(count)];
        let mut site = Site::build(&Plan { topology: room(), ..Plan::new(&HOOKS, &loads) })?;
        for hook in HOOKS {
            // Once to be learned by the bridge, once by the programs at the latest.
            site.send(hook, from_all(count), 2 * count as u32)?;
        }
        contest.add(count, site);
    }
    for count in STATIONS {
        for (load, what) in
            [(Load::OneFlow, format!("{count} stations known")), (from_all(count), "all of them send".into())]
        {
            for kind in HOOKS {
                contest.enter(Lane { site: count, kind, load }, &kind.name(&what), frames(kind, quick));
            }
        }
    }
    run(&mut contest, "many stations", quick, progress, rows)?;
    for kind in HOOKS {
        rows.push(kept(&contest, kind, "stations known, 1 flow", STATIONS, |_| Load::OneFlow));
        rows.push(kept(&contest, kind, "stations, all send", STATIONS, from_all));
    }
    contest.complete()
}

/// Traffic between addresses in the midst of that many prefixes.
fn prefixes(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    progress.part("many prefixes: building the labs", 0);
    let loads = [Load::OneFlow, MANY];
    let mut contest = Contest::new();
    for count in PREFIXES {
        contest.add(count, Site::build(&Plan::new(&HOOKS, &loads).rules(Rules::Prefixes(count)))?);
        for load in loads {
            for kind in HOOKS {
                let what = kind.name(&Rules::Prefixes(count).name());
                contest.enter(Lane { site: count, kind, load }, &what, frames(kind, quick));
            }
        }
    }
    run(&mut contest, "many prefixes", quick, progress, rows)?;
    for kind in HOOKS {
        for load in loads {
            rows.push(kept(&contest, kind, &format!("prefixes, {}", load.name()), PREFIXES, |_| load));
        }
    }
    contest.complete()
}

/// Traffic between two ports beside others on which nothing happens. The fewest are one hook's two, in a lab of its own.
fn ports(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    progress.part("many ports: building the labs", 0);
    let mut contest = Contest::new();
    for (n, kind) in HOOKS.into_iter().enumerate() {
        for count in PORTS {
            let plan = Plan { idle_ports: count - 2, ..Plan::new(&HOOKS[n..=n], &[Load::OneFlow]) };
            let lane = ports_lane(kind, count);
            contest.add(lane.site, Site::build(&plan)?);
            contest.enter(lane, &kind.name(&format!("{count} ports")), frames(kind, quick));
        }
    }
    run(&mut contest, "many ports", quick, progress, rows)?;
    let [few, .., many] = PORTS;
    for kind in HOOKS {
        let what = format!("{}: packet rate with {many} / {few} ports, 1 flow", kind.name("reference policy"));
        rows.push(contest.ratio(&what, ports_lane(kind, many), ports_lane(kind, few)));
    }
    contest.complete()
}

fn ports_lane(kind: Kind, count: usize) -> Lane {
    Lane { site: count + if kind == Kind::Tc { 1000 } else { 0 }, kind, load: Load::OneFlow }
}

fn run(contest: &mut Contest, what: &str, quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let rounds = if quick { 3 } else { 9 };
    progress.part(what, contest.turns(rounds));
    contest.run(rounds, progress)?;
    contest.tell(rows);
    Ok(())
}

/// What is left of the rate with the fewest when there are the most. Sites are numbered by their size.
fn kept(contest: &Contest, kind: Kind, what: &str, [few, _, many]: [usize; 3], load: impl Fn(usize) -> Load) -> Row {
    let lane = |site| Lane { site, kind, load: load(site) };
    let what = format!("fastbridge {kind:?}: packet rate with {many} / {few} {what}");
    contest.ratio(&what, lane(many), lane(few)).required(KEPT)
}
