//! The names of the rules by which something becomes another thing; `docs/normalisation.md` tells
//! of each.

/// The id of a run is no legal name.
pub(crate) const RUN_ID_LEGALISED: &str = "run-id-legalised";
/// The status of a run is not one of MLflow's words.
pub(crate) const RUN_STATUS_UNKNOWN: &str = "run-status-unknown";
/// The folder of a run has another name than the run's id.
pub(crate) const RUN_ID_FROM_FOLDER: &str = "run-id-from-folder";
/// A run was copied into another experiment.
pub(crate) const RUN_ID_OF_COPY: &str = "run-id-of-copy";
/// A point of a run's history names a dataset, which only metrics of models keep.
pub(crate) const METRIC_DATASET_DROPPED: &str = "metric-dataset-dropped";
/// A part of a trace is torn.
pub(crate) const TRACE_WITHOUT_TORN_PARTS: &str = "trace-without-torn-parts";
/// The name of a model is no legal name of a collection.
pub(crate) const COLLECTION_NAME_LEGALISED: &str = "collection-name-legalised";
/// A registered model is in a workspace of its own.
pub(crate) const WORKSPACE_IN_COLLECTION_NAME: &str = "workspace-in-collection-name";
/// A double is the greatest or least there is, and infinities were asked for.
pub(crate) const DOUBLE_MAX_TO_INFINITY: &str = "double-max-to-infinity";
/// A text is not UTF-8 or a number is none, in a database.
pub(crate) const ODD_VALUE_REPLACED: &str = "odd-value-replaced";
/// A tag has no value in a database.
pub(crate) const NULL_TO_EMPTY: &str = "null-to-empty";
/// A value is NULL in a database, which is how SQLite keeps a NaN.
pub(crate) const NULL_TO_NAN: &str = "null-to-nan";
