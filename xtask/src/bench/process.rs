//! What a process costs.

use std::{
    fs,
    net::TcpStream,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

/// The unit of times in `/proc`: Linux shows hundredths of a second, whatever the kernel counts in.
const TICK: Duration = Duration::from_millis(10);

/// How often the memory of a process is looked at.
const SAMPLING: Duration = Duration::from_millis(4);

/// What a piece of work took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    pub(super) wall: Duration,
    /// Of all its threads, in the kernel too.
    pub(super) cpu: Duration,
    /// The most memory that it had at once, in bytes.
    pub(super) peak: u64,
}

/// Waits until somebody listens on a port of this machine.
///
/// # Errors
/// Nobody does for a minute.
pub(super) fn answers(port: u16) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(60) {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    bail!("nobody answers on port {port}")
}

/// Runs a program to its end and returns what it cost and what it printed.
///
/// No other child of this process may end meanwhile.
pub(super) fn measure(command: &mut Command) -> Result<(Cost, String)> {
    let before = children_cpu()?;
    let start = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {command:?}"))?;
    let status = format!("/proc/{}/status", child.id());
    let done = AtomicBool::new(false);
    let (output, wall, peak) = thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut peak = 0;
            while !done.load(Ordering::Relaxed) {
                peak = peak.max(peak_memory(&status).unwrap_or_default());
                thread::sleep(SAMPLING);
            }
            peak
        });
        let output = child.wait_with_output();
        let wall = start.elapsed();
        done.store(true, Ordering::Relaxed);
        (output, wall, sampler.join().unwrap_or_default())
    });
    let output = output?;
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let cost = Cost {
        wall,
        cpu: children_cpu()? - before,
        peak,
    };
    Ok((cost, String::from_utf8_lossy(&output.stdout).into_owned()))
}

/// Does some work in this thread and returns what it cost.
pub(super) fn measure_here<T>(work: impl FnOnce() -> Result<T>) -> Result<(Cost, T)> {
    let before = cpu("/proc/thread-self/stat", 11)?;
    let start = Instant::now();
    let result = work()?;
    let cost = Cost {
        wall: start.elapsed(),
        cpu: cpu("/proc/thread-self/stat", 11)? - before,
        peak: 0,
    };
    Ok((cost, result))
}

/// What a process that goes on has taken so far.
pub(super) fn cpu_of(process: u32) -> Result<Duration> {
    cpu(&format!("/proc/{process}/stat"), 11)
}

/// The memory that a process has now, and the most that it had, in bytes.
pub(super) fn memory_of(process: u32) -> Result<(u64, u64)> {
    let path = format!("/proc/{process}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let both = bytes_in(&status, "VmRSS:").zip(bytes_in(&status, "VmHWM:"));
    both.context("no memory in /proc")
}

/// What the ended children of this process took.
fn children_cpu() -> Result<Duration> {
    cpu("/proc/self/stat", 13)
}

/// The sum of a pair of times, which are counted from the field behind the program's name.
fn cpu(path: &str, field: usize) -> Result<Duration> {
    let stat = fs::read_to_string(path).with_context(|| format!("read {path}"))?;
    let (_, fields) = stat.rsplit_once(')').context("no name in /proc")?;
    let times = fields.split_whitespace().skip(field).take(2);
    let ticks = times
        .map(str::parse::<u32>)
        .sum::<Result<u32, _>>()
        .context("no times in /proc")?;
    Ok(TICK * ticks)
}

/// The most memory that a process had, in bytes.
fn peak_memory(status: &str) -> Option<u64> {
    bytes_in(&fs::read_to_string(status).ok()?, "VmHWM:")
}

fn bytes_in(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with(name))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes << 10)
}
