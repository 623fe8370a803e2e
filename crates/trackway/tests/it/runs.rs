//! Finding runs, putting them side by side, and changing them.

use std::fs;

use serde_json::{Value as Json, json};
use trackway::{
    model::{
        Change, JsonPatch, Precondition, RunPatch, RunState, RunStore, SweepPatch, SweepState,
        SweepStore, Timestamp,
    },
    store::{EmbeddedStore, StoreOptions},
};

use crate::support::{Place, snapshot};

/// A store with five runs of `local/p`, three of them of the sweep `s1`, and a run of `acme/q`.
fn small() -> Place {
    let place = Place::new();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(fill(&place)).unwrap();
    place
}

async fn fill(place: &Place) -> trackway::model::Result<()> {
    let store = EmbeddedStore::open(place.store(), StoreOptions::new()).await?;
    let object = |json: Json| JsonPatch::Replace(json.as_object().cloned().unwrap());
    let mut sweep = SweepPatch::new();
    sweep.state = Some(SweepState::Running);
    sweep.created_at = Some(Timestamp::from_millis(1_700_000_000_000));
    sweep.config = object(json!({
        "method": "grid", "name": "depths",
        "metric": { "name": "acc", "goal": "maximize" },
        "parameters": { "depth": { "values": [1, 2, 3, 4] } },
    }));
    store.upsert_sweep(&"local/p/s1".parse()?, sweep).await?;
    let runs = [
        (
            "local/p/aaaa",
            "one | 1",
            json!({ "lr": 0.1, "opt": { "name": "adam" }, "depth": 1 }),
            json!({ "acc": 0.5 }),
        ),
        (
            "local/p/bbbb",
            "two, \"2\"",
            json!({ "lr": 0.1, "opt": { "name": "sgd" }, "depth": 2 }),
            json!({ "acc": 0.9 }),
        ),
        (
            "local/p/cccc",
            "_three_",
            json!({ "lr": 1, "opt": { "name": "sgd" }, "depth": 3 }),
            json!({ "acc": "NaN" }),
        ),
        (
            "local/p/dddd",
            "one | 1",
            json!({ "lr": 1.0 }),
            json!({ "acc": 0.7, "loss": 3 }),
        ),
        ("local/p/eeee", "two\nlines", json!({}), json!({})),
        (
            "acme/q/ffff",
            "other",
            json!({ "lr": 0.1 }),
            json!({ "acc": 1 }),
        ),
    ];
    for (i, (path, name, config, summary)) in (0..).zip(runs) {
        let mut patch = RunPatch::new()
            .with_name(name)
            .with_state(RunState::Finished);
        patch.created_at = Some(Timestamp::from_millis(1_700_000_000_000 + i));
        patch.started_at = Change::Set(Timestamp::from_millis(1_700_000_000_000 + i * 86_400_000));
        if i < 3 {
            patch.sweep = Change::Set("s1".to_owned());
        }
        patch.config = object(config);
        patch.summary = object(summary);
        store
            .upsert_run(&path.parse()?, patch, Precondition::None)
            .await?;
    }
    Ok(())
}

impl Place {
    fn ids(&self, args: &[&str]) -> Vec<String> {
        let args = ["runs"].iter().chain(args).chain(&["--jsonl"]);
        let lines = self.stdout(args);
        let id = |line: &str| {
            let run: Json = serde_json::from_str(line).unwrap();
            run["id"].as_str().unwrap().to_owned()
        };
        lines.lines().map(id).collect()
    }

    fn code(&self, args: &[&str]) -> i32 {
        self.output(args).status.code().unwrap()
    }

    fn run(&self, run: &str) -> Json {
        serde_json::from_str(&self.stdout(["run", run, "--json"])).unwrap()
    }
}

#[test]
fn filters_and_orders() {
    let place = small();
    for (args, wanted) in [
        (&["p"][..], &["eeee", "dddd", "cccc", "bbbb", "aaaa"][..]),
        (&["p", "--filter", "config.lr = 0.1"], &["bbbb", "aaaa"]),
        (
            &["p", "--filter", r#"{"config.opt.name": "sgd"}"#],
            &["cccc", "bbbb"],
        ),
        (
            &[
                "p",
                "--filter",
                "config.lr = 0.1",
                "--filter",
                r#"{"summary.acc": {"$gt": 0.6}}"#,
            ],
            &["bbbb"],
        ),
        (
            &["p", "--order", "-config.depth", "--limit", "2"],
            &["cccc", "bbbb"],
        ),
        (
            &[
                "p",
                "--order",
                "+config.lr",
                "--order",
                "name",
                "--limit",
                "2",
            ],
            &["aaaa", "bbbb"],
        ),
        (
            &[
                "p",
                "--since",
                "2023-11-16",
                "--until",
                "2023-11-18T12:00:00Z",
            ],
            &["dddd", "cccc"],
        ),
        (
            &["p", "--since", "2023-11-16", "--filter", "config.lr = 1"],
            &["dddd", "cccc"],
        ),
        (&["p", "--state", "failed"], &[]),
        (&["--filter", "entity = acme"], &["ffff"]),
        (&["p", "--oldest-first", "--limit", "1"], &["aaaa"]),
    ] {
        assert_eq!(place.ids(args), wanted, "{args:?}");
    }
    assert_eq!(place.stdout(["runs", "p", "--count"]), "5\n");
    let some = ["runs", "--count", "--filter", "config.lr = 1", "--json"];
    assert_eq!(place.stdout(some), "{\n  \"runs\": 2\n}\n");
}

#[test]
fn forms_of_the_list() {
    let place = small();
    let show = [
        "runs",
        "p",
        "--show",
        "name,config.opt,summary.acc,tags,state",
    ];
    let list = |format| place.said(show.iter().chain(&["--format", format]));
    snapshot!(place, list("table"));
    snapshot!(place, list("csv"));
    snapshot!(place, list("tsv"));
    snapshot!(place, list("markdown"));
    snapshot!(
        place,
        place.said(["runs", "p", "--format", "csv", "--limit", "1"])
    );
    snapshot!(
        place,
        place.said(["runs", "p", "--format", "csv", "--state", "failed"])
    );
}

#[test]
fn why_nothing_is_found() {
    let place = small();
    for filter in [
        "config.lrr > 0",
        "name = \"_three_\"",
        "config.lr > 100",
        "config.lr >",
        r#"{"config.lr": {"$gtt": 1}}"#,
        "lr > 1",
    ] {
        snapshot!(place, place.said(["runs", "p", "--filter", filter]));
    }
    snapshot!(
        place,
        place.said(["runs", "p", "--show", "name,summary.ac", "--limit", "1"])
    );
    snapshot!(place, place.said(["runs", "p", "--show", "nam"]));
    snapshot!(place, place.said(["runs", "p", "--order", "lr"]));
}

#[test]
fn runs_side_by_side() {
    let place = small();
    snapshot!(place, place.said(["compare", "aaaa", "bbbb"]));
    snapshot!(
        place,
        place.said([
            "compare",
            "aaaa",
            "dddd",
            "bbbb",
            "--section",
            "config",
            "--all",
            "--format",
            "markdown"
        ])
    );
    snapshot!(
        place,
        place.said(["compare", "aaaa", "bbbb", "--format", "latex"])
    );
    snapshot!(
        place,
        place.said(["compare", "aaaa", "cccc", "--format", "csv"])
    );
    snapshot!(
        place,
        place.said(["compare", "cccc", "dddd", "--section", "config", "--json"])
    );
    assert_eq!(place.code(&["compare", "aaaa", "aaaa"]), 2);
    let copy = [
        "update",
        "eeee",
        "--set",
        "config.lr=1",
        "--set",
        "summary.acc=0.7",
        "--set",
        "summary.loss=3.0",
    ];
    assert_eq!(place.code(&copy), 0);
    snapshot!(place, place.said(["compare", "dddd", "eeee"]));
}

#[test]
fn the_best_runs() {
    let place = small();
    snapshot!(
        place,
        place.said(["best", "p", "--metric", "acc", "-n", "9"])
    );
    snapshot!(
        place,
        place.said([
            "best",
            "p",
            "--metric",
            "summary.acc",
            "--goal",
            "min",
            "--filter",
            "config.lr = 1",
            "--format",
            "csv"
        ])
    );
    snapshot!(place, place.said(["best", "--sweep", "p/s1"]));
    snapshot!(place, place.said(["best", "p", "--metric", "accc"]));
    snapshot!(
        place,
        place.said(["best", "p", "--metric", "acc", "--filter", "config.lr > 7"])
    );
    snapshot!(place, place.said(["best", "--sweep", "p/s2"]));
    let best: Json =
        serde_json::from_str(&place.stdout(["best", "p", "--metric", "acc", "--jsonl"])).unwrap();
    assert_eq!((&best["id"], &best["value"]), (&json!("bbbb"), &json!(0.9)));
}

#[test]
fn sweeps() {
    let place = small();
    snapshot!(place, place.said(["sweeps"]));
    snapshot!(place, place.said(["sweeps", "show", "p/s1"]));
    snapshot!(place, place.said(["sweeps", "q"]));
    let shown: Json =
        serde_json::from_str(&place.stdout(["sweeps", "show", "p/s1", "--json"])).unwrap();
    assert_eq!(shown["best"]["run"], "local/p/bbbb");
    assert_eq!(
        (&shown["runs"], &shown["expected_runs"]),
        (&json!(3), &json!(4))
    );
}

#[test]
fn a_run_is_changed() {
    let place = small();
    let change = [
        "update",
        "aaaa",
        "--set",
        "config.opt.name=lion",
        "--set",
        "config.new={\"a\": 1}",
        "--set",
        "summary.acc=NaN",
        "--rename",
        "config.depth=layers",
        "--unset",
        "config.lr",
        "--tag",
        "good",
        "--notes",
        "why",
        "--name",
        "first",
        "--group",
        "g",
        "--job-type",
        "train",
        "--state",
        "crashed",
    ];
    snapshot!(place, place.said(change.iter().chain(&["--dry-run"])));
    assert_eq!(
        place.run("aaaa")["name"],
        "one | 1",
        "a dry run changes nothing"
    );
    snapshot!(place, place.said(change));
    let run = place.run("aaaa");
    assert_eq!(
        run["config"],
        json!({ "opt": { "name": "lion" }, "new": { "a": 1 }, "layers": 1 })
    );
    assert_eq!(
        (&run["summary"]["acc"], &run["tags"]),
        (&json!("NaN"), &json!(["good"]))
    );
    assert_eq!(
        (&run["state"], &run["group"]),
        (&json!("crashed"), &json!("g"))
    );
    snapshot!(place, place.said(change));
    snapshot!(
        place,
        place.said(["update", "aaaa", "--rename", "summary.none=x"])
    );
    snapshot!(
        place,
        place.said(["update", "aaaa", "--rename", "config.opt=new"])
    );
    for (wrong, code) in [
        (&["update", "aaaa"][..], 2),
        (&["update", "aaaa", "--set", "lr=1"], 2),
        (&["update", "aaaa", "--set", "config.lr"], 2),
        (&["update", "aaaa", "--set", "config.lr={"], 2),
        (&["update", "aaaa", "--state", "done"], 2),
        (&["update", "p", "--tag", "x"], 2),
        (&["update", "zzzz", "--tag", "x"], 5),
    ] {
        assert_eq!(place.code(wrong), code, "{wrong:?}");
    }
}

#[test]
fn many_runs_are_changed() {
    let place = small();
    let change = [
        "update",
        "p",
        "--filter",
        "config.lr = 1",
        "--rename",
        "summary.acc=val_acc",
        "--tag",
        "t",
    ];
    snapshot!(place, place.said(change));
    assert_eq!(place.run("cccc")["tags"], json!([]), "nobody was asked");
    snapshot!(place, place.said(change.iter().chain(&["--yes"])));
    snapshot!(place, place.said(change.iter().chain(&["--yes"])));
    snapshot!(
        place,
        place.said([
            "update",
            "p",
            "--filter",
            "{}",
            "--rename",
            "summary.val_acc=a",
            "--dry-run"
        ])
    );
    snapshot!(
        place,
        place.said(["update", "p", "--filter", "config.none = 1", "--tag", "t"])
    );
}

#[test]
fn runs_are_renamed_stopped_and_deleted() {
    let place = small();
    let renamed = place.stdout(["run", "rename", "aaaa", "another", "--jsonl"]);
    assert!(
        renamed.contains(r#""id":"aaaa","name":"another""#),
        "{renamed}"
    );
    let run = place.run("another");
    assert_eq!(
        (&run["id"], &run["config"]["depth"]),
        (&json!("aaaa"), &json!(1))
    );
    place.stdout(["update", "aaaa", "--state", "running"]);
    place.stdout(["run", "stop", "aaaa"]);
    let run = place.run("aaaa");
    assert_eq!(run["state"], "killed");
    assert!(run["ended_at"].is_string());
    snapshot!(place, place.said(["run", "stop", "bbbb"]));
    snapshot!(place, place.said(["run", "delete", "aaaa", "bbbb"]));
    assert_eq!(place.code(&["run", "delete", "aaaa", "zzzz", "--yes"]), 5);
    assert_eq!(place.ids(&["p"]).len(), 5, "all or none");
    snapshot!(
        place,
        place.said(["run", "delete", "aaaa", "bbbb", "aaaa", "--yes"])
    );
    assert_eq!(place.ids(&["p"]), ["eeee", "dddd", "cccc"]);
}

#[test]
fn files_are_put_and_deleted() {
    let place = small();
    fs::create_dir_all(place.path("plots/deep")).unwrap();
    for name in ["plots/a.png", "plots/deep/b.png", "model.h5"] {
        fs::write(place.path(name), name).unwrap();
    }
    let put = [
        "files",
        "put",
        "aaaa",
        "plots/a.png",
        "plots/deep/b.png",
        "--root",
        "plots",
    ];
    assert_eq!(place.stdout(put), "a.png\ndeep/b.png\n");
    place.stdout(["files", "put", "aaaa", "model.h5"]);
    assert_eq!(place.stdout(["files", "ls", "aaaa"]).lines().count(), 3);
    assert_eq!(
        place.code(&["files", "put", "aaaa", "model.h5", "--root", "plots"]),
        2
    );
    assert_eq!(place.code(&["files", "put", "aaaa", "none"]), 5);
    snapshot!(place, place.said(["files", "rm", "aaaa", "*.png"]));
    snapshot!(place, place.said(["files", "rm", "aaaa", "*.png", "--yes"]));
    snapshot!(place, place.said(["files", "rm", "aaaa", "*.png", "--yes"]));
    assert_eq!(
        place.stdout(["files", "get", "aaaa", "model.h5", "-o", "-"]),
        "model.h5"
    );
}

#[test]
fn exports_choose_their_runs() {
    let place = Place::with_example();
    let args = [
        "export",
        "runs",
        "digits-mlp",
        "--filter",
        "summary.val/loss < 1",
        "--order=-summary.val/loss",
        "--format",
        "jsonl",
    ];
    let names: Vec<Json> = place
        .stdout(args)
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).unwrap()["name"].clone())
        .collect();
    assert_eq!(names, ["lr=0.3, seed=2", "lr=0.3, seed=3", "lr=0.3"]);
    let filter = [
        "--filter",
        "config.lr = \"0.3\" and config.seed in [\"2\", \"3\"]",
    ];
    let one = ["export", "history", "digits-mlp", "-k", "val/loss"];
    let rows = place.stdout(one.iter().chain(&filter).chain(&["--format", "jsonl"]));
    assert_eq!(rows.lines().count(), 48);
    place.stdout(
        one.iter()
            .chain(&filter)
            .chain(&["--per-run", "-o", "rows", "--format", "csv"]),
    );
    let mut files: Vec<_> = fs::read_dir(place.path("rows"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(
        files,
        [
            "6fe25358fbb5463daf1735e23d7680e9.csv",
            "f6831076022445fabd81783288b5c019.csv"
        ]
    );
    let file = fs::read_to_string(place.path("rows").join(&files[0])).unwrap();
    assert_eq!(file.lines().count(), 25);
    assert_eq!(file.lines().next(), Some("_step,_timestamp,val/loss"));
    assert_eq!(
        place.code(&["export", "history", "bb27", "--filter", "state = failed"]),
        5
    );
    // The parameters of MLflow are text.
    snapshot!(
        place,
        place.said(["runs", "digits-mlp", "--filter", "config.lr > 0.01"])
    );
    let none = place.output(["export", "runs", "--filter", "config.lrr > 1"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("did you mean config.lr?"));
}

#[test]
fn programs_hear_what_was_done() {
    let place = small();
    fs::write(place.path("a.txt"), "12345").unwrap();
    let put = place.stdout(["files", "put", "aaaa", "a.txt", "--jsonl"]);
    let put: Json = serde_json::from_str(&put).unwrap();
    assert_eq!(put["name"], "a.txt");
    let said = |args: &[&str]| place.stdout(args.iter().chain(&["--yes", "--jsonl"]));
    assert_eq!(
        said(&["files", "rm", "aaaa", "*"]),
        "{\"bytes\":5,\"deleted\":1}\n"
    );
    assert_eq!(
        said(&[
            "update",
            "p",
            "--filter",
            "{}",
            "--rename",
            "summary.loss=l"
        ]),
        "{\"changed\":1,\"unchanged\":0,\"lacking\":4}\n"
    );
    assert_eq!(
        said(&["run", "delete", "aaaa"]),
        "{\"deleted\":[\"local/p/aaaa\"]}\n"
    );
}
