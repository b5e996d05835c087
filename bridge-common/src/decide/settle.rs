//! From a decision to the final verdict and to what is counted: once for the programs and for every host tool.

use super::{Decision, EgressDecision, EgressVerdict, Scratch, TablesMut, Verdict, commit, vlan};
use crate::abi::{Counted, Punt, Zoneless};

/// Carries out what an ingress decision entails and gives the final verdict. Not for a decision that is
/// [`Decision::left_to_tc`]: nothing of it may be carried out.
#[inline(always)]
pub fn settle<T: TablesMut>(tables: &T, decision: &Decision, scratch: &Scratch) -> Verdict {
    if scratch.zoneless {
        note_zoneless(tables, decision.slot, scratch);
    }
    if scratch.beside {
        vlan::note_beside(tables, decision.slot);
    }
    match (decision.verdict, commit(tables, scratch)) {
        (_, Err(reason)) => Verdict::Drop(reason),
        (Verdict::Punt(Punt::UnknownSource), Ok(Some(reason))) => Verdict::Punt(reason),
        (verdict, Ok(_)) => verdict,
    }
}

/// Carries out what an egress decision entails; how the frame counts, `None` if it was judged elsewhere. A frame that
/// counts as [`Counted::EgressDrop`] is dropped, every other goes on.
#[inline(always)]
pub fn settle_egress<T: TablesMut>(tables: &T, decision: &EgressDecision, scratch: &Scratch) -> Option<Counted> {
    let committed = match decision.verdict {
        EgressVerdict::Skip => return None,
        EgressVerdict::Pass | EgressVerdict::Drop(_) => commit(tables, scratch),
    };
    Some(match (decision.verdict, committed) {
        (EgressVerdict::Drop(reason), _) | (_, Err(reason)) => Counted::EgressDrop(reason),
        (_, Ok(_)) => Counted::EgressPass,
    })
}

/// How a final ingress verdict counts.
#[inline(always)]
pub const fn counted(verdict: Verdict) -> Counted {
    match verdict {
        Verdict::Forward { .. } => Counted::Forward,
        Verdict::Punt(reason) => Counted::Punt(reason),
        Verdict::Drop(reason) => Counted::Drop(reason),
    }
}

/// Uplinks see the whole internet; on a station port such an address is one that the policy forgot.
#[inline(never)]
fn note_zoneless<T: TablesMut>(tables: &T, slot: u16, scratch: &Scratch) {
    let ip = &scratch.packet.ip;
    let uplink = tables.port(slot).is_none_or(|port| port.station_limit == u32::MAX);
    if !uplink {
        tables.note_zoneless(&Zoneless { addr: ip.src.0, family: u32::from(ip.family) }, slot);
    }
}
