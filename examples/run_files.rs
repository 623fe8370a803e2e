//! Files of a finished run: put one in, get one, get all, delete those with an ending.
//!
//! `cargo run --bin run_files -- STORE PROJECT/RUN FILE FOLDER EXTENSION`
#![allow(clippy::print_stdout)]

use std::{path::Path, sync::Arc};

use futures::TryStreamExt;
use trackway::{
    client::{Api, Folder, Patterns},
    store::{EmbeddedStore, StoreOptions},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [_, store, path, file, folder, extension] = &std::env::args().collect::<Vec<_>>()[..]
    else {
        anyhow::bail!("usage: run_files STORE PROJECT/RUN FILE FOLDER EXTENSION");
    };
    let api = Api::new(Arc::new(EmbeddedStore::open_existing(store, StoreOptions::new()).await?));
    let run = api.run(path).await?;

    let uploaded = run.upload_file(Path::new(file), None).await?;
    println!("uploaded {}, {} bytes", uploaded.name(), uploaded.digests().size);

    let saved = run.file(uploaded.name()).await?.download(Path::new(folder), false).await?;
    println!("saved {}", saved.file_name().unwrap_or_default().display());

    // Files are seen when they are complete, and what is there already is left alone.
    let all = Patterns::new(["*"])?;
    let done = run.download_files(&all, &Folder::open(folder.as_str()).await?).await?;
    println!("{} written, {} there", done.written.files, done.there.files);

    let deleted = run.delete_files(&Patterns::new([format!("*{extension}")])?).await?;
    println!("{} deleted", deleted.files);
    let left: Vec<_> = run.files().map_ok(|file| file.name().to_owned()).try_collect().await?;
    println!("left: {}", left.join(", "));
    Ok(())
}
