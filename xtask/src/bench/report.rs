//! Figures, each beside what it is measured against.
#![expect(clippy::print_stdout, reason = "the figures are what was asked for")]

use std::{
    fs,
    io::Write,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::json;

use super::process::Cost;

/// What a figure should be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal {
    /// At most this much.
    AtMost(f64),
    /// At least this much.
    AtLeast(f64),
    /// Nothing is asked; it is there to be looked at.
    None,
}

impl Goal {
    fn met(self, value: f64) -> Option<bool> {
        match self {
            Self::AtMost(most) => Some(value <= most),
            Self::AtLeast(least) => Some(value >= least),
            Self::None => None,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(most) => format!("≤ {}", number(most)),
            Self::AtLeast(least) => format!("≥ {}", number(least)),
            Self::None => String::new(),
        }
    }
}

/// A figure that one of our own measurements printed.
#[derive(Debug, Deserialize)]
pub(super) struct Figure {
    pub(super) name: String,
    pub(super) unit: String,
    pub(super) rounds: Vec<f64>,
}

/// The figures so far.
#[derive(Debug)]
pub(super) struct Report {
    json: PathBuf,
    lines: Vec<[String; 6]>,
    documents: Vec<String>,
}

impl Report {
    pub(super) fn new(json: PathBuf) -> Self {
        Self {
            json,
            lines: Vec::new(),
            documents: Vec::new(),
        }
    }

    /// Adds a figure that was taken in several rounds; the median counts.
    pub(super) fn add(&mut self, name: &str, unit: &str, rounds: &[f64], goal: Goal) {
        let (low, value, high) = spread(rounds);
        let met = goal.met(value);
        let verdict = met.map_or("", |met| if met { "met" } else { "MISSED" });
        let range = if rounds.len() > 1 {
            format!("{} … {}", number(low), number(high))
        } else {
            String::new()
        };
        self.lines.push([
            name.to_owned(),
            number(value),
            unit.to_owned(),
            range,
            goal.text(),
            verdict.to_owned(),
        ]);
        let time = SystemTime::now().duration_since(UNIX_EPOCH);
        let document = json!({
            "time": time.map(|time| time.as_secs()).unwrap_or_default(),
            "name": name, "unit": unit, "value": value, "rounds": rounds,
            "goal": goal.text(), "met": met,
        });
        self.documents.push(document.to_string());
    }

    /// Adds how much longer one thing took than the other, pair by pair.
    pub(super) fn pairs(&mut self, name: &str, pairs: &[(Cost, Cost)], goal: Goal) {
        let ratio = |of: fn(&Cost) -> Duration| {
            let ratios = pairs
                .iter()
                .map(|(ours, theirs)| of(ours).as_secs_f64() / of(theirs).as_secs_f64());
            ratios.collect::<Vec<_>>()
        };
        self.add(name, "× time", &ratio(|cost| cost.wall), goal);
        self.add(
            name,
            "× processor time",
            &ratio(|cost| cost.cpu),
            Goal::None,
        );
    }

    /// Adds what reading some points cost; the goal is for the points a second of one core.
    pub(super) fn costs(&mut self, name: &str, costs: &[Cost], points: u64, goal: Goal) {
        let rate = |of: fn(&Cost) -> Duration| {
            let rates = costs
                .iter()
                .map(|cost| points as f64 / of(cost).as_secs_f64());
            rates.collect::<Vec<_>>()
        };
        self.add(name, "points/s", &rate(|cost| cost.wall), Goal::None);
        self.add(name, "points/s a core", &rate(|cost| cost.cpu), goal);
        let peaks: Vec<f64> = costs.iter().map(|cost| cost.peak as f64 / 1e6).collect();
        if peaks.iter().any(|peak| *peak > 0.0) {
            self.add(name, "MB at most", &peaks, Goal::AtMost(300.0));
        }
    }

    /// Prints the figures and appends them to the file.
    pub(super) fn finish(&self) -> Result<()> {
        let width = |column: usize| {
            let widths = self.lines.iter().map(|line| line[column].chars().count());
            widths.max().unwrap_or_default()
        };
        let widths: [usize; 6] = std::array::from_fn(width);
        for line in &self.lines {
            let cells = line.iter().zip(widths).enumerate();
            let cells = cells.map(|(column, (cell, width))| match column {
                1 => format!("{cell:>width$}"),
                _ => format!("{cell:<width$}"),
            });
            println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        if let Some(folder) = self.json.parent() {
            fs::create_dir_all(folder)?;
        }
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.json)
            .with_context(|| format!("open {}", self.json.display()))?;
        for document in &self.documents {
            writeln!(file, "{document}")?;
        }
        Ok(())
    }
}

/// The least, the median and the most.
fn spread(rounds: &[f64]) -> (f64, f64, f64) {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    let last = sorted.len().saturating_sub(1);
    let median = (at(last / 2) + at(last.div_ceil(2))) / 2.0;
    (at(0), median, at(last))
}

/// A number with three figures that count.
fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size >= 1e6 => format!("{:.2}M", value / 1e6),
        size if size >= 1e4 => format!("{:.0}k", value / 1e3),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_counts() {
        assert_eq!(spread(&[3.0, 1.0, 2.0]), (1.0, 2.0, 3.0));
        assert_eq!(spread(&[4.0, 1.0, 2.0, 3.0]), (1.0, 2.5, 4.0));
        assert_eq!(Goal::AtMost(1.0).met(1.1), Some(false));
        assert_eq!(Goal::AtLeast(1.0).met(1.1), Some(true));
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(number(2_345_678.0), "2.35M");
        assert_eq!(number(12_345.0), "12k");
        assert_eq!(number(0.0123), "0.0123");
        assert_eq!(number(5.0), "5.00");
    }
}
