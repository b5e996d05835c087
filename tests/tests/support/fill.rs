//! Filling the kernel's maps from a [`Setup`].

use std::collections::BTreeSet;

use aya::maps::{Array, HashMap, LpmTrie, MapData, PerCpuValues, lpm_trie::Key};
use bridge_common::abi::{Control, Flow, FlowKey, FlowedCell, L4Data, OWN_DEVICE, Station, Usage, VlanSet, maps};
use bridge_tests::model::{Generation, Setup};
use bridge_user::dataplane::object;

use super::clock::Clock;
use super::context;
use super::kernel::{Kernel, LIMITS, Pairs, Pod, SLOT_COUNT, Trie};
use super::world::INTERFACES;

const BPF_F_NO_PREALLOC: u32 = 1;
const BPF_F_INNER_MAP: u32 = 1 << 12;

impl Kernel {
    pub(super) fn fill(&mut self, setup: &Setup, clock: Clock) {
        for word in 0..setup.control.len() as u32 {
            let mut value = setup.control[word as usize];
            if word == Control::Heartbeat as u32 {
                value = clock.to_kernel(value);
            }
            if word == Control::Epoch as u32 && value != 0 {
                // Other tables than before, whatever their number.
                self.epoch += 1;
                value = self.epoch;
            }
            self.set_control(word, value);
        }
        clear(&mut self.slots);
        clear(&mut self.fdb);
        clear(&mut self.guard);
        self.clear_flows();
        clear(&mut self.zoneless);
        for (&source, &slot) in &setup.zoneless {
            self.zoneless.insert(Pod(source), u32::from(slot), 0).unwrap();
        }
        // Every other one is found without hashing.
        let ports = setup.slots.iter().map(|(&ifindex, &slot)| (ifindex, u32::from(slot), slot % 2 == 1));
        let own = setup.own.iter().map(|&ifindex| (ifindex, OWN_DEVICE, ifindex % 2 == 1));
        INTERFACES.iter().for_each(|&ifindex| self.near.set(ifindex, 0, 0).unwrap());
        for (ifindex, word, near) in ports.chain(own) {
            match near {
                true => self.near.set(ifindex, word, 0).unwrap(),
                false => self.slots.insert(ifindex, word, 0).unwrap(),
            }
        }
        for (&key, &station) in &setup.stations {
            let station = Station { seen_ns: clock.to_kernel(station.seen_ns), ..station };
            self.fdb.insert(Pod(key), Pod(station), 0).unwrap();
        }
        setup.guard.iter().for_each(|&key| self.guard.insert(Pod(key), 1, 0).unwrap());
        for (&key, &flow) in &setup.flows {
            self.add_flow(key, Flow { seen_ns: clock.to_kernel(flow.seen_ns), ..flow });
        }
        for slot in 0..SLOT_COUNT {
            let index = u32::from(slot);
            self.ports.set(index, Pod(setup.ports.get(&slot).copied().unwrap_or_default()), 0).unwrap();
            let vlans = setup.vlans.get(&slot).copied().unwrap_or(VlanSet::EMPTY);
            self.vlans.set(index, Pod(vlans), 0).unwrap();
            self.beside.set(index, u32::from(setup.beside.contains(&slot)), 0).unwrap();
            self.used.set(index, Pod(setup.usage.get(&slot).copied().unwrap_or_default()), 0).unwrap();
            self.freed.set(index, Pod(Usage::default()), 0).unwrap();
        }
        self.fill_targets(&setup.targets, setup);
        for parity in 0..2 {
            self.publish(parity, &setup.generations[parity]);
        }
        self.last.set(0, PerCpuValues::try_from(vec![0; aya::util::nr_cpus().unwrap()]).unwrap(), 0).unwrap();
    }

    fn add_flow(&mut self, key: FlowKey, flow: Flow) {
        self.flows.insert(Pod(key), Pod(flow), 0).unwrap();
        if let Some(FlowedCell { index, .. }) = FlowedCell::of_flow(&key) {
            let noted = self.flowed.get(&index, 0).unwrap().max(FlowedCell::note(flow.seen_ns));
            self.flowed.set(index, noted, 0).unwrap();
        }
    }

    /// And what is noted of them, the programs' notes too: else there would soon be no pair of addresses without.
    fn clear_flows(&mut self) {
        for key in self.flows.keys().map(Result::unwrap) {
            if let Some(FlowedCell { index, .. }) = FlowedCell::of_flow(&key.0) {
                self.flowed.set(index, 0, 0).unwrap();
            }
        }
        clear(&mut self.flows);
    }

    fn fill_targets(&mut self, targets: &BTreeSet<u16>, setup: &Setup) {
        for slot in 1..SLOT_COUNT {
            match setup.ports.get(&slot).filter(|_| targets.contains(&slot)) {
                Some(port) => self.targets.set(u32::from(slot), port.ifindex, None, 0).unwrap(),
                None => context::delete(self.descriptors.targets, u32::from(slot)),
            }
        }
    }

    fn publish(&mut self, parity: usize, tables: &Option<Generation>) {
        let index = parity as u32;
        if self.published[parity] == *tables {
            return;
        }
        self.published[parity].clone_from(tables);
        let Some(tables) = tables else {
            return self.descriptors.outer.iter().for_each(|&outer| context::delete(outer, index));
        };
        let capacity = object::prefix_capacity(&LIMITS);
        let mut zones4: Trie<[u8; 4]> = LpmTrie::create(capacity, BPF_F_NO_PREALLOC).unwrap();
        tables.zones4.iter().for_each(|&(length, key, entry)| zones4.insert(&Key::new(length, key), entry, 0).unwrap());
        let mut zones6: Trie<[u8; 16]> = LpmTrie::create(capacity, BPF_F_NO_PREALLOC).unwrap();
        tables.zones6.iter().for_each(|&(length, key, entry)| zones6.insert(&Key::new(length, key), entry, 0).unwrap());
        let mut l4: Trie<Pod<L4Data>> = LpmTrie::create(maps::L4_ENTRIES, BPF_F_NO_PREALLOC).unwrap();
        tables.l4.iter().for_each(|&(length, key, word)| l4.insert(&Key::new(length, Pod(key)), word, 0).unwrap());
        let mut pairs: Pairs = Array::create(tables.pairs.len() as u32, BPF_F_INNER_MAP).unwrap();
        tables.pairs.iter().zip(0..).for_each(|(&pair, index)| pairs.set(index, Pod(pair), 0).unwrap());
        self.zones4.set(index, &zones4, 0).unwrap();
        self.zones6.set(index, &zones6, 0).unwrap();
        self.l4.set(index, &l4, 0).unwrap();
        self.pairs.set(index, &pairs, 0).unwrap();
    }
}

fn clear<K: aya::Pod, V: aya::Pod>(map: &mut HashMap<MapData, K, V>) {
    let keys: Vec<K> = map.keys().map(Result::unwrap).collect();
    keys.iter().for_each(|key| map.remove(key).unwrap());
}
