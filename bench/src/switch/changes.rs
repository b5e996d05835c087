//! What a change of the hook costs and loses under a stream: bare, by the least that the kernel offers, and through
//! fastbridge.

use std::{thread, time::Duration};

use anyhow::Result;
use bridge_tests::lab::Lab;

use super::{
    judge::{Harm, Switch, Verdict},
    site::{Hooked, Kind},
    stream::Stream,
};
use crate::{
    programs::{Bare, Front},
    progress::Progress,
    report::Row,
};

/// Between two switches: more than it takes to tell which of them a frame met.
const CALM: Duration = Duration::from_millis(4);
/// Exchanges of a program by another one, to compare.
const EXCHANGES: usize = 10;

/// Bare links: milliseconds of each.
#[derive(Debug, Default)]
struct Times {
    attach: Vec<f64>,
    exchange: Vec<f64>,
    detach: Vec<f64>,
}

/// Bare programs at a pair of ports of which fastbridge knows nothing: redirects at TC, and in XDP in front of it.
pub(super) fn bare(
    lab: &Lab,
    kind: Kind,
    stream: &mut Stream,
    switches: usize,
    progress: &Progress,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let (host, [from, to]) = (lab.host(), kind.bare_ports());
    let _tc = Bare::tc(host, from, to)?;
    let mut front = Front::new(host, from, to)?;
    let mut times = Times::default();
    progress.step(&format!("bare programs, {}", kind.name()));
    let verdict = stream.during(|clock| {
        let mut done = Vec::new();
        for _ in 0..switches {
            let begun = clock.elapsed();
            times.attach.push(front.attach(host)?.as_secs_f64() * 1e3);
            done.push(Switch { to_xdp: true, begun });
            thread::sleep(CALM);
            let begun = clock.elapsed();
            times.detach.push(front.detach().as_secs_f64() * 1e3);
            done.push(Switch { to_xdp: false, begun });
            thread::sleep(CALM);
        }
        Ok(done)
    })?;
    front.attach(host)?;
    for _ in 0..EXCHANGES.min(switches) {
        times.exchange.push(front.exchange()?.as_secs_f64() * 1e3);
    }
    let what = format!("{}, a bare link", kind.name());
    rows.push(Row::figure(&format!("{what}: XDP attached where TC is"), "ms", &times.attach));
    rows.push(Row::figure(&format!("{what}: its program exchanged in place"), "ms", &times.exchange));
    rows.push(Row::figure(&format!("{what}: XDP detached"), "ms", &times.detach));
    told(&what, &verdict, rows);
    Ok(())
}

/// fastbridge, told so by its file.
pub(super) fn reloaded(
    hooked: &Hooked<'_>,
    kind: Kind,
    stream: &mut Stream,
    switches: usize,
    progress: &Progress,
    rows: &mut Vec<Row>,
) -> Result<()> {
    let [from, to] = kind.ports();
    let mut times = [Vec::new(), Vec::new()];
    progress.step(&format!("fastbridge, {}", kind.name()));
    let before = hooked.forwarded(from)?;
    let verdict = stream.during(|clock| {
        let mut done = Vec::new();
        for _ in 0..switches {
            for (to_xdp, ports) in [(true, &[from, to][..]), (false, &[])] {
                let begun = clock.elapsed();
                times[usize::from(!to_xdp)].push(hooked.set_xdp(ports, from)?.as_secs_f64() * 1e3);
                done.push(Switch { to_xdp, begun });
                thread::sleep(CALM);
            }
        }
        Ok(done)
    })?;
    let forwarded = hooked.forwarded(from)? - before;
    let what = format!("{}, fastbridge", kind.name());
    rows.push(Row::figure(&format!("{what}: hook tc to xdp, file to kernel"), "ms", &times[0]));
    let note = format!("fastbridge forwarded {forwarded} frames meanwhile");
    rows.push(Row::figure(&format!("{what}: hook xdp to tc, file to kernel"), "ms", &times[1]).note(note));
    told(&what, &verdict, rows);
    Ok(())
}

fn told(what: &str, verdict: &Verdict, rows: &mut Vec<Row>) {
    let Verdict { calm, to_xdp, to_tc, unread } = verdict;
    rows.push(Row::figure(&format!("{what}: longest silence without a switch"), "ms", &calm.silences));
    for (way, harm) in [("TC to XDP", to_xdp), ("XDP to TC", to_tc)] {
        let Harm { sent, lost, doubled, overtaken, silences } = harm;
        if *unread > 0 {
            let why = format!("the reader did not get to run in time for {unread} frames, so nobody knows");
            rows.push(Row::skip(&format!("{what}, {way}: frames lost"), &why));
            continue;
        }
        let note = format!("{sent} sent around {} switches; {overtaken} overtaken, {doubled} doubled", silences.len());
        rows.push(Row::figure(&format!("{what}, {way}: frames lost"), "frames", &[*lost as f64]).note(note));
        rows.push(Row::figure(&format!("{what}, {way}: longest silence"), "ms", silences));
    }
}
