//! Programs of somebody else, to put in the product's way: two instructions each, held by a bpf_link that ends with its value.

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
    // Program type, attach type (linux/bpf.h), verdict: XDP_PASS, TCX_NEXT, TCX_DROP.
    let (kind, attach, verdict) = match place {
        Place::Xdp => (6, 37, 2),
        Place::TcxIngress => (3, 46, -1),
        Place::TcxIngressDropping => (3, 46, 2),
        Place::TcxEgressDropping => (3, 47, 2),
    };
    let program = load(kind, verdict)?;
    let mut create = [0_u32; 12];
    create[..3].copy_from_slice(&[program.as_raw_fd() as u32, ifindex, attach]);
    bpf(BPF_LINK_CREATE, &mut create)
}

fn load(kind: u32, verdict: i32) -> io::Result<OwnedFd> {
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
    // mov64 r0, verdict; exit
    let instructions = [0xb7 | (verdict as u32 as u64) << 32, 0x95_u64];
    let (at, text) = (instructions.as_ptr() as u64, license.as_ptr() as u64);
    bpf(BPF_PROG_LOAD, &mut Load { kind, count: 2, instructions: at, license: text, zero: [0; 12] })
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
