//! History in the embedded store, beside plain Parquet: the store's own measurement is run.

use anyhow::{Context, Result};

use super::report::{Figure, Goal, Report};
use crate::steps::{cargo, output};

pub(super) fn measure(report: &mut Report) -> Result<()> {
    let mut command = cargo(["run", "--quiet", "--release", "--package", "tracker-store"]);
    let said = output(command.args(["--example", "history_speed"]))?;
    for line in said.lines() {
        let figure: Figure =
            serde_json::from_str(line).with_context(|| format!("understand {line}"))?;
        let goal = match figure.name.as_str() {
            "one series of 1M: time / plain Parquet" => Goal::AtMost(1.5),
            _ => Goal::None,
        };
        report.add(
            &format!("store: {}", figure.name),
            &figure.unit,
            &figure.rounds,
            goal,
        );
    }
    Ok(())
}
