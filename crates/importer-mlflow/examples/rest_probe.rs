#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic
)]
use futures::{StreamExt, TryStreamExt};
use importer_core::*;
use importer_mlflow::*;
use std::collections::BTreeMap;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};
use std::time::Instant;

fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = s.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}
fn rss() -> String {
    std::fs::read_to_string("/proc/self/status")
        .unwrap()
        .lines()
        .find(|l| l.starts_with("VmHWM"))
        .unwrap()
        .to_owned()
}

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let args: Vec<String> = std::env::args().collect();
    let uri = &args[1];
    let truth: serde_json::Value = args
        .get(2)
        .filter(|p| p.as_str() != "-")
        .map_or(serde_json::Value::Null, |p| {
            serde_json::from_slice(&std::fs::read(p).unwrap()).unwrap()
        });
    let flags = args.get(3).cloned().unwrap_or_default();
    let jobs: usize = args.get(4).map_or(4, |j| j.parse().unwrap());
    let counts: Arc<Mutex<BTreeMap<String, u64>>> = Arc::default();
    let c2 = Arc::clone(&counts);
    let bytes = Arc::new(AtomicU64::new(0));
    let mut server = ServerOptions::new();
    server = server.with_observer(Arc::new(move |e: &tracker_http::Event<'_>| {
        let name = match e {
            tracker_http::Event::Sent { method, url } => {
                let p = url.expose().path().to_owned();
                let p = if p.contains("/mlflow-artifacts/") {
                    "proxied".to_owned()
                } else {
                    p
                };
                format!("{method} {p}")
            }
            tracker_http::Event::Answered { .. } => return,
            other => format!("{other:?}").chars().take(160).collect(),
        };
        *c2.lock().unwrap().entry(name).or_default() += 1;
    }));
    let options = MlflowOptions::new().with_server(server);
    let t0 = Instant::now();
    let source = match if uri.starts_with("databricks") {
        databricks::open(uri, &options).await
    } else {
        rest::open(uri, &options).await
    } {
        Ok(s) => s,
        Err(e) => {
            println!("ERROR {:?} {e}\nhint: {:?}", e.kind(), e.hint());
            return;
        }
    };
    println!("{source} opened {:?}", t0.elapsed());
    let mut selection = Selection::new();
    selection.include_deleted = !flags.contains('n');
    let projects: Vec<_> = source
        .projects(&selection)
        .filter_map(|p| async {
            match p {
                Ok(SourceItem::Item(p)) => Some(Arc::new(p)),
                Ok(SourceItem::Finding(f)) => {
                    println!("{f:?}");
                    None
                }
                Err(e) => panic!("{e:?}"),
            }
        })
        .collect()
        .await;
    println!("{} projects", projects.len());
    let points = AtomicU64::new(0);
    let files = AtomicU64::new(0);
    let bad = AtomicU64::new(0);
    let runs = AtomicU64::new(0);
    for p in &projects {
        source
            .runs(p, &selection)
            .map(|run| {
                let (source, truth, flags) = (&source, &truth, &flags);
                let (points, files, bad, runs, bytes) = (&points, &files, &bad, &runs, &bytes);
                async move {
                    let run = match run {
                        Ok(SourceItem::Item(r)) => r,
                        Ok(SourceItem::Finding(f)) => {
                            println!("{f:?}");
                            return;
                        }
                        Err(e) => {
                            println!("LIST ERROR {e:?}");
                            bad.fetch_add(1, Ordering::Relaxed);
                            return;
                        }
                    };
                    runs.fetch_add(1, Ordering::Relaxed);
                    let record = source.run(&run).await.unwrap();
                    let t = &truth["runs"][&run.id];
                    let mut sum = PointsChecksum::new();
                    if !flags.contains('p') {
                        let mut s = source.points(&run, PointsQuery::new());
                        while let Some(item) = s.next().await {
                            match item {
                                Ok(PointItem::Batch(b)) => {
                                    points.fetch_add(b.len() as u64, Ordering::Relaxed);
                                    if !flags.contains('c') {
                                        sum.update(&b).unwrap();
                                    }
                                }
                                Ok(PointItem::Finding(f)) => println!("{f:?}"),
                                Ok(_) => {}
                                Err(e) => {
                                    println!("POINTS ERROR {} {e:?}", run.id);
                                    bad.fetch_add(1, Ordering::Relaxed);
                                }
                            }
                        }
                        if !t.is_null() && !flags.contains('c') {
                            let sha = sum.finish().unwrap().points_sha;
                            if let Some(want) = t["points_sha_stored"].as_str()
                                && want != sha
                            {
                                println!("DIFF points {} {}", t["key"], run.id);
                                bad.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    }
                    if !t.is_null() {
                        let kv = key_value_checksum(
                            record
                                .run
                                .config
                                .iter()
                                .map(|(k, v)| (k.clone(), v.as_str().unwrap().to_owned())),
                        );
                        if kv != t["params_sha"].as_str().unwrap() {
                            println!("DIFF params {}", t["key"]);
                            bad.fetch_add(1, Ordering::Relaxed);
                        }
                        let keys: Vec<&str> = t["tag_keys"]
                            .as_array()
                            .unwrap()
                            .iter()
                            .map(|k| k.as_str().unwrap())
                            .collect();
                        let kv = key_value_checksum(
                            record
                                .tags
                                .iter()
                                .filter(|(k, _)| keys.contains(&k.as_str())),
                        );
                        if kv != t["tags_sha"].as_str().unwrap() {
                            println!("DIFF tags {}", t["key"]);
                            bad.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    if flags.contains('f') {
                        let items: Vec<_> = source.files(&run).collect().await;
                        let mut got = 0;
                        for item in items {
                            match item {
                                Ok(SourceItem::Item(f)) => {
                                    got += 1;
                                    match source.open_file(&run, &f).await {
                                        Ok(b) => match b
                                            .try_fold(
                                                0u64,
                                                |a, b| async move { Ok(a + b.len() as u64) },
                                            )
                                            .await
                                        {
                                            Ok(n) => {
                                                files.fetch_add(1, Ordering::Relaxed);
                                                bytes.fetch_add(n, Ordering::Relaxed);
                                                let want =
                                                    t["artifacts"][&f.draft.name]["size"].as_u64();
                                                if !t.is_null() && want != Some(n) {
                                                    println!(
                                                        "DIFF file {:?} {n} {want:?}",
                                                        f.draft.name
                                                    );
                                                    bad.fetch_add(1, Ordering::Relaxed);
                                                }
                                            }
                                            Err(e) => {
                                                println!("FILE READ {:?} {e:?}", f.draft.name)
                                            }
                                        },
                                        Err(e) => println!("FILE {:?} {e:?}", f.draft.name),
                                    }
                                }
                                other => println!("{other:?}"),
                            }
                        }
                        if !t.is_null() && got != t["artifacts"].as_object().unwrap().len() {
                            println!("DIFF files {} got {got}", t["key"]);
                        }
                    }
                }
            })
            .buffer_unordered(jobs)
            .for_each(|()| async {})
            .await;
    }
    let wall = t0.elapsed().as_secs_f64();
    let p = points.load(Ordering::Relaxed);
    println!(
        "runs {} (truth {}) points {p} files {} bytes {} bad {} wall {wall:.2}s cpu {:.2}s ({:.2} us/pt) {:.0} pt/s {}",
        runs.load(Ordering::Relaxed),
        truth["runs"].as_object().map_or(0, |r| r.len()),
        files.load(Ordering::Relaxed),
        bytes.load(Ordering::Relaxed),
        bad.load(Ordering::Relaxed),
        cpu(),
        cpu() * 1e6 / p.max(1) as f64,
        p as f64 / wall,
        rss()
    );
    if flags.contains('a') {
        let mut artifacts = source.artifacts(&projects, &selection);
        while let Some(a) = artifacts.next().await {
            match a {
                Ok(SourceItem::Item(a)) => {
                    println!(
                        "{} {:?} {:?} aliases {:?} idx {:?} by {:?} uses {:?} immutable {} fp {}",
                        a.project_name,
                        a.collection,
                        a.version.as_ref().and_then(|v| v.source_key.clone()),
                        a.version.as_ref().map(|v| v.aliases.clone()),
                        a.version.as_ref().and_then(|v| v.index),
                        a.logged_by,
                        a.uses,
                        a.immutable,
                        &a.fingerprint[..8]
                    );
                    println!(
                        "   {}",
                        a.version
                            .as_ref()
                            .map_or(String::new(), |v| serde_json::to_string(&v.metadata)
                                .unwrap()
                                .chars()
                                .take(600)
                                .collect())
                    );
                    let mut entries = source.entries(&a);
                    while let Some(e) = entries.next().await {
                        match e {
                            Ok(SourceItem::Item(e)) => {
                                let body = match &e.content {
                                    EntryContent::Reference(_) => None,
                                    _ => Some(match source.open_entry(&a, &e).await {
                                        Ok(b) => b
                                            .try_fold(Vec::new(), |mut a, b| async move {
                                                a.extend_from_slice(&b);
                                                Ok(a)
                                            })
                                            .await
                                            .map_err(|e| format!("{e:?}")),
                                        Err(e) => Err(format!("{e:?}")),
                                    }),
                                };
                                println!(
                                    "   {:?} size {:?} {:?} -> {}",
                                    e.path,
                                    e.size,
                                    e.content,
                                    match body {
                                        None => "ref".into(),
                                        Some(Ok(b)) => format!(
                                            "{} bytes {}",
                                            b.len(),
                                            if flags.contains('v') {
                                                String::from_utf8_lossy(&b)
                                                    .chars()
                                                    .take(3000)
                                                    .collect::<String>()
                                            } else {
                                                String::new()
                                            }
                                        ),
                                        Some(Err(e)) => e,
                                    }
                                );
                            }
                            other => println!("   {other:?}"),
                        }
                    }
                }
                other => println!("{other:?}"),
            }
        }
    }
    println!("{:#?}", counts.lock().unwrap());
}
