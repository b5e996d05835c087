//! Rows of `show fdb` and `show flows`: map entries with their numbers turned into names.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use bridge_common::abi::{
    FLOW_FIN_OPENER, FLOW_FIN_REPLY, FLOW_RESET, Flow, FlowKey, STATION_HOST, STATION_STATIC, Station, StationKey,
};
use serde::Serialize;

use super::{or_dash, table};

const SECOND: u64 = 1_000_000_000;

/// One line of `show fdb`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StationRow {
    /// MAC address, lower case with colons.
    pub mac: String,
    /// VLAN id, 0 = untagged.
    pub vlan: u16,
    /// Port name; `None`: the host, or a port that is gone.
    pub port: Option<String>,
    /// `static`, `learned` or `host`.
    pub kind: &'static str,
    /// Seconds since its last frame; `None`: not seen yet, or not timed.
    pub age_seconds: Option<u64>,
    /// Its name in the topology file.
    pub name: Option<String>,
}

impl StationRow {
    /// A map entry at `now_ns` (CLOCK_MONOTONIC), with the names that its numbers stand for.
    pub fn new(key: &StationKey, station: &Station, now_ns: u64, port: Option<&str>, name: Option<&str>) -> Self {
        let kind = match station.flags {
            flags if flags & STATION_HOST != 0 => "host",
            flags if flags & STATION_STATIC != 0 => "static",
            _ => "learned",
        };
        let [a, b, c, d, e, f] = key.mac;
        Self {
            mac: format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"),
            vlan: key.vlan,
            port: port.map(Into::into),
            kind,
            age_seconds: (station.seen_ns > 0).then(|| now_ns.saturating_sub(station.seen_ns) / SECOND),
            name: name.map(Into::into),
        }
    }
}

/// `show fdb`.
pub fn fdb_table(rows: &[StationRow]) -> String {
    table(
        &["MAC", "VLAN", "PORT", "KIND", "AGE", "NAME"],
        &[1, 4],
        rows.iter().map(|row| {
            vec![
                row.mac.clone(),
                row.vlan.to_string(),
                or_dash(row.port.clone().unwrap_or_default()),
                row.kind.into(),
                row.age_seconds.map_or_else(|| "-".into(), |age| format!("{age}s")),
                or_dash(row.name.clone().unwrap_or_default()),
            ]
        }),
    )
}

/// One line of `show flows`, in the opener's direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FlowRow {
    /// `tcp`, `udp`, `icmp`, `icmpv6`, or the protocol's number.
    pub proto: String,
    /// Opener's address.
    pub src: IpAddr,
    /// Opener's port; ICMP: the identifier.
    pub sport: u16,
    /// The other's address.
    pub dst: IpAddr,
    /// The other's port; ICMP: the request's type.
    pub dport: u16,
    /// The rule that let it in.
    pub rule: String,
    /// The port that opened it.
    pub port: String,
    /// `open` or `closing`.
    pub state: &'static str,
    /// Seconds since its last frame.
    pub idle_seconds: u64,
    /// Seconds until it is forgotten if no frame comes.
    pub expires_seconds: u64,
}

impl FlowRow {
    /// A map entry at `now_ns` (CLOCK_MONOTONIC), with the names that its numbers stand for.
    pub fn new(key: &FlowKey, flow: &Flow, now_ns: u64, rule: &str, port: &str) -> Self {
        let idle = now_ns.saturating_sub(flow.seen_ns);
        let fins = FLOW_FIN_OPENER | FLOW_FIN_REPLY;
        let closing = flow.state & FLOW_RESET != 0 || flow.state & fins == fins;
        let proto = match key.proto {
            1 => "icmp".into(),
            6 => "tcp".into(),
            17 => "udp".into(),
            58 => "icmpv6".into(),
            number => number.to_string(),
        };
        Self {
            proto,
            src: address(key.src, key.family),
            sport: key.sport,
            dst: address(key.dst, key.family),
            dport: key.dport,
            rule: rule.into(),
            port: port.into(),
            state: if closing { "closing" } else { "open" },
            idle_seconds: idle / SECOND,
            expires_seconds: flow.idle_ns(key.proto).saturating_sub(idle) / SECOND,
        }
    }

    /// (source, destination) as people write them.
    fn ends(&self) -> (String, String) {
        match self.proto.as_str() {
            "tcp" | "udp" => {
                (SocketAddr::new(self.src, self.sport).to_string(), SocketAddr::new(self.dst, self.dport).to_string())
            }
            "icmp" | "icmpv6" => {
                (format!("{} id {}", self.src, self.sport), format!("{} type {}", self.dst, self.dport))
            }
            _ => (self.src.to_string(), self.dst.to_string()),
        }
    }
}

fn address(bytes: [u8; 16], family: u8) -> IpAddr {
    match (family, bytes) {
        (4, [a, b, c, d, ..]) => IpAddr::from([a, b, c, d]),
        _ => IpAddr::V6(Ipv6Addr::from(bytes)),
    }
}

/// `show flows`.
pub fn flows_table(rows: &[FlowRow]) -> String {
    let header = ["PROTO", "SOURCE", "DESTINATION", "STATE", "IDLE", "EXPIRES", "RULE", "PORT"];
    table(
        &header,
        &[4, 5],
        rows.iter().map(|row| {
            let (src, dst) = row.ends();
            let seconds = [row.idle_seconds, row.expires_seconds].map(|seconds| format!("{seconds}s"));
            let [idle, expires] = seconds;
            vec![row.proto.clone(), src, dst, row.state.into(), idle, expires, row.rule.clone(), row.port.clone()]
        }),
    )
}
