//! Opening what a location names.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use importer_core::{Ledger, MemoryLedger, Source, SqliteLedger, TrackerSource};
use tracker_client::remote::{Environment, RemoteOptions, RemoteTracker};
use tracker_model::{ErrorKind, MemoryTracker, Tracker};
use tracker_store::{EmbeddedStore, StoreOptions};

use super::{
    Shell,
    failure::{Failure, Result},
    location::{Location, MlflowPlace, WandbPlace},
    program,
    progress::Progress,
};

/// The memory of imports into a store, in its folder.
const LEDGER: &str = "ledger.db";

/// Where to read from.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FromArgs {
    /// The store to read from, a folder, or wandb+http://HOST:PORT [default: the embedded store]
    #[arg(long, value_name = "URI")]
    pub(crate) from: Option<String>,
}

/// How a source is opened.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Source")]
pub(crate) struct SourceArgs {
    /// The folder that artifacts of a file store or database were moved to
    #[arg(long, value_name = "DIR", hide_short_help = true)]
    artifacts_root: Option<PathBuf>,
    /// Take the greatest doubles of an MLflow database for the infinities that it cannot hold
    #[arg(long, hide_short_help = true)]
    restore_infinities: bool,
}

/// Opens a tracker to read from.
pub(crate) async fn reader(shell: &Shell, from: &FromArgs) -> Result<Arc<dyn Tracker>> {
    stored(shell, from, StoreOptions::new().with_read_only(true)).await
}

/// Opens a tracker to change what is in it.
pub(crate) async fn editor(shell: &Shell, from: &FromArgs) -> Result<Arc<dyn Tracker>> {
    stored(shell, from, StoreOptions::new()).await
}

async fn stored(shell: &Shell, from: &FromArgs, options: StoreOptions) -> Result<Arc<dyn Tracker>> {
    let dir = match &from.from {
        None => shell.settings.store()?.to_owned(),
        Some(text) => match Location::parse(text)? {
            Location::Store(dir) => dir,
            Location::Wandb(place) => return Ok(Arc::new(wandb(&place).await?)),
            other => {
                return Err(Failure::usage(format!(
                    "{other} is {}, and is read by importing it",
                    other.kind()
                ))
                .with_hint(format!("{} import {other}", program())));
            }
        },
    };
    Ok(Arc::new(existing(&dir, options).await?))
}

/// Connects to a server of the W&B protocol, with the key that is kept for it.
pub(crate) async fn wandb(place: &WandbPlace) -> Result<RemoteTracker> {
    let environment = Environment::of_process();
    let options = RemoteOptions::discover(place.base.as_deref(), None, &environment)?;
    let tracker = Box::pin(RemoteTracker::connect(&options)).await?;
    Ok(tracker.within(place.scope.clone()))
}

/// Opens a store that is there.
pub(crate) async fn existing(dir: &Path, options: StoreOptions) -> Result<EmbeddedStore> {
    EmbeddedStore::open_existing(dir, options)
        .await
        .map_err(|e| match e.kind() {
            ErrorKind::NotFound => {
                Failure::not_found(format!("there is no store in {}", dir.display())).with_hint(
                    format!(
                        "`{} import SOURCE` makes one; --store DIR names another",
                        program()
                    ),
                )
            }
            _ => e.into(),
        })
}

/// Opens a source. The progress hears of its waits.
pub(crate) async fn source(
    text: &str,
    args: &SourceArgs,
    progress: &Arc<Progress>,
) -> Result<(Arc<dyn Source>, Location)> {
    let location = Location::parse(text)?;
    let source: Arc<dyn Source> = match &location {
        Location::Store(dir) => {
            let store = existing(dir, StoreOptions::new().with_read_only(true)).await?;
            Arc::new(TrackerSource::new(Arc::new(store)))
        }
        Location::Mlflow(place) => Box::pin(mlflow(place, args, progress)).await?,
        Location::Wandb(place) => {
            let tracker = wandb(place).await?;
            Arc::new(TrackerSource::new(Arc::new(tracker)))
        }
    };
    Ok((source, location))
}

#[cfg(feature = "mlflow")]
async fn mlflow(
    place: &MlflowPlace,
    args: &SourceArgs,
    progress: &Arc<Progress>,
) -> Result<Arc<dyn Source>> {
    use importer_mlflow::{MlflowOptions, ServerOptions};
    use tracker_http::Event;

    let hears = Arc::clone(progress);
    let observer = move |event: &Event<'_>| match event {
        Event::Retrying { error, wait } => hears.waits(why(error), *wait),
        Event::Paused { host, wait } => hears.waits(format!("{host} asks to slow down"), *wait),
        _ => {}
    };
    // Variables that are not text are not meant for anybody who reads text.
    let env = std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect();
    let server = ServerOptions::from_env(&env)?.with_observer(Arc::new(observer));
    let mut options = MlflowOptions::new()
        .with_server(server)
        .with_restored_infinities(args.restore_infinities);
    if let Some(root) = &args.artifacts_root {
        options = options.with_artifacts_root(root);
    }
    let address = match place {
        MlflowPlace::Files(dir) => format!("mlflow+file:{}", text_of(dir)?),
        MlflowPlace::Database(file) => format!("mlflow+sqlite:{}", text_of(file)?),
        MlflowPlace::Server(url) => url.clone(),
        MlflowPlace::Databricks(None) => "databricks".to_owned(),
        MlflowPlace::Databricks(Some(profile)) => format!("databricks://{profile}"),
    };
    Ok(Box::pin(importer_mlflow::open(&address, &options)).await?)
}

/// Why a request is tried again, shortly.
#[cfg(feature = "mlflow")]
fn why(error: &tracker_http::Error) -> String {
    match error.status() {
        Some(status) if error.kind() == tracker_http::ErrorKind::RateLimited => {
            format!("rate limit ({})", status.as_u16())
        }
        Some(status) => format!("the server answered {}", status.as_u16()),
        None => "the server does not answer".to_owned(),
    }
}

#[cfg(feature = "mlflow")]
fn text_of(path: &Path) -> Result<&str> {
    path.to_str()
        .ok_or_else(|| Failure::usage(format!("the path {} is not text", path.display())))
}

#[cfg(not(feature = "mlflow"))]
async fn mlflow(
    _place: &MlflowPlace,
    _args: &SourceArgs,
    _progress: &Arc<Progress>,
) -> Result<Arc<dyn Source>> {
    Err(Failure::usage(
        "this program was built without the feature `mlflow`",
    ))
}

/// The folder of the store that `--to` or `DST` names, or of the usual one.
pub(crate) fn target_dir(shell: &Shell, to: Option<&str>) -> Result<PathBuf> {
    let Some(text) = to else {
        return Ok(shell.settings.store()?.to_owned());
    };
    match Location::with_scheme(text)? {
        // A bare path is a folder, there or not.
        None => Ok(PathBuf::from(text)),
        Some(Location::Store(dir)) => Ok(dir),
        Some(other) => Err(Failure::usage(format!(
            "{other} is {}, and imports go into embedded stores",
            other.kind()
        ))
        .with_hint("name a folder: --to ./store")),
    }
}

/// Refuses to copy a store onto itself.
pub(crate) fn refuse_same(source: &Location, target: &Path) -> Result<()> {
    let Location::Store(source) = source else {
        return Ok(());
    };
    let same = match (fs::canonicalize(source), fs::canonicalize(target)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    };
    if same {
        return Err(
            Failure::usage(format!("{} is the source and the target", source.display()))
                .with_hint("name another store with --to DIR"),
        );
    }
    Ok(())
}

/// Where an import goes.
#[derive(Debug)]
pub(crate) struct Target {
    /// The tracker.
    pub(crate) tracker: Arc<dyn Tracker>,
    /// What it remembers of imports.
    pub(crate) ledger: Arc<dyn Ledger>,
}

impl Target {
    /// Opens the store to write to, and makes it if there is none. For a dry run nothing is
    /// written: a store that is not there is a tracker in memory.
    pub(crate) async fn open(dir: &Path, dry_run: bool, ledger: Option<&Path>) -> Result<Self> {
        if !dry_run {
            let store = EmbeddedStore::open(dir, StoreOptions::new()).await?;
            let path = ledger.map_or_else(|| dir.join(LEDGER), Path::to_owned);
            return Ok(Self {
                tracker: Arc::new(store),
                ledger: Arc::new(SqliteLedger::open(path)?),
            });
        }
        match existing(dir, StoreOptions::new().with_read_only(true)).await {
            Ok(store) => Ok(Self {
                tracker: Arc::new(store),
                ledger: remembered(dir, ledger)?,
            }),
            Err(_) if !dir.exists() || is_empty(dir) => Ok(Self {
                tracker: Arc::new(MemoryTracker::new()),
                ledger: remembered(dir, ledger)?,
            }),
            Err(e) => Err(e),
        }
    }

    /// Opens a store that is there, to compare with.
    pub(crate) async fn open_existing(dir: &Path, ledger: Option<&Path>) -> Result<Self> {
        let store = existing(dir, StoreOptions::new().with_read_only(true)).await?;
        Ok(Self {
            tracker: Arc::new(store),
            ledger: remembered(dir, ledger)?,
        })
    }
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}

/// The memory of imports if there is one; none is made.
fn remembered(dir: &Path, ledger: Option<&Path>) -> Result<Arc<dyn Ledger>> {
    let path = ledger.map_or_else(|| dir.join(LEDGER), Path::to_owned);
    if path.is_file() {
        return Ok(Arc::new(SqliteLedger::open(path)?));
    }
    Ok(Arc::new(MemoryLedger::default()))
}
