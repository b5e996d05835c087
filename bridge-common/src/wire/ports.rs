//! The well-known ports that a decision looks at, whatever the rules say.

/// DHCPv4 (RFC 2131, 4.1).
pub const DHCP_SERVER: u16 = 67;
/// DHCPv4.
pub const DHCP_CLIENT: u16 = 68;
/// DHCPv6 (RFC 8415, 7.2).
pub const DHCP6_CLIENT: u16 = 546;
/// DHCPv6.
pub const DHCP6_SERVER: u16 = 547;

/// UDP destination ports of tunnels whose *inner* checksum may be a partial one: VXLAN, Linux's old VXLAN, Geneve, and
/// VXLAN-GPE's neighbour (design section 3).
const TUNNELS: [u16; 4] = [4789, 8472, 6081, 4754];

/// Whether UDP to this port may be a tunnel.
#[inline(always)]
pub fn is_tunnel(port: u16) -> bool {
    TUNNELS.contains(&port)
}

/// Whether UDP over IPv4 between these ports may be DHCP.
#[inline(always)]
pub fn may_be_dhcp(sport: u16, dport: u16) -> bool {
    let known = |port| matches!(port, DHCP_SERVER | DHCP_CLIENT);
    known(sport) || known(dport)
}
