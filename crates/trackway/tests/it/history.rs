//! Histories: which rows come, and how they are drawn.

use std::fs;

use serde_json::Value as Json;
use trackway::{
    model::{
        HistoryRow, HistoryStore, HistoryStream, Precondition, RunPatch, RunPath, RunStore,
        Timestamp, Value, split_rows,
    },
    store::{EmbeddedStore, StoreOptions},
};

use crate::support::{Place, snapshot};

/// A run of 1200 rows: `loss` in each, with one peak; `val` and `epoch` in every tenth, `val` in the
/// last, too.
fn long() -> Place {
    let place = Place::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(fill(&place)).unwrap();
    place
}

async fn fill(place: &Place) -> trackway::model::Result<()> {
    let store = EmbeddedStore::open(place.store(), StoreOptions::new()).await?;
    let run: RunPath = "local/vision/long".parse()?;
    store
        .upsert_run(&run, RunPatch::new().with_name("a & b"), Precondition::None)
        .await?;
    let rows = (0..1200u32).map(|i| {
        let loss = if i == 777 {
            99.0
        } else {
            1.0 / f64::from(i + 1)
        };
        let mut values = vec![("loss".into(), Value::F64(loss))];
        if i % 10 == 0 {
            values.push(("epoch".into(), Value::I64(i64::from(i / 10))));
        }
        if i % 10 == 0 || i == 1199 {
            values.push(("val".into(), Value::F64(f64::from(i).sqrt())));
        }
        HistoryRow {
            row: i.into(),
            step: i.into(),
            time: Some(Timestamp::from_millis(
                1_700_000_000_000 + 500 * i64::from(i),
            )),
            values,
        }
    });
    store
        .append(&run, HistoryStream::Metrics, 0, split_rows(rows)?)
        .await?;
    Ok(())
}

/// What standard output and standard error say.
fn both(place: &Place, args: &[&str]) -> (Vec<String>, String) {
    let done = place.output([&["history", "long", "--jsonl"], args].concat());
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(done.status.success(), "{args:?}: {said}");
    let text = String::from_utf8(done.stdout).unwrap();
    (text.lines().map(str::to_owned).collect(), said)
}

fn steps(lines: &[String]) -> Vec<u64> {
    let step = |line: &String| serde_json::from_str::<Json>(line).unwrap()["_step"].as_u64();
    lines.iter().filter_map(step).collect()
}

#[test]
fn whole_rows_are_sampled() {
    let place = long();
    let (all, said) = both(&place, &["--all"]);
    assert_eq!((all.len(), said.as_str()), (1200, ""));
    let (sample, said) = both(&place, &[]);
    assert_eq!(sample.len(), 500);
    assert_eq!(said, "500 of 1,200 rows; --all for every one\n");
    assert!(sample.iter().all(|line| all.contains(line)));
    let (few, said) = both(&place, &["--samples", "8"]);
    assert_eq!(said, "8 of 1,200 rows; --all for every one\n");
    let steps = steps(&few);
    assert!(
        [0, 777, 1199].iter().all(|s| steps.contains(s)),
        "{steps:?}"
    );
    assert_eq!(both(&place, &["--samples", "1200"]), (all, String::new()));
}

#[test]
fn rows_with_some_keys_or_with_all() {
    let place = long();
    let tenth = |n: u64| (0..n).map(|i| i * 10);
    for all in [&["--all"][..], &["--samples", "2000"][..]] {
        let lines = |args: &[&str]| both(&place, &[all, args].concat()).0;
        let outer = lines(&["-k", "val,epoch"]);
        assert_eq!(steps(&outer), tenth(120).chain([1199]).collect::<Vec<_>>());
        assert!(!outer[0].contains("loss"), "{}", outer[0]);
        let inner = lines(&["-k", "val,epoch", "--join", "inner"]);
        assert_eq!(steps(&inner), tenth(120).collect::<Vec<_>>());
        let over = lines(&["-k", "loss", "--x-axis", "epoch"]);
        assert_eq!(steps(&over), tenth(120).collect::<Vec<_>>());
        let row: Json = serde_json::from_str(&over[3]).unwrap();
        assert_eq!((&row["epoch"], row.get("val")), (&3.into(), None));
        let between = lines(&["--min-step", "20", "--max-step", "40", "-k", "epoch"]);
        assert_eq!(steps(&between), [20, 30, 40]);
        let last = i64::MAX.to_string();
        assert_eq!(
            steps(&lines(&["--min-step", "1199", "--max-step", &last])),
            [1199]
        );
        assert_eq!(lines(&["--x-axis", "_step"]).len(), 1200);
    }
}

#[test]
fn an_axis_that_is_not_there() {
    let place = long();
    snapshot!(place, place.said(["history", "long", "--x-axis", "epohc"]));
    snapshot!(place, place.said(["history", "long", "--join", "inner"]));
}

#[test]
fn charts_over_another_series() {
    let place = long();
    let args = [
        "history", "long", "--plot", "--x-axis", "epoch", "--height", "4", "--width", "50",
    ];
    snapshot!(place, place.said(args));
}

#[test]
fn charts_as_svg() {
    let place = long();
    let args = [
        "history",
        "long",
        "-k",
        "val,epoch",
        "--min-step",
        "1000",
        "--svg",
        "-",
    ];
    let drawing = place.stdout(args);
    snapshot!(place, &drawing);
    let out = place.said([
        "history", "long", "--svg", "all.svg", "--log", "--x", "time",
    ]);
    assert_eq!(out, "exit: 0\n--- stdout\n--- stderr\n");
    let all = fs::read_to_string(place.path("all.svg")).unwrap();
    assert_eq!(
        all.matches("translate(").count(),
        3,
        "a chart for each series"
    );
    assert!(
        all.contains(">time</text>") && all.contains("a &amp; b"),
        "{all}"
    );
    let both = place.stdout([
        "history", "long", "-k", "loss", "--plot", "--svg", "loss.svg",
    ]);
    assert!(both.contains("loss") && place.path("loss.svg").exists());
    let wrong = place.output(["history", "long", "--svg", "no/such/folder.svg"]);
    assert_eq!(wrong.status.code(), Some(5));
}

#[test]
fn runs_in_one_chart() {
    let place = Place::with_example();
    let args = [
        "compare", "abd4f363", "62915c7a", "826516b9", "--plot", "val/loss", "--x", "time",
    ];
    let small = [&args[..], &["--width", "60", "--height", "8"]].concat();
    snapshot!(place, place.said(small));
    let done = place.output([&args[..], &["--svg", "loss.svg"]].concat());
    assert_eq!((done.status.code(), done.stdout), (Some(0), Vec::new()));
    let drawing = fs::read_to_string(place.path("loss.svg")).unwrap();
    assert!(
        drawing.contains(">lr=0.3</text>") && drawing.contains(">lr=40</text>"),
        "{drawing}"
    );
    let wrong = place.output(["compare", "abd4f363", "62915c7a", "--plot", "val/los"]);
    assert_eq!(wrong.status.code(), Some(5));
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(said.contains("hint: did you mean val/loss?"), "{said}");
}
