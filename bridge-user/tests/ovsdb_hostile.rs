//! Somebody in ovsdb-server's place who means harm: every attack ends in an error that says what it was, and the process never holds much more
//! than before. Measured by the kernel: the peak of the resident set (`VmHWM`), over all attacks together; hence one test.

#![allow(clippy::unwrap_used)]

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bridge_user::source::ovsdb::Ovsdb;

/// What any of it may cost: three times the longest message, and as much again for one row and the bookkeeping.
const MEMORY_KIB: u64 = 96 << 10;
/// What may be sent of a message without end: the longest one, and what lies in the socket.
const SENT: usize = 18 << 20;

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Answers to `get_schema`: Open vSwitch's own.
fn schema() -> String {
    let schema = std::fs::read_to_string("/usr/share/openvswitch/vswitch.ovsschema").unwrap();
    format!("{{\"id\":\"get_schema\",\"error\":null,\"result\":{schema}}}")
}

/// A server that writes pieces as long as somebody listens.
fn server(
    directory: &tempfile::TempDir,
    pieces: impl Iterator<Item = Vec<u8>> + Send + 'static,
    sent: Arc<AtomicUsize>,
) -> PathBuf {
    let path = directory.path().join("db.sock");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        drain(stream.try_clone().unwrap());
        for piece in pieces {
            if stream.write_all(&piece).is_err() {
                return;
            }
            sent.fetch_add(piece.len(), Ordering::Relaxed);
        }
    });
    path
}

fn drain(mut stream: UnixStream) {
    std::thread::spawn(move || while stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {});
}

fn said(pieces: impl Iterator<Item = Vec<u8>> + Send + 'static) -> String {
    said_after(pieces).0
}

/// What was wrong, and after how many bytes.
fn said_after(pieces: impl Iterator<Item = Vec<u8>> + Send + 'static) -> (String, usize) {
    let directory = tempfile::tempdir().unwrap();
    let sent = Arc::new(AtomicUsize::new(0));
    let path = server(&directory, pieces, Arc::clone(&sent));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let connected = runtime.block_on(Ovsdb::connect(&path, "br0"));
    (connected.err().map(|error| error.to_string()).unwrap_or_default(), sent.load(Ordering::Relaxed))
}

/// The schema, then this.
fn rows(rows: impl Iterator<Item = Vec<u8>> + Send + 'static) -> String {
    let start = [schema(), "{\"id\":\"monitor_cond\",\"error\":null,\"result\":{".into()].map(String::into_bytes);
    said(start.into_iter().chain(rows).chain(std::iter::once(b"}}".to_vec())))
}

#[test]
fn memory_is_bounded_whatever_is_sent() {
    let before = peak_kib();
    let endless = |start: &str, piece: &str| {
        let (start, piece) = (start.as_bytes().to_vec(), piece.repeat(1000).into_bytes());
        let (told, sent) = said_after(std::iter::once(start).chain(std::iter::repeat(piece)));
        assert!(sent < SENT, "{told} after {sent} bytes");
        told
    };
    for (start, piece) in
        [("{", "["), ("{\"", "x"), ("{\"a\":[", "1,"), ("{\"id\":\"get_schema\",\"result\":[", "{\"a\":"), ("{", "\n")]
    {
        assert!(endless(start, piece).contains("16 MiB in one message"), "{start}{piece}");
    }
    assert!(endless("", "\u{0}").contains("cannot be read"));
    // A million rows, in messages of every size that fit.
    let many = |head: &str, row: fn(u32) -> String, count: u32, tail: &str| {
        let (head, tail) = (head.as_bytes().to_vec(), tail.as_bytes().to_vec());
        rows(std::iter::once(head).chain((0..count).map(move |n| row(n).into_bytes())).chain(std::iter::once(tail)))
    };
    let interfaces = "\"Interface\":{\"x\":{\"insert\":{}}";
    let told = many(interfaces, |n| format!(",\"{n}\":{{}}"), 1_000_000, "}");
    assert!(told.contains("more than 65536 members"), "{told}");
    let told = many(interfaces, |n| format!(",\"{n:036}\":{{\"insert\":{{\"name\":\"v{n}\"}}}}"), 1_000_000, "}");
    assert!(told.contains("16 MiB"), "{told}");
    // As many rows as there may be, in a message that is short enough, and each of them larger in memory than in the text.
    let told = many(interfaces, |n| format!(",\"{n:036}\":{{\"insert\":{{\"name\":\"{n:0150}\"}}}}"), 60_000, "}");
    assert!(told.contains("16 MiB in the rows of a table"), "{told}");
    // One row of a million elements, and one as long as it may be.
    let trunks = "\"Port\":{\"p\":{\"insert\":{\"trunks\":[\"set\",[1";
    let told = many(trunks, |_| ",1".into(), 1_200_000, "]]}}}");
    assert!(told.contains("2 MiB in one row"), "{told}");
    assert_eq!(many(trunks, |_| ",1".into(), 1_000_000, "]]}}}"), "");
    // A schema of a million tables.
    let tables = (0..1_000_000).map(|n| format!(",\"{n}\":0").into_bytes());
    let told = said(
        std::iter::once(b"{\"id\":\"get_schema\",\"result\":{\"tables\":{\"x\":0".to_vec())
            .chain(tables)
            .chain(std::iter::once(b"}}}".to_vec())),
    );
    assert!(told.contains("cannot be read"), "{told}");
    let grown = peak_kib() - before;
    eprintln!("the peak grew by {grown} KiB");
    assert!(grown < MEMORY_KIB, "{grown} KiB");
}

/// One byte after the other is as good as all at once.
#[test]
fn a_trickle_is_understood() {
    let rows = r#"{"id":"monitor_cond","error":null,"result":{"Open_vSwitch":{"s":{"initial":{"bridges":["uuid","b"]}}},"Bridge":{"b":{"initial":{"name":"br0"}}}}}"#;
    let trickle = rows.bytes().map(|byte| vec![byte]);
    assert_eq!(said(std::iter::once(schema().into_bytes()).chain(trickle)), "");
}
