//! Seeded streams of frames that touch every class a bridge distinguishes: known and unknown unicast, multicast, broadcast, reserved
//! groups, the host's own MACs, frames back to their own port, station moves, tags, illegal sources.

use fastrand::Rng;

use super::payload;
use super::{Step, Stream};
use crate::Mac;
use crate::frame::{BROADCAST, Eth, ethertype};
use crate::lab::{BRIDGE_MAC, Lab, host_side_mac};

/// Stations that send, per port.
const STATIONS_PER_PORT: usize = 6;
/// Stations nobody ever hears of.
const SILENT: usize = 4;

/// What a stream is generated for. The same world and seed give the same stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// How many ports there are.
    pub ports: usize,
    /// The host's own MACs: the bridge's and those of the ports' netdevs.
    pub own: Vec<Mac>,
    /// The longest frame to generate, at most the smallest MTU and 14.
    pub longest: usize,
}

impl World {
    /// The world of a lab's machines.
    #[must_use]
    pub fn of(lab: &Lab) -> Self {
        let ports = lab.machines().iter().map(|machine| host_side_mac(machine.mac()));
        Self { ports: lab.machines().len(), own: ports.chain([BRIDGE_MAC]).collect(), longest: 1514 }
    }
}

/// A MAC with an address of each family.
#[derive(Debug, Clone, Copy)]
pub(super) struct Station {
    pub(super) mac: Mac,
    pub(super) ip: [u8; 4],
    pub(super) ip6: [u8; 16],
}

impl Station {
    /// Subnets by turns: two of the installation, the LAN, and one that is in no zone.
    fn new(port: usize, number: usize) -> Self {
        let host = (port * 16 + number + 10) as u8;
        let network = [[10, 17, 3], [10, 17, 4], [192, 168, 0], [198, 51, 100]][number % 4];
        let mut ip6 = [0; 16];
        ip6[..6].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8, 0, network[2]]);
        ip6[15] = host;
        let mac = [0x02, 0xfb, 0, 0, port as u8, number as u8];
        Self { mac, ip: [network[0], network[1], network[2], host], ip6 }
    }
}

/// A stream of `count` frames.
#[must_use]
pub fn generate(seed: u64, count: usize, world: &World) -> Stream {
    let mut generator = Generator::new(seed, world);
    let steps = (0..count).map(|_| generator.step()).collect();
    Stream { seed, steps }
}

struct Generator<'a> {
    rng: Rng,
    world: &'a World,
    stations: Vec<Station>,
    /// Where each station is now.
    at: Vec<usize>,
    silent: Vec<Station>,
}

impl<'a> Generator<'a> {
    fn new(seed: u64, world: &'a World) -> Self {
        let places = || (0..world.ports).flat_map(|port| (0..STATIONS_PER_PORT).map(move |number| (port, number)));
        Self {
            rng: Rng::with_seed(seed),
            world,
            stations: places().map(|(port, number)| Station::new(port, number)).collect(),
            at: places().map(|(port, _)| port).collect(),
            silent: (0..SILENT).map(|number| Station::new(world.ports, number)).collect(),
        }
    }

    fn step(&mut self) -> Step {
        let sender = self.rng.usize(..self.stations.len());
        if self.rng.u32(..100) == 0 {
            self.at[sender] = self.rng.usize(..self.world.ports);
        }
        let from = self.stations[sender];
        let port = self.at[sender];
        let (to, destination) = self.destination(port);
        let source = self.source(from);
        let eth = self.tags(Eth::new(destination, source));
        let (kind, body) = payload::any(&mut self.rng, &from, &to, destination);
        let mut frame = match kind {
            payload::Kind::Type(ethertype) => eth.payload(ethertype, &body),
            payload::Kind::Llc => eth.llc(0x42, 0x42, 0x03, &body),
            payload::Kind::Snap(ethertype) => eth.snap([0; 3], ethertype, &body),
        };
        frame.truncate(self.world.longest);
        Step { port, frame, denied: false }
    }

    /// A station and the MAC to write: often its own, sometimes one that stands for no station.
    fn destination(&mut self, port: usize) -> (Station, Mac) {
        let to = self.stations[self.rng.usize(..self.stations.len())];
        let mac = match self.rng.u32(..100) {
            0..60 => to.mac,
            60..68 => {
                let silent = self.silent[self.rng.usize(..self.silent.len())];
                return (silent, silent.mac);
            }
            68..74 => BROADCAST,
            74..78 => [0x01, 0x00, 0x5e, self.rng.u8(..128), self.rng.u8(..), self.rng.u8(..)],
            78..82 => [0x33, 0x33, self.rng.u8(..), 0, 0, self.rng.u8(..)],
            82..84 => [0x03, 0xaa, 0, 0, 0, self.rng.u8(..4)],
            84..89 => [0x01, 0x80, 0xc2, 0, 0, self.rng.u8(..0x18)],
            89..93 => self.world.own[self.rng.usize(..self.world.own.len())],
            _ => return self.neighbour(port),
        };
        (to, mac)
    }

    /// A station on the sender's own port.
    fn neighbour(&mut self, port: usize) -> (Station, Mac) {
        let near: Vec<Station> =
            self.stations.iter().zip(&self.at).filter(|(_, at)| **at == port).map(|(s, _)| *s).collect();
        let to = if near.is_empty() { self.stations[0] } else { near[self.rng.usize(..near.len())] };
        (to, to.mac)
    }

    fn source(&mut self, from: Station) -> Mac {
        match self.rng.u32(..300) {
            0 => [0; 6],
            1 => [0x01, 0, 0x5e, 0, 0, 5],
            2 => BROADCAST,
            _ => from.mac,
        }
    }

    fn tags(&mut self, eth: Eth) -> Eth {
        let tci = [0, 5, 5 | 0xe000, 6, 4094][self.rng.usize(..5)];
        match self.rng.u32(..100) {
            0..6 => eth.tag(ethertype::VLAN, tci),
            6 => eth.tag(ethertype::QINQ, tci),
            7 => eth.tag(ethertype::QINQ, tci).tag(ethertype::VLAN, 7),
            8 => eth.tag(ethertype::VLAN, tci).tag(ethertype::VLAN, 7),
            _ => eth,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> World {
        World { ports: 4, own: vec![BRIDGE_MAC], longest: 1514 }
    }

    #[test]
    fn a_seed_gives_the_same_stream_again() {
        assert_eq!(generate(7, 500, &world()), generate(7, 500, &world()));
        assert_ne!(generate(7, 500, &world()), generate(8, 500, &world()));
    }

    #[test]
    fn every_class_of_frame_occurs() {
        let stream = generate(1, 5000, &world());
        let has = |what: &str, test: &dyn Fn(&[u8]) -> bool| {
            assert!(stream.steps.iter().any(|s| test(&s.frame)), "no {what}");
        };
        has("broadcast", &|f| f[..6] == BROADCAST);
        has("reserved group", &|f| f.starts_with(&[1, 0x80, 0xc2, 0, 0]) && f[5] < 16);
        has("own MAC", &|f| f[..6] == BRIDGE_MAC);
        has("silent station", &|f| f[..6] == [0x02, 0xfb, 0, 0, 4, 0]);
        has("odd length", &|f| f.len() % 2 == 1);
        has("header alone", &|f| f.len() == 14);
        has("full size", &|f| f.len() > 1400);
        has("illegal source", &|f| f[6] & 1 == 1);
        for kind in [0x0800_u16, 0x0806, 0x86dd, 0x8100, 0x88a8, 0x8847, 0x8864, 0x88b5] {
            has(&format!("ethertype {kind:04x}"), &|f| f[12..14] == kind.to_be_bytes());
        }
        has("802.3 length", &|f| u16::from_be_bytes([f[12], f[13]]) < 1500);
    }

    #[test]
    fn gratuitous_arps_occur() {
        let frames = || generate(1, 20_000, &world()).steps.into_iter().map(|s| s.frame);
        let arps = || frames().filter(|f| f[..6] == BROADCAST && f[12..14] == [0x08, 0x06]);
        assert!(arps().any(|f| f[21] == 2), "a reply to everybody");
        assert!(arps().any(|f| f[21] == 1 && f[28..32] == f[38..42]), "a request for one's own address");
    }

    #[test]
    fn stations_move() {
        let stream = generate(1, 5000, &world());
        let mac = [0x02, 0xfb, 0, 0, 0, 0];
        let mut ports: Vec<usize> = stream.steps.iter().filter(|s| s.frame[6..12] == mac).map(|s| s.port).collect();
        ports.sort_unstable();
        ports.dedup();
        assert!(ports.len() > 1);
    }
}
