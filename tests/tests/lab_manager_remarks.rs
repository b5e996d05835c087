//! What the manager tells of a host that will surprise: addresses in no zone, seen on real traffic, and sysctls that hand bridged frames
//! to netfilter. What it says, and that it stops saying so. Needs root.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bridge_tests::Mac;
use bridge_tests::capture::inject;
use bridge_tests::frame::{Eth, Icmp6, Ipv4, Ipv6, Udp, link_local};
use bridge_tests::lab::{Lab, MachineSpec, SlowPath, kernel};
use bridge_tests::site::Site;
use bridge_tests::steady::{Steady, introduce, topology};
use bridge_tests::wait_until;

const LIMIT: Duration = Duration::from_secs(20);
/// What we must yield to is seen in a second, and a busy machine adds to it; everything is looked at after ten anyway.
const YIELD_LIMIT: Duration = Duration::from_secs(6);
/// Housekeeping comes three times in the ageing time.
const OFTEN: &str = "ageing_time = 3";

fn ways() -> [(SlowPath, &'static str); 3] {
    [(SlowPath::LinuxBridge, "auto"), (SlowPath::LinuxBridge, "xdp"), (SlowPath::ovs(), "auto")]
}

fn remarks(site: &Site) -> Vec<String> {
    let shown = site.control().show("status").unwrap()["remarks"].clone();
    shown.as_array().unwrap().iter().map(|remark| remark.as_str().unwrap().to_owned()).collect()
}

fn seen_on(site: &Site, port: &str) -> Option<String> {
    remarks(site).into_iter().find(|remark| remark.starts_with(&format!("seen on {port} ")))
}

fn site(slow_path: SlowPath, rest: &str) -> Site {
    let ports = ["vnet0", "vnet1", "vnet2"];
    let builder = ports.iter().fold(Lab::builder(slow_path), |lab, port| lab.machine(MachineSpec::raw(port, port)));
    Site::new(builder.build().unwrap(), &topology(OFTEN, rest)).unwrap()
}

/// fd00:`word`::`last`.
fn ip6(word: u8, last: u8) -> [u8; 16] {
    let mut address = [0; 16];
    (address[0], address[3], address[15]) = (0xfd, word, last);
    address
}

/// Speaks from `sources` at a port: a datagram each, to an address of the internal zone.
fn speak(site: &Site, port: &str, to: Mac, sources: &[[u8; 4]], sources6: &[[u8; 16]]) {
    let machine = site.lab.machine(port).unwrap();
    let eth = || Eth::new(to, machine.mac());
    let four = sources.iter().map(|&from| eth().ipv4(&Ipv4::new(from, [10, 17, 4, 22]).carry(&Udp::new(1, 2, b"x"))));
    let six = sources6.iter().map(|&from| eth().ipv6(&Ipv6::new(from, ip6(0x17, 0x22)).carry(&Udp::new(1, 2, b"x"))));
    let frames: Vec<_> = four.chain(six).collect();
    inject(machine.netns(), "eth0", &frames.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
}

/// Denied or not, addresses of either family that no zone holds are named with their port; those in a zone, link-local ones, those of
/// frames that nobody judges, and whatever comes by an uplink are not. A zone for them ends it.
#[test]
fn addresses_in_no_zone_are_named_until_they_have_one() {
    for (slow_path, hook) in ways() {
        let what = format!("{slow_path:?}, {hook}");
        let ports = format!(
            "[[port]]\nmatch = \"vnet2\"\nrole = \"uplink\"\nhook = \"{hook}\"\n[[port]]\nmatch = \"vnet*\"\nhook = \"{hook}\"\n"
        );
        let site = site(slow_path, &ports);
        let manager = site.start().unwrap();
        let xdp = hook == "xdp" || slow_path == SlowPath::OvsUserspace;
        let untold = usize::from(xdp && kernel().unwrap() < (6, 3));
        assert_eq!(remarks(&site).len(), untold, "{what}: {:?}", remarks(&site));
        let remarks = |site| -> Vec<String> {
            remarks(site).into_iter().filter(|remark| !remark.contains("before Linux 6.3")).collect()
        };
        assert_eq!(remarks(&site), Vec::<String>::new(), "{what}");
        let [own, peer] = ["vnet0", "vnet1"].map(|name| site.lab.machine(name).unwrap().mac());
        speak(
            &site,
            "vnet0",
            peer,
            &[[172, 16, 5, 9], [172, 16, 5, 9], [10, 17, 4, 21], [10, 244, 1, 2]],
            &[ip6(0x99, 7), link_local(own)],
        );
        // Neighbour discovery passes unjudged, whoever speaks.
        let machine = site.lab.machine("vnet0").unwrap();
        let solicit = Ipv6::new(ip6(0x98, 1), ip6(0x17, 0x22)).hop_limit(255);
        let solicit = Eth::new(peer, own).ipv6(&solicit.carry(&Icmp6::solicitation(ip6(0x17, 0x22), Some(own))));
        inject(machine.netns(), "eth0", &[&solicit]).unwrap();
        speak(&site, "vnet2", peer, &[[203, 0, 113, 9]], &[]);

        let expected = "seen on vnet0 from addresses in no zone: 10.244.1.2, 172.16.5.9, fd00:99::7; if they belong";
        let all = || seen_on(&site, "vnet0").is_some_and(|told| told.starts_with(expected));
        wait_until("the addresses are told", LIMIT, all)
            .unwrap_or_else(|error| panic!("{error}: {what}: {:?}", seen_on(&site, "vnet0")));
        let told = seen_on(&site, "vnet0").unwrap();
        assert_eq!(remarks(&site), std::slice::from_ref(&told), "{what}");
        // A sweep in the midst of them tells of some; nothing is said twice.
        let logged = || manager.log().iter().filter(|line| line.contains("WARN") && line.contains(&told)).count();
        assert_eq!(logged(), 1, "{what}: {:#?}", manager.log());

        // A zone for two of the three: the third one stays.
        let zone = "[[policy.zone]]\nname = \"pods\"\nprefixes = [\"10.244.0.0/16\", \"fd00:99::/32\"]\n";
        site.write(&topology(OFTEN, &(ports.clone() + zone))).unwrap();
        let fewer = || seen_on(&site, "vnet0").is_some_and(|told| told.contains("zone: 172.16.5.9; if"));
        wait_until("the zone counts", LIMIT, fewer).unwrap();
        site.write(&topology(OFTEN, &(ports + &zone.replace("fd00:99", "172.16.0.0/12\", \"fd00:99")))).unwrap();
        wait_until("nothing is left to tell", LIMIT, || remarks(&site).is_empty()).unwrap();
        assert_eq!(manager.errors_in_log(), Vec::<String>::new(), "{what}");
        drop(manager);
        site.control().detach().unwrap();
        assert_eq!(site.remains().unwrap(), Vec::<String>::new(), "{what}");
    }
}

/// A machine that invents addresses: eight are named and the rest is counted.
#[test]
fn one_remark_names_eight_addresses_and_counts_the_rest() {
    let site = site(SlowPath::LinuxBridge, "");
    let manager = site.start().unwrap();
    let to = site.lab.machine("vnet1").unwrap().mac();
    let sources: Vec<[u8; 4]> = (1..=20).map(|last| [172, 16, 0, last]).collect();
    speak(&site, "vnet0", to, &sources, &[]);
    let all = || seen_on(&site, "vnet0").is_some_and(|told| told.contains("172.16.0.8 and 12 more;"));
    wait_until("all are counted", LIMIT, all).unwrap();
    assert!(!seen_on(&site, "vnet0").unwrap().contains("172.16.0.9"));
    drop(manager);
    site.control().detach().unwrap();
}

/// What was seen on a port goes with the port: the next one in its slot is not blamed.
#[test]
fn another_port_is_not_blamed() {
    let mut site = site(SlowPath::LinuxBridge, "");
    let manager = site.start().unwrap();
    let to = site.lab.machine("vnet1").unwrap().mac();
    speak(&site, "vnet2", to, &[[172, 16, 5, 9]], &[]);
    wait_until("the address is told", LIMIT, || seen_on(&site, "vnet2").is_some()).unwrap();
    site.lab.remove_machine("vnet2").unwrap();
    wait_until("it goes with its port", LIMIT, || remarks(&site).is_empty()).unwrap();
    site.lab.add_machine(MachineSpec::raw("vnet7", "vnet7")).unwrap();
    // It speaks once: before it is policed nobody would see it.
    let policed = || site.control().show("ports").unwrap()["ports"]["vnet7"]["attached"] == true;
    wait_until("it is policed", LIMIT, policed).unwrap();
    speak(&site, "vnet7", to, &[[172, 16, 5, 10]], &[]);
    wait_until("the next sweep", LIMIT, || seen_on(&site, "vnet7").is_some()).unwrap();
    let told = seen_on(&site, "vnet7").unwrap();
    assert!(!told.contains("172.16.5.9"), "{told}");
    drop(manager);
    site.control().detach().unwrap();
}

/// Each of the three sysctls sends bridged frames through netfilter, which may drop or change them. They have no event: the manager looks.
#[test]
fn sysctls_that_hand_frames_to_netfilter_end_forwarding() {
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", "")).unwrap();
    let manager = site.start().unwrap();
    let (a, b) = site.machines().unwrap();
    let eligible = |expected: bool| {
        let ports = site.control().show("ports").unwrap()["ports"].clone();
        ["vnet0", "vnet1"].iter().all(|port| ports[port]["eligible"] == expected)
    };
    for which in ["iptables", "ip6tables", "arptables"] {
        introduce(a, b).unwrap();
        assert!(eligible(true), "before {which}");
        site.lab.host().sysctl(&format!("bridge/bridge-nf-call-{which}"), "1").unwrap();
        wait_until(&format!("bridge-nf-call-{which} is noticed"), YIELD_LIMIT, || eligible(false)).unwrap();
        let shown = site.control().show("ports").unwrap()["ports"]["vnet1"].to_string();
        assert!(shown.contains("bridge-nf-call-"), "{which}: {shown}");
        let before = site.verdicts("vnet0").unwrap();
        let stream = Steady::start(a, b).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let arrived = stream.finish().unwrap();
        assert!(arrived.is_clean(), "{which}: {arrived:?}");
        let after = site.verdicts("vnet0").unwrap();
        assert_eq!(after.forward, before.forward, "{which}: forwarded past netfilter");
        let punted = after.punted("ineligible") - before.punted("ineligible");
        assert_eq!(punted, u64::from(arrived.sent), "{which}");
        site.lab.host().sysctl(&format!("bridge/bridge-nf-call-{which}"), "0").unwrap();
        wait_until(&format!("bridge-nf-call-{which} is off"), YIELD_LIMIT, || eligible(true)).unwrap();
    }
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}
