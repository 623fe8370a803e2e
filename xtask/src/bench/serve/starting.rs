//! From the start to the first answer, and the memory of a server that has nothing to do.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::Ours;
use crate::{
    bench::{
        process::memory_of,
        report::{Goal, Report},
    },
    steps::Steps,
};

/// How often it is started.
const STARTS: usize = 11;

pub(super) fn measure(steps: &mut Steps, program: &Path, report: &mut Report) -> Result<()> {
    steps.step("starts", || {
        let ours = Ours::start(program)?;
        ours.place().begin("speed", "run")?;
        let Ours { serving, trackway } = ours;
        let key = serving.key.clone();
        serving.kill()?;
        let (mut times, mut memory) = (vec![], vec![]);
        for _ in 0..STARTS {
            let start = Instant::now();
            let serving = trackway.serve("127.0.0.1:0", Some(&key))?;
            let ours = super::Place::of(&serving);
            ours.ask("{ viewer { username } }", &serde_json::Value::Null)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
            thread::sleep(Duration::from_millis(200));
            let (now, _) = memory_of(serving.id())?;
            memory.push(now as f64 / 1e6);
            serving.kill()?;
        }
        report.add(
            "start to the first answer",
            "ms",
            &times,
            Goal::AtMost(100.0),
        );
        report.add("idle memory", "MB", &memory, Goal::AtMost(50.0));
        Ok(())
    })
}
