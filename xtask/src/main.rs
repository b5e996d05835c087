//! `cargo xtask`: everything a developer or an operator does with this repository, one verb per file.
//!
//! Must not: hold logic of the product. Each verb says what it does before it does it, and fails with a sentence.

mod bench;
mod build;
mod ci;
mod install;
mod interrupt;
mod lab;
mod lint;
mod process;
mod run;
mod setup;
mod test;

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
}

fn main() -> ExitCode {
    let done = match Verb::parse() {
        Verb::Setup(verb) => verb.run(),
        Verb::Build(verb) => verb.run(),
        Verb::Run(verb) => verb.run(),
        Verb::Lab(verb) => verb.run(),
        Verb::Test(verb) => verb.run(),
        Verb::Bench(verb) => verb.run(),
        Verb::Ci(verb) => verb.run(),
        Verb::Install(verb) => verb.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A sentence, not a backtrace: these errors are for the person at the keyboard.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
