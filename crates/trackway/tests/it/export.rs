use std::{collections::BTreeMap, fs};

use arrow_array::{
    Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::{
    shapes::odd,
    support::{Place, snapshot},
};

fn parquet(place: &Place, name: &str) -> Vec<RecordBatch> {
    let file = fs::File::open(place.path(name)).unwrap();
    ParquetRecordBatchReaderBuilder::try_new(file)
        .unwrap()
        .build()
        .unwrap()
        .map(Result::unwrap)
        .collect()
}

fn column<'a, T: 'static>(batch: &'a RecordBatch, name: &str) -> &'a T {
    let column = batch
        .column_by_name(name)
        .unwrap_or_else(|| panic!("there is no column {name}"));
    column
        .as_any()
        .downcast_ref()
        .unwrap_or_else(|| panic!("{name} is {}", column.data_type()))
}

#[test]
fn text_forms() {
    let place = odd();
    let print = |args: &[&str]| place.said(["export"].iter().chain(args));
    snapshot!(place, print(&["runs", "--include-deleted"]));
    snapshot!(place, print(&["runs", "--format", "jsonl"]));
    snapshot!(place, print(&["history", "rows"]));
    snapshot!(
        place,
        print(&["history", "odd values", "--include-deleted"])
    );
    snapshot!(place, print(&["history", "rows", "--layout", "long"]));
    snapshot!(
        place,
        print(&["history", "points", "--layout", "long", "--format", "jsonl"])
    );
}

#[test]
fn parquet_holds_every_value() {
    let place = odd();
    place.stdout(["export", "history", "rows", "-o", "rows.parquet"]);
    let batches = parquet(&place, "rows.parquet");
    let [batch] = &batches[..] else {
        panic!("{} batches", batches.len())
    };
    assert_eq!(
        column::<Int64Array>(batch, "_step").values(),
        &[0, 0, -3, 9]
    );
    let times = column::<TimestampNanosecondArray>(batch, "_timestamp");
    assert_eq!(times.value(2), 1_700_000_000_001_000_005);
    assert!(times.is_null(3));
    let loss = column::<Float64Array>(batch, "loss");
    assert!(
        loss.value(0).is_nan() && loss.value(1).is_sign_negative() && loss.value(2).is_infinite()
    );
    assert_eq!(column::<Int64Array>(batch, "n").value(0), i64::MAX);
    assert_eq!(column::<Int64Array>(batch, "__step").value(2), 7);
    assert_eq!(
        column::<StringArray>(batch, "table").value(3),
        r#"{"b":[1,2],"a":"x"}"#
    );
}

#[test]
fn parquet_of_a_project_is_the_same_points_in_both_layouts() {
    let place = Place::with_example();
    place.stdout(["export", "history", "digits-mlp", "-o", "wide.parquet"]);
    place.stdout([
        "export",
        "history",
        "digits-mlp",
        "-o",
        "long.parquet",
        "--layout",
        "long",
    ]);
    // By run, key and step: the bits of the values, sorted.
    let mut wide = BTreeMap::<(String, String, i64), Vec<u64>>::new();
    for batch in parquet(&place, "wide.parquet") {
        let (runs, steps) = (
            column::<StringArray>(&batch, "run"),
            column::<Int64Array>(&batch, "_step"),
        );
        for field in batch.schema().fields().iter().skip(5) {
            let values = column::<Float64Array>(&batch, field.name());
            for i in (0..batch.num_rows()).filter(|i| values.is_valid(*i)) {
                let key = (
                    runs.value(i).to_owned(),
                    field.name().clone(),
                    steps.value(i),
                );
                wide.entry(key).or_default().push(values.value(i).to_bits());
            }
        }
    }
    let mut long = BTreeMap::<(String, String, i64), Vec<u64>>::new();
    for batch in parquet(&place, "long.parquet") {
        let (runs, keys) = (
            column::<StringArray>(&batch, "run"),
            column::<StringArray>(&batch, "key"),
        );
        let (steps, values) = (
            column::<Int64Array>(&batch, "step"),
            column::<Float64Array>(&batch, "value"),
        );
        for i in 0..batch.num_rows() {
            let key = (
                runs.value(i).to_owned(),
                keys.value(i).to_owned(),
                steps.value(i),
            );
            long.entry(key).or_default().push(values.value(i).to_bits());
        }
    }
    assert_eq!(long.values().map(Vec::len).sum::<usize>(), 2925);
    assert_eq!(wide, long);
}

#[test]
fn parquet_of_runs() {
    let place = Place::with_example();
    place.stdout(["export", "runs", "-o", "runs.parquet"]);
    let batches = parquet(&place, "runs.parquet");
    assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 13);
    let names = column::<StringArray>(&batches[0], "name");
    assert!((0..names.len()).any(|i| names.value(i) == "learning-rate sweep"));
    let accuracy = column::<Float64Array>(&batches[0], "summary.val/accuracy");
    assert!((0..accuracy.len()).any(|i| accuracy.is_valid(i) && accuracy.value(i) > 0.9));
}

#[test]
fn a_failed_export_leaves_no_file() {
    let place = Place::with_example();
    fs::write(place.path("runs.csv"), "old").unwrap();
    assert_eq!(
        place
            .output(["export", "history", "nothing", "-o", "runs.csv"])
            .status
            .code(),
        Some(5)
    );
    assert_eq!(fs::read(place.path("runs.csv")).unwrap(), b"old");
    let left: Vec<_> = fs::read_dir(place.path(""))
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert!(
        !left
            .iter()
            .any(|name| name.to_string_lossy().contains("part")),
        "{left:?}"
    );
}
