#![allow(missing_docs, clippy::all, clippy::unwrap_used, clippy::print_stdout)]
use futures::TryStreamExt;
use importer_core::*;
use importer_mlflow::*;
use std::{io::Write, sync::Arc};
use tracker_model::{SeriesHasher, collect_bytes};

#[tokio::main]
async fn main() {
    let a: Vec<String> = std::env::args().collect();
    let mut options = MlflowOptions::new();
    if let Some(root) = a.get(3) {
        options = options.with_artifacts_root(root);
    }
    let source = open(&a[1], &options).await.unwrap();
    let mut out = std::fs::File::create(&a[2]).unwrap();
    let mut sel = Selection::new();
    let items: Vec<_> = source.projects(&sel).try_collect().await.unwrap();
    sel.include_deleted = true;
    let items2: Vec<_> = source.projects(&sel).try_collect().await.unwrap();
    let _ = items;
    let mut projects = vec![];
    let mut lines = vec![];
    for i in items2 {
        match i {
            SourceItem::Item(p) => {
                lines.push(format!("project {p:?}"));
                projects.push(Arc::new(p))
            }
            SourceItem::Finding(f) => lines.push(format!("finding {f:?}")),
        }
    }
    for p in &projects {
        let runs: Vec<_> = source.runs(p, &sel).try_collect().await.unwrap();
        for r in runs {
            let SourceItem::Item(r) = r else {
                lines.push(format!("{r:?}"));
                continue;
            };
            let rec = source.run(&r).await.unwrap();
            lines.push(format!(
                "run {} {} {:?}",
                r.id,
                serde_json::to_string(&rec.run).unwrap(),
                rec.findings
            ));
            lines.push(format!(
                "run {} tags {}",
                r.id,
                serde_json::to_string(&rec.tags).unwrap()
            ));
            let mut h: std::collections::BTreeMap<String, SeriesHasher> = Default::default();
            let mut pts = source.points(&r, PointsQuery::new());
            while let Some(i) = pts.try_next().await.unwrap() {
                match i {
                    PointItem::Batch(b) => h.entry(b.key.to_string()).or_default().update(&b),
                    other => lines.push(format!("run {} points {other:?}", r.id)),
                }
            }
            for (k, mut h) in h {
                lines.push(format!(
                    "run {} series {k:?} {} {:?}",
                    r.id,
                    h.count(),
                    h.digest()
                ));
            }
            let files: Vec<_> = source.files(&r).try_collect().await.unwrap();
            for f in files {
                match f {
                    SourceItem::Item(f) => {
                        let body = match source.open_file(&r, &f).await {
                            Ok(b) => match collect_bytes(b, 1 << 28).await {
                                Ok(b) => blake3(&b),
                                Err(e) => format!("{e:?}"),
                            },
                            Err(e) => format!("{e:?}"),
                        };
                        lines.push(format!(
                            "run {} file {:?} {:?} {body}",
                            r.id,
                            f.draft.name,
                            f.size.unwrap_or(0)
                        ));
                    }
                    SourceItem::Finding(f) => lines.push(format!("run {} {f:?}", r.id)),
                }
            }
        }
    }
    let arts: Vec<_> = source
        .artifacts(&projects, &sel)
        .try_collect()
        .await
        .unwrap();
    for x in arts {
        let SourceItem::Item(x) = x else {
            lines.push(format!("artifact {x:?}"));
            continue;
        };
        let name = format!(
            "artifact {} {:?}",
            x.collection,
            x.version.as_ref().and_then(|v| v.source_key.clone())
        );
        lines.push(format!(
            "{name} {:?} {:?} logged_by {:?} uses {:?}",
            x.patch, x.version, x.logged_by, x.uses
        ));
        let es: Vec<_> = source.entries(&x).try_collect().await.unwrap();
        for e in es {
            match e {
                SourceItem::Item(e) => {
                    if let EntryContent::Reference(u) = &e.content {
                        lines.push(format!("{name} ref {u}"));
                        continue;
                    }
                    let b = collect_bytes(source.open_entry(&x, &e).await.unwrap(), 1 << 28)
                        .await
                        .unwrap();
                    if e.path.ends_with(".jsonl") {
                        for l in String::from_utf8(b.to_vec()).unwrap().lines() {
                            lines.push(format!("{name} line {l}"));
                        }
                    } else {
                        lines.push(format!("{name} entry {} {}", e.path, blake3(&b)));
                    }
                }
                SourceItem::Finding(f) => lines.push(format!("{name} {f:?}")),
            }
        }
    }
    lines.sort();
    for l in lines {
        writeln!(out, "{l}").unwrap();
    }
}
fn blake3(b: &[u8]) -> String {
    let mut h = tracker_model::ContentHasher::new();
    h.update(b);
    h.finish().blake3
}
