//! Topology files for the benchmark: the reference installation, other ports, other policies.

use std::io::Write as _;

use anyhow::{Context as _, Result, bail};
use tempfile::NamedTempFile;

use crate::frames;

static REFERENCE: &str = include_str!("../../tests/fixtures/reference.toml");
const MANAGE: &str = "manage = [\"vnet*\", \"eno1\"]";
const FIRST_ZONE: &str = "prefixes = [\"10.17.0.0/16\"]";
/// The rule that lets the measured traffic pass.
const FIRST_RULE: &str =
    "[[policy.rule]]\nid = \"internal-internal\"\nfrom = \"internal\"\nto = \"internal\"\naction = \"allow\"\n";
/// What machines of a cluster offer each other; the measured traffic is to the last.
const SERVICES: [(&str, &str, &str); 8] = [
    ("ssh", "tcp", "\"22\""),
    ("dns", "udp", "\"53\", \"123\""),
    ("web", "tcp", "\"80\", \"443\""),
    ("api", "tcp", "\"6443\""),
    ("etcd", "tcp", "\"2379-2380\""),
    ("kubelet", "tcp", "\"10250\", \"10256-10259\""),
    ("node-ports", "tcp", "\"30000-32767\""),
    ("media", "udp", "\"5000-5999\""),
];
/// Prefixes of /23 that hold the traffic's addresses, in the midst of the others.
const OWN: usize = 8;
/// The prefixes that the reference policy has.
const REFERENCE_PREFIXES: usize = 2;

/// The policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Rules {
    /// That of the reference installation.
    #[default]
    Reference,
    /// The same with so many prefixes in all, 10 or more, and the traffic between addresses of the new ones.
    Prefixes(usize),
    /// Machines reach each other's services only.
    Ports,
}

impl Rules {
    /// In words.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Reference => "reference policy".into(),
            Self::Prefixes(count) => format!("{count} prefixes"),
            Self::Ports => "L4 rules".into(),
        }
    }

    /// Addresses of two stations that the policy lets talk.
    pub(crate) fn stations(self) -> [[u8; 4]; 2] {
        match self {
            Self::Reference | Self::Ports => [frames::FROM, frames::TO],
            Self::Prefixes(_) => [[100, 0, 16, 21], [100, 0, 16, 22]],
        }
    }

    fn apply(self, text: String) -> String {
        match self {
            Self::Reference => text,
            Self::Ports => {
                let rule = |(id, proto, ports)| {
                    format!("{}proto = \"{proto}\"\nports = [{ports}]\n", FIRST_RULE.replace("internal-internal", id))
                };
                text.replace(FIRST_RULE, &SERVICES.map(rule).join("\n"))
            }
            Self::Prefixes(count) => {
                let own = (0..OWN).map(|n| format!("\"100.0.{}.0/23\"", 16 + 2 * n));
                // From 100.0.32.0 on.
                let others = (32..).map(|n: usize| format!("\"100.{}.{}.0/24\"", n / 256, n % 256));
                let others = others.take(count.saturating_sub(REFERENCE_PREFIXES + OWN));
                let list: Vec<_> = own.chain(others).collect();
                let rule = "[[policy.rule]]\nid = \"many-many\"\nfrom = \"many\"\nto = \"many\"\naction = \"allow\"\n";
                text + &zone(&list) + rule
            }
        }
    }
}

/// A zone `many`.
fn zone(prefixes: &[String]) -> String {
    format!("\n[[policy.zone]]\nname = \"many\"\nprefixes = [{}]\n\n", prefixes.join(", "))
}

/// The reference topology for ports `vnet*`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Topology {
    /// Ports with `hook = "xdp"`.
    pub(crate) xdp: Vec<String>,
    /// What is allowed.
    pub(crate) rules: Rules,
    /// That many prefixes more, in a zone of their own that no rule names. Not with [`Rules::Prefixes`].
    pub(crate) prefixes: usize,
    /// Where those begin: another one makes another policy of the same size.
    pub(crate) base: u8,
    /// That many stations more, bound in turn to `vnet0` and so on.
    pub(crate) stations: usize,
    /// Ports that there may be, and that these stations are bound to; 0: the default, and none.
    pub(crate) ports: usize,
    /// Stations that may be learned, in all and from one port; 0: as many as a few generators play.
    pub(crate) learned: usize,
}

impl Topology {
    /// Its text.
    ///
    /// # Errors
    /// The fixture has changed so that it cannot be adapted.
    pub(crate) fn text(&self) -> Result<String> {
        if [MANAGE, FIRST_ZONE, FIRST_RULE].iter().any(|part| !REFERENCE.contains(part)) {
            bail!("tests/fixtures/reference.toml has changed: adapt bench/src/topology.rs to it");
        }
        let mut text = REFERENCE.replace(MANAGE, "manage = [\"vnet*\"]");
        text += "\n[limits]\n";
        match self.learned {
            // A generator may play more stations than a guest has.
            0 => text += "stations_per_port = 8192\n",
            learned => text += &format!("stations = {learned}\nstations_per_port = {learned}\n"),
        }
        if self.ports > 0 {
            text += &format!("ports = {}\n", self.ports);
        }
        let station = |n: usize| {
            let mac = format!("52:54:01:{:02x}:{:02x}:{:02x}", n >> 16, n >> 8 & 255, n & 255);
            format!("\n[[station]]\nname = \"s{n}\"\nmac = \"{mac}\"\nport = \"vnet{}\"\n", n % self.ports.max(1))
        };
        text.extend((0..self.stations).map(station));
        for port in &self.xdp {
            text += &format!("\n[[port]]\nmatch = \"{port}\"\nhook = \"xdp\"\n");
        }
        if self.prefixes > 0 {
            let prefix =
                |n: usize| format!("\"{}.{}.{}.0/24\"", usize::from(self.base) + n / 65_536, n / 256 % 256, n % 256);
            text += &zone(&(0..self.prefixes).map(prefix).collect::<Vec<_>>());
        }
        Ok(self.rules.apply(text))
    }

    /// As a file, removed when dropped.
    pub(crate) fn file(&self) -> Result<NamedTempFile> {
        let mut file = NamedTempFile::with_suffix(".toml").context("cannot make a temporary file")?;
        file.write_all(self.text()?.as_bytes()).context("cannot write the topology")?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::policy::Policy;

    #[test]
    fn there_are_as_many_prefixes_as_asked_for() {
        for count in [10, 1000, 10_000] {
            let text = Topology { rules: Rules::Prefixes(count), ..Topology::default() }.text().unwrap();
            assert_eq!(
                text.matches("/24\"").count() + text.matches("/23\"").count() + text.matches("/16\"").count(),
                count
            );
            Policy::of(&text).unwrap();
        }
    }
}
