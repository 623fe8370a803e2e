//! What the command line prints of an import, beside the ground truth. It goes another way than the
//! receipt: through the store's readers and the shapes that scripts rely on.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tests::{
    cli::Trackway,
    digest::{self, Point},
    truth::{Run, Truth},
};

/// The runs whose histories are printed, by what they are for: all that are odd.
const HISTORIES: [&str; 14] = [
    "dense",
    "unicode-keys",
    "special-values",
    "same-step",
    "same-step-same-ts",
    "default-step-zero",
    "steps-extreme",
    "out-of-order",
    "resumed",
    "long-30k",
    "float-secs-timestamps",
    "wide",
    "deleted-run",
    "model-source",
];

/// A line of `trackway runs --jsonl`.
#[derive(Debug, Deserialize)]
struct RunLine {
    entity: String,
    project: String,
    id: String,
    name: Option<String>,
    state: String,
    started_at: Option<String>,
    ended_at: Option<String>,
    parent: Option<String>,
    config: BTreeMap<String, String>,
}

/// Compares what is printed of runs and histories with the truth.
pub(super) fn with_truth(trackway: &Trackway, truth: &Truth) -> Result<()> {
    let printed = trackway.stdout(["runs", "--include-deleted", "--jsonl"])?;
    let mut paths = BTreeMap::new();
    for line in printed.lines() {
        let line: RunLine =
            serde_json::from_str(line).with_context(|| format!("understand {line}"))?;
        let run = truth
            .runs
            .get(&line.id)
            .with_context(|| format!("run {} is not of the corpus", line.id))?;
        run_is(&line, run).with_context(|| format!("{} {}", run.key, line.id))?;
        paths.insert(
            run.key.clone(),
            format!("{}/{}/{}", line.entity, line.project, line.id),
        );
    }
    ensure!(
        paths.len() == truth.runs.len(),
        "{} runs are printed of {}",
        paths.len(),
        truth.runs.len()
    );
    for key in HISTORIES {
        let (_, run) = truth.run(key)?;
        let printed = trackway.stdout(["history", &paths[key], "--all", "--jsonl"])?;
        history_is(&printed, run).with_context(|| format!("history of {key}"))?;
    }
    Ok(())
}

fn run_is(line: &RunLine, run: &Run) -> Result<()> {
    let state = match run.status.as_str() {
        "SCHEDULED" => "pending".to_owned(),
        status => status.to_lowercase(),
    };
    ensure!(line.state == state, "state {}, not {state}", line.state);
    ensure!(
        line.name.as_deref() == Some(run.name.as_str()),
        "name {:?}, not {:?}",
        line.name,
        run.name
    );
    ensure!(
        line.parent == run.parent,
        "parent {:?}, not {:?}",
        line.parent,
        run.parent
    );
    ensure!(
        line.started_at == Some(rfc3339(run.start_time)),
        "started {:?}, not {}",
        line.started_at,
        run.start_time
    );
    ensure!(
        line.ended_at == run.end_time.map(rfc3339),
        "ended {:?}, not {:?}",
        line.ended_at,
        run.end_time
    );
    let params = digest::pairs(line.config.iter().map(|(k, v)| (k.as_str(), v.as_str())));
    ensure!(
        params == run.params_sha,
        "{} params differ",
        line.config.len()
    );
    Ok(())
}

/// Milliseconds since 1970 as RFC 3339, without zeros at the end.
pub(super) fn rfc3339(millis: i64) -> String {
    let (days, mut rest) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000));
    // Howard Hinnant's calendar: days since 0000-03-01, in eras of 400 years.
    let z = days + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let millis = rest % 1000;
    rest /= 1000;
    let mut text = format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    );
    if millis != 0 {
        text.push_str(format!(".{millis:03}").trim_end_matches('0'));
    }
    text + "Z"
}

fn history_is(printed: &str, run: &Run) -> Result<()> {
    let mut points = Vec::new();
    for line in printed.lines() {
        let row: BTreeMap<String, &RawValue> =
            serde_json::from_str(line).with_context(|| format!("understand {line}"))?;
        let step = row.get("_step").context("no _step")?.get().parse()?;
        let millis = millis(row.get("_timestamp").context("no _timestamp")?.get())?;
        for (key, value) in row
            .into_iter()
            .filter(|(key, _)| key != "_step" && key != "_timestamp")
        {
            points.push(Point {
                key,
                step,
                millis,
                value: double(value.get())?,
            });
        }
    }
    for (key, want) in &run.metrics {
        let series: Vec<&Point> = points.iter().filter(|p| p.key == *key).collect();
        ensure!(
            series.len() as u64 == want.n,
            "{key:?} has {} points, not {}",
            series.len(),
            want.n
        );
        ensure!(digest::points(series) == want.sha, "{key:?} differs");
    }
    ensure!(
        digest::points(&points) == run.points_sha_stored,
        "{} points differ",
        points.len()
    );
    Ok(())
}

/// Decimal seconds, to the millisecond and without a double in between.
fn millis(text: &str) -> Result<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    ensure!(part.len() <= 3, "{text} is finer than a millisecond");
    let digits = format!("{whole}{part:0<3}");
    digits
        .parse()
        .with_context(|| format!("understand the time {text}"))
}

fn double(text: &str) -> Result<f64> {
    Ok(match serde_json::from_str(text)? {
        Value::String(word) if word == "NaN" => f64::NAN,
        Value::String(word) if word == "Infinity" => f64::INFINITY,
        Value::String(word) if word == "-Infinity" => f64::NEG_INFINITY,
        Value::Number(_) => text.parse()?,
        other => anyhow::bail!("{other} is no double"),
    })
}

#[test]
fn times_are_read_as_they_are_printed() -> Result<()> {
    for (text, want) in [
        ("0", 0),
        ("-0.001", -1),
        ("1700000000.25", 1_700_000_000_250),
        ("9223372036854775.807", i64::MAX),
    ] {
        assert_eq!(millis(text)?, want, "{text}");
    }
    assert_eq!(rfc3339(1_700_000_000_250), "2023-11-14T22:13:20.25Z");
    assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
    assert_eq!(rfc3339(-1), "1969-12-31T23:59:59.999Z");
    Ok(())
}
