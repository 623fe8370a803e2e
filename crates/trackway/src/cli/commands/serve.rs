use std::{path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use secrecy::ExposeSecret;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracker_server::{LOCAL, Options, Server};
use tracker_store::{EmbeddedStore, StoreOptions};
use url::Url;

use crate::cli::{
    Shell,
    failure::{Exit, Failure, Result},
    stop,
};

/// Where, and for whom.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trackway serve                               the embedded store, on this machine
  trackway serve --store ./runs --listen 0.0.0.0:8080
  trackway serve --public-url https://track.example.org

Programs log to it with the wandb SDK as it is:
  export WANDB_BASE_URL=http://127.0.0.1:8080 WANDB_API_KEY=…
The first start makes the user `local` and prints its key, once. `trackway user` adds others.")]
pub(crate) struct ServeArgs {
    /// The address to listen at; port 0 takes a free one
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:8080",
        env = "TRACKWAY_LISTEN",
        hide_env_values = true
    )]
    listen: String,
    /// What the world calls the server, if something stands in front of it
    #[arg(
        long,
        value_name = "URL",
        env = "TRACKWAY_PUBLIC_URL",
        hide_env_values = true
    )]
    public_url: Option<Url>,
    /// After how many seconds of silence a running run counts as crashed
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    crash_after: u64,
    /// How many requests may be under way
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..), hide_short_help = true)]
    max_requests: u32,
    /// Write the log as JSON, a line for each event
    #[arg(long)]
    pub(crate) log_json: bool,
}

#[derive(Debug, Serialize)]
struct Shape<'a> {
    schema: &'static str,
    url: String,
    store: String,
    /// The first user and its key, when they were just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key: Option<&'a str>,
}

/// Refuses what names no address.
async fn check_address(listen: &str) -> Result<()> {
    let wrong = || {
        Failure::usage(format!("--listen is {listen:?}, which is no address"))
            .with_hint("write HOST:PORT, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080")
    };
    let found = tokio::net::lookup_host(listen).await;
    match found.is_ok_and(|mut found| found.next().is_some()) {
        true => Ok(()),
        false => Err(wrong()),
    }
}

pub(super) async fn run(shell: &mut Shell, args: ServeArgs) -> Result<Exit> {
    check_address(&args.listen).await?;
    let dir: PathBuf = shell.settings.store()?.to_owned();
    if let Some(url) = &args.public_url
        && !matches!(url.scheme(), "http" | "https")
    {
        return Err(Failure::usage(format!(
            "--public-url is {url}, and needs http:// or https://"
        )));
    }
    let store = Arc::new(EmbeddedStore::open(&dir, StoreOptions::new()).await?);
    let mut options = Options::new();
    options.public_url = args.public_url.clone();
    options.heartbeat_timeout = Duration::from_secs(args.crash_after);
    options.max_requests = usize::try_from(args.max_requests).unwrap_or(usize::MAX);
    let server = Server::new(store.clone(), store, options).await?;
    let listener = TcpListener::bind(&args.listen).await.map_err(|e| {
        Failure::io(format!("listen at {}", args.listen), &e)
            .with_hint("--listen ADDR:PORT takes another address; port 0 takes a free one")
    })?;
    let address = listener
        .local_addr()
        .map_err(|e| Failure::io("listen", &e))?;
    let url = args.public_url.map_or_else(
        || format!("http://{address}"),
        |url| url.as_str().trim_end_matches('/').to_owned(),
    );
    let key = server.ensure_user().await?;
    let shown = key.as_ref().map(|key| key.expose_secret());
    if shell.out.is_json() {
        shell.out.document(&Shape {
            schema: "trackway.serve/1",
            url: url.clone(),
            store: dir.display().to_string(),
            user: shown.map(|_| LOCAL),
            api_key: shown,
        })?;
        shell.out.flush()?;
    }
    shell.talk.note(format!(
        "serving {} at {url}; Ctrl-C ends it",
        dir.display()
    ));
    if let Some(key) = shown.filter(|_| !shell.out.is_json()) {
        shell.talk.note(format!(
            "made the user `{LOCAL}`; its key is shown only now:\n  export WANDB_BASE_URL={url} WANDB_API_KEY={key}"
        ));
    }
    drop(key);
    let cancel = CancellationToken::new();
    let stopped = cancel.clone();
    stop::work(&shell.talk, &cancel, async move {
        server
            .serve(listener, async move { stopped.cancelled().await })
            .await;
    })
    .await?;
    Ok(Exit::Ok)
}
