//! The loaded programs under BPF_PROG_TEST_RUN, with the kernel's maps filled from a [`Setup`] before each frame.
//!
//! Every interface of the world exists in a namespace of its own, under its index. Times are shifted to the kernel's
//! clock on the way in and back on the way out.

use std::collections::BTreeMap;

use aya::Ebpf;
use aya::maps::of_maps::ArrayOfMaps;
use aya::maps::xdp::DevMap;
use aya::maps::{Array, HashMap, LpmTrie, MapData, PerCpuArray};
use aya::programs::{SchedClassifier, TestRun as _, TestRunOptions, Xdp};
use bridge_common::abi::maps::{self, Limits};
use bridge_common::abi::{
    CELLS, Cell, Control, Counted, Flow, FlowKey, GuardKey, L4Data, Pair, Plain, Port, PortCounters, Station,
    StationKey, Usage, VlanSet, Zoneless,
};
use bridge_tests::model::{Action, Counts, Generation, Setup};
use bridge_tests::netns::Netns;
use bridge_user::dataplane::object::{self, LoadOptions};

use super::case::{At, Program, Step};
use super::clock::{Clock, now};
use super::context;
use super::world::INTERFACES;

/// Slots that cases use.
pub(super) const SLOT_COUNT: u16 = 16;
const RULE_COUNT: u32 = 17;
pub(super) const LIMITS: Limits =
    Limits { stations: 64, stations_per_port: 4, ports: 16, flows: 64, prefixes: 64, zones: 8, rules: 16 };

/// A map key or value, byte by byte.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Pod<T>(pub T);
// SAFETY: `Plain` promises a `repr(C)` type without padding of which every bit pattern is valid.
unsafe impl<T: Plain> aya::Pod for Pod<T> {}

pub(super) type Trie<K> = LpmTrie<MapData, K, u32>;
pub(super) type Pairs = Array<MapData, Pod<Pair>>;

/// What a program did to a frame.
pub struct Ran {
    pub action: Action,
    pub counts: Counts,
    pub after: Setup,
    /// The verdict that the program recorded: slot and cell.
    pub recorded: Option<(u16, usize)>,
    pub frame: Vec<u8>,
}

/// Programs and maps. Live and use it on a thread that is inside its namespace.
pub struct Kernel {
    pub(super) ebpf: Ebpf,
    pub(super) control: Array<MapData, u64>,
    epoch_map: Array<MapData, u64>,
    /// [`Control::Moves`] and [`Control::FlowChanges`].
    words: [Array<MapData, u64>; 2],
    pub(super) slots: HashMap<MapData, u32, u32>,
    pub(super) near: Array<MapData, u32>,
    pub(super) ports: Array<MapData, Pod<Port>>,
    pub(super) vlans: Array<MapData, Pod<VlanSet>>,
    pub(super) beside: Array<MapData, u32>,
    pub(super) fdb: HashMap<MapData, Pod<StationKey>, Pod<Station>>,
    pub(super) guard: HashMap<MapData, Pod<GuardKey>, u32>,
    pub(super) zones4: ArrayOfMaps<MapData, Trie<[u8; 4]>>,
    pub(super) zones6: ArrayOfMaps<MapData, Trie<[u8; 16]>>,
    pub(super) pairs: ArrayOfMaps<MapData, Pairs>,
    pub(super) l4: ArrayOfMaps<MapData, Trie<Pod<L4Data>>>,
    pub(super) flows: HashMap<MapData, Pod<FlowKey>, Pod<Flow>>,
    pub(super) flowed: Array<MapData, u32>,
    pub(super) used: Array<MapData, Pod<Usage>>,
    pub(super) freed: Array<MapData, Pod<Usage>>,
    pub(super) counters: PerCpuArray<MapData, Pod<PortCounters>>,
    pub(super) rules: PerCpuArray<MapData, Pod<Cell>>,
    pub(super) targets: DevMap<MapData>,
    pub(super) zoneless: HashMap<MapData, Pod<Zoneless>, u32>,
    pub(super) last: PerCpuArray<MapData, u64>,
    pub(super) published: [Option<Generation>; 2],
    /// Descriptors of the arrays that elements are deleted from.
    pub(super) descriptors: Descriptors,
    /// The last epoch that was written.
    pub(super) epoch: u64,
}

#[derive(Clone, Copy)]
pub(super) struct Descriptors {
    pub(super) targets: i32,
    pub(super) outer: [i32; 4],
}

/// A namespace with the world's interfaces.
pub fn namespace(role: &str) -> Netns {
    let netns = Netns::create(&format!("fb{}-0-{role}", std::process::id())).unwrap();
    let links = INTERFACES.map(|index| format!("link add name p{index} index {index} type veth peer name q{index}\n"));
    netns.ip(&links.concat()).unwrap();
    netns
}

macro_rules! take {
    ($ebpf:ident, $name:expr) => {
        $ebpf.take_map(maps::in_object($name)).unwrap().try_into().unwrap()
    };
}

impl Kernel {
    /// Loads maps and programs.
    pub fn load() -> Self {
        let mut ebpf = object::load(LoadOptions { limits: LIMITS, pins: None, record_verdict: true }).unwrap();
        let descriptors = Descriptors {
            targets: context::descriptor(&ebpf, maps::TARGETS),
            outer: [maps::ZONES4, maps::ZONES6, maps::PAIRS, maps::L4].map(|name| context::descriptor(&ebpf, name)),
        };
        Self {
            control: take!(ebpf, maps::CONTROL),
            epoch_map: take!(ebpf, maps::EPOCH),
            words: [take!(ebpf, maps::MOVES), take!(ebpf, maps::FLOW_CHANGES)],
            slots: take!(ebpf, maps::SLOTS),
            near: take!(ebpf, maps::NEAR_SLOTS),
            ports: take!(ebpf, maps::PORTS),
            vlans: take!(ebpf, maps::VLANS),
            beside: take!(ebpf, maps::BESIDE),
            fdb: take!(ebpf, maps::FDB),
            guard: take!(ebpf, maps::GUARD),
            zones4: take!(ebpf, maps::ZONES4),
            zones6: take!(ebpf, maps::ZONES6),
            pairs: take!(ebpf, maps::PAIRS),
            l4: take!(ebpf, maps::L4),
            flows: take!(ebpf, maps::FLOWS),
            flowed: take!(ebpf, maps::FLOWED),
            used: take!(ebpf, maps::USED),
            freed: take!(ebpf, maps::FREED),
            counters: take!(ebpf, maps::COUNTERS),
            rules: take!(ebpf, maps::RULES),
            targets: take!(ebpf, maps::TARGETS),
            zoneless: take!(ebpf, maps::ZONELESS),
            last: take!(ebpf, maps::LAST_VERDICT),
            published: [None, None],
            descriptors,
            epoch: 0,
            ebpf,
        }
    }

    /// One frame on these tables; `None` if the machine took so long that entries would have grown old meanwhile, which
    /// no outcome can be told from.
    pub fn run(&mut self, before: &Setup, step: &Step, program: Program) -> Option<Ran> {
        let clock = Clock { model: before.now_ns, kernel: now() };
        self.fill(before, clock);
        let counted = self.read_counts();
        let (code, frame) = self.execute(step, program);
        if now() - clock.kernel > 800_000_000 {
            return None;
        }
        Some(Ran {
            action: context::action(program, code),
            counts: self.read_counts().since(&counted),
            after: self.read(before, clock),
            recorded: self.recorded(),
            frame,
        })
    }

    /// `first` and right after it, on what that left, `second`: its action and the counters that it moved.
    pub fn run_after(&mut self, before: &Setup, first: &Step, second: &Step, program: Program) -> (Action, Counts) {
        self.fill(before, Clock { model: before.now_ns, kernel: now() });
        self.execute(first, program);
        let counted = self.read_counts();
        let (code, _) = self.execute(second, program);
        (context::action(program, code), self.read_counts().since(&counted))
    }

    /// `step` twice; in between the egress port of the world's slot 2 changes and, if `raise`, the epoch with it.
    pub fn run_changed(
        &mut self,
        before: &Setup,
        step: &Step,
        program: Program,
        raise: bool,
        change: impl Fn(&mut Port),
    ) -> (Action, Action) {
        self.fill(before, Clock { model: before.now_ns, kernel: now() });
        let first = context::action(program, self.execute(step, program).0);
        let mut port = before.ports[&2];
        change(&mut port);
        self.ports.set(2, Pod(port), 0).unwrap();
        if raise {
            self.epoch += 1;
            self.set_control(Control::Epoch as u32, self.epoch);
        }
        (first, context::action(program, self.execute(step, program).0))
    }

    /// A word of `bridge_common::abi::Control`, wherever it lies.
    pub(super) fn set_control(&mut self, word: u32, value: u64) {
        let (array, index) = match word {
            _ if word == Control::Epoch as u32 => (&mut self.epoch_map, 0),
            _ if word == Control::Moves as u32 => (&mut self.words[0], 0),
            _ if word == Control::FlowChanges as u32 => (&mut self.words[1], 0),
            _ => (&mut self.control, word),
        };
        array.set(index, value, 0).unwrap();
    }

    fn execute(&mut self, step: &Step, program: Program) -> (u32, Vec<u8>) {
        let mut out = vec![0; step.frame.len() + 64];
        let (name, context) = match (program, step.at) {
            (Program::Xdp, At::Ingress(ifindex)) => (object::XDP, context::xdp(step.frame.len(), ifindex)),
            (Program::In, At::Ingress(ifindex)) => (object::TC_IN, context::skb(ifindex, 0, step.gso)),
            (_, At::Egress(ifindex, from)) => (object::TC_OUT, context::skb(ifindex, from, step.gso)),
            (Program::Out, At::Ingress(_)) => panic!("an entering frame meets no egress program"),
        };
        let options = TestRunOptions {
            data_in: Some(&step.frame),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            ..TestRunOptions::default()
        };
        let result = match program {
            Program::Xdp => object::program::<Xdp>(&mut self.ebpf, name).unwrap().test_run(options),
            _ => object::program::<SchedClassifier>(&mut self.ebpf, name).unwrap().test_run(options),
        };
        let result = result.unwrap_or_else(|error| panic!("{name} on {:02x?}: {error:?}", step.frame));
        out.truncate(result.data_size_out as usize);
        (result.return_value, out)
    }

    fn read(&self, before: &Setup, clock: Clock) -> Setup {
        let mut after = before.clone();
        after.control[Control::FdbFull as usize] = self.control.get(&(Control::FdbFull as u32), 0).unwrap();
        after.control[Control::Moves as usize] = self.words[0].get(&0, 0).unwrap();
        after.control[Control::FlowChanges as usize] = self.words[1].get(&0, 0).unwrap();
        after.stations = entries(self.fdb.iter(), |station: Station| Station {
            seen_ns: clock.to_model(station.seen_ns),
            ..station
        });
        after.flows = entries(self.flows.iter(), |flow: Flow| Flow { seen_ns: clock.to_model(flow.seen_ns), ..flow });
        let seen = self.zoneless.iter().map(|entry| entry.map(|(key, slot)| (key.0, slot as u16)).unwrap());
        after.zoneless = seen.collect();
        after.beside = (0..SLOT_COUNT).filter(|slot| self.beside.get(&u32::from(*slot), 0).unwrap() != 0).collect();
        for slot in 0..SLOT_COUNT {
            let used = self.used.get(&u32::from(slot), 0).unwrap().0;
            if used != Usage::default() || after.usage.contains_key(&slot) {
                after.usage.insert(slot, used);
            }
            assert_eq!(
                self.freed.get(&u32::from(slot), 0).unwrap().0,
                Usage::default(),
                "only the manager writes FREED"
            );
        }
        after
    }

    fn read_counts(&self) -> Counts {
        let mut counts = Counts::default();
        for slot in 0..=SLOT_COUNT {
            let values = self.counters.get(&u32::from(slot), 0).unwrap();
            let sums = (0..CELLS).map(|cell| sum(values.iter().map(|cpu| cpu.0.cells[cell])));
            for (cell, moved) in sums.enumerate().filter(|(_, sum)| *sum != Cell::default()) {
                let counted = Counted::all().find(|counted| counted.cell() == cell);
                counts.ports.insert((slot, counted.expect("a cell without a name moved")), moved);
            }
        }
        for rule in 0..RULE_COUNT {
            counts.rules.insert(rule, sum(self.rules.get(&rule, 0).unwrap().iter().map(|cpu| cpu.0)));
        }
        counts
    }

    fn recorded(&self) -> Option<(u16, usize)> {
        let word = *self.last.get(&0, 0).unwrap().iter().find(|word| **word >> 63 == 1)?;
        Some(((word >> 16) as u16, usize::from(word as u16)))
    }
}

fn sum(cells: impl Iterator<Item = Cell>) -> Cell {
    cells.fold(Cell::default(), |a, b| Cell { packets: a.packets + b.packets, bytes: a.bytes + b.bytes })
}

fn entries<K: Ord, V, E: std::fmt::Debug>(
    iter: impl Iterator<Item = Result<(Pod<K>, Pod<V>), E>>,
    shift: impl Fn(V) -> V,
) -> BTreeMap<K, V> {
    iter.map(|entry| entry.map(|(key, value)| (key.0, shift(value.0))).unwrap()).collect()
}
