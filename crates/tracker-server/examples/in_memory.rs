//! A server that forgets everything when it ends: `in_memory [ADDRESS]`. For trying things out.

use std::{env, error::Error, sync::Arc};

use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tracker_model::MemoryTracker;
use tracker_server::{Options, Server};

#[tokio::main]
#[expect(clippy::print_stdout, reason = "it talks to whoever started it")]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let address = env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let tracker = Arc::new(MemoryTracker::new());
    let server = Server::new(tracker.clone(), tracker, Options::new()).await?;
    let listener = TcpListener::bind(&address).await?;
    println!("WANDB_BASE_URL=http://{}", listener.local_addr()?);
    if let Some(key) = server.ensure_user().await? {
        println!("WANDB_API_KEY={}", key.expose_secret());
    }
    server
        .serve(listener, async {
            let _ = tokio::signal::ctrl_c().await;
        })
        .await;
    Ok(())
}
