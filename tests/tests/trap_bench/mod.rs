//! Raw ports with fastbridge on, for the traps of single frames.

#![allow(dead_code, unreachable_pub)] // each file uses a part

use std::time::Duration;

use bridge_tests::Mac;
use bridge_tests::capture::Tap;
use bridge_tests::frame::{BROADCAST, Eth, Ipv4, Udp, ethertype};
use bridge_tests::lab::{Lab, SlowPath};
use bridge_tests::session::Session;

pub const QUIET: Duration = Duration::from_millis(300);

pub fn topology(hook: &str, policy: &str) -> String {
    format!(
        "[bridge]\nname = \"br0\"\nmanage = [\"vnet*\"]\n[[port]]\nmatch = \"vnet*\"\nhook = \"{hook}\"\n[policy]\n{policy}"
    )
}

pub const ALLOW: &str = "default = \"allow\"\n";
pub const INTERNAL: &str = r#"default = "deny"
[[policy.zone]]
name = "internal"
prefixes = ["10.17.0.0/16", "fd00::/16"]
[[policy.rule]]
id = "internal"
from = "internal"
to = "internal"
action = "allow"
"#;

/// Raw ports with fastbridge on, and a capture behind each.
pub struct Bench {
    pub session: Session,
    pub taps: Vec<Tap>,
    pub macs: Vec<Mac>,
}

impl Bench {
    pub fn new(slow_path: SlowPath, ports: usize, topology: &str) -> Self {
        Self::on(Lab::builder(slow_path).raw_ports(ports).build().unwrap(), topology)
    }

    pub fn on(lab: Lab, topology: &str) -> Self {
        let session = Session::start(lab, topology).unwrap();
        let machines = session.lab().machines();
        let taps = machines.iter().map(|machine| Tap::open(machine.netns(), "eth0").unwrap()).collect();
        let macs = machines.iter().map(|machine| machine.mac()).collect();
        let mut bench = Self { session, taps, macs };
        bench.introduce();
        bench
    }

    /// Every station speaks once, to everybody, and then once to the next: all are known and learned by both.
    pub fn introduce(&mut self) {
        for port in 0..self.macs.len() {
            self.send(port, &Eth::new(BROADCAST, self.macs[port]).payload(ethertype::LOCAL_EXPERIMENTAL, b"here I am"));
        }
        self.drain();
    }

    pub fn send(&self, port: usize, frame: &[u8]) {
        self.taps[port].send(frame).unwrap();
    }

    pub fn drain(&mut self) -> Vec<Vec<Vec<u8>>> {
        let first = self.taps[0].drain(QUIET).unwrap();
        let rest = self.taps[1..].iter_mut().map(|tap| tap.drain(Duration::from_millis(20)).unwrap());
        std::iter::once(first).chain(rest).collect()
    }

    /// What arrives at a machine once anything does: on a busy machine that may be later than a quiet moment.
    pub fn arrived(&mut self, machine: usize) -> Vec<Vec<u8>> {
        (0..20).map(|_| self.drain().swap_remove(machine)).find(|frames| !frames.is_empty()).unwrap_or_default()
    }

    pub fn eth(&self, from: usize, to: usize) -> Eth {
        Eth::new(self.macs[to], self.macs[from])
    }

    /// A datagram between two stations of the internal zone.
    pub fn datagram(&self, from: usize, to: usize, body: &[u8]) -> Vec<u8> {
        self.eth(from, to).ipv4(&packet(from, to, body))
    }
}

pub fn packet(from: usize, to: usize, body: &[u8]) -> Vec<u8> {
    let address = |port: usize| [10, 17, 4, 21 + port as u8];
    Ipv4::new(address(from), address(to)).carry(&Udp::new(1000, 2000, body))
}
