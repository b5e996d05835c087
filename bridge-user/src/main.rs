//! The `fastbridge` command. Everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    bridge_user::cli::main()
}
