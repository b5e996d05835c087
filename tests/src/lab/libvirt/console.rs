//! A guest's second serial line: lines of shell in, output and exit codes out. It needs no network, so it never disturbs what is tested.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::run;

/// A command that has not ended by then will not.
const COMMAND_LIMIT: Duration = Duration::from_secs(60);
/// How often a guest that boots is asked.
const ASK: Duration = Duration::from_millis(500);

/// The line; QEMU takes one caller at a time, so the connection stays.
#[derive(Debug)]
pub(super) struct Console {
    socket: PathBuf,
    line: Mutex<Option<Line>>,
}

#[derive(Debug)]
struct Line {
    stream: UnixStream,
    /// Commands so far: each has a mark of its own, so that a late answer to one is never taken for another's.
    asked: u32,
}

impl Console {
    pub(super) fn new(socket: PathBuf) -> Self {
        Self { socket, line: Mutex::new(None) }
    }

    /// Asks until the shell answers. What is written before the guest reads the line may be lost.
    pub(super) fn await_shell(&self, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if self.ask(":", ASK * run::patience()).is_ok() {
                return Ok(());
            }
        }
        Err(Error::Timeout { what: "its shell answers".into(), seconds: limit.as_secs() })
    }

    pub(super) fn run(&self, line: &str) -> Result<(String, u8)> {
        self.ask(line, COMMAND_LIMIT * run::patience())
    }

    fn ask(&self, line: &str, limit: Duration) -> Result<(String, u8)> {
        let mut guard = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let broken = |e| Error::io(format!("its serial line {}", self.socket.display()), e);
        if guard.is_none() {
            let stream = UnixStream::connect(&self.socket).map_err(broken)?;
            *guard = Some(Line { stream, asked: 0 });
        }
        let Some(open) = guard.as_mut() else { return Err(Error::Invalid("no serial line".into())) };
        open.asked += 1;
        let mark = format!("fb-{} ", open.asked);
        writeln!(open.stream, "{line}; echo {mark}$?").map_err(broken)?;
        read_until(&mut open.stream, &mark, limit).map_err(broken)
    }
}

/// What comes before the mark, and the number after it.
fn read_until(stream: &mut UnixStream, mark: &str, limit: Duration) -> std::io::Result<(String, u8)> {
    let end = Instant::now() + limit;
    let mut heard = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&heard);
        if let Some(answer) = answered(&text, mark) {
            return Ok(answer);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(length) => heard.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(ErrorKind::TimedOut.into()),
            Err(error) => return Err(error),
        }
    }
}

/// An echo of the command has no number after the mark.
fn answered(text: &str, mark: &str) -> Option<(String, u8)> {
    text.match_indices(mark).find_map(|(at, _)| {
        let (code, _) = text[at + mark.len()..].split_once('\n')?;
        let code = code.trim().parse().ok()?;
        // Whatever an earlier, abandoned command still said stands before its own mark.
        let own = text[..at]
            .rsplit_once("fb-")
            .map_or(&text[..at], |(_, rest)| rest.split_once('\n').map_or("", |(_, rest)| rest));
        Some((own.replace('\r', ""), code))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_from_what_came_before() {
        assert_eq!(answered("a\r\nb\r\nfb-2 7\r\n", "fb-2 "), Some(("a\nb\n".into(), 7)));
        assert_eq!(answered("late\nfb-1 0\nmine\nfb-2 0\n", "fb-2 "), Some(("mine\n".into(), 0)));
        assert_eq!(answered("mine\nfb-2 0", "fb-2 "), None, "not whole yet");
        assert_eq!(answered("fb-21 0\n", "fb-2 "), None);
        assert_eq!(
            answered("x; echo fb-2 $?\r\nmine\nfb-2 1\n", "fb-2 "),
            Some(("mine\n".into(), 1)),
            "an echo before"
        );
    }
}
