//! What the first frame of a new station costs, which the programs learn and leave to the bridge, so that it learns too; and what the next one
//! costs, which is decided anew but finds the station known.

use anyhow::Result;

use super::{
    kind::Kind,
    load::Load,
    site::{Plan, Site},
};
use crate::{progress::Progress, report::Row, topology::Topology};

/// In one pass: more than the programs remember decisions for.
const STATIONS: u32 = 4096;
const KINDS: [Kind; 3] = [Kind::Xdp, Kind::Tc, Kind::Bridge];
/// Room for the new stations of all rounds.
const ROOM: usize = 131_072;

pub(super) fn measure(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let rounds: u8 = if quick { 3 } else { 11 };
    progress.part("new stations: building the lab", usize::from(rounds + 1) * KINDS.len());
    let topology = Topology { learned: ROOM, ..Topology::default() };
    let mut site = Site::build(&Plan { topology, ..Plan::new(&KINDS, &[Load::OneFlow]) })?;
    let mut costs = KINDS.map(|kind| (kind, [Vec::new(), Vec::new()]));
    // The first round warms caches. New in each: another byte of their MACs.
    for round in 0..=rounds {
        site.prime()?;
        for (kind, passes) in &mut costs {
            progress.step("new stations");
            let took = site.introduce(*kind, STATIONS, round + 1)?;
            if round > 0 {
                for (pass, took) in passes.iter_mut().zip(took) {
                    pass.push(took.as_nanos() as f64 / f64::from(STATIONS));
                }
            }
        }
    }
    for (kind, [first, next]) in costs {
        let note = format!("{STATIONS} in one call, whose set-up is in both figures");
        rows.push(
            Row::figure(&format!("{}, first frame of a new station", kind.name("reference policy")), "ns", &first)
                .note(note),
        );
        rows.push(Row::figure(&format!("{}, the next frame of each", kind.name("reference policy")), "ns", &next));
    }
    Ok(())
}
