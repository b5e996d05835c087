//! What a large installation costs the programs: packet rate with more and more stations, prefixes and ports, and the fall from the fewest to the
//! most. All sizes of a kind take turns; only how full the maps are differs.

use anyhow::Result;

use super::{
    FRAMES,
    contest::{Contest, Lane},
    kind::Kind,
    load::Load,
    newcomer,
    site::Plan,
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
/// As many as a large host may have: remembered, so that a prefix is looked up once in some hundredths of a second; and not.
const MANY: [Load; 2] = [Load::Stations(4096), Load::Anew(4096)];

/// The hooks that are measured.
fn hooks(quick: bool) -> &'static [Kind] {
    if quick { &HOOKS[..1] } else { &HOOKS }
}

/// Measures, and adds the rows. A quick run leaves out TC and what lies between the fewest and the most.
pub(crate) fn measure(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let some = |[few, middle, many]: [usize; 3]| if quick { vec![few, many] } else { vec![few, middle, many] };
    stations(&some(STATIONS), quick, progress, rows)?;
    prefixes(&some(PREFIXES), quick, progress, rows)?;
    ports(&some(PORTS), quick, progress, rows)?;
    if quick {
        rows.push(Row::skip(
            "the same of fastbridge TC, and with 1000 stations, 1000 prefixes, 16 ports",
            "a quick run leaves it out",
        ));
    }
    newcomer::measure(quick, progress, rows)
}

/// Traffic between two stations beside that many known ones, and traffic from all of them.
fn stations(counts: &[usize], quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    progress.part("many stations: building the labs", 0);
    let from_all = |count: usize| Load::Stations(count as u32);
    let loads: Vec<_> = counts.iter().map(|&count| [Load::OneFlow, from_all(count)]).collect();
    let topology = Topology { learned: ROOM, ..Topology::default() };
    let plan = |loads| Plan { topology: topology.clone(), ..Plan::new(hooks(quick), loads) };
    let plans: Vec<_> = counts.iter().zip(&loads).map(|(&count, loads)| (count, plan(&loads[..]))).collect();
    let mut contest = Contest::build(&plans)?;
    for &site in counts {
        let known = [(Load::OneFlow, format!("{site} stations known")), (from_all(site), "all of them send".into())];
        for &kind in hooks(quick) {
            // Once to be learned by the bridge, once by the programs at the latest.
            contest.send(Lane { site, kind, load: from_all(site) }, 2 * site as u32)?;
            for (load, what) in &known {
                contest.enter(Lane { site, kind, load: *load }, &kind.name(what), FRAMES);
            }
        }
    }
    run(&mut contest, "many stations", quick, progress, rows)?;
    for &kind in hooks(quick) {
        rows.push(kept(&contest, kind, "stations known, 1 flow", STATIONS, |_| Load::OneFlow));
        rows.push(kept(&contest, kind, "stations, all of them send", STATIONS, from_all));
    }
    contest.complete()
}

/// Traffic between addresses in the midst of that many prefixes.
fn prefixes(counts: &[usize], quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    progress.part("many prefixes: building the labs", 0);
    let [remembered, anew] = MANY;
    let loads = [Load::OneFlow, remembered, anew];
    let plan = |&count: &usize| (count, Plan::new(hooks(quick), &loads).rules(Rules::Prefixes(count)));
    let mut contest = Contest::build(&counts.iter().map(plan).collect::<Vec<_>>())?;
    for &site in counts {
        for load in loads {
            for &kind in hooks(quick) {
                let what = kind.name(&Rules::Prefixes(site).name());
                contest.enter(Lane { site, kind, load }, &what, FRAMES);
            }
        }
    }
    run(&mut contest, "many prefixes", quick, progress, rows)?;
    for &kind in hooks(quick) {
        for load in loads {
            rows.push(kept(&contest, kind, &format!("prefixes, {}", load.name()), PREFIXES, |_| load));
        }
    }
    contest.complete()
}

/// Traffic between two ports beside others on which nothing happens. The fewest are one hook's two: a lab for each hook.
fn ports(counts: &[usize], quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    progress.part("many ports: building the labs", 0);
    let lanes =
        || hooks(quick).iter().flat_map(|&kind| counts.iter().map(move |&count| (count, ports_lane(kind, count))));
    let plan = |(count, lane): (usize, Lane)| {
        let kinds = if lane.kind == Kind::Xdp { &HOOKS[..1] } else { &HOOKS[1..] };
        (lane.site, Plan { idle_ports: count - 2, ..Plan::new(kinds, &[Load::OneFlow]) })
    };
    let mut contest = Contest::build(&lanes().map(plan).collect::<Vec<_>>())?;
    for (count, lane) in lanes() {
        contest.enter(lane, &lane.kind.name(&format!("{count} ports")), FRAMES);
    }
    run(&mut contest, "many ports", quick, progress, rows)?;
    let [few, .., many] = PORTS;
    for &kind in hooks(quick) {
        let what = kind.name(&format!("packet rate with {many} / {few} ports, 1 flow"));
        rows.push(contest.ratio(&what, ports_lane(kind, many), ports_lane(kind, few)));
    }
    contest.complete()
}

fn ports_lane(kind: Kind, count: usize) -> Lane {
    Lane { site: count + if kind == Kind::Tc { 1000 } else { 0 }, kind, load: Load::OneFlow }
}

fn run(contest: &mut Contest, what: &str, quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let rounds = if quick { 3 } else { 11 };
    progress.part(what, contest.turns(rounds));
    contest.run(rounds, progress)?;
    contest.tell(rows);
    Ok(())
}

/// What is left of the rate with the fewest when there are the most. Sites are numbered by their size.
fn kept(contest: &Contest, kind: Kind, what: &str, [few, _, many]: [usize; 3], load: impl Fn(usize) -> Load) -> Row {
    let lane = |site| Lane { site, kind, load: load(site) };
    let what = kind.name(&format!("packet rate with {many} / {few} {what}"));
    contest.ratio(&what, lane(many), lane(few)).required(KEPT)
}
