//! A policy as a table of nftables' bridge family, as one would write it by hand: a prefix as it is, many as a set of intervals, rules in
//! the file's order. What every bridge must pass comes last, so that no measured frame pays for it.

use anyhow::{Context as _, Result};
use bridge_tests::{
    find_tool,
    lab::{Lab, SlowPath},
    netns::Netns,
};
use serde_json::Value;

use super::{Policy, Rule};

const TABLE: &str = "judge";

/// What a kernel without conntrack for bridges cannot enforce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flows {
    /// Answers pass by `ct state`.
    Tracked,
    /// Only the openers' direction is let through: fewer look-ups than the policy needs.
    Untracked,
}

impl Flows {
    /// What must be said of figures taken so.
    pub(crate) fn remark(self) -> &'static str {
        match self {
            Self::Tracked => "",
            Self::Untracked => "without `ct state`: the kernel has no conntrack for bridges",
        }
    }
}

/// Loads the policy in `host`, for all bridges there.
pub(crate) fn load(host: &Netns, policy: &Policy) -> Result<Flows> {
    let tracks = taken(host, "ct state established,related accept")?;
    let flows = if tracks.is_none() { Flows::Tracked } else { Flows::Untracked };
    host.run_with_input("nft", &["-f", "-"], &text(policy, flows)?)?;
    Ok(flows)
}

/// Why there can be no such policy here: tried in a lab of its own.
pub(crate) fn lacking() -> Result<Option<String>> {
    if let Err(missing) = find_tool("nft") {
        return Ok(Some(missing.to_string()));
    }
    let lab = Lab::builder(SlowPath::LinuxBridge).build()?;
    let refused = taken(lab.host(), "ip protocol udp accept")?;
    Ok(refused.map(|error| format!("the kernel has no nftables for bridges: {error}")))
}

/// What the kernel says to a chain with this rule, if it does not take it.
fn taken(host: &Netns, rule: &str) -> Result<Option<String>> {
    let hook = "type filter hook forward priority 0; policy accept;";
    let table = format!("table bridge probe {{\n  chain forward {{\n    {hook}\n    {rule}\n  }}\n}}\n");
    match host.run_with_input("nft", &["-f", "-"], &table) {
        Ok(_) => host.run("nft", &["delete", "table", "bridge", "probe"]).map(|_| None).context("nft"),
        // Its own syntax is no matter of the kernel's.
        Err(error) if error.to_string().contains("syntax error") => Err(error).context("nft"),
        Err(error) => Ok(error.to_string().lines().next().map(String::from)),
    }
}

/// Frames that its last rule has dropped.
pub(crate) fn denied(host: &Netns) -> Result<u64> {
    let listed = host.run("nft", &["-j", "list", "counter", "bridge", TABLE, "denied"])?;
    let listed: Value = serde_json::from_str(&listed).context("nft wrote no JSON")?;
    let found =
        listed["nftables"].as_array().into_iter().flatten().find_map(|item| item["counter"]["packets"].as_u64());
    found.context("nft tells no counter")
}

/// The table.
fn text(policy: &Policy, flows: Flows) -> Result<String> {
    let mut text = format!("table bridge {TABLE} {{\n  counter denied {{}}\n");
    for zone in policy.zones.iter().filter(|zone| zone.prefixes.len() > 1) {
        let (name, elements) = (&zone.name, zone.prefixes.join(", "));
        text += &format!("  set {name} {{ type ipv4_addr; flags interval; elements = {{ {elements} }}; }}\n");
    }
    text += "  chain forward {\n    type filter hook forward priority 0; policy accept;\n";
    let (plain, stateful): (Vec<_>, Vec<_>) = policy.directed().partition(|rule| !rule.stateful);
    for rule in &plain {
        text += &line(policy, rule)?;
    }
    if flows == Flows::Tracked && !stateful.is_empty() {
        text += "    ct state established,related accept\n";
    }
    for rule in &stateful {
        text += &line(policy, rule)?;
    }
    Ok(text + "    ether type arp accept\n    counter name denied drop\n  }\n}\n")
}

fn line(policy: &Policy, rule: &Rule) -> Result<String> {
    let mut line = String::from("   ");
    for (word, zone) in [("saddr", &rule.from), ("daddr", &rule.to)] {
        match policy.prefixes(zone)? {
            None => {}
            Some([one]) => line += &format!(" ip {word} {one}"),
            Some(_) => line += &format!(" ip {word} @{zone}"),
        }
    }
    match (&rule.proto, &rule.ports[..]) {
        (None, _) => {}
        (Some(proto), []) => line += &format!(" ip protocol {proto}"),
        (Some(proto), ports) => line += &format!(" {proto} dport {{ {} }}", ports.join(", ")),
    }
    Ok(line + " accept\n")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::topology::{Rules, Topology};

    fn of(rules: Rules, flows: Flows) -> String {
        let topology = Topology { rules, ..Topology::default() }.text().unwrap();
        text(&Policy::of(&topology).unwrap(), flows).unwrap()
    }

    #[test]
    fn rules_keep_their_order_and_their_meaning() {
        let text = of(Rules::Reference, Flows::Tracked);
        let chain: Vec<_> = text.lines().skip(4).map(str::trim).collect();
        assert_eq!(
            chain,
            [
                "ip saddr 10.17.0.0/16 ip daddr 10.17.0.0/16 accept",
                "ip saddr 10.17.0.0/16 ip daddr 192.168.0.0/24 accept",
                "ip saddr 192.168.0.0/24 ip daddr 10.17.0.0/16 accept",
                "ip saddr 192.168.0.0/24 ip daddr 192.168.0.0/24 accept",
                "ct state established,related accept",
                "ip saddr 10.17.0.0/16 accept",
                "ip saddr 192.168.0.0/24 accept",
                "ether type arp accept",
                "counter name denied drop",
                "}",
                "}",
            ]
        );
        assert!(!of(Rules::Reference, Flows::Untracked).contains("ct state"));
    }

    #[test]
    fn many_prefixes_are_a_set_and_ports_a_list() {
        assert!(of(Rules::Prefixes(20), Flows::Tracked).contains("ip saddr @many ip daddr @many accept"));
        assert!(of(Rules::Ports, Flows::Tracked).contains("ip daddr 10.17.0.0/16 udp dport { 5000-5999 } accept"));
    }
}
