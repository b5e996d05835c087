//! Topology files for the benchmark: the reference policy, other ports.

use std::io::Write as _;

use anyhow::{Context as _, Result, bail};
use tempfile::NamedTempFile;

static REFERENCE: &str = include_str!("../../tests/fixtures/reference.toml");
const MANAGE: &str = "manage = [\"vnet*\", \"eno1\"]";
const FIRST_ZONE: &str = "prefixes = [\"10.17.0.0/16\"]";

/// The reference topology for ports `vnet*`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Topology {
    /// Ports with `hook = "xdp"`.
    pub(crate) xdp: Vec<String>,
    /// That many prefixes more, in a zone of their own that no rule names.
    pub(crate) prefixes: usize,
    /// Where those begin: another one makes another policy of the same size.
    pub(crate) base: u8,
    /// That many stations more, bound in turn to `vnet0` and so on.
    pub(crate) stations: usize,
    /// Ports that there may be, and that these stations are bound to; 0: the default, and none.
    pub(crate) ports: usize,
}

impl Topology {
    /// Its text.
    ///
    /// # Errors
    /// The fixture has changed so that it cannot be adapted.
    pub(crate) fn text(&self) -> Result<String> {
        if !REFERENCE.contains(MANAGE) || !REFERENCE.contains(FIRST_ZONE) {
            bail!("tests/fixtures/reference.toml has changed: adapt bench/src/topology.rs to it");
        }
        let mut text = REFERENCE.replace(MANAGE, "manage = [\"vnet*\"]");
        // A generator may play more stations than a guest has.
        text += "\n[limits]\nstations_per_port = 8192\n";
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
            let list: Vec<_> = (0..self.prefixes).map(prefix).collect();
            text += &format!("\n[[policy.zone]]\nname = \"many\"\nprefixes = [{}]\n", list.join(", "));
        }
        Ok(text)
    }

    /// As a file, removed when dropped.
    pub(crate) fn file(&self) -> Result<NamedTempFile> {
        let mut file = NamedTempFile::with_suffix(".toml").context("cannot make a temporary file")?;
        file.write_all(self.text()?.as_bytes()).context("cannot write the topology")?;
        Ok(file)
    }
}
