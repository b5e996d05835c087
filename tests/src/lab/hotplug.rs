//! Changes to a running lab: machines come, go, come back, are renamed, change MTU or lose their link.

use super::{Lab, Machine, MachineSpec, SlowPath, Tagging};
use crate::error::{Error, Result};
use crate::netns::Netns;

impl Lab {
    /// Adds a machine and puts its port on the bridge.
    pub fn add_machine(&mut self, spec: MachineSpec) -> Result<&Machine> {
        if self.machines.iter().any(|m| m.name() == spec.name || m.port() == spec.port) {
            return Err(Error::Invalid(format!(
                "the lab already has a machine `{}` or a port `{}`",
                spec.name, spec.port
            )));
        }
        let netns = Netns::create(&format!("{}-{}", self.prefix, spec.name))?;
        let machine = Machine { netns, spec };
        machine.plug(&self.host, self.slow_path)?;
        self.join(&machine)?;
        self.wait_running(&machine)?;
        self.machines.push(machine);
        self.machines.last().ok_or_else(|| Error::Invalid("the lab has no machine".into()))
    }

    /// Adds an interface that already exists in the host namespace to the lab's bridge.
    pub fn add_port(&self, port: &str) -> Result<()> {
        match &self.ovs {
            Some(ovs) => ovs.vsctl(&["--may-exist", "add-port", &self.bridge, port]).map(drop),
            None => self.host.ip(&format!("link set {port} master {}", self.bridge)).map(drop),
        }?;
        self.host.wait_running(port)
    }

    /// Takes an interface off the lab's bridge; it stays.
    pub fn remove_port(&self, port: &str) -> Result<()> {
        match &self.ovs {
            Some(ovs) => ovs.vsctl(&["--if-exists", "del-port", &self.bridge, port]).map(drop),
            None => self.host.ip(&format!("link set {port} nomaster")).map(drop),
        }
    }

    /// Deletes a machine: its port leaves the bridge, its namespace goes.
    pub fn remove_machine(&mut self, name: &str) -> Result<()> {
        let at = self.position(name)?;
        let machine = self.machines.remove(at);
        if let Some(ovs) = &self.ovs {
            ovs.vsctl(&["--if-exists", "del-port", machine.port()])?;
        }
        self.host.ip(&format!("link del {}", machine.port())).map(drop)
    }

    /// Deletes the machine's veth and creates it again: same names and MACs, another ifindex (which is returned). OVS keeps the
    /// port's row all the while, as when libvirt restarts a domain.
    pub fn recreate_port(&self, name: &str) -> Result<u32> {
        let machine = self.machine(name)?;
        self.host.ip(&format!("link del {}", machine.port()))?;
        machine.plug(&self.host, self.slow_path)?;
        match &self.ovs {
            // Netlink tells vswitchd of the new interface; this waits until it has opened it.
            Some(ovs) => {
                ovs.reopen_port(&self.bridge, machine.port())?;
                self.set_vlan(machine)?;
            }
            None => self.join(machine)?,
        }
        self.wait_running(machine)?;
        let index = self.host.ifindex(machine.port())?;
        index.ok_or_else(|| Error::Invalid(format!("`{}` vanished after it was created again", machine.port())))
    }

    /// Renames a machine's port on the host. On OVS the old name leaves the bridge and the new one joins.
    pub fn rename_port(&mut self, name: &str, new: &str) -> Result<()> {
        let at = self.position(name)?;
        let old = self.machines[at].spec.port.clone();
        if let Some(ovs) = &self.ovs {
            ovs.vsctl(&["--if-exists", "del-port", &old])?;
        }
        self.host.ip(&format!("link set {old} down\nlink set {old} name {new}\nlink set {new} up"))?;
        self.machines[at].spec.port = new.into();
        if self.ovs.is_some() {
            self.add_port(new)?;
        }
        self.wait_running(&self.machines[at])
    }

    /// Sets the MTU of both ends of a machine's veth.
    pub fn set_mtu(&self, name: &str, mtu: u32) -> Result<()> {
        let machine = self.machine(name)?;
        self.host.ip(&format!("link set {} mtu {mtu}", machine.port()))?;
        machine.netns.ip(&format!("link set eth0 mtu {mtu}")).map(drop)
    }

    /// Takes the host's end of a machine's veth up, and waits until it runs, or down.
    pub fn set_link(&self, name: &str, up: bool) -> Result<()> {
        let machine = self.machine(name)?;
        let word = if up { "up" } else { "down" };
        self.host.ip(&format!("link set {} {word}", machine.port()))?;
        if up { self.wait_running(machine) } else { Ok(()) }
    }

    /// The same for the machine's own end: the port on the host keeps its setting and loses its carrier.
    pub fn set_machine_link(&self, name: &str, up: bool) -> Result<()> {
        let machine = self.machine(name)?;
        machine.netns.ip(&format!("link set eth0 {}", if up { "up" } else { "down" }))?;
        if up { self.wait_running(machine) } else { Ok(()) }
    }

    /// A veth between two namespaces of the lab (see [`Lab::netns`]), both ends up, without addresses.
    pub fn connect(&self, (ns_a, if_a): (&str, &str), (ns_b, if_b): (&str, &str)) -> Result<()> {
        let (a, b) = (self.netns(ns_a)?, self.netns(ns_b)?);
        a.ip(&format!("link add {if_a} type veth peer name {if_b} netns {}\nlink set {if_a} up", b.name()))?;
        b.ip(&format!("link set {if_b} up"))?;
        if self.ovs.is_some() {
            for (netns, interface) in [(a, if_a), (b, if_b)] {
                netns.run("ethtool", &["-K", interface, "tx", "off", "tso", "off"])?;
            }
        }
        for (netns, interface) in [(a, if_a), (b, if_b)] {
            // The far end of a host's port takes XDP-redirected frames only with NAPI, which GRO starts.
            if netns.name() != self.host.name() {
                netns.run("ethtool", &["-K", interface, "gro", "on"])?;
            }
            netns.wait_running(interface)?;
        }
        Ok(())
    }

    fn wait_running(&self, machine: &Machine) -> Result<()> {
        self.host.wait_running(machine.port())?;
        machine.netns.wait_running("eth0")
    }

    fn join(&self, machine: &Machine) -> Result<()> {
        match &machine.spec.bridge {
            Some(other) => self.host.ip(&format!("link set {} master {other}", machine.port())).map(drop),
            None => self.add_port(machine.port()).and_then(|()| self.set_vlan(machine)),
        }
    }

    fn set_vlan(&self, machine: &Machine) -> Result<()> {
        let Some(vlan) = &machine.spec.vlan else { return Ok(()) };
        match (&self.ovs, self.slow_path) {
            (Some(ovs), _) => {
                let columns = vlan.columns()?;
                let words = ["set", "port", machine.port()].into_iter().chain(columns.iter().map(String::as_str));
                ovs.vsctl(&words.collect::<Vec<_>>()).map(drop)
            }
            (None, SlowPath::LinuxVlanBridge) => {
                let batch = self.tagging(machine).batch(machine.port());
                self.host.run_with_input("bridge", &["-batch", "-"], &batch).map(drop)
            }
            _ => Err(Error::Invalid(format!("{} knows no VLANs of ports", self.slow_path.name()))),
        }
    }

    /// How a machine's port treats tags.
    #[must_use]
    pub fn tagging(&self, machine: &Machine) -> Tagging {
        Tagging::of(self.slow_path, machine.spec.vlan.as_ref())
    }

    fn position(&self, name: &str) -> Result<usize> {
        self.machine(name)?;
        Ok(self.machines.iter().position(|m| m.name() == name).unwrap_or_default())
    }
}
