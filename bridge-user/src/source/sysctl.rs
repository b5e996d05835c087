//! The few sysctls that matter, of the calling thread's network namespace. They have no event: whoever wants to know reads them again.

use std::fs;

/// What [`Sysctls::read`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sysctls {
    /// See [`bridges_call_netfilter`].
    pub bridges_call_netfilter: bool,
    /// See [`redirects`].
    pub redirects: bool,
}

impl Sysctls {
    /// Reads them, for the bridge of this name.
    pub fn read(bridge: &str) -> Self {
        Self { bridges_call_netfilter: bridges_call_netfilter(), redirects: redirects(bridge) }
    }
}

/// Whether `net.bridge.bridge-nf-call-*` sends the frames of every Linux bridge of this namespace through iptables or
/// nftables. No such files: br_netfilter is not loaded.
pub fn bridges_call_netfilter() -> bool {
    ["iptables", "ip6tables", "arptables"]
        .iter()
        .any(|which| read(&format!("bridge/bridge-nf-call-{which}")).is_some_and(|value| value != "0"))
}

/// Whether the host routes IPv4 and sends ICMP redirects out of the bridge. Either switch is enough (`IN_DEV_TX_REDIRECTS` in
/// linux/inetdevice.h).
pub fn redirects(bridge: &str) -> bool {
    let on = |key: &str| read(key).is_some_and(|value| value == "1");
    let sends = |name: &str| on(&format!("ipv4/conf/{name}/send_redirects"));
    on("ipv4/ip_forward") && (sends("all") || sends(bridge))
}

fn read(key: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/sys/net/{key}")).ok().map(|text| text.trim().to_owned())
}
