//! What a call of each program costs, verdict by verdict, with the tables that a running fastbridge has filled; and how many instructions the
//! verifier looked at. Every cache is warm and nothing of the kernel's own work is in it: the floor of what a frame costs.

use anyhow::{Result, bail};
use bridge_tests::{Mac, frame::BROADCAST};

use super::{
    kind::Kind,
    load::Load,
    site::{Plan, Site},
};
use crate::{
    calls::{Call, Hook},
    frames,
    progress::Progress,
    report::Row,
    topology::Rules,
};

/// Return codes (linux/bpf.h, linux/pkt_cls.h).
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
const XDP_REDIRECT: u32 = 4;
const TC_NEXT: u32 = u32::MAX;
const TC_SHOT: u32 = 2;
/// Also what drops at egress: to an interface that is none.
const TC_REDIRECT: u32 = 7;

/// A verdict, a frame that gets it, and the codes that say so.
struct Case {
    verdict: &'static str,
    frame: Vec<u8>,
    codes: &'static [u32],
}

/// Measures, and adds the rows.
pub(crate) fn measure(quick: bool, progress: &Progress, rows: &mut Vec<Row>) -> Result<()> {
    let (rounds, repeat) = if quick { (3, 1 << 18) } else { (11, 1 << 20) };
    progress.part("program cost: building the lab", 0);
    let mut site = Site::build(&Plan::new(&[Kind::Xdp, Kind::Tc], &[Load::OneFlow]))?;
    let hooks = [
        (Hook::Xdp, "XDP program", Kind::Xdp, 0),
        (Hook::TcIngress, "TC ingress program", Kind::Tc, 0),
        (Hook::TcEgress, "TC egress program", Kind::Tc, 1),
    ];
    let (mut calls, mut measured) = (Vec::new(), Vec::new());
    for (hook, name, kind, end) in hooks {
        let ports = kind.ports();
        let call = Call::find(site.lab().host(), ports[end], hook)?;
        rows.push(verified(name, call.verified));
        let macs = [site.lab().machine(ports[0])?.mac(), site.lab().machine(ports[1])?.mac()];
        measured.extend(cases(hook, macs).into_iter().map(|case| (calls.len(), name, case, Vec::new())));
        calls.push(call);
    }
    progress.part("program cost", (rounds + 1) * measured.len());
    // The first round warms caches.
    for round in 0..=rounds {
        site.prime()?;
        for (call, name, case, times) in &mut measured {
            progress.step(name);
            let (code, took) = calls[*call].run(site.lab().host(), &case.frame, repeat)?;
            if !case.codes.contains(&code) {
                bail!("the {name} says {code} to a frame that is to {}", case.verdict);
            }
            if round > 0 {
                times.push(took.as_nanos() as f64);
            }
        }
    }
    let row = |(_, name, case, times): &(_, _, Case, Vec<f64>)| {
        Row::figure(&format!("one call of the {name}: {}", case.verdict), "ns", times)
    };
    rows.extend(measured.iter().map(row));
    Ok(())
}

fn verified(name: &str, count: Option<u32>) -> Row {
    let what = format!("instructions of the {name} that the verifier looked at");
    match count {
        Some(count) => Row::figure(&what, "", &[f64::from(count)]),
        None => Row::skip(&what, "the kernel does not tell (Linux 5.16 does)"),
    }
}

/// Of frames from one machine to the other.
fn cases(hook: Hook, [from, to]: [Mac; 2]) -> Vec<Case> {
    let rules = Rules::Reference;
    let udp = |load: Load| load.frame(from, to, rules);
    let [forward, punt, drop]: [&[u32]; 3] = match hook {
        Hook::Xdp => [&[XDP_REDIRECT], &[XDP_PASS], &[XDP_DROP]],
        Hook::TcIngress => [&[TC_REDIRECT], &[TC_NEXT], &[TC_SHOT]],
        Hook::TcEgress => [&[], &[TC_NEXT], &[TC_SHOT, TC_REDIRECT]],
    };
    let denied = Case { verdict: "drop", frame: udp(Load::Denied), codes: drop };
    if hook == Hook::TcEgress {
        return vec![Case { verdict: "pass", frame: udp(Load::OneFlow), codes: punt }, denied];
    }
    let broadcast = Load::OneFlow.frame(from, BROADCAST, rules);
    vec![
        Case { verdict: "forward, remembered", frame: udp(Load::OneFlow), codes: forward },
        // Decisions are remembered for TCP and UDP only.
        Case { verdict: "forward, decided anew", frame: frames::echo(from, to, rules), codes: forward },
        Case { verdict: "leave to the bridge", frame: broadcast, codes: punt },
        denied,
    ]
}
