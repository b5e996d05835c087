//! Decisions as words, every bit of which is written: programs lead them through a map, where the verifier follows no values (and refuses
//! to copy what was not written, as parts of an enum). Must not: be kept, or shared between builds.

use super::{Decision, EgressDecision, EgressVerdict, Retag, Verdict};
use crate::abi::{Drop, Punt};

/// A decision as words.
pub type Words = [u64; 4];

const FORWARD: u8 = 0;
const PUNT: u8 = 1;
const DROP: u8 = 2;
const SKIP: u8 = 3;
const PASS: u8 = 4;

impl Decision {
    /// As words.
    #[inline(always)]
    #[must_use]
    pub const fn to_words(self) -> Words {
        let (kind, reason, to, ifindex, retag) = match self.verdict {
            Verdict::Forward { slot, ifindex, retag } => (FORWARD, 0, slot, ifindex, retag.0),
            Verdict::Punt(reason) => (PUNT, reason as u8, 0, 0, 0),
            Verdict::Drop(reason) => (DROP, reason as u8, 0, 0, 0),
        };
        let flags = self.left_to_tc as u64 | (self.saw_tag as u64) << 1;
        [
            kind as u64 | (reason as u64) << 8 | (to as u64) << 16 | (self.slot as u64) << 32 | flags << 48,
            ifindex as u64,
            retag as u64,
            self.len as u64 | (self.rule as u64) << 32,
        ]
    }

    /// From [`Self::to_words`].
    #[inline(always)]
    #[must_use]
    pub const fn of_words([first, ifindex, retag, last]: Words) -> Self {
        let reason = (first >> 8) as u8;
        let verdict = match first as u8 {
            FORWARD => {
                Verdict::Forward { slot: (first >> 16) as u16, ifindex: ifindex as u32, retag: Retag(retag as u32) }
            }
            PUNT => Verdict::Punt(Punt::of_number(reason)),
            _ => Verdict::Drop(Drop::of_number(reason)),
        };
        Self {
            verdict,
            slot: (first >> 32) as u16,
            left_to_tc: first >> 48 & 1 != 0,
            saw_tag: first >> 49 & 1 != 0,
            len: last as u32,
            rule: (last >> 32) as u32,
        }
    }
}

impl EgressDecision {
    /// As words.
    #[inline(always)]
    #[must_use]
    pub const fn to_words(self) -> Words {
        let (kind, reason) = match self.verdict {
            EgressVerdict::Skip => (SKIP, 0),
            EgressVerdict::Pass => (PASS, 0),
            EgressVerdict::Drop(reason) => (DROP, reason as u8),
        };
        [kind as u64 | (reason as u64) << 8, self.slot as u64, self.len as u64, self.rule as u64]
    }

    /// From [`Self::to_words`].
    #[inline(always)]
    #[must_use]
    pub const fn of_words([first, slot, len, rule]: Words) -> Self {
        let verdict = match first as u8 {
            SKIP => EgressVerdict::Skip,
            PASS => EgressVerdict::Pass,
            _ => EgressVerdict::Drop(Drop::of_number((first >> 8) as u8)),
        };
        Self { verdict, slot: slot as u16, len: len as u32, rule: rule as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_decision_comes_back_as_it_was() {
        let forward = |retag| Verdict::Forward { slot: 0xfedc, ifindex: u32::MAX - 1, retag };
        let verdicts = [Retag::KEEP, Retag::POP, Retag::push(4094)].map(forward).into_iter();
        let punts = Punt::ALL.iter().map(|&reason| Verdict::Punt(reason));
        let drops = Drop::ALL.iter().map(|&reason| Verdict::Drop(reason));
        for verdict in verdicts.chain(punts).chain(drops) {
            for (left_to_tc, saw_tag, rule) in [(false, false, 7), (true, false, u32::MAX), (false, true, 0)] {
                let decision = Decision { verdict, slot: 0xabcd, left_to_tc, saw_tag, len: u32::MAX - 2, rule };
                assert_eq!(Decision::of_words(decision.to_words()), decision);
            }
        }
        let drops = Drop::ALL.iter().map(|&reason| EgressVerdict::Drop(reason));
        for verdict in [EgressVerdict::Skip, EgressVerdict::Pass].into_iter().chain(drops) {
            let decision = EgressDecision { verdict, slot: 0xabcd, len: u32::MAX - 2, rule: u32::MAX };
            assert_eq!(EgressDecision::of_words(decision.to_words()), decision);
        }
    }
}
