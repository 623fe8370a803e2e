//! The `meta.yaml` files of a store.
//!
//! Scalars are taken as text and understood here: Python writes them by the rules of YAML 1.1,
//! where `1e5` is text and `0o14` too.

use std::{collections::BTreeMap, path::Path, str::FromStr};

use serde::{Deserialize, de::DeserializeOwned};
use tracker_model::{Error, ErrorKind, Result};

use crate::local_files::read_small;

/// The largest `meta.yaml`: profiles of datasets have at most 16 MiB.
const MAX_META: u64 = 32 << 20;

/// Parts of a document that aliases may repeat, all repeats counted: Python writes an alias where a
/// list or mapping comes twice, and a few of them can make a document of any size.
const MAX_REPEATED: usize = 10_000;

/// A field, `None` if it is missing or null.
type Field = Option<String>;

/// Of an experiment.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ExperimentMeta {
    pub(super) experiment_id: Field,
    pub(super) name: Field,
    pub(super) artifact_location: Field,
    pub(super) lifecycle_stage: Field,
    pub(super) creation_time: Field,
    pub(super) last_update_time: Field,
    pub(super) workspace: Field,
}

/// Of a run.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RunMeta {
    pub(super) run_id: Field,
    pub(super) run_uuid: Field,
    pub(super) experiment_id: Field,
    pub(super) run_name: Field,
    pub(super) name: Field,
    pub(super) status: Field,
    pub(super) source_type: Field,
    pub(super) source_name: Field,
    pub(super) source_version: Field,
    pub(super) entry_point_name: Field,
    pub(super) start_time: Field,
    pub(super) end_time: Field,
    pub(super) deleted_time: Field,
    pub(super) user_id: Field,
    pub(super) lifecycle_stage: Field,
    pub(super) artifact_uri: Field,
}

/// Of an input or output of a run.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LinkMeta {
    pub(super) source_type: Field,
    pub(super) source_id: Field,
    pub(super) destination_type: Field,
    pub(super) destination_id: Field,
    pub(super) step: Field,
    pub(super) tags: Option<BTreeMap<String, Field>>,
}

/// Of a dataset.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct DatasetMeta {
    pub(super) name: Field,
    pub(super) digest: Field,
    pub(super) source_type: Field,
    pub(super) source: Field,
    pub(super) schema: Field,
    pub(super) profile: Field,
}

/// Of a logged model.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LoggedModelMeta {
    pub(super) model_id: Field,
    pub(super) experiment_id: Field,
    pub(super) name: Field,
    pub(super) artifact_location: Field,
    pub(super) creation_timestamp: Field,
    pub(super) last_updated_timestamp: Field,
    pub(super) lifecycle_stage: Field,
    pub(super) model_type: Field,
    pub(super) source_run_id: Field,
    pub(super) status: Field,
    pub(super) status_message: Field,
}

/// Of a registered model.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RegisteredModelMeta {
    pub(super) name: Field,
    pub(super) description: Field,
    pub(super) creation_timestamp: Field,
    pub(super) last_updated_timestamp: Field,
    pub(super) workspace: Field,
}

/// Of a version of a registered model.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ModelVersionMeta {
    pub(super) version: Field,
    pub(super) description: Field,
    pub(super) creation_timestamp: Field,
    pub(super) last_updated_timestamp: Field,
    pub(super) user_id: Field,
    pub(super) current_stage: Field,
    pub(super) source: Field,
    pub(super) run_id: Field,
    pub(super) run_link: Field,
    pub(super) model_id: Field,
    pub(super) status: Field,
    pub(super) status_message: Field,
    pub(super) storage_location: Field,
}

/// Reads a `meta.yaml`, and answers its bytes too.
///
/// # Errors
/// `NotFound`; `Corrupt` if it is empty, torn, too large or not such a file.
pub(super) fn read_meta<T: DeserializeOwned>(path: &Path) -> Result<(T, Vec<u8>)> {
    let bytes = read_small(path, MAX_META)?;
    Ok((parse(&bytes)?, bytes))
}

/// Reads any YAML document that a store may hold.
///
/// # Errors
/// `Corrupt`.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let corrupt = |why: String| Error::new(ErrorKind::Corrupt, why);
    let text = std::str::from_utf8(bytes).map_err(|_| corrupt("it is not UTF-8".into()))?;
    if text.trim().is_empty() {
        return Err(corrupt("it is empty".into()));
    }
    let options = serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_depth: 64,
            max_documents: 1,
            max_total_scalar_bytes: MAX_META as usize,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPEATED,
        },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|e| {
        corrupt("it is not YAML as MLflow writes it".into()).with_source(e.to_string())
    })
}

/// A field that must be a number; `None` if it is missing.
///
/// # Errors
/// `Corrupt` if it is something else.
pub(super) fn number<T: FromStr>(name: &str, field: Option<&str>) -> Result<Option<T>> {
    let wrong = |_: T::Err| {
        Error::new(
            ErrorKind::Corrupt,
            format!("the field {name} is not a number"),
        )
    };
    field
        .map(|text| text.trim().parse().map_err(wrong))
        .transpose()
}

/// A field that must be there.
///
/// # Errors
/// `Corrupt` if it is not: the end of the file is missing.
pub(super) fn required<'a>(name: &str, field: &'a Field) -> Result<&'a str> {
    field.as_deref().ok_or_else(|| {
        Error::new(
            ErrorKind::Corrupt,
            format!("it is torn: the field {name} is missing"),
        )
    })
}

/// The word for a status, which is a number in files.
pub(super) fn run_status(field: &str) -> String {
    match field {
        "1" => "RUNNING",
        "2" => "SCHEDULED",
        "3" => "FINISHED",
        "4" => "FAILED",
        "5" => "KILLED",
        other => other,
    }
    .to_owned()
}

/// The word for a kind of source, which is a number in files.
pub(super) fn source_type(field: &str) -> String {
    match field {
        "1" => "NOTEBOOK",
        "2" => "JOB",
        "3" => "PROJECT",
        "4" => "LOCAL",
        "1000" => "UNKNOWN",
        other => other,
    }
    .to_owned()
}

/// The word for the status of a logged model, which is a number in files and databases.
pub(crate) fn model_status(field: &str) -> String {
    match field {
        "1" => "PENDING",
        "2" => "READY",
        "3" => "FAILED",
        other => other,
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn scalars_are_text() {
        let meta: RunMeta = parse(
            b"artifact_uri: file:///a b/c\nend_time: null\nrun_id: 00000000000000000000000000001e10\n\
              name: ''\nrun_name: 'null'\nstart_time: 1700000000000\nstatus: 3\ntags: []\n\
              user_id: \"\\xFC \\U0001F642\"\nsource_name: 1e5\nsource_version: 0o14\nentry_point_name: ~\n\
              unknown:\n  deep: [1, {a: b}]\n",
        )
        .unwrap();
        let text = |f: &Field| f.clone().unwrap_or_else(|| "-".into());
        assert_eq!(text(&meta.artifact_uri), "file:///a b/c");
        assert_eq!(text(&meta.end_time), "-");
        assert_eq!(text(&meta.run_id), "00000000000000000000000000001e10");
        assert_eq!(text(&meta.name), "");
        assert_eq!(text(&meta.run_name), "null");
        assert_eq!(
            number::<i64>("x", meta.start_time.as_deref()).unwrap(),
            Some(1_700_000_000_000)
        );
        assert_eq!(run_status(&text(&meta.status)), "FINISHED");
        assert_eq!(text(&meta.user_id), "ü 🙂");
        assert_eq!(text(&meta.source_name), "1e5");
        assert_eq!(text(&meta.source_version), "0o14");
        assert_eq!(text(&meta.entry_point_name), "-");
    }

    #[test]
    fn folded_text() {
        let meta: ExperimentMeta =
            parse("name: 'a\n\n  b ''c'''\nartifact_location: \"x\\\n  \\ y\\tz\"\nexperiment_id: 'yes'\n".as_bytes())
                .unwrap();
        assert_eq!(meta.name.unwrap(), "a\nb 'c'");
        assert_eq!(meta.artifact_location.unwrap(), "x y\tz");
        assert_eq!(meta.experiment_id.unwrap(), "yes");
    }

    #[test]
    fn torn_files() {
        for bytes in [
            &b""[..],
            b"  \n",
            b"\xff\xfe",
            b"name: 'abc",
            b"- a\n- b\n",
            b"name: [a]\n",
            b"just text",
        ] {
            assert!(parse::<ExperimentMeta>(bytes).is_err(), "{bytes:?}");
        }
        let bomb = format!("name: &a [x]\nworkspace: {}\n", "[".repeat(100_000));
        assert!(parse::<ExperimentMeta>(bomb.as_bytes()).is_err());
    }

    #[test]
    fn aliases_repeat_little() {
        let aliases = |parts: usize, count: usize| {
            let list = vec!["x"; parts].join(", ");
            let uses = vec!["*a"; count].join(", ");
            format!("name: n\nunknown: &a [{list}]\nworkspace: w\nmore: [{uses}]\n")
        };
        let read = |text: &str| parse::<serde_json::Value>(text.as_bytes());
        let few = read(&aliases(2, 3)).unwrap();
        assert_eq!(few["more"][2], serde_json::json!(["x", "x"]));
        assert!(parse::<ExperimentMeta>(aliases(2, 3).as_bytes()).is_ok());
        // What aliases repeat is refused before it is large, also where nobody reads it.
        let mut bomb = "name: n\nworkspace: w\na0: &a0 [x, x]\n".to_owned();
        for i in 1..60 {
            let before = i - 1;
            bomb.push_str(&format!("a{i}: &a{i} [*a{before}, *a{before}]\n"));
        }
        for text in [aliases(200, 60), bomb] {
            assert!(read(&text).is_err());
            assert!(parse::<ExperimentMeta>(text.as_bytes()).is_err());
        }
    }

    #[test]
    fn large_profiles_are_read() {
        let meta: DatasetMeta =
            parse(format!("name: a\nprofile: '{}'\n", "x y ".repeat(1 << 20)).as_bytes()).unwrap();
        assert_eq!(meta.profile.unwrap().len(), 4 << 20);
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            let _ = parse::<RunMeta>(&bytes);
        }
    }
}
