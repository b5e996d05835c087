//! Programs of somebody else, to put in the product's way: a few instructions each, held by a bpf_link that ends with its value.

use std::ffi::CString;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use crate::error::{Error, Result};
use crate::netns::Netns;

/// Where a foreign program sits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Native XDP; passes everything.
    Xdp,
    /// tcx ingress; leaves everything to the next program.
    TcxIngress,
    /// tcx ingress; drops everything that reaches it.
    TcxIngressDropping,
    /// tcx egress; drops everything that reaches it.
    TcxEgressDropping,
    /// tcx egress; gives every frame an 802.1Q tag of this VLAN, beside it if the device takes tags there.
    TcxEgressTagging(u16),
}

/// An attached program; detached when dropped.
#[derive(Debug)]
pub struct Foreign {
    _link: OwnedFd,
}

impl Foreign {
    /// Loads a program and attaches it behind those that are there to an interface.
    pub fn attach(netns: &Netns, interface: &str, place: Place) -> Result<Self> {
        let what = format!("a foreign program at {}/{interface}", netns.name());
        let index = netns.ifindex(interface)?.ok_or_else(|| Error::Invalid(format!("no interface for {what}")))?;
        let link = netns.enter(|| link(index, place))?.map_err(|e| Error::io(what, e))?;
        Ok(Self { _link: link })
    }
}

fn link(ifindex: u32, place: Place) -> io::Result<OwnedFd> {
    const BPF_LINK_CREATE: libc::c_int = 28;
    // Program type, attach type (linux/bpf.h), instructions that end with the verdict: XDP_PASS, TCX_NEXT, TCX_DROP.
    let (kind, attach, instructions) = match place {
        Place::Xdp => (6, 37, returns(2).to_vec()),
        Place::TcxIngress => (3, 46, returns(-1).to_vec()),
        Place::TcxIngressDropping => (3, 46, returns(2).to_vec()),
        Place::TcxEgressDropping => (3, 47, returns(2).to_vec()),
        Place::TcxEgressTagging(vlan) => (3, 47, [&pushes(vlan)[..], &returns(-1)].concat()),
    };
    let program = load(kind, &instructions)?;
    let mut create = [0_u32; 12];
    create[..3].copy_from_slice(&[program.as_raw_fd() as u32, ifindex, attach]);
    bpf(BPF_LINK_CREATE, &mut create)
}

/// mov64 r0, verdict; exit
fn returns(verdict: i32) -> [u64; 2] {
    [0xb7 | u64::from(verdict as u32) << 32, 0x95]
}

/// mov64 r2, ETH_P_8021Q in the wire's order; mov64 r3, vlan; call bpf_skb_vlan_push
fn pushes(vlan: u16) -> [u64; 3] {
    [0x2b7 | u64::from(0x8100_u16.to_be()) << 32, 0x3b7 | u64::from(vlan) << 32, 0x85 | 18 << 32]
}

fn load(kind: u32, instructions: &[u64]) -> io::Result<OwnedFd> {
    const BPF_PROG_LOAD: libc::c_int = 5;
    #[repr(C)]
    struct Load {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
        zero: [u64; 12],
    }
    let license = CString::new("GPL").map_err(io::Error::other)?;
    let (at, text) = (instructions.as_ptr() as u64, license.as_ptr() as u64);
    bpf(
        BPF_PROG_LOAD,
        &mut Load { kind, count: instructions.len() as u32, instructions: at, license: text, zero: [0; 12] },
    )
}

/// A command of bpf(2) that returns a descriptor.
fn bpf<T>(command: libc::c_int, attribute: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: the attribute, and what it points to, live through the call; its size is as stated.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attribute), size_of::<T>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that the call has just made, nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(result as i32) })
}
