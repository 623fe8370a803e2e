//! `trackway` once more: cargo gives tests the path of a program of their own package only, built
//! when they are.

use std::process::ExitCode;

fn main() -> ExitCode {
    trackway::cli::main()
}
