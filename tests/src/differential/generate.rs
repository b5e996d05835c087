//! Seeded streams of frames that touch every class a bridge distinguishes: known and unknown unicast, multicast, broadcast, reserved
//! groups, the host's own MACs, frames back to their own port, station moves, tags, illegal sources.

use fastrand::Rng;

use super::{Entry, Step, Stream, payload, tags};
use crate::Mac;
use crate::frame::{BROADCAST, Eth};
use crate::lab::{BRIDGE_MAC, Lab, Tagging, host_side_mac};

/// Stations that send, per port.
const STATIONS_PER_PORT: usize = 6;
/// Stations nobody ever hears of.
const SILENT: usize = 4;

/// What a stream is generated for. The same world and seed give the same stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// How each port treats tags.
    pub ports: Vec<Tagging>,
    /// The VLANs in which the stations are; none where ports have no VLANs.
    pub vlans: Vec<u16>,
    /// The host's own MACs: the bridge's and those of the ports' netdevs.
    pub own: Vec<Mac>,
    /// The longest frame to generate, at most the smallest MTU and 14.
    pub longest: usize,
}

impl World {
    /// The world of a lab's machines.
    #[must_use]
    pub fn of(lab: &Lab) -> Self {
        let own = lab.machines().iter().map(|machine| host_side_mac(machine.mac())).chain([BRIDGE_MAC]);
        let ports = lab.machines().iter().map(|machine| lab.tagging(machine)).collect();
        Self { ports, vlans: Vec::new(), own: own.collect(), longest: 1514 }
    }

    /// With the stations in these VLANs.
    #[must_use]
    pub fn with_vlans(mut self, vlans: &[u16]) -> Self {
        self.vlans = vlans.to_vec();
        self
    }

    /// The VLANs in which a station behind a port can be.
    fn vlans_at(&self, port: usize) -> Vec<u16> {
        self.vlans.iter().copied().filter(|vlan| self.takes(port, Some(*vlan))).collect()
    }

    /// Whether a station of that VLAN can be behind a port.
    fn takes(&self, port: usize, vlan: Option<u16>) -> bool {
        vlan.is_none_or(|vlan| !self.ports[port].tags_for(vlan).is_empty())
    }
}

/// A MAC with an address of each family.
#[derive(Debug, Clone, Copy)]
pub(super) struct Station {
    pub(super) mac: Mac,
    pub(super) ip: [u8; 4],
    pub(super) ip6: [u8; 16],
    vlan: Option<u16>,
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
        Self { mac, ip: [network[0], network[1], network[2], host], ip6, vlan: None }
    }

    /// Every station of a world. Where there are VLANs, the last of each port has the MAC of the next port's first, in another VLAN.
    fn all(world: &World) -> Vec<Self> {
        let count = world.ports.len();
        let at = |port, number| {
            let vlans = world.vlans_at(port);
            let vlan = vlans.get(number % vlans.len().max(1)).copied();
            Self { vlan, ..Self::new(port, number) }
        };
        let twin = |port| {
            let (own, other) = (at(port, STATIONS_PER_PORT - 1), at((port + 1) % count, 0));
            let elsewhere = world.vlans_at(port).into_iter().find(|vlan| Some(*vlan) != other.vlan);
            elsewhere.map_or(own, |vlan| Self { mac: other.mac, vlan: Some(vlan), ..own })
        };
        let places = (0..count).flat_map(|port| (0..STATIONS_PER_PORT).map(move |number| (port, number)));
        places
            .map(|(port, number)| if number + 1 < STATIONS_PER_PORT { at(port, number) } else { twin(port) })
            .collect()
    }
}

/// A stream of `count` frames.
#[must_use]
pub fn generate(seed: u64, count: usize, world: &World) -> Stream {
    let mut generator = Generator::new(seed, world);
    let steps = (0..count).map(|_| Step::Frame(generator.entry())).collect();
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
        let count = world.ports.len();
        Self {
            rng: Rng::with_seed(seed),
            world,
            stations: Station::all(world),
            at: (0..count * STATIONS_PER_PORT).map(|station| station / STATIONS_PER_PORT).collect(),
            silent: (0..SILENT).map(|number| Station::new(count, number)).collect(),
        }
    }

    fn entry(&mut self) -> Entry {
        let sender = self.rng.usize(..self.stations.len());
        let from = self.stations[sender];
        if self.rng.u32(..100) == 0 {
            let port = self.rng.usize(..self.world.ports.len());
            self.at[sender] = if self.world.takes(port, from.vlan) { port } else { self.at[sender] };
        }
        let port = self.at[sender];
        let (to, destination) = self.destination(port, from.vlan);
        let eth = Eth::new(destination, self.source(from));
        let eth = match from.vlan {
            None => tags::anywhere(&mut self.rng, eth),
            Some(vlan) => tags::within(&mut self.rng, eth, &self.world.ports[port], vlan, &self.world.vlans),
        };
        let (kind, body) = payload::any(&mut self.rng, &from, &to, destination);
        let mut frame = match kind {
            payload::Kind::Type(ethertype) => eth.payload(ethertype, &body),
            payload::Kind::Llc => eth.llc(0x42, 0x42, 0x03, &body),
            payload::Kind::Snap(ethertype) => eth.snap([0; 3], ethertype, &body),
        };
        frame.truncate(self.world.longest);
        Entry { port, frame, denied: false }
    }

    /// A station and the MAC to write: often its own, sometimes one that stands for no station.
    fn destination(&mut self, port: usize, vlan: Option<u16>) -> (Station, Mac) {
        // Of a few, the first in the same VLAN: most frames, not all, go to one.
        let mut picks = std::iter::repeat_with(|| self.stations[self.rng.usize(..self.stations.len())]).take(4);
        let first = picks.next().unwrap_or(self.silent[0]);
        let to = if first.vlan == vlan { first } else { picks.find(|to| to.vlan == vlan).unwrap_or(first) };
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::ethertype;
    use crate::lab::{PortVlan, SlowPath};

    fn world() -> World {
        let ports = vec![Tagging::of(SlowPath::OvsUserspace, None); 4];
        World { ports, vlans: Vec::new(), own: vec![BRIDGE_MAC], longest: 1514 }
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
            assert!(stream.entries().any(|s| test(&s.frame)), "no {what}");
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
        let stream = generate(1, 20_000, &world());
        let arps = || stream.entries().map(|s| &s.frame).filter(|f| f[..6] == BROADCAST && f[12..14] == [0x08, 0x06]);
        assert!(arps().any(|f| f[21] == 2), "a reply to everybody");
        assert!(arps().any(|f| f[21] == 1 && f[28..32] == f[38..42]), "a request for one's own address");
    }

    #[test]
    fn stations_move() {
        let stream = generate(1, 5000, &world());
        let mac = [0x02, 0xfb, 0, 0, 0, 0];
        let mut ports: Vec<usize> = stream.entries().filter(|s| s.frame[6..12] == mac).map(|s| s.port).collect();
        ports.sort_unstable();
        ports.dedup();
        assert!(ports.len() > 1);
    }

    #[test]
    fn every_kind_of_tag_occurs_where_ports_have_vlans() {
        let vlans =
            [PortVlan::Access(5), PortVlan::Access(6), PortVlan::Trunk(vec![5, 6]), PortVlan::NativeTagged(5, vec![6])];
        let ports = vlans.iter().map(|vlan| Tagging::of(SlowPath::OvsUserspace, Some(vlan))).collect();
        let stream = generate(1, 5000, &World { ports, ..world() }.with_vlans(&[5, 6]));
        let tagged = |tpid: u16, tci: u16| {
            let tag = [tpid.to_be_bytes(), tci.to_be_bytes()].concat();
            assert!(stream.entries().any(|entry| entry.frame.get(12..16) == Some(&tag[..])), "no tag {tag:02x?}");
        };
        for tci in [0, 5, 6, 7, 99, 4094, 4095, 0x1000, 0x2000, 0xe000, 0x1005, 0xa005] {
            tagged(ethertype::VLAN, tci);
        }
        [0, 5, 7].into_iter().for_each(|tci| tagged(ethertype::QINQ, tci));
        assert!(
            stream
                .entries()
                .any(|entry| entry.frame[12..14] == [0x81, 0] && entry.frame.get(16..18) == Some(&[0x81, 0]))
        );
        // The same MAC in both VLANs: port 0's last and port 1's first station.
        let mac = [0x02, 0xfb, 0, 0, 1, 0];
        let ports: std::collections::BTreeSet<_> =
            stream.entries().filter(|entry| entry.frame[6..12] == mac).map(|entry| entry.port).collect();
        assert!(ports.contains(&1) && ports.len() > 1, "{ports:?}");
    }
}
