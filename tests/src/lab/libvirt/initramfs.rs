//! What guests boot: Debian's cloud kernel, and an initramfs of busybox, the modules for virtio-net and some of this machine's programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::run;

/// The modules for virtio-net and for an agent's channel below `kernel/`, in the order in which they load.
const MODULES: [&str; 9] = [
    "drivers/virtio/virtio_ring.ko",
    "drivers/virtio/virtio.ko",
    "drivers/virtio/virtio_pci_legacy_dev.ko",
    "drivers/virtio/virtio_pci_modern_dev.ko",
    "drivers/virtio/virtio_pci.ko",
    "net/core/failover.ko",
    "drivers/net/net_failover.ko",
    "drivers/net/virtio_net.ko",
    "drivers/char/virtio_console.ko",
];

/// Addresses from the command line, then a shell on the second serial line.
const INIT: &str = r#"#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
for module in /lib/modules/*; do insmod $module; done
echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6
echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6
ip link set lo up
ip link set eth0 up
for word in $(cat /proc/cmdline); do
  case $word in
    fb.address=*) ip addr add ${word#*=} dev eth0 ;;
    fb.gateway=*) ip route add default via ${word#*=} ;;
  esac
done
stty -F /dev/ttyS1 raw -echo
exec </dev/ttyS1 >/dev/ttyS1 2>&1
# In a shell of its own: the first lines may have lost their beginning, and a syntax error ends a shell.
while read -r line; do (eval "$line"); done
poweroff -f
"#;

/// An unpacked kernel package.
#[derive(Debug)]
pub(super) struct Kernel {
    pub(super) image: PathBuf,
    modules: PathBuf,
}

impl Kernel {
    /// Where `cargo xtask setup` has put it: `vm/cloud` of the directory that holds the running executable, or `FASTBRIDGE_GUEST_KERNEL`.
    pub(super) fn find() -> Result<Self> {
        let own = std::env::current_exe().map_err(|e| Error::io("cannot find the running executable", e))?;
        let named = std::env::var_os("FASTBRIDGE_GUEST_KERNEL").map(PathBuf::from);
        let places = named.into_iter().chain(own.ancestors().map(|place| place.join("vm/cloud")));
        places.into_iter().find_map(|place| Self::at(&place)).ok_or_else(|| {
            Error::Invalid(
                "there is no kernel for guests: run `cargo xtask setup`, or name one in FASTBRIDGE_GUEST_KERNEL".into(),
            )
        })
    }

    fn at(place: &Path) -> Option<Self> {
        let entry = |below: &str, start: &str| {
            let entries = std::fs::read_dir(place.join(below)).ok()?.flatten();
            entries
                .map(|entry| entry.path())
                .find(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(start)))
        };
        Some(Self { image: entry("boot", "vmlinuz-")?, modules: entry("lib/modules", "")?.join("kernel") })
    }
}

/// Writes the initramfs (uncompressed) to `path`.
pub(super) fn write(path: &Path, kernel: &Kernel, tools: &[&str]) -> Result<()> {
    // Sorted, so that a directory comes before what is in it.
    let mut files = BTreeMap::from([
        ("init".to_owned(), INIT.into()),
        ("bin/busybox".to_owned(), read(&run::find_tool("busybox")?)?),
    ]);
    for (number, module) in MODULES.iter().enumerate() {
        let name = module.rsplit('/').next().unwrap_or(module);
        files.insert(format!("lib/modules/{number}-{name}"), read(&kernel.modules.join(module))?);
    }
    for tool in tools {
        let program = run::find_tool(tool)?;
        files.insert(format!("bin/{tool}"), read(&program)?);
        for library in libraries(&program)? {
            files.insert(library.trim_start_matches('/').to_owned(), read(Path::new(&library))?);
        }
    }
    std::fs::write(path, archive(&files)).map_err(|e| Error::io(format!("cannot write {}", path.display()), e))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path)
        .map_err(|e| Error::io(format!("cannot read {}; `cargo xtask setup` gets it", path.display()), e))
}

/// The shared libraries of a program, the loader included, by their absolute paths.
fn libraries(program: &Path) -> Result<Vec<String>> {
    let listed = run::run(Command::new(run::find_tool("ldd")?).arg(program), None)?;
    Ok(listed.split_whitespace().filter(|word| word.starts_with('/')).map(ToOwned::to_owned).collect())
}

/// A cpio archive in the format "newc" (Documentation/driver-api/early-userspace/buffer-format.rst): files, executable, and the directories
/// above them.
fn archive(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut entries: BTreeMap<&str, (u32, &[u8])> =
        ["dev", "proc", "sys", "tmp"].into_iter().map(|name| (name, (0o040_755, &[][..]))).collect();
    for (name, content) in files {
        for (at, _) in name.match_indices('/') {
            entries.insert(&name[..at], (0o040_755, &[]));
        }
        entries.insert(name, (0o100_755, content));
    }
    let mut out = Vec::new();
    for (number, (name, (mode, content))) in entries.into_iter().enumerate() {
        entry(&mut out, number, mode, name, content);
    }
    entry(&mut out, 0, 0, "TRAILER!!!", &[]);
    out
}

fn entry(out: &mut Vec<u8>, inode: usize, mode: u32, name: &str, content: &[u8]) {
    // Magic; inode, mode, uid, gid, links, mtime, size, device (2), device of a node (2), length of the name with its zero, checksum.
    let (size, length) = (content.len(), name.len() + 1);
    out.extend_from_slice(
        format!("070701{inode:08x}{mode:08x}{0:08x}{0:08x}{1:08x}{0:08x}{size:08x}{0:08x}{0:08x}{0:08x}{0:08x}{length:08x}{0:08x}", 0, 1)
            .as_bytes(),
    );
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(content);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// busybox reads what we write.
    #[test]
    fn the_archive_is_one() {
        let files = BTreeMap::from([("bin/x".to_owned(), b"12345".to_vec()), ("init".to_owned(), b"#!".to_vec())]);
        let archive = archive(&files);
        let directory = std::env::temp_dir().join(format!("fb-cpio-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        std::fs::write(directory.join("a"), archive).unwrap();
        let command = "busybox cpio -idm < a 2>/dev/null && busybox cat bin/x init && busybox test -x init -a -d proc";
        let told = run::run(Command::new("sh").args(["-c", command]).current_dir(&directory), None);
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!(told.unwrap(), "12345#!");
    }
}
