//! What libvirt's NAT networks and the host's firewall did before the repair.

/// The island of freeipa1 and postgresql1, 10.17.3.0/24.
pub(super) const KUBE_02: &str = "virbr2";
/// The island of the masters and workers, 10.17.4.0/24.
pub(super) const KUBE_03: &str = "virbr3";

/// Each island may talk within itself and is masqueraded outwards, but towards another island the gateway rejects (libvirt's
/// LIBVIRT_FWI, which lets answers in), and the host's forward policy drops what remains.
pub(super) const RULESET: &str = r#"
table ip nat {
    chain postrouting {
        type nat hook postrouting priority srcnat;
        ip saddr 10.17.3.0/24 ip daddr != 10.17.3.0/24 masquerade
        ip saddr 10.17.4.0/24 ip daddr != 10.17.4.0/24 masquerade
    }
}
table ip filter {
    chain forward {
        type filter hook forward priority filter; policy drop;
        iifname "virbr2" oifname "virbr2" accept
        iifname "virbr3" oifname "virbr3" accept
        oifname { "virbr2", "virbr3" } ct state established,related accept
        oifname { "virbr2", "virbr3" } reject with icmp type port-unreachable
    }
}
"#;
