//! A policy as OpenFlow rules for a bridge that switches: what is allowed goes to `NORMAL`, what needs a flow to Open vSwitch's conntrack.

use anyhow::{Result, bail};

use super::{Policy, Rule};

/// Above all rules: what is never judged.
const CONTROL: u32 = 2000;
const FIRST_RULE: u32 = 1000;
const LAST: u32 = 1;

/// The flows, one a line, as `ovs-ofctl add-flows` reads them.
pub(crate) fn text(policy: &Policy) -> Result<String> {
    let mut text = format!("table=0,priority={CONTROL},arp,actions=NORMAL\n");
    for (rule, priority) in policy.directed().zip((LAST + 1..=FIRST_RULE).rev()) {
        text += &format!("table=0,priority={priority},{}\n", flow(policy, &rule)?);
    }
    // Answers, and whatever no rule names.
    text += &format!("table=0,priority={LAST},ip,actions=ct(table=1)\n");
    text += "table=1,priority=1,ct_state=+trk+est-new,ip,actions=NORMAL\n";
    Ok(text + "table=1,priority=0,actions=drop\ntable=0,priority=0,actions=drop\n")
}

/// Frames that the flows of a dump (`ovs-ofctl dump-flows`) which drop have met.
pub(crate) fn denied(dump: &str) -> u64 {
    let drops = dump.lines().filter(|line| line.contains("actions=drop"));
    let packets = |line: &str| line.split("n_packets=").nth(1)?.split(',').next()?.parse::<u64>().ok();
    drops.filter_map(packets).sum()
}

fn flow(policy: &Policy, rule: &Rule) -> Result<String> {
    let mut matched = match rule.proto.as_deref() {
        None => String::from("ip"),
        Some(proto @ ("tcp" | "udp" | "icmp")) if rule.ports.is_empty() => proto.to_owned(),
        Some(_) => bail!("ports are not written as OpenFlow rules here"),
    };
    for (word, zone) in [("nw_src", &rule.from), ("nw_dst", &rule.to)] {
        match policy.prefixes(zone)? {
            None => {}
            Some([one]) => matched += &format!(",{word}={one}"),
            Some(_) => bail!("zones of many prefixes are not written as OpenFlow rules here"),
        }
    }
    let actions = if rule.stateful { "ct(commit),NORMAL" } else { "NORMAL" };
    Ok(format!("{matched},actions={actions}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::topology::Topology;

    #[test]
    fn the_first_rule_has_the_highest_priority() {
        let policy = Policy::of(&Topology::default().text().unwrap()).unwrap();
        let text = text(&policy).unwrap();
        let rules: Vec<_> = text.lines().skip(1).take(2).collect();
        assert_eq!(rules[0], "table=0,priority=1000,ip,nw_src=10.17.0.0/16,nw_dst=10.17.0.0/16,actions=NORMAL");
        assert!(rules[1].starts_with("table=0,priority=999,"));
        assert!(text.contains("ip,nw_src=10.17.0.0/16,actions=ct(commit),NORMAL"));
    }

    #[test]
    fn dropped_frames_are_summed() {
        let dump = " cookie=0x0, n_packets=7, n_bytes=1, arp actions=NORMAL\n n_packets=3, n_bytes=9, priority=0 actions=drop\n";
        assert_eq!(denied(dump), 3);
    }
}
