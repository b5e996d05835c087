//! A guest: what it shall be, and a running one.

use std::path::PathBuf;
use std::time::Duration;

use super::console::Console;
use super::{Libvirt, agent};
use crate::error::{Error, Result};
use crate::lab::machine::mac_of;
use crate::lab::{MachineSpec, Probe};
use crate::{Mac, format_mac, run};

/// An emulated machine boots in three seconds where nothing else runs.
const BOOT_LIMIT: Duration = Duration::from_secs(120);

/// Where libvirt speaks with a guest's agent.
const CHANNEL: &str = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>";

/// What a guest shall be.
#[derive(Debug, Clone)]
pub struct GuestSpec {
    name: String,
    mac: Mac,
    addresses: Vec<String>,
    gateway: Option<String>,
    extra: String,
    network: Option<String>,
    agent: bool,
}

impl GuestSpec {
    /// A guest of that name, with a MAC made from it, no address, and one interface on the lab's bridge.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            mac: mac_of(name),
            addresses: Vec::new(),
            gateway: None,
            extra: String::new(),
            network: None,
            agent: false,
        }
    }

    /// A guest with a machine's name, MAC, IPv4 addresses and gateway.
    #[must_use]
    pub fn like(machine: &MachineSpec) -> Self {
        let (addresses, gateway) = (machine.addresses.clone(), machine.gateway.clone());
        Self { mac: machine.mac, addresses, gateway, ..Self::new(&machine.name) }
    }

    /// Chooses the MAC.
    #[must_use]
    pub fn mac(self, mac: Mac) -> Self {
        Self { mac, ..self }
    }

    /// Adds an IPv4 address with prefix length.
    #[must_use]
    pub fn address(mut self, address: &str) -> Self {
        self.addresses.push(address.into());
        self
    }

    /// Sets the default route.
    #[must_use]
    pub fn gateway(self, gateway: &str) -> Self {
        Self { gateway: Some(gateway.into()), ..self }
    }

    /// Elements for its `<interface>`, such as a `<bandwidth>`.
    #[must_use]
    pub fn interface(self, extra: &str) -> Self {
        Self { extra: extra.into(), ..self }
    }

    /// Its interface is on this network of libvirt's ([`Libvirt::define_network`]), which is on the lab's bridge.
    #[must_use]
    pub fn network(self, name: &str) -> Self {
        Self { network: Some(name.into()), ..self }
    }

    /// With a channel for an agent ([`Guest::start_agent`]).
    #[must_use]
    pub fn agent(self) -> Self {
        Self { agent: true, ..self }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The shell commands by which it takes its addresses, which it does at boot by itself: for an interface that came later.
    #[must_use]
    pub fn configure(&self) -> String {
        let addresses = self.addresses.iter().map(|address| format!(" && ip addr add {address} dev eth0"));
        let gateway = self.gateway.iter().map(|gateway| format!(" && ip route add default via {gateway}"));
        format!("ip link set eth0 up{}", addresses.chain(gateway).collect::<String>())
    }

    /// Its MAC.
    #[must_use]
    pub fn chosen_mac(&self) -> Mac {
        self.mac
    }

    /// The `<interface>` by which it is on the lab's bridge: for `create`, and for attaching and detaching.
    #[must_use]
    pub fn interface_xml(&self, libvirt: &Libvirt) -> String {
        let port = if libvirt.ovs { "<virtualport type='openvswitch'/>" } else { "" };
        // As for veths: the userspace datapath hands on partial checksums and super-frames as they are.
        let off = "csum='off' tso4='off' tso6='off' ecn='off' ufo='off'";
        let driver =
            if libvirt.ovs { format!("<driver><host {off} gso='off'/><guest {off}/></driver>") } else { String::new() };
        let (kind, source) = match &self.network {
            Some(network) => ("network", network),
            None => ("bridge", &libvirt.bridge),
        };
        format!(
            "<interface type='{kind}'><mac address='{}'/><source {kind}='{source}'/>{port}<model type='virtio'/>{driver}{}</interface>",
            format_mac(self.mac),
            self.extra
        )
    }

    pub(super) fn domain(&self, libvirt: &Libvirt) -> String {
        let name = escaped(&self.name);
        let addresses: String = self.addresses.iter().map(|address| format!(" fb.address={address}")).collect();
        let gateway = self.gateway.iter().map(|gateway| format!(" fb.gateway={gateway}")).collect::<String>();
        format!(
            "<domain type='qemu'><name>{name}</name><memory unit='MiB'>96</memory><vcpu>1</vcpu>\
             <os><type arch='x86_64' machine='pc'>hvm</type><kernel>{}</kernel><initrd>{}</initrd>\
             <cmdline>console=ttyS0 quiet panic=-1{addresses}{gateway}</cmdline></os><features><acpi/></features>\
             <on_reboot>destroy</on_reboot><devices><emulator>{}</emulator>\
             <serial type='file'><source path='{}'/></serial>\
             <serial type='unix'><source mode='bind' path='{}'/></serial>\
             <controller type='usb' model='none'/><memballoon model='none'/>{}{}</devices></domain>",
            libvirt.kernel.image.display(),
            libvirt.initramfs().display(),
            run::find_tool("qemu-system-x86_64").unwrap_or_default().display(),
            escaped(&libvirt.dir.join(format!("{}.console", self.name)).display().to_string()),
            escaped(&libvirt.socket_of(&self.name).display().to_string()),
            self.interface_xml(libvirt),
            if self.agent { CHANNEL } else { "" }
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// A running guest: a shell on its second serial line.
#[derive(Debug)]
pub struct Guest {
    name: String,
    console: Console,
}

impl Guest {
    pub(super) fn new(name: &str, socket: PathBuf) -> Self {
        Self { name: name.into(), console: Console::new(socket) }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns once it has booted.
    pub fn await_boot(&self) -> Result<()> {
        self.console
            .await_shell(BOOT_LIMIT * run::patience())
            .map_err(|error| Error::Invalid(format!("{} does not boot: {error}", self.name)))
    }

    /// Runs a line of shell in it; its output and exit code.
    pub fn run(&self, line: &str) -> Result<(String, u8)> {
        self.console
            .run(line)
            .map_err(|error| Error::Invalid(format!("{} does not answer `{line}`: {error}", self.name)))
    }

    /// Answers libvirt from now on as an agent would that says that these addresses (without length) are its `eth0`'s.
    pub fn start_agent(&self, mac: Mac, addresses: &[&str]) -> Result<()> {
        self.run(&agent::line(mac, addresses)).map(drop)
    }

    /// One echo request, answered within two seconds or not.
    pub fn ping(&self, target: &str) -> Result<Probe> {
        let (said, code) = self.run(&format!("ping -c1 -W2 {target}"))?;
        let answer = said.lines().find(|line| line.contains("bytes from")).unwrap_or("all packets lost");
        Ok(Probe { from: self.name.clone(), target: target.into(), ok: code == 0, detail: answer.into() })
    }
}
