//! The command line of Trackway.

use std::process::ExitCode;

fn main() -> ExitCode {
    trackway::cli::main()
}
