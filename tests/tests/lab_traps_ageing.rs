//! Row "redirected frames teach OVS nothing" (design section 3): stations whose frames all take the fast path stay known to the slow path
//! after its ageing time, and what keeps them young is delivered nowhere. Real time, the shortest that each slow path takes. Needs root
//! and the binary.
//!
//! Seen to fail without `Manager::refresh`: the slow path forgets both stations. And with a sweep every 10 s whatever the ageing time, as it
//! was at first: the Linux bridge forgot them after 3 s. Without `Class::Refresh` in the egress program the third port receives the frame.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use bridge_tests::capture::Tap;
use bridge_tests::format_mac;
use bridge_tests::frame::{BROADCAST, Eth, Ipv4, Udp, ethertype};
use bridge_tests::lab::{Lab, SlowPath};
use bridge_tests::session::Session;
use bridge_tests::wait_until;

const TOPOLOGY: &str = "[bridge]\nname = \"br0\"\nmanage = [\"vnet*\"]\n[policy]\ndefault = \"allow\"\n";
const REFRESH: [u8; 2] = [0x88, 0xb6];

/// What the slow path knows, as its own tools show it.
fn known(lab: &Lab) -> String {
    match lab.ovs() {
        Some(ovs) => ovs.appctl("fdb/show", &[lab.bridge()]).unwrap(),
        None => lab.host().run("bridge", &["fdb", "show", "br", lab.bridge(), "dynamic"]).unwrap(),
    }
}

struct Talk<'a> {
    session: &'a Session,
    taps: Vec<Tap>,
    sent: u32,
}

impl<'a> Talk<'a> {
    fn begin(session: &'a Session) -> Self {
        let machines = session.lab().machines();
        let taps = machines.iter().map(|machine| Tap::open(machine.netns(), "eth0").unwrap()).collect();
        let mut talk = Self { session, taps, sent: 0 };
        for port in [0, 1] {
            let hello = Eth::new(BROADCAST, talk.mac(port)).payload(ethertype::LOCAL_EXPERIMENTAL, b"hello");
            talk.taps[port].send(&hello).unwrap();
        }
        talk.taps[2].drain(Duration::from_millis(300)).unwrap();
        talk
    }

    fn mac(&self, port: usize) -> [u8; 6] {
        self.session.lab().machines()[port].mac()
    }

    /// A numbered datagram in each direction.
    fn round(&mut self) {
        for (from, to) in [(0, 1), (1, 0)] {
            let packet = Ipv4::new([10, 0, 0, from as u8], [10, 0, 0, to as u8]);
            let packet = packet.carry(&Udp::new(1, 2, &self.sent.to_be_bytes()));
            self.taps[from].send(&Eth::new(self.mac(to), self.mac(from)).ipv4(&packet)).unwrap();
        }
        self.sent += 1;
    }

    /// The numbers that arrived at a port from the other, in order of arrival.
    fn numbers(&mut self, port: usize) -> Vec<u32> {
        let mine = self.mac(port);
        let frames = self.taps[port].drain(Duration::from_millis(100)).unwrap();
        frames.iter().filter(|f| f[..6] == mine).map(|f| u32::from_be_bytes(f[42..46].try_into().unwrap())).collect()
    }
}

fn stays_known(slow_path: SlowPath, ageing: Duration, set: impl FnOnce(&Lab)) {
    let lab = Lab::builder(slow_path).raw_ports(3).build().unwrap();
    set(&lab);
    let session = Session::start(lab, TOPOLOGY).unwrap();
    let mut talk = Talk::begin(&session);
    // Twice the ageing time would be more than enough; Linux bridges look for old entries now and then only.
    let (started, whole) = (Instant::now(), ageing + ageing.min(Duration::from_secs(3)));
    while started.elapsed() < whole {
        talk.round();
        std::thread::sleep(Duration::from_millis(20));
    }
    let shown = known(session.lab());
    for port in [0, 1] {
        assert!(
            shown.contains(&format_mac(talk.mac(port))),
            "{slow_path:?} forgot {}:\n{shown}",
            format_mac(talk.mac(port))
        );
        let expected: Vec<u32> = (0..talk.sent).collect();
        assert_eq!(talk.numbers(port), expected, "{slow_path:?}: lost, doubled or out of order");
    }
    // Neither flooded datagrams nor what keeps the entries young.
    assert_eq!(talk.taps[2].drain(Duration::from_millis(100)).unwrap(), Vec::<Vec<u8>>::new(), "{slow_path:?}");
    let counters = session.counters().unwrap();
    for port in ["vnet0", "vnet1"] {
        assert!(counters.forward(port) + 3 >= u64::from(talk.sent), "{slow_path:?}: {:#}", counters.0);
    }
    assert_eq!(session.manager().errors_in_log(), Vec::<String>::new());
}

#[test]
fn to_the_linux_bridge() {
    stays_known(SlowPath::LinuxBridge, Duration::from_secs(3), |lab| {
        lab.host().ip("link set br0 type bridge ageing_time 300").unwrap();
    });
}

#[test]
fn to_open_vswitch() {
    // 15 s is the least it takes (vswitchd/vswitch.xml, mac-aging-time).
    stays_known(SlowPath::ovs(), Duration::from_secs(15), |lab| {
        lab.ovs().unwrap().vsctl(&["set", "bridge", "br0", "other-config:mac-aging-time=15"]).unwrap();
    });
}

/// When Open vSwitch has no entry it floods the refresh frame. Between asking it and showing it a station it may forget: our egress programs
/// let the frame out nowhere, and it teaches all the same.
#[test]
fn a_refresh_frame_leaves_no_port() {
    let lab = Lab::builder(SlowPath::ovs()).raw_ports(3).build().unwrap();
    let session = Session::start(lab, TOPOLOGY).unwrap();
    let mut talk = Talk::begin(&session);
    talk.round();
    session.lab().flush_fdb().unwrap();
    let mac: String = talk.mac(0).iter().map(|byte| format!("{byte:02x}")).collect();
    let packet = format!("in_port=vnet0,packet={mac}{mac}88b6{},actions=normal", "00".repeat(46));
    session.lab().ovs().unwrap().ofctl(&["packet-out", session.lab().bridge(), &packet]).unwrap();
    let dropped = || session.counters().unwrap().egress_dropped("vnet2", "refresh") > 0;
    wait_until("the flooded frame is dropped", Duration::from_secs(10), dropped).unwrap();
    let shown = known(session.lab());
    assert!(shown.contains(&format_mac(talk.mac(0))), "{shown}");
    for (port, tap) in talk.taps.iter_mut().enumerate() {
        let frames = tap.drain(Duration::from_millis(100)).unwrap();
        assert!(frames.iter().all(|frame| frame[12..14] != REFRESH), "port {port} got one");
    }
}

/// No machine may speak that way itself.
#[test]
fn a_refresh_frame_enters_by_no_port() {
    for slow_path in SlowPath::here() {
        let lab = Lab::builder(slow_path).raw_ports(3).build().unwrap();
        let session = Session::start(lab, TOPOLOGY).unwrap();
        let mut talk = Talk::begin(&session);
        let mac = talk.mac(0);
        talk.taps[0].send(&Eth::new(mac, mac).payload(0x88b6, &[0; 46])).unwrap();
        talk.taps[0].send(&Eth::new(BROADCAST, mac).payload(0x88b6, &[0; 46])).unwrap();
        let seen = talk.taps[2].drain(Duration::from_millis(300)).unwrap();
        assert!(seen.iter().all(|frame| frame[12..14] != REFRESH), "{slow_path:?}: {seen:?}");
        assert_eq!(session.counters().unwrap().dropped("vnet0", "refresh"), 2, "{slow_path:?}");
    }
}
