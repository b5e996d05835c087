//! The entry points: one file for each kind of program, each ending in an exhaustive match.

mod tc;
mod xdp;

use bridge_common::{
    abi::{Counted, Drop, Punt},
    decide::{Decision, Scratch, Verdict, commit},
};

use crate::tables::Maps;

/// Carries out what an ingress decision entails and gives the final verdict.
#[inline(always)]
fn settle(decision: &Decision, scratch: &Scratch) -> Verdict {
    match (decision.verdict, commit(&Maps, scratch)) {
        (_, Err(reason)) => Verdict::Drop(reason),
        (Verdict::Punt(Punt::UnknownSource), Ok(Some(reason))) => Verdict::Punt(reason),
        (verdict, Ok(_)) => verdict,
    }
}

/// How a final verdict counts.
#[inline(always)]
fn counted(verdict: Verdict) -> Counted {
    match verdict {
        Verdict::Forward { .. } => Counted::Forward,
        Verdict::Punt(reason) => Counted::Punt(reason),
        Verdict::Drop(reason) => Counted::Drop(reason),
    }
}

/// The flow table was full after all: an egress frame dies of it.
#[inline(always)]
fn egress_counted(result: Result<Option<Punt>, Drop>) -> Counted {
    match result {
        Ok(_) => Counted::EgressPass,
        Err(reason) => Counted::EgressDrop(reason),
    }
}
