//! TC or XDP, and from one to the other while frames run: what attaching and detaching costs and loses, what XDP brings
//! and what it costs where it is. The figures behind docs/decisions/adaptive-hook.md.

mod changes;
mod gain;
mod judge;
mod loads;
mod site;
mod stream;
mod tap;

use std::{path::Path, time::Duration};

use anyhow::Result;

use self::site::{Hooked, Kind};
use crate::{progress::Progress, report::Row};

/// Measures, and adds the rows.
pub(crate) fn measure(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let (reloads, switches, rounds, streams) = if quick { (3, 10, 1, 1) } else { (20, 200, 5, 3) };
    let time = Duration::from_millis(if quick { 100 } else { 150 });
    progress.part("TC or XDP: building the lab", 4 + rounds + 2 * streams);
    let lab = site::lab()?;
    let with_taps = Path::new("/dev/net/tun").exists();
    let kinds = Kind::ALL.into_iter().filter(|&kind| kind == Kind::Veth || with_taps);
    let mut pairs = Vec::new();
    for kind in kinds {
        let alone = site::stream(&lab, kind, kind.bare_ports())?;
        pairs.push((kind, alone, site::stream(&lab, kind, kind.ports())?));
    }
    if !with_taps {
        rows.push(Row::skip("taps", "there is no /dev/net/tun"));
    }
    let hooked = Hooked::start(&lab)?;
    for (kind, alone, beside) in &mut pairs {
        alone.introduce()?;
        beside.introduce()?;
        changes::reloaded(&hooked, *kind, beside, reloads, progress, rows)?;
        changes::bare(&lab, *kind, alone, switches, progress, rows)?;
    }
    if let Some((_, alone, beside)) = pairs.iter().find(|(kind, ..)| *kind == Kind::Tap) {
        gain::taps(&hooked, [alone, beside], (rounds, time), progress, rows)?;
    }
    gain::tcp(&lab, &hooked, streams, progress, rows)?;
    hooked.end()
}
