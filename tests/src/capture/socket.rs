//! The system calls of a packet socket: packet(7). The only unsafe code of captures.

use std::io;
use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::Duration;

use libc::{c_int, c_void, socklen_t};

/// Room for a super-frame: 64 KiB and its headers.
const FRAME_MAX: usize = 65_536 + 256;
/// Kept by the kernel until read; a batch of a differential run fits many times.
const RECEIVE_BUFFER: c_int = 32 << 20;

/// A non-blocking `AF_PACKET` socket bound to one interface.
#[derive(Debug)]
pub(super) struct PacketSocket {
    fd: OwnedFd,
    /// What the next frame is received into: fresh pages for every frame cost more than the frame, most of all on an emulated machine.
    room: Vec<u8>,
}

impl PacketSocket {
    /// Opens it in the calling thread's network namespace.
    pub(super) fn open(ifindex: u32) -> io::Result<Self> {
        // Protocol 0: nothing is received before the options are set and the socket is bound.
        // SAFETY: no pointers; the result is checked.
        let fd = check(unsafe {
            libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK, 0)
        })?;
        // SAFETY: the descriptor is new and owned by nobody else.
        let socket = Self { fd: unsafe { OwnedFd::from_raw_fd(fd) }, room: vec![0; FRAME_MAX] };
        socket.set(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1)?;
        socket.set(libc::SOL_PACKET, libc::PACKET_AUXDATA, 1)?;
        socket.set(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER)?;
        socket.bind(ifindex)?;
        // Without this a frame for another machine would not pass a real NIC's filter, and differs for nobody here.
        socket.promiscuous(ifindex)?;
        Ok(socket)
    }

    fn bind(&self, ifindex: u32) -> io::Result<()> {
        // SAFETY: sockaddr_ll is plain integers, for which zero is valid.
        let mut address: libc::sockaddr_ll = unsafe { zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
        address.sll_ifindex = ifindex as c_int;
        let length = size_of::<libc::sockaddr_ll>() as socklen_t;
        // SAFETY: pointer and length describe `address`, which outlives the call.
        check(unsafe { libc::bind(self.fd.as_raw_fd(), (&raw const address).cast(), length) }).map(drop)
    }

    fn promiscuous(&self, ifindex: u32) -> io::Result<()> {
        // SAFETY: packet_mreq is plain integers, for which zero is valid.
        let mut request: libc::packet_mreq = unsafe { zeroed() };
        request.mr_ifindex = ifindex as c_int;
        request.mr_type = libc::PACKET_MR_PROMISC as u16;
        self.set_value(libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
    }

    fn set(&self, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
        self.set_value(level, option, &value)
    }

    fn set_value<T>(&self, level: c_int, option: c_int, value: &T) -> io::Result<()> {
        let length = size_of::<T>() as socklen_t;
        // SAFETY: pointer and length describe `value`, which outlives the call.
        check(unsafe { libc::setsockopt(self.fd.as_raw_fd(), level, option, std::ptr::from_ref(value).cast(), length) })
            .map(drop)
    }

    pub(super) fn send(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: pointer and length describe `frame`.
        let sent = unsafe { libc::send(self.fd.as_raw_fd(), frame.as_ptr().cast(), frame.len(), 0) };
        if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The next frame, tag put back; `None` when there is none now.
    pub(super) fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut control = [0_u64; 16];
        let mut part = libc::iovec { iov_base: self.room.as_mut_ptr().cast::<c_void>(), iov_len: self.room.len() };
        // SAFETY: msghdr is plain integers and pointers, for which zero is valid.
        let mut message: libc::msghdr = unsafe { zeroed() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control);
        // SAFETY: all pointers in `message` lead to live buffers of the lengths given.
        let length = unsafe { libc::recvmsg(self.fd.as_raw_fd(), &raw mut message, 0) };
        if length < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) };
        }
        let mut frame = self.room[..length as usize].to_vec();
        if let Some((tpid, tci)) = stripped_tag(&message) {
            restore_tag(&mut frame, tpid, tci);
        }
        Ok(Some(frame))
    }

    /// Waits until a frame is there; false when `limit` passed.
    pub(super) fn wait(&self, limit: Duration) -> io::Result<bool> {
        let mut poll = libc::pollfd { fd: self.fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        let milliseconds = c_int::try_from(limit.as_millis()).unwrap_or(c_int::MAX).max(1);
        // SAFETY: one live pollfd.
        Ok(check(unsafe { libc::poll(&raw mut poll, 1, milliseconds) })? > 0)
    }

    /// `tp_drops` since the last call.
    pub(super) fn lost(&self) -> io::Result<u32> {
        // SAFETY: tpacket_stats is plain integers, for which zero is valid.
        let mut stats: libc::tpacket_stats = unsafe { zeroed() };
        let mut length = size_of::<libc::tpacket_stats>() as socklen_t;
        let (fd, at) = (self.fd.as_raw_fd(), (&raw mut stats).cast());
        // SAFETY: pointer and length describe `stats`.
        check(unsafe { libc::getsockopt(fd, libc::SOL_PACKET, libc::PACKET_STATISTICS, at, &raw mut length) })?;
        Ok(stats.tp_drops)
    }
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The tag that the kernel moved into metadata: (TPID, TCI).
fn stripped_tag(message: &libc::msghdr) -> Option<(u16, u16)> {
    // SAFETY: `message` was filled in by recvmsg, so its control buffer holds well-formed headers.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: not null, and inside the control buffer by the CMSG macros' contract.
        let (level, kind) = unsafe { ((*header).cmsg_level, (*header).cmsg_type) };
        if level == libc::SOL_PACKET && kind == libc::PACKET_AUXDATA {
            // SAFETY: a PACKET_AUXDATA message carries one tpacket_auxdata; it may be unaligned.
            let aux: libc::tpacket_auxdata =
                unsafe { libc::CMSG_DATA(header).cast::<libc::tpacket_auxdata>().read_unaligned() };
            if aux.tp_status & libc::TP_STATUS_VLAN_VALID != 0 {
                let tpid = if aux.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0 { aux.tp_vlan_tpid } else { 0x8100 };
                return Some((tpid, aux.tp_vlan_tci));
            }
        }
        // SAFETY: as above.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    None
}

/// Puts a tag between the MACs and the ethertype.
fn restore_tag(frame: &mut Vec<u8>, tpid: u16, tci: u16) {
    if frame.len() >= 12 {
        let (tpid, tci) = (tpid.to_be_bytes(), tci.to_be_bytes());
        frame.splice(12..12, [tpid[0], tpid[1], tci[0], tci[1]]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_goes_back_behind_the_macs() {
        let mut frame: Vec<u8> = (0..14).collect();
        restore_tag(&mut frame, 0x8100, 0x2005);
        assert_eq!(frame[10..], [10, 11, 0x81, 0x00, 0x20, 0x05, 12, 13]);
    }
}
