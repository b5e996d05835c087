//! The reference installation, small: Kubernetes masters, a worker, freeipa1, postgresql1, k8s-api-lb, the LAN router and an
//! "internet", before and after the repair. 203.0.113.8 plays 8.8.8.8. Must not know fastbridge: it judges by pings alone.

mod nat;
mod vlans;

use crate::error::Result;
use crate::lab::{Builder, GuestSpec, Lab, MachineSpec, Probe, SlowPath};
use crate::{Mac, format_mac};

pub use vlans::{access_vlans, after_with_vlans};

/// The machines that could not reach the targets.
pub const MASTERS: [&str; 3] = ["master1", "master2", "master3"];

/// The five places the masters must reach: address and what it is.
pub const TARGETS: [(&str, &str); 5] = [
    ("192.168.0.50", "k8s-api-lb"),
    ("10.17.3.11", "freeipa1"),
    ("192.168.0.1", "LAN router"),
    ("203.0.113.8", "the internet"),
    ("192.168.0.55", "the API's virtual address"),
];

/// The host's port towards the LAN.
pub const UPLINK: &str = "eno1";

/// The host's own addresses on `br0`.
pub const HOST_ADDRESSES: [&str; 4] = ["10.17.3.1/24", "10.17.4.1/24", "10.17.5.1/24", "192.168.0.2/24"];

/// The router's MAC on the LAN.
pub const ROUTER_MAC: Mac = [0x52, 0x54, 0, 0, 0, 0x01];

/// Name, host port, address with prefix length.
const MACHINES: [(&str, &str, &str); 6] = [
    ("freeipa1", "vnet0", "10.17.3.11/24"),
    ("postgresql1", "vnet1", "10.17.3.14/24"),
    ("master1", "vnet2", "10.17.4.21/24"),
    ("master2", "vnet3", "10.17.4.22/24"),
    ("master3", "vnet4", "10.17.4.23/24"),
    ("worker1", "vnet5", "10.17.4.24/24"),
];

/// The API load balancer: port and addresses.
const API_LB: (&str, [&str; 3]) = ("vnet6", ["10.17.5.10/24", "192.168.0.50/24", "192.168.0.55/24"]);

/// The machines with their host ports and MACs, all on the lab's one bridge: what a topology file lists.
#[must_use]
pub fn machines() -> Vec<MachineSpec> {
    MACHINES.iter().map(|machine| spec(*machine)).chain([api_lb()]).collect()
}

/// Some of the machines as guests of libvirt: two masters, and the two targets that are machines.
#[must_use]
pub fn guests() -> Vec<GuestSpec> {
    let wanted = ["master1", "master2", "freeipa1", "k8s-api-lb"];
    let specs = machines().into_iter().filter(|spec| wanted.contains(&spec.name()));
    specs.map(|spec| GuestSpec::like(&spec)).collect()
}

fn spec((name, port, address): (&str, &str, &str)) -> MachineSpec {
    let (network, _) = address.rsplit_once('.').unwrap_or((address, ""));
    MachineSpec::new(name, port).mac(mac_of(address)).address(address).gateway(&format!("{network}.1"))
}

/// MACs say the address: 10.17.4.21 has 52:54:00:04:00:21, as `tests/fixtures/reference.toml` lists them.
fn mac_of(address: &str) -> Mac {
    let host = address.split('/').next().unwrap_or(address);
    let mut octets = host.split('.').skip(2);
    let mut next = |radix| octets.next().and_then(|digits| u8::from_str_radix(digits, radix).ok()).unwrap_or_default();
    [0x52, 0x54, 0, next(10), 0, next(16)]
}

fn api_lb() -> MachineSpec {
    let (port, addresses) = API_LB;
    let spec = MachineSpec::new("k8s-api-lb", port).mac(mac_of(addresses[0])).gateway("10.17.5.1");
    addresses.iter().fold(spec, |spec, address| spec.address(address))
}

/// The installation after the repair: every machine and `eno1` on one `br0`, the host routing between the subnets.
pub fn after(slow_path: SlowPath) -> Result<Lab> {
    after_in(Lab::builder(slow_path))
}

/// Like [`after`], in a lab that the caller has begun to describe.
pub fn after_in(builder: Builder) -> Result<Lab> {
    without_machines(machines().into_iter().fold(builder, Builder::machine))
}

/// Like [`after_in`], without its machines: guests take their places (see [`guests`]).
pub fn without_machines(builder: Builder) -> Result<Lab> {
    let mut lab = builder.build()?;
    route_on_host(&lab, &HOST_ADDRESSES)?;
    add_outside(&mut lab, UPLINK)?;
    lab.add_port(UPLINK)?;
    lab.host().ip("route add default via 192.168.0.1")?;
    Ok(lab)
}

/// The installation before the repair: libvirt NAT networks, each an island behind a firewall that rejects or drops.
pub fn before() -> Result<Lab> {
    let island = |name: &str| {
        if name.starts_with("freeipa") || name.starts_with("postgresql") { nat::KUBE_02 } else { nat::KUBE_03 }
    };
    let mut lab = Lab::builder(SlowPath::LinuxBridge).build()?;
    for (number, bridge) in [nat::KUBE_02, nat::KUBE_03].into_iter().enumerate() {
        lab.add_linux_bridge(bridge, [0x52, 0x54, 0, 0xff, 0xfe, number as u8])?;
    }
    for machine in MACHINES {
        lab.add_machine(spec(machine).bridge(island(machine.0)))?;
    }
    lab.add_machine(api_lb())?;
    lab.host().ip(&format!(
        "addr add 10.17.3.1/24 dev {}\naddr add 10.17.4.1/24 dev {}",
        nat::KUBE_02,
        nat::KUBE_03
    ))?;
    route_on_host(&lab, &["10.17.5.1/24", "192.168.0.2/24"])?;
    add_outside(&mut lab, UPLINK)?;
    lab.add_port(UPLINK)?;
    lab.host().ip("route add default via 192.168.0.1")?;
    lab.host().run_with_input("nft", &["-f", "-"], nat::RULESET)?;
    Ok(lab)
}

fn route_on_host(lab: &Lab, addresses: &[&str]) -> Result<()> {
    lab.host().sysctl("ipv4/ip_forward", "1")?;
    no_redirects(lab, lab.bridge())?;
    addresses.iter().try_for_each(|address| lab.host_address(address))
}

/// The host's port routes, and leads nobody around the host.
fn no_redirects(lab: &Lab, port: &str) -> Result<()> {
    ["send_redirects", "rp_filter"]
        .iter()
        .try_for_each(|key| lab.host().sysctl(&format!("ipv4/conf/{port}/{key}"), "0"))
}

/// The LAN's router behind `uplink`, and the internet behind the router.
fn add_outside(lab: &mut Lab, uplink: &str) -> Result<()> {
    lab.add_namespace("router")?;
    lab.add_namespace("internet")?;
    lab.connect(("router", "lan0"), ("host", uplink))?;
    if lab.ovs().is_some() {
        lab.host().sysctl(&format!("ipv4/conf/{uplink}/arp_ignore"), "8")?;
    }
    lab.connect(("router", "wan0"), ("internet", "eth0"))?;
    let router = lab.netns("router")?;
    for key in ["ipv4/conf/all/send_redirects", "ipv4/conf/lan0/send_redirects"] {
        router.sysctl(key, "0")?;
    }
    router.sysctl("ipv4/ip_forward", "1")?;
    router.ip(&format!("link set lan0 address {}", format_mac(ROUTER_MAC)))?;
    router.ip(
        "addr add 192.168.0.1/24 dev lan0\naddr add 203.0.113.1/24 dev wan0\nroute add 10.17.0.0/16 via 192.168.0.2",
    )?;
    lab.netns("internet")?.ip("addr add 203.0.113.8/24 dev eth0\nroute add default via 203.0.113.1")?;
    Ok(())
}

/// Pings all five targets from these machines, each machine in a thread of its own; in the order machines, then targets.
pub fn probe(lab: &Lab, from: &[&str]) -> Result<Vec<Probe>> {
    let per_machine: Vec<Result<Vec<Probe>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = from.iter().map(|name| scope.spawn(|| probe_from(lab, name))).collect();
        threads.into_iter().map(|t| t.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    Ok(per_machine.into_iter().collect::<Result<Vec<_>>>()?.concat())
}

fn probe_from(lab: &Lab, name: &str) -> Result<Vec<Probe>> {
    let machine = lab.machine(name)?;
    TARGETS.iter().map(|(target, _)| machine.ping(target)).collect()
}

/// As [`probe`], for the installation before the repair: what does not show the symptom is tried twice more, as the host may
/// leave out an ICMP error (its limits, and a lock that it does not wait for: net/ipv4/icmp.c).
pub fn probe_before(lab: &Lab, from: &[&str]) -> Result<Vec<Probe>> {
    let mut probes = probe(lab, from)?;
    for probe in &mut probes {
        for _ in 0..2 {
            if !shows_the_symptom(probe) {
                *probe = lab.machine(&probe.from)?.ping(&probe.target)?;
            }
        }
    }
    Ok(probes)
}

/// Whether a probe before the repair shows the symptom the operators saw: freeipa1 is rejected, the rest is lost.
#[must_use]
pub fn shows_the_symptom(probe: &Probe) -> bool {
    let symptom = if probe.target == "10.17.3.11" { "Destination Port Unreachable" } else { "all packets lost" };
    !probe.ok && probe.detail.contains(symptom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_and_addresses_are_those_of_the_reference_topology() {
        let topology = include_str!("../../fixtures/reference.toml");
        let stations: Vec<&str> = topology.split("[[station]]").skip(1).collect();
        let listed = |name: &str, mac: Mac, addresses: &[String]| {
            let named = format!("name = \"{name}\"");
            let station = stations.iter().find(|s| s.contains(&named)).copied().unwrap_or_default();
            assert!(station.contains(&format_mac(mac)), "{name} has not {} in the topology", format_mac(mac));
            for address in addresses {
                let host = address.split('/').next().unwrap_or_default();
                assert!(station.contains(&format!("\"{host}\"")), "{name} has not {host} in the topology");
            }
        };
        for machine in machines() {
            listed(machine.name(), machine.chosen_mac(), machine.addresses());
        }
        listed("router", ROUTER_MAC, &["192.168.0.1".into()]);
    }
}
