//! The policy of a topology file, read again from its text, for those who must enforce the same: nftables and OpenFlow.
//!
//! The benchmark's policies are lists of what is allowed, so that the order of rules means nothing, and their zones never nest, so that a
//! prefix that matches is the longest. Must not: judge anything itself.

pub(crate) mod nftables;
pub(crate) mod openflow;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

/// What is read of a topology file.
#[derive(Debug, Deserialize)]
struct File {
    policy: Policy,
}

/// Zones and rules, in the file's order.
#[derive(Debug, Deserialize)]
pub(crate) struct Policy {
    default: String,
    #[serde(rename = "zone")]
    zones: Vec<Zone>,
    #[serde(rename = "rule")]
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
struct Zone {
    name: String,
    prefixes: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Rule {
    from: String,
    to: String,
    #[serde(default)]
    both: bool,
    #[serde(default)]
    stateful: bool,
    action: String,
    proto: Option<String>,
    #[serde(default)]
    ports: Vec<String>,
}

impl Policy {
    /// Of the text of a topology file.
    pub(crate) fn of(topology: &str) -> Result<Self> {
        let file: File = toml::from_str(topology).context("the benchmark's own topology")?;
        let policy = file.policy;
        if policy.default != "deny" || policy.rules.iter().any(|rule| rule.action != "allow") {
            bail!("the policy is no list of what is allowed: adapt bench/src/policy to it");
        }
        Ok(policy)
    }

    /// The rules, each for one direction.
    fn directed(&self) -> impl Iterator<Item = Rule> {
        self.rules.iter().flat_map(|rule| {
            let back = rule.both.then(|| Rule { from: rule.to.clone(), to: rule.from.clone(), ..rule.clone() });
            [Some(rule.clone()), back].into_iter().flatten()
        })
    }

    /// The prefixes of a zone; `None` for `any`.
    fn prefixes(&self, zone: &str) -> Result<Option<&[String]>> {
        if zone == "any" {
            return Ok(None);
        }
        let found = self.zones.iter().find(|known| known.name == zone);
        found
            .map(|zone| Some(&zone.prefixes[..]))
            .with_context(|| format!("a rule names the zone {zone}, which is not there"))
    }
}
