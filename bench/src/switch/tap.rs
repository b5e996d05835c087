//! A tap, and its guest's end: frames in and out as QEMU without vhost moves them, one system call each, with the
//! offloads that a guest has. The only unsafe code of this part.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _},
    os::{fd::AsRawFd as _, unix::fs::OpenOptionsExt as _},
    time::Duration,
};

use anyhow::{Context as _, Result};
use bridge_tests::netns::Netns;
use nix::libc;

/// `struct virtio_net_hdr`, which precedes each frame.
pub(super) const HEADER: usize = 10;
/// A frame that needs nothing: no checksum to fill in, nothing to cut.
pub(super) const PLAIN: [u8; HEADER] = [0; HEADER];

/// The guest's end. The tap goes with it.
#[derive(Debug)]
pub(super) struct GuestEnd {
    file: File,
    /// Of the tap, in the host's namespace.
    statistics: File,
    name: String,
}

impl GuestEnd {
    /// Makes a tap called so, and puts it on a bridge.
    pub(super) fn plug(host: &Netns, name: &str, bridge: &str) -> Result<Self> {
        let file = host.enter(|| open(name))?.with_context(|| format!("cannot make the tap {name}"))?;
        let statistics =
            host.enter(|| File::open("/proc/thread-self/net/dev"))?.context("the interfaces' statistics")?;
        // Room for what a reader that does not run for a moment leaves unread: that is no loss of the path's.
        host.ip(&format!("link set {name} txqueuelen 16384\nlink set {name} master {bridge}\nlink set {name} up"))?;
        host.wait_running(name)?;
        Ok(Self { file, statistics, name: name.into() })
    }

    /// Sends a frame, its header in front.
    pub(super) fn send(&self, frame: &[u8]) -> io::Result<()> {
        (&self.file).write(frame).map(drop)
    }

    /// The length of the next frame and its header, which is in `room`; `None` when there is none now.
    pub(super) fn receive(&self, room: &mut [u8]) -> io::Result<Option<usize>> {
        match (&self.file).read(room) {
            Ok(length) => Ok(Some(length)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Frames for the guest that found its queue full, so far.
    pub(super) fn unread(&self) -> Result<u64> {
        let mut text = String::new();
        (&self.statistics).seek(SeekFrom::Start(0))?;
        (&self.statistics).read_to_string(&mut text)?;
        dropped(&text, &self.name).with_context(|| format!("no statistics of {}", self.name))
    }

    /// Waits until there is a frame, or that long.
    pub(super) fn wait(&self, limit: Duration) -> io::Result<()> {
        let mut poll = libc::pollfd { fd: self.file.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one live pollfd.
        checked(unsafe { libc::poll(&raw mut poll, 1, limit.as_millis() as i32) })
    }
}

/// The interface's `drop` of what it was to transmit: the twelfth figure of its line (proc(5)).
fn dropped(text: &str, name: &str) -> Option<u64> {
    let figures = text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'))?;
    figures.split_ascii_whitespace().nth(11)?.parse().ok()
}

/// In the calling thread's namespace. Not blocking, as QEMU's are: others' frames take another way through the driver.
fn open(name: &str) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    // SAFETY: ifreq is plain integers, for which zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays zero.
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name[..room].iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR) as libc::c_short;
    // SAFETY: the request is an ifreq that lives through the call.
    checked(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) })?;
    let offloads = libc::c_ulong::from(libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6);
    // SAFETY: the argument is a number.
    checked(unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, offloads) })?;
    Ok(file)
}

fn checked(result: i32) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_is_found_in_the_statistics() {
        let text = "  lo: 1 1 1 1 0 0 0 0 1 1 0 1 0 0 0 0\nvnet3: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n";
        assert_eq!((dropped(text, "vnet3"), dropped(text, "vnet"), dropped(text, "vnet33")), (Some(12), None, None));
    }
}
