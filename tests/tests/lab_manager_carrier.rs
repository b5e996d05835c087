//! A port that loses its carrier: a Linux bridge forgets its stations then, and so do we; what they used of the port's share is free again.
//! Needs root.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bridge_tests::capture::inject;
use bridge_tests::lab::SlowPath;
use bridge_tests::site::Site;
use bridge_tests::steady::{frame, introduce, topology};
use bridge_tests::{Mac, format_mac, wait_until};

const LIMIT: Duration = Duration::from_secs(20);
const STATIC: &str = "52:54:00:00:00:99";
const SHARE: usize = 3;

fn rest() -> String {
    format!("[[station]]\nname = \"bee\"\nmac = \"{STATIC}\"\nport = \"vnet1\"\n[limits]\nstations_per_port = {SHARE}")
}

fn known(site: &Site, mac: &str) -> bool {
    site.control().show("fdb").unwrap().as_array().unwrap().iter().any(|row| row["mac"] == mac)
}

/// So many machines behind vnet1 say something that the policy allows.
fn speak(site: &Site, number: u8, count: usize) -> Vec<Mac> {
    let (a, b) = site.machines().unwrap();
    let macs: Vec<Mac> = (0..count).map(|n| [0x52, 0x54, 0, 7, number, n as u8]).collect();
    let frames: Vec<_> = macs.iter().map(|&mac| frame(mac, a.mac(), true, 0)).collect();
    let frames: Vec<_> = frames.iter().map(Vec::as_slice).collect();
    inject(b.netns(), "eth0", &frames).unwrap();
    macs
}

/// Carrier of vnet1 lost (its machine's end goes down) and back.
fn replug(site: &Site, while_down: impl FnOnce()) {
    let netns = site.lab.machine("b").unwrap().netns();
    netns.ip("link set eth0 down").unwrap();
    while_down();
    netns.ip("link set eth0 up").unwrap();
    site.lab.host().wait_running("vnet1").unwrap();
    netns.wait_running("eth0").unwrap();
    let eligible = || site.control().show("ports").unwrap()["ports"]["vnet1"]["eligible"] == true;
    wait_until("the port takes part again", LIMIT, eligible).unwrap();
}

#[test]
fn a_lost_carrier_forgets_the_stations_behind_it() {
    for slow_path in SlowPath::here() {
        let site = Site::pair(slow_path, &topology("", &rest())).unwrap();
        let manager = site.start().unwrap();
        let (a, b) = site.machines().unwrap();
        introduce(a, b).unwrap();
        let [mac_a, mac_b] = [a, b].map(|machine| format_mac(machine.mac()));
        assert!(known(&site, &mac_a) && known(&site, &mac_b));
        replug(&site, || {
            wait_until("the station is forgotten", LIMIT, || !known(&site, &mac_b)).unwrap();
            assert!(known(&site, &mac_a) && known(&site, STATIC), "{slow_path:?}: only what was learned there goes");
            let before = site.verdicts("vnet0").unwrap();
            inject(a.netns(), "eth0", &[&frame(a.mac(), b.mac(), true, 0)]).unwrap();
            let after = site.verdicts("vnet0").unwrap();
            assert_eq!(after.forward, before.forward, "{slow_path:?}: sent to a port without carrier");
            assert_eq!(after.punted("unknown-destination") - before.punted("unknown-destination"), 1, "{slow_path:?}");
        });
        let before = site.verdicts("vnet0").unwrap().forward;
        let forwards = || {
            introduce(a, b).unwrap();
            site.verdicts("vnet0").unwrap().forward > before
        };
        wait_until("it is learned again, and forwarded to", LIMIT, forwards).unwrap();
        assert_eq!(manager.errors_in_log(), Vec::<String>::new());
        drop(manager);
        site.control().detach().unwrap();
        assert_eq!(site.remains().unwrap(), Vec::<String>::new());
    }
}

/// As many stations as the port may have, again and again: none of the forgotten ones is still counted.
#[test]
fn what_forgotten_stations_used_is_free_again() {
    let site = Site::pair(SlowPath::LinuxBridge, &topology("", &rest())).unwrap();
    let manager = site.start().unwrap();
    for round in 0..4 {
        let macs = speak(&site, round, SHARE);
        let learned = || macs.iter().all(|&mac| known(&site, &format_mac(mac)));
        wait_until(&format!("round {round} is learned"), LIMIT, learned).unwrap();
        assert_eq!(site.verdicts("vnet1").unwrap().punted("station-limit"), 0, "round {round}");
        let usage = site.control().show("ports").unwrap()["ports"]["vnet1"]["stations"].clone();
        assert_eq!(usage, SHARE, "round {round}");
        replug(&site, || {
            wait_until("they are forgotten", LIMIT, || !macs.iter().any(|&mac| known(&site, &format_mac(mac))))
                .unwrap();
        });
    }
    // The limit itself holds.
    speak(&site, 9, SHARE + 2);
    assert_eq!(site.verdicts("vnet1").unwrap().punted("station-limit"), 2);
    drop(manager);
    site.control().detach().unwrap();
}
