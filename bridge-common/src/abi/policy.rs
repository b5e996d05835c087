//! The lowered policy: what user space makes of zones and rules, in a form with no loop over rules.
//!
//! An address gives a zone by longest prefix; the pair (from, to) gives a [`Pair`]; a pair whose decision depends on
//! protocol or port names a *class*, and (class, protocol, port) gives the rule by longest prefix. Pairs with the same
//! rules share a class, so that the tables stay small whatever the number of zones.

use super::maps::ZONED_CELLS;

/// Zone of an address: the number in the low 16 bits (0 = in no zone), [`ZONE_HOST`] above.
pub type ZoneEntry = u32;
/// The address is one of the host's own.
pub const ZONE_HOST: ZoneEntry = 1 << 16;

/// The zone of an IPv4 address as a trie gave it, for as long as generation and epoch last: addresses come again, and a trie of many prefixes lies in
/// many cache lines. All zeros: of no address, as nothing is kept under epoch 0.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zoned {
    /// The address as it lies in memory, the generation above; and [`Self::zone`] scattered over it, so that words of two zones never fit together.
    pub of: u64,
    /// [`ZoneEntry`], the low half of [`super::Control::Epoch`] above.
    pub zone: u64,
}
const _: () = assert!(size_of::<Zoned>() == 16);

impl Zoned {
    /// What is kept of a look-up.
    #[inline(always)]
    pub const fn new(addr: u32, generation: u32, epoch: u32, entry: ZoneEntry) -> Self {
        let zone = entry as u64 | (epoch as u64) << 32;
        Self { of: (addr as u64 | (generation as u64) << 32) ^ scattered(zone), zone }
    }

    /// Where it lies in a CPU's cells.
    #[inline(always)]
    pub const fn index(addr: u32) -> u32 {
        addr.wrapping_mul(0x9e37_79b1) >> (u32::BITS - ZONED_CELLS.trailing_zeros())
    }

    /// The zone, if it is that of this address under these two.
    #[inline(always)]
    pub const fn get(self, addr: u32, generation: u32, epoch: u32) -> Option<ZoneEntry> {
        let of = self.of ^ scattered(self.zone);
        let same = of == addr as u64 | (generation as u64) << 32 && self.zone >> 32 == epoch as u64;
        if same && epoch != 0 { Some(self.zone as ZoneEntry) } else { None }
    }
}

/// Words that differ little give words that differ much.
#[inline(always)]
const fn scattered(word: u64) -> u64 {
    word.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A decided rule in one word: slot in bits 0..16 (0 = the default), then the `RULE_*` bits.
pub type RuleWord = u32;
/// The frame may pass.
pub const RULE_ALLOW: RuleWord = 1 << 16;
/// An allowed frame opens a flow, whose exact reverse passes.
pub const RULE_STATEFUL: RuleWord = 1 << 17;
/// Only as the value of a port-less key: the decision varies with the port, which this frame does not show.
pub const RULE_NEEDS_PORTS: RuleWord = 1 << 18;
/// Set in every filled word: a zero word means that the map is not filled.
pub const RULE_VALID: RuleWord = 1 << 31;

/// What holds for frames from one zone to another.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pair {
    /// The decision where no class entry says otherwise.
    pub word: RuleWord,
    /// Class to look up in the L4 trie, 0 = none: `word` holds for every protocol.
    pub class: u16,
    /// `PAIR_*` bits.
    pub flags: u16,
}
const _: () = assert!(size_of::<Pair>() == 8);

impl Pair {
    /// From the word that it is in the map.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = word.to_ne_bytes();
        Self {
            word: u32::from_ne_bytes([a, b, c, d]),
            class: u16::from_ne_bytes([e, f]),
            flags: u16::from_ne_bytes([g, h]),
        }
    }
}

/// The opposite direction has a stateful rule: a frame of this pair may be the reverse of a live flow.
pub const PAIR_REVERSE_STATEFUL: u16 = 1;

/// Data of a key of the L4 trie (after the prefix length), compared from the first bit on.
///
/// Layout: class (2, big-endian), protocol (1), port-less marker (1: 0 = has a port, 1 = has none), port (2, big-endian).
/// Prefix lengths: 32 for "this protocol, any port" and for port-less keys, 32 + n for a port prefix of n bits.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct L4Data {
    /// Class, big-endian.
    pub class: [u8; 2],
    /// IP protocol number.
    pub proto: u8,
    /// 0 = the port counts, 1 = the frame has none.
    pub portless: u8,
    /// Destination port, big-endian, 0 when port-less.
    pub port: [u8; 2],
    /// Always 0: the kernel puts the value right behind, and it must be aligned.
    pub pad: [u8; 2],
}
const _: () = assert!(size_of::<L4Data>() == 8);

/// Full length of an [`L4Data`] key in bits, the padding left out.
pub const L4_BITS: u32 = 48;

/// A source address in no zone, seen on a station port: usually a network that the policy forgot.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Zoneless {
    /// Address, IPv4 in the first four bytes and zeros after, wire order.
    pub addr: [u8; 16],
    /// 4 or 6.
    pub family: u32,
}
const _: () = assert!(size_of::<Zoneless>() == 20);

impl Zoneless {
    /// The address.
    pub fn address(&self) -> core::net::IpAddr {
        match self.family {
            4 => core::net::IpAddr::from([self.addr[0], self.addr[1], self.addr[2], self.addr[3]]),
            _ => core::net::IpAddr::from(self.addr),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_that_of_its_address_generation_and_epoch_alone() {
        let kept = Zoned::new(0x1504_110a, 7, 9, ZONE_HOST | 3);
        assert_eq!(kept.get(0x1504_110a, 7, 9), Some(ZONE_HOST | 3));
        assert_eq!([kept.get(0x1604_110a, 7, 9), kept.get(0x1504_110a, 8, 9), kept.get(0x1504_110a, 7, 8)], [None; 3]);
        assert_eq!(Zoned::new(1, 7, 0, 3).get(1, 7, 0), None, "nobody would tell of a change");
        assert_eq!(Zoned::default().get(0, 0, 0), None);
        // Written half over another.
        let other = Zoned::new(0x1604_110a, 7, 9, 5);
        for torn in [Zoned { zone: other.zone, ..kept }, Zoned { of: other.of, ..kept }] {
            assert_eq!([torn.get(0x1504_110a, 7, 9), torn.get(0x1604_110a, 7, 9)], [None; 2]);
        }
    }

    #[test]
    fn addresses_that_count_up_lie_apart() {
        let cells = (0..=u16::MAX).map(|host| {
            let [a, b] = host.to_be_bytes();
            Zoned::index(u32::from_ne_bytes([10, 17, a, b]))
        });
        let mut used = std::vec![0_u32; ZONED_CELLS as usize];
        cells.for_each(|cell| used[cell as usize] += 1);
        assert!(used.iter().all(|&count| (1..=20).contains(&count)), "{:?}", used.iter().max());
    }
}
