//! Programs that the labs and the tests call, and the packages that carry them.

use crate::process::find;

/// One program.
#[derive(Debug)]
pub(crate) struct Tool {
    /// What is called.
    pub(crate) program: &'static str,
    /// Debian's package.
    pub(crate) deb: &'static str,
    /// The package of Fedora, RHEL and its rebuilds (with EPEL and the NFV SIG).
    pub(crate) rpm: &'static str,
}

const fn tool(program: &'static str, deb: &'static str, rpm: &'static str) -> Tool {
    Tool { program, deb, rpm }
}

/// Every one of them.
pub(crate) const TOOLS: [Tool; 23] = [
    tool("ovs-vswitchd", "openvswitch-switch", "openvswitch"),
    tool("ovsdb-server", "openvswitch-switch", "openvswitch"),
    tool("ip", "iproute2", "iproute"),
    tool("tc", "iproute2", "iproute-tc"),
    tool("iperf3", "iperf3", "iperf3"),
    tool("nft", "nftables", "nftables"),
    tool("ping", "iputils-ping", "iputils"),
    tool("strace", "strace", "strace"),
    tool("tcpdump", "tcpdump", "tcpdump"),
    tool("bpftool", "bpftool", "bpftool"),
    tool("ethtool", "ethtool", "ethtool"),
    tool("promtool", "prometheus", "golang-github-prometheus"),
    tool("nsenter", "util-linux", "util-linux"),
    tool("unshare", "util-linux", "util-linux"),
    tool("mount", "mount", "util-linux"),
    tool("ps", "procps", "procps-ng"),
    tool("sysctl", "procps", "procps-ng"),
    tool("systemd-analyze", "systemd", "systemd"),
    tool("pkg-config", "pkgconf", "pkgconf-pkg-config"),
    tool("libvirtd", "libvirt-daemon", "libvirt-daemon"),
    tool("virsh", "libvirt-clients", "libvirt-client"),
    tool("qemu-system-x86_64", "qemu-system-x86", "qemu-system-x86-core"),
    tool("busybox", "busybox-static", "busybox"),
];

/// Those that are nowhere to be found.
pub(crate) fn missing() -> Vec<&'static Tool> {
    TOOLS.iter().filter(|tool| find(tool.program).is_none()).collect()
}

/// Each package once, in the order given.
pub(crate) fn unique(packages: Vec<&'static str>) -> Vec<&'static str> {
    packages.into_iter().fold(Vec::new(), |mut once, package| {
        if !once.contains(&package) {
            once.push(package);
        }
        once
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_asked_for_once() {
        assert_eq!(unique(vec!["a", "b", "a"]), ["a", "b"]);
    }
}
