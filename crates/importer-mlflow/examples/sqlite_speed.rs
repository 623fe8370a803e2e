#![allow(missing_docs, clippy::all, clippy::unwrap_used, clippy::print_stdout)]
use futures::{StreamExt, TryStreamExt};
use importer_core::*;
use importer_mlflow::*;
use std::{sync::Arc, time::Instant};

fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}
#[tokio::main]
async fn main() {
    let source = Arc::new(
        SqliteSource::open(std::env::args().nth(1).unwrap(), &MlflowOptions::new()).unwrap(),
    );
    let mut selection = Selection::new();
    selection.include_deleted = true;
    let mut refs = Vec::new();
    let a = Instant::now();
    let projects: Vec<_> = source.projects(&selection).try_collect().await.unwrap();
    println!("projects {:?}", a.elapsed());
    for p in projects {
        if let SourceItem::Item(p) = p {
            let all: Vec<_> = source
                .runs(&Arc::new(p), &selection)
                .try_collect()
                .await
                .unwrap();
            refs.extend(all.into_iter().filter_map(|r| {
                if let SourceItem::Item(r) = r {
                    Some(r)
                } else {
                    None
                }
            }));
        } else {
            println!("{p:?}");
        }
    }
    println!(
        "listing {} runs {:?} cpu {}",
        refs.len(),
        a.elapsed(),
        cpu()
    );
    for jobs in [1usize, 2, 1, 2] {
        let (a, c) = (Instant::now(), cpu());
        let n: usize = futures::stream::iter(refs.clone())
            .map(|run| {
                let source = source.clone();
                async move {
                    let mut points = source.points(&run, PointsQuery::new());
                    let mut n = 0;
                    while let Some(item) = points.try_next().await.unwrap() {
                        if let PointItem::Batch(b) = item {
                            n += b.len();
                        }
                    }
                    n
                }
            })
            .buffer_unordered(jobs)
            .collect::<Vec<_>>()
            .await
            .into_iter()
            .sum();
        let t = a.elapsed().as_secs_f64();
        println!(
            "jobs {jobs}: {n} points {t:.2} s wall {:.2} M/s; cpu {:.2} s {:.2} M/s",
            n as f64 / t / 1e6,
            cpu() - c,
            n as f64 / 1e6 / (cpu() - c)
        );
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!(
        "{}",
        status.lines().find(|l| l.starts_with("VmHWM")).unwrap()
    );
}
