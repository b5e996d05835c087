//! Guarded ports whose station and addresses only libvirt tells: what it has leased, and what a guest's agent says where that is believed. Real
//! libvirtd and emulated guests; the lease and the agent's words are the test's (see lab/libvirt/network.rs and agent.rs). Needs root,
//! libvirt and QEMU.

#![allow(clippy::unwrap_used)]

use std::net::IpAddr;
use std::time::Duration;

use bridge_tests::fastbridge::Fastbridge;
use bridge_tests::lab::{Guest, GuestSpec, Lab, MachineSpec, SlowPath};
use bridge_tests::site::Site;
use bridge_tests::steady::topology;
use bridge_tests::{Mac, format_mac, wait_until};

/// Emulated guests on a busy machine take their time.
const LIMIT: Duration = Duration::from_secs(60);
const WEB: Mac = [0x52, 0x54, 0, 4, 0, 0x21];
const OWN: &str = "vnet90";
const TARGET: &str = "10.17.4.22";

/// A machine of the lab's own, and libvirt; `vnet0` and its like are guarded.
fn site() -> Site {
    let own = MachineSpec::new("a", OWN).address("10.17.4.22/24");
    let mut lab = Lab::builder(SlowPath::LinuxBridge).machine(own).build().unwrap();
    lab.start_libvirt(&[]).unwrap();
    Site::new(lab, "").unwrap()
}

fn text(site: &Site, believed: bool) -> String {
    let uri = site.lab.libvirt().unwrap().uri();
    topology(
        "",
        &format!("[[port]]\nmatch = \"vnet?\"\nguard = true\n[libvirt]\nuri = \"{uri}\"\nguest_agent = {believed}"),
    )
}

fn started(site: &Site, spec: &GuestSpec) -> (Guest, String) {
    let guest = site.lab.libvirt().unwrap().create(spec).unwrap();
    guest.await_boot().unwrap();
    let tap = site.lab.libvirt().unwrap().tap(spec.name(), WEB).unwrap();
    (guest, tap)
}

fn guarded(site: &Site, tap: &str) -> u64 {
    let verdicts = site.verdicts(tap).unwrap();
    verdicts.dropped("guard-ip") + verdicts.dropped("guard-arp")
}

/// Whether an echo request from this address of the guest's is answered.
fn pings(guest: &Guest, from: &str) -> bool {
    guest.run(&format!("ping -c1 -W2 -I {from} {TARGET}")).unwrap().1 == 0
}

fn may(guest: &Guest, from: &str) {
    wait_until(&format!("the guest may use {from}"), LIMIT, || pings(guest, from)).unwrap();
}

/// Not only unanswered: the guard dropped it.
fn may_not(site: &Site, guest: &Guest, tap: &str, from: &str) {
    let before = guarded(site, tap);
    assert!(!pings(guest, from), "{from} is not the guest's");
    assert!(guarded(site, tap) > before, "{from}: {:?}", site.verdicts(tap));
}

fn done(site: &Site, manager: Fastbridge) {
    assert_eq!(manager.errors_in_log(), Vec::<String>::new());
    drop(manager);
    site.control().detach().unwrap();
    assert_eq!(site.remains().unwrap(), Vec::<String>::new());
}

#[test]
fn a_guest_may_use_what_libvirt_has_leased_to_it() {
    let site = site();
    site.write(&text(&site, false)).unwrap();
    let libvirt = site.lab.libvirt().unwrap();
    libvirt.define_network("lan").unwrap();
    let manager = site.start().unwrap();
    // A name that libvirt allows.
    let spec = GuestSpec::new("w\u{e9}b \u{2603}").mac(WEB).network("lan").address("10.17.4.21/24");
    let (guest, tap) = started(&site, &spec);
    let name = || {
        let fdb = site.control().show("fdb").unwrap();
        let row = fdb.as_array().unwrap().iter().find(|row| row["mac"] == format_mac(WEB).as_str()).cloned();
        row.map(|row| (row["kind"].clone(), row["port"].clone(), row["name"].clone()))
    };
    let told = Some(("static".into(), tap.as_str().into(), "w\\u{e9}b\\u{20}\\u{2603}".into()));
    wait_until("its station is bound", LIMIT, || name() == told)
        .unwrap_or_else(|error| panic!("{error}: {:?}", name()));
    // Nobody has said which addresses are its own.
    may_not(&site, &guest, &tap, "10.17.4.21");

    let lease = |ip: &str| libvirt.set_leases(&[(WEB, ip.parse::<IpAddr>().unwrap())]).unwrap();
    lease("10.17.4.21");
    may(&guest, "10.17.4.21");
    assert_eq!(guest.run("ip addr add 10.17.4.99/24 dev eth0").unwrap().1, 0);
    may_not(&site, &guest, &tap, "10.17.4.99");
    let before = site.verdicts(&tap).unwrap().dropped("guard-mac");
    guest.run("ip link set eth0 address 52:54:00:04:00:66; ping -c1 -W2 10.17.4.22; ip link set eth0 address 52:54:00:04:00:21").unwrap();
    assert!(site.verdicts(&tap).unwrap().dropped("guard-mac") > before, "{:?}", site.verdicts(&tap));

    // Another lease: the old address is somebody else's.
    lease("10.17.4.99");
    may(&guest, "10.17.4.99");
    may_not(&site, &guest, &tap, "10.17.4.21");
    // A lease of another guest's is none of this one's.
    libvirt.set_leases(&[([0x52, 0x54, 0, 4, 0, 0x77], "10.17.4.99".parse().unwrap())]).unwrap();
    wait_until("the lease is gone", LIMIT, || !pings(&guest, "10.17.4.99")).unwrap();
    may_not(&site, &guest, &tap, "10.17.4.99");
    done(&site, manager);
}

#[test]
fn an_agents_word_counts_only_where_it_is_believed() {
    let site = site();
    site.write(&text(&site, false)).unwrap();
    let manager = site.start().unwrap();
    let spec = GuestSpec::new("web 1").mac(WEB).agent().address("10.17.4.21/24");
    let (guest, tap) = started(&site, &spec);
    guest.start_agent(WEB, &["10.17.4.21"]).unwrap();
    let asked = || site.lab.libvirt().unwrap().virsh(&["domifaddr", "web 1", "--source", "agent"]).unwrap_or_default();
    wait_until("libvirt hears the agent", LIMIT, || asked().contains("10.17.4.21")).unwrap();
    let guard_is_on = || site.control().show("ports").unwrap()["ports"][&tap]["attached"] == true;
    wait_until("the port is guarded", LIMIT, guard_is_on).unwrap();
    // More than one look at libvirt later.
    std::thread::sleep(Duration::from_secs(5));
    may_not(&site, &guest, &tap, "10.17.4.21");
    drop(manager);

    site.write(&text(&site, true)).unwrap();
    let manager = site.start().unwrap();
    may(&guest, "10.17.4.21");
    assert_eq!(guest.run("ip addr add 10.17.4.99/24 dev eth0").unwrap().1, 0);
    may_not(&site, &guest, &tap, "10.17.4.99");
    done(&site, manager);
}
