//! Runs the manager so that it ends, or waits, at one exact system call: strace(1) does that to it. Knows nothing of what the calls mean.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::fastbridge::{Control, Fastbridge};
use crate::run;
use crate::site::Site;

const LIMIT: Duration = Duration::from_secs(20);

/// One system call of a start: which, and what strace printed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    name: String,
    /// From 1, among the calls of that name.
    number: usize,
    /// The line, without its result if it did not end.
    pub line: String,
}

impl Call {
    /// The system call's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Whoever starts a site's manager under strace. System calls of the main thread only: it alone changes the kernel's state.
#[derive(Debug)]
pub struct Halted<'a> {
    site: &'a Site,
    calls: &'static str,
    log: PathBuf,
}

impl<'a> Halted<'a> {
    /// Looks at these system calls (names, with commas between).
    #[must_use]
    pub fn new(site: &'a Site, calls: &'static str) -> Self {
        Self { site, calls, log: site.topology().with_file_name("strace.log") }
    }

    /// Every such call of a whole start, in order. That manager is then killed.
    pub fn whole(&self) -> Result<Vec<Call>> {
        self.traced(&[])?.start(&self.site.topology())?.kill()?;
        self.complete()
    }

    /// A start that is killed as it enters this call, which is not executed. Its last call: it must be that one.
    pub fn killed_at(&self, call: &Call) -> Result<Call> {
        let inject = format!("inject={}:signal=KILL:when={}", call.name, call.number);
        let ended = self.traced(&["-e", &inject])?.ends(&["run", "--topology", &path(&self.site.topology())])?;
        if ended.0.is_some() {
            return Err(Error::Invalid(format!("it was not killed at {call:?} but ended: {ended:?}")));
        }
        self.complete()?.pop().ok_or_else(|| Error::Invalid(format!("it was killed before {call:?}")))
    }

    /// A start that waits for `seconds` as it enters this call; `meanwhile` runs when it has come there.
    pub fn waiting_at(&self, call: &Call, seconds: u32, meanwhile: impl FnOnce()) -> Result<Fastbridge> {
        let inject = format!("inject={}:delay_enter={seconds}s:when={}", call.name, call.number);
        let control = self.traced(&["-e", &inject])?;
        std::thread::scope(|scope| {
            let manager = scope.spawn(|| control.start(&self.site.topology()));
            let before = |seen: Vec<Call>| seen.iter().filter(|seen| seen.name == call.name).count() + 1 >= call.number;
            run::wait_until("it has come there", LIMIT, || self.seen().is_ok_and(before))?;
            meanwhile();
            manager.join().map_err(|_| Error::Invalid("the start panicked".into()))?
        })
    }

    /// Its calls, of the latest run, which has ended: strace outlives it by a moment.
    fn complete(&self) -> Result<Vec<Call>> {
        let ended = || std::fs::read_to_string(&self.log).is_ok_and(|text| text.contains("\n+++ "));
        run::wait_until("strace has written its last line", LIMIT, ended)?;
        self.seen()
    }

    /// Its calls so far, of the latest run.
    pub fn seen(&self) -> Result<Vec<Call>> {
        let text = std::fs::read_to_string(&self.log).map_err(|e| Error::io(path(&self.log), e))?;
        let mut calls: Vec<Call> = Vec::new();
        for line in text.lines() {
            let Some((name, _)) = line.split_once('(') else { continue };
            let number = calls.iter().filter(|call| call.name == name).count() + 1;
            calls.push(Call { name: name.into(), number, line: line.into() });
        }
        Ok(calls)
    }

    fn traced(&self, inject: &[&str]) -> Result<Control> {
        let _of_another_run = std::fs::remove_file(&self.log);
        let (strace, log) = (path(&run::find_tool("strace")?), path(&self.log));
        let trace = format!("trace={}", self.calls);
        // As a grandchild (-D): the manager stays our own child, which signals reach.
        let mut words = vec![strace.as_str(), "-D", "-q", "-s", "200", "-o", &log, "-e", &trace, "-e", "signal=KILL"];
        words.extend(inject);
        Ok(self.site.control().clone().wrapped(&words))
    }
}

fn path(path: &Path) -> String {
    path.display().to_string()
}
