//! Policy generations: a whole new set of inner maps, made live by one store.
//!
//! The inner maps of the other parity are replaced, never changed: programs that still read them keep them alive, and
//! the kernel waits for those programs whenever an outer map changes (`maybe_wait_bpf_programs` in kernel/bpf/syscall.c).

use aya::maps::{Array, LpmTrie, lpm_trie::Key};
use bridge_common::abi::{
    Control,
    maps::{self, L4_ENTRIES, Limits},
};

use super::{
    Pod,
    error::DataplaneError,
    maps::{Maps, Pairs, Trie, failed},
    object::prefix_capacity,
};
use crate::policy::lowered::Lowered;

const BPF_F_NO_PREALLOC: u32 = 1;
/// Inner arrays may have any length (linux/bpf.h).
const BPF_F_INNER_MAP: u32 = 1 << 12;

impl Maps {
    /// Fills the inner maps of `generation`'s parity and makes it live. Before the last store nothing has changed for
    /// any frame.
    pub(super) fn publish(&mut self, generation: u32, policy: &Lowered, limits: &Limits) -> Result<(), DataplaneError> {
        let capacity = prefix_capacity(limits);
        let zones4: Trie<[u8; 4]> = trie(maps::ZONES4, capacity)?;
        let mut zones4 = Filling { trie: zones4, name: maps::ZONES4, limit: "prefixes" };
        for (length, network, entry) in &policy.zones4 {
            zones4.insert(*length, network.octets(), *entry)?;
        }
        let zones6: Trie<[u8; 16]> = trie(maps::ZONES6, capacity)?;
        let mut zones6 = Filling { trie: zones6, name: maps::ZONES6, limit: "prefixes" };
        for (length, network, entry) in &policy.zones6 {
            zones6.insert(*length, network.octets(), *entry)?;
        }
        let l4: Trie<Pod<bridge_common::abi::L4Data>> = trie(maps::L4, L4_ENTRIES)?;
        let mut l4 = Filling { trie: l4, name: maps::L4, limit: "rules" };
        for (length, key, word) in &policy.l4 {
            l4.insert(*length, Pod(*key), *word)?;
        }
        let pairs = pairs(policy)?;
        let index = generation & 1;
        self.zones4.set(index, &zones4.trie, 0).map_err(failed(maps::ZONES4))?;
        self.zones6.set(index, &zones6.trie, 0).map_err(failed(maps::ZONES6))?;
        self.l4.set(index, &l4.trie, 0).map_err(failed(maps::L4))?;
        self.pairs.set(index, &pairs, 0).map_err(failed(maps::PAIRS))?;
        let meta = if index == 0 { Control::MetaEven } else { Control::MetaOdd };
        self.set_control(meta, policy.meta.pack())?;
        self.set_control(Control::Generation, u64::from(generation))
    }
}

fn trie<K: aya::Pod>(name: &'static str, capacity: u32) -> Result<Trie<K>, DataplaneError> {
    LpmTrie::create(capacity, BPF_F_NO_PREALLOC).map_err(failed(name))
}

fn pairs(policy: &Lowered) -> Result<Pairs, DataplaneError> {
    let mut array: Pairs = Array::create(policy.pairs.len() as u32, BPF_F_INNER_MAP).map_err(failed(maps::PAIRS))?;
    for (index, pair) in policy.pairs.iter().enumerate() {
        array.set(index as u32, Pod(*pair), 0).map_err(failed(maps::PAIRS))?;
    }
    Ok(array)
}

struct Filling<K: aya::Pod> {
    trie: Trie<K>,
    name: &'static str,
    limit: &'static str,
}

impl<K: aya::Pod> Filling<K> {
    fn insert(&mut self, length: u32, data: K, value: u32) -> Result<(), DataplaneError> {
        self.trie.insert(&Key::new(length, data), value, 0).map_err(|error| match error {
            aya::maps::MapError::SyscallError(ref call) if call.io_error.raw_os_error() == Some(libc::ENOSPC) => {
                DataplaneError::Full { map: self.name, limit: self.limit }
            }
            error => failed(self.name)(error),
        })
    }
}
