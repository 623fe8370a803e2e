//! File stores in MLflow's layout, as large as a test wants them, without MLflow.

use std::{
    fs,
    io::{BufWriter, Write},
    path::Path,
};

use anyhow::{Context, Result};

/// The size of a store.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Runs, all in one experiment.
    pub runs: usize,
    /// Series of each run.
    pub metrics: usize,
    /// Points of each series.
    pub points: usize,
    /// Artifacts of each run, of some kilobytes.
    pub files: usize,
}

/// Numbers that look random and are the same every time (splitmix64).
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// A sequence of its own for each seed.
    pub fn of_seed(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn integer(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next number from 0 to 1.
    pub fn fraction(&mut self) -> f64 {
        (self.integer() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// When the first run starts, in milliseconds since 1970.
const START: i64 = 1_700_000_000_000;

/// Writes a store into an empty folder.
///
/// # Errors
/// The folder cannot be written to.
pub fn write(root: &Path, shape: Shape) -> Result<()> {
    let experiment = root.join("1");
    put(
        &experiment.join("meta.yaml"),
        &format!(
            "artifact_location: file://{}\ncreation_time: {START}\nexperiment_id: '1'\nlast_update_time: {START}\nlifecycle_stage: active\nname: generated\n",
            experiment.display()
        ),
    )?;
    for index in 0..shape.runs {
        run(&experiment, index, shape)?;
    }
    Ok(())
}

fn run(experiment: &Path, index: usize, shape: Shape) -> Result<()> {
    let mut numbers = Numbers::of_seed(index as u64);
    let id = format!("{:016x}{:016x}", numbers.integer(), numbers.integer());
    let folder = experiment.join(&id);
    let start = START + index as i64 * 60_000;
    put(
        &folder.join("meta.yaml"),
        &format!(
            "artifact_uri: file://{}/artifacts\nend_time: {}\nentry_point_name: ''\nexperiment_id: '1'\nlifecycle_stage: active\nrun_id: {id}\nrun_name: run-{index}\nsource_name: ''\nsource_type: 4\nsource_version: ''\nstart_time: {start}\nstatus: 3\ntags: []\nuser_id: ada\n",
            folder.display(),
            start + 50_000
        ),
    )?;
    put(&folder.join("params/lr"), &numbers.fraction().to_string())?;
    put(&folder.join("tags/mlflow.runName"), &format!("run-{index}"))?;
    put(&folder.join("tags/mlflow.user"), "ada")?;
    for metric in 0..shape.metrics {
        let path = folder.join(format!("metrics/train/m{metric}"));
        let mut lines = BufWriter::new(create(&path)?);
        let mut value = 2.0 + numbers.fraction();
        for step in 0..shape.points {
            value = value * 0.999 + 0.01 * (numbers.fraction() - 0.5);
            writeln!(lines, "{} {value:?} {step}", start + step as i64 * 20)?;
        }
        lines
            .flush()
            .with_context(|| format!("write {}", path.display()))?;
    }
    for file in 0..shape.files {
        let mut text = String::new();
        for _ in 0..200 {
            text.push_str(&format!("{:016x}\n", numbers.integer()));
        }
        put(
            &folder.join(format!("artifacts/part-{}/file-{file}.txt", file % 3)),
            &text,
        )?;
    }
    Ok(())
}

fn put(path: &Path, text: &str) -> Result<()> {
    create(path)?
        .write_all(text.as_bytes())
        .with_context(|| format!("write {}", path.display()))
}

fn create(path: &Path) -> Result<fs::File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::File::create(path).with_context(|| format!("create {}", path.display()))
}
