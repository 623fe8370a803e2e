use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tracker_client::{
    RunEdit,
    values::{Histogram, Images, Media, MediaKind, Table, TypedValue},
};
use tracker_model::{ErrorKind, RunStore, Value};

use super::with_run;

#[test]
fn histograms_are_read_and_written() {
    let plain = json!({ "_type": "histogram", "bins": [0.0, 0.5, 1.0], "values": [3, 1.5] });
    let packed = json!({
        "_type": "histogram",
        "packedBins": { "min": 0, "size": 0.5, "count": 2 },
        "values": [3, 1.5],
    });
    let wanted = Histogram::new(vec![0.0, 0.5, 1.0], vec![3.0, 1.5]).unwrap();
    for json in [&plain, &packed] {
        let read = TypedValue::read(json).unwrap().unwrap();
        assert_eq!(read, TypedValue::Histogram(wanted.clone()));
        assert_eq!(Json::from(read), plain);
    }
    let logged = Value::from(wanted.clone());
    assert_eq!(
        TypedValue::of_history(&logged).unwrap(),
        Some(TypedValue::Histogram(wanted))
    );
    let odd = json!({ "_type": "histogram", "bins": ["-Infinity", 0.0], "values": ["NaN"] });
    let read = TypedValue::read(&odd).unwrap().unwrap();
    assert_eq!(Json::from(read), odd);
}

#[test]
fn what_is_no_histogram() {
    for (bins, values) in [
        (vec![], vec![]),
        (vec![0.0], vec![]),
        (vec![0.0], vec![1.0]),
    ] {
        let refused = Histogram::new(bins, values).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    }
    for json in [
        json!({ "_type": "histogram" }),
        json!({ "_type": "histogram", "values": [1] }),
        json!({ "_type": "histogram", "values": [1], "bins": [1] }),
        json!({ "_type": "histogram", "values": ["x"], "bins": [1, 2] }),
        json!({ "_type": "histogram", "values": [1], "packedBins": { "min": 0, "size": 1, "count": 2 } }),
        json!({ "_type": "histogram", "values": [1], "packedBins": { "min": 0, "count": 1 } }),
        json!({ "_type": "images/separated" }),
        json!({ "_type": "images/separated", "filenames": [1] }),
        json!({ "_type": "images/separated", "filenames": ["a"], "count": 2 }),
    ] {
        let refused = TypedValue::read(&json).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Corrupt, "{json}");
    }
    for other in [
        json!(1),
        json!({ "a": 1 }),
        json!({ "_type": "other" }),
        json!({ "_type": 1 }),
    ] {
        assert_eq!(TypedValue::read(&other).unwrap(), None);
    }
    assert_eq!(
        TypedValue::of_history(&Value::Str("{}".to_owned())).unwrap(),
        None
    );
}

/// Where the numbers are, by range.
fn filled(histogram: &Histogram) -> Vec<(usize, f64)> {
    let values = histogram.values().iter().copied().enumerate();
    values.filter(|(_, count)| *count > 0.0).collect()
}

#[test]
fn numbers_are_counted_in_64_ranges() {
    let some = Histogram::of(&[0.0, 1.0, 1.5, 32.0, 63.999, 64.0]).unwrap();
    let edges: Vec<f64> = (0..=64).map(f64::from).collect();
    assert_eq!(some.bins(), edges);
    assert_eq!(filled(&some), [(0, 1.0), (1, 2.0), (32, 1.0), (63, 2.0)]);
    let same = Histogram::of(&[7.0; 5]).unwrap();
    assert_eq!((same.bins()[0], same.bins()[64]), (6.5, 7.5));
    assert_eq!(filled(&same), [(32, 5.0)]);
    let none = Histogram::of(&[]).unwrap();
    assert_eq!((none.bins()[0], none.bins()[64]), (0.0, 1.0));
    assert_eq!(filled(&none), []);
    for bad in [
        vec![f64::NAN],
        vec![1.0, f64::INFINITY],
        vec![f64::MAX, f64::MIN],
    ] {
        let refused = Histogram::of(&bad).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    }
}

proptest! {
    #[test]
    fn every_number_is_counted_where_it_is(numbers in prop::collection::vec(-1e9..1e9f64, 1..50)) {
        let histogram = Histogram::of(&numbers).unwrap();
        let (bins, values) = (histogram.bins(), histogram.values());
        prop_assert_eq!((bins.len(), values.len()), (65, 64));
        prop_assert!(bins.is_sorted());
        for (i, count) in values.iter().enumerate() {
            let inside = |x: &&f64| bins[i] <= **x && (**x < bins[i + 1] || i == 63);
            prop_assert_eq!(numbers.iter().filter(inside).count() as f64, *count);
        }
    }
}

#[test]
fn media_keep_all_that_they_say() {
    let image = json!({
        "_type": "image-file", "path": "media/images/x_0_ab.png", "sha256": "ab", "size": 2048,
        "format": "png", "width": 64, "height": 32, "caption": "a cat",
        "artifact_path": "wandb-client-artifact://x/y.png", "boxes": { "b": { "_type": "boxes2D" } },
    });
    let Some(TypedValue::Media(media)) = TypedValue::read(&image).unwrap() else {
        panic!("no media");
    };
    assert_eq!(media.kind, MediaKind::Image);
    assert_eq!(media.path.as_deref(), Some("media/images/x_0_ab.png"));
    assert_eq!(
        (media.width, media.height, media.size),
        (Some(64), Some(32), Some(2048))
    );
    assert_eq!(media.more.len(), 2);
    assert_eq!(Json::from(media), image);

    let table = json!({
        "_type": "table-file", "path": "media/table/t_0.table.json", "sha256": "cd", "size": 9,
        "ncols": 2, "nrows": 3, "log_mode": "IMMUTABLE", "_latest_artifact_path": "wandb://x",
    });
    let Some(TypedValue::Media(media)) = TypedValue::read(&table).unwrap() else {
        panic!("no media");
    };
    assert_eq!(
        (media.kind, media.rows, media.columns),
        (MediaKind::Table, Some(3), Some(2))
    );
    assert_eq!(Json::from(media), table);

    // Members that are not what they mostly are stay as they are.
    let odd = json!({ "_type": "audio-file", "path": null, "size": -1, "caption": ["a"] });
    let read = TypedValue::read(&odd).unwrap().unwrap();
    assert_eq!(Json::from(read), odd);

    let images = json!({
        "_type": "images/separated", "width": 8, "height": 9, "format": "png", "count": 2,
        "filenames": ["a.png", "b.png"], "captions": ["a", "b"],
    });
    let Some(TypedValue::Images(read)) = TypedValue::read(&images).unwrap() else {
        panic!("no images");
    };
    assert_eq!((read.width, read.height), (Some(8), Some(9)));
    assert_eq!(read.paths, ["a.png", "b.png"]);
    assert_eq!(Json::from(read), images);
    let two = Json::from(Images::new(["a", "b"]));
    assert_eq!(
        two,
        json!({ "_type": "images/separated", "count": 2, "filenames": ["a", "b"] })
    );
}

#[test]
fn kinds_of_media_have_their_words() {
    for word in [
        "file",
        "image-file",
        "audio-file",
        "video-file",
        "html-file",
        "table-file",
        "incremental-table-file",
        "partitioned-table",
        "joined-table",
        "object3D-file",
        "molecule-file",
        "plotly-file",
        "bokeh-file",
        "graph-file",
    ] {
        assert_eq!(MediaKind::of(word).map(MediaKind::as_str), Some(word));
    }
    assert_eq!(MediaKind::of("histogram"), None);
}

#[tokio::test]
async fn typed_values_in_a_summary() {
    let (tracker, mut run) = with_run().await;
    let histogram = Histogram::of(&[1.0, 2.0]).unwrap();
    let mut media = Media::new(MediaKind::Html, "media/html/a.html");
    media.caption = Some("c".to_owned());
    let edit = RunEdit::new()
        .summary("accuracy", 0.9)
        .summary("h", histogram.clone())
        .summary_at(["deep", "page"], media.clone());
    run.edit(edit).await.unwrap();
    let summary = tracker.run(run.path()).await.unwrap().summary;
    let read = |json: &Json| TypedValue::read(json).unwrap();
    assert_eq!(read(&summary["h"]), Some(TypedValue::Histogram(histogram)));
    assert_eq!(
        read(&summary["deep"]["page"]),
        Some(TypedValue::Media(media))
    );
    assert_eq!(read(&summary["accuracy"]), None);
}

#[test]
fn tables_are_read_and_written() {
    let mut table = Table::new(["id", "label"]);
    table
        .push(vec![json!(1), json!("NaN, \"quoted\" \\")])
        .unwrap();
    table.push(vec![json!(2), Json::Null]).unwrap();
    let short = table.push(vec![json!(3)]).unwrap_err();
    assert_eq!(short.kind(), ErrorKind::InvalidInput);
    let json = table.to_json();
    assert_eq!(
        json,
        json!({ "columns": ["id", "label"], "data": [[1, "NaN, \"quoted\" \\"], [2, null]] })
    );
    assert_eq!(Table::parse(&json.to_string()).unwrap(), table);

    let python = r#"{"_type": "table", "columns": [0, "\"NaN\\"], "ncols": 2,
        "data": [[NaN, "Infinity \" NaN"], [-Infinity, Infinity]]}"#;
    let read = Table::parse(python).unwrap();
    assert_eq!(read.columns(), [json!(0), json!("\"NaN\\")]);
    assert_eq!(
        read.rows(),
        [
            [json!("NaN"), json!("Infinity \" NaN")],
            [json!("-Infinity"), json!("Infinity")]
        ]
    );
    for bad in [
        "",
        "[]",
        "{}",
        r#"{"columns":["a"]}"#,
        r#"{"columns":["a"],"data":[[]]}"#,
        r#"{"columns":["a"],"data":[1]}"#,
        r#"{"columns":["a"],"data":[[nan]]}"#,
    ] {
        assert_eq!(
            Table::parse(bad).unwrap_err().kind(),
            ErrorKind::Corrupt,
            "{bad}"
        );
    }
}
