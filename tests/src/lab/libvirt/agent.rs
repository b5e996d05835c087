//! A guest's agent in one line of shell: it speaks as much of QEMU's guest agent protocol as libvirt needs to ask for addresses (`guest-sync`,
//! `guest-network-get-interfaces`), and says whatever the test wants said. To libvirt it is an agent like any other.

use crate::{Mac, format_mac};

/// The line; it goes on in the background. libvirt calls once the port is open, and may hang up and call again: until then the port is at its end.
pub(super) fn line(mac: Mac, addresses: &[&str]) -> String {
    let one = |address: &&str| {
        let kind = if address.contains(':') { "ipv6" } else { "ipv4" };
        format!(r#"{{"ip-address-type":"{kind}","ip-address":"{address}","prefix":24}}"#)
    };
    let addresses = addresses.iter().map(one).collect::<Vec<_>>().join(",");
    let mac = format_mac(mac);
    let told = format!(r#"[{{"name":"eth0","hardware-address":"{mac}","ip-addresses":[{addresses}]}}]"#);
    // The number of a guest-sync is the only one in it.
    format!(
        r#"{{ (exec 3<>$(echo /dev/vport*p1); while :; do read -r q <&3 || {{ sleep 1; continue; }}; case "$q" in *guest-sync*) r=$(echo "$q" | tr -dc 0-9);; *guest-network-get-interfaces*) r='{told}';; *) r='{{}}';; esac; echo "{{\"return\":$r}}" >&3; done) </dev/null >/dev/null 2>&1 & }}"#
    )
}
