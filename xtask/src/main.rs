//! `cargo xtask`: everything a developer or an operator does with this repository, one verb per file.
//!
//! Must not: hold logic of the product. Each verb says what it does before it does it, and fails with a sentence.

mod bench;
mod build;
mod ci;
mod install;
mod interrupt;
mod lab;
mod lanes;
mod lint;
mod process;
mod run;
mod setup;
mod tally;
mod test;
mod vm;

use std::process::ExitCode;

use clap::Parser;

/// Build, test and install fastbridge.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Verb {
    Setup(setup::Setup),
    Build(build::Build),
    Run(run::Run),
    Lab(lab::Lab),
    Test(test::Test),
    Bench(bench::Bench),
    Ci(ci::Ci),
    Install(install::Install),
    Vm(vm::Vm),
}

fn main() -> ExitCode {
    let whole = |()| ExitCode::SUCCESS;
    let done = match Verb::parse() {
        Verb::Setup(verb) => verb.verb().map(whole),
        Verb::Build(verb) => verb.run().map(whole),
        Verb::Run(verb) => verb.run().map(whole),
        Verb::Lab(verb) => verb.run().map(whole),
        Verb::Test(verb) => verb.run().map(whole),
        Verb::Bench(verb) => verb.run().map(whole),
        Verb::Ci(verb) => verb.run().map(whole),
        Verb::Install(verb) => verb.run().map(whole),
        Verb::Vm(verb) => verb.run(),
    };
    done.unwrap_or_else(|error| {
        // A sentence, not a backtrace: these errors are for the person at the keyboard.
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
