//! Does no harm: with fastbridge on, every port sends out exactly the frames that the bridge alone would have, had the denied ones never
//! come in; 20,000 random frames, byte for byte, with station moves, flushes of the bridge's table and flapping links, beside each slow
//! path whose ports have no VLANs. Needs root and the binary.
//!
//! Seen to fail: with a parser that wanted four bytes of LLC, and with a moved station's first frame forwarded instead of punted
//! (`learn::source`).

#![allow(clippy::unwrap_used)]

mod differential_case;

use bridge_tests::lab::SlowPath;
use differential_case::{Case, Policy};

/// Percent of the frames into each port.
const LINUX_FORWARDED: u64 = 16;
const OVS_FORWARDED: u64 = 16;

fn linux() -> Case {
    let (ports, hooks) = (vec![None; 4], &["auto", "xdp"]);
    Case {
        slow_path: SlowPath::LinuxBridge,
        ports,
        vlans: &[],
        hooks,
        forwarded_least: LINUX_FORWARDED,
        left_alone: &[],
    }
}

fn ovs() -> Case {
    let (ports, hooks) = (vec![None; 4], &["auto"]);
    Case {
        slow_path: SlowPath::OvsUserspace,
        ports,
        vlans: &[],
        hooks,
        forwarded_least: OVS_FORWARDED,
        left_alone: &[],
    }
}

#[test]
fn beside_the_linux_bridge_allowing_all() {
    linux().compare(Policy::AllowAll);
}

#[test]
fn beside_the_linux_bridge_with_the_reference_policy() {
    linux().compare(Policy::Reference);
}

#[test]
fn beside_ovs_userspace_allowing_all() {
    ovs().compare(Policy::AllowAll);
}

#[test]
fn beside_ovs_userspace_with_the_reference_policy() {
    ovs().compare(Policy::Reference);
}
