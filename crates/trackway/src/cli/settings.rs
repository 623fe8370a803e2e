//! What the user set: flag, then environment, then `trackway.toml` up the tree, then the user's
//! own `trackway.toml`.

use std::{
    env, fs,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use clap::{ArgAction, Args, ValueEnum};
use serde::Deserialize;

use super::failure::{Failure, Result};

/// The file of settings.
const FILE: &str = "trackway.toml";

/// The folder of a store that belongs to a folder of work.
const LOCAL_STORE: &str = ".trackway";

/// How a flag or a variable is called that names the folder of the store.
const NAMED: &str = "--store or TRACKWAY_HOME";

/// The flags of every command.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct GlobalArgs {
    /// The embedded store [default: the nearest .trackway/ upwards, else in the user's data]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "TRACKWAY_HOME",
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub(crate) store: Option<PathBuf>,
    /// Print one JSON document
    #[arg(
        long,
        global = true,
        conflicts_with = "jsonl",
        help_heading = "Global options"
    )]
    pub(crate) json: bool,
    /// Print one JSON document a line
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) jsonl: bool,
    /// Say nothing but errors
    #[arg(
        long,
        short,
        global = true,
        conflicts_with = "verbose",
        help_heading = "Global options"
    )]
    pub(crate) quiet: bool,
    /// Say more; twice even more
    #[arg(long, short, global = true, hide_short_help = true, action = ArgAction::Count, help_heading = "Global options")]
    pub(crate) verbose: u8,
    /// Show no progress
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        help_heading = "Global options"
    )]
    pub(crate) no_progress: bool,
    /// Use colours: auto, always, never
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "WHEN",
        env = "TRACKWAY_COLOR",
        hide_possible_values = true,
        hide_env_values = true,
        help_heading = "Global options"
    )]
    pub(crate) color: Option<Color>,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What a file of settings may say.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    store: Option<PathBuf>,
    jobs: Option<NonZeroUsize>,
    namespace: Option<String>,
    color: Option<Color>,
}

/// The settings, all sources taken together.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The folder of the embedded store, and who said so; an error if nobody knows one.
    store: Option<(PathBuf, &'static str)>,
    /// How many runs are worked on at once.
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Where imports go.
    pub(crate) namespace: Option<String>,
    /// When to use colours.
    pub(crate) color: Color,
    /// The files that were read.
    pub(crate) files: Vec<PathBuf>,
}

impl Settings {
    /// Takes all sources together.
    pub(crate) fn read(global: &GlobalArgs) -> Result<Self> {
        let here = env::current_dir().map_err(|e| Failure::io("find the current folder", &e))?;
        Self::read_from(global, &here, config_folder().as_deref(), data_folder())
    }

    fn read_from(
        global: &GlobalArgs,
        here: &Path,
        config: Option<&Path>,
        data: Option<PathBuf>,
    ) -> Result<Self> {
        let near = here
            .ancestors()
            .map(|dir| dir.join(FILE))
            .find(|file| file.is_file());
        let own = config
            .map(|dir| dir.join(FILE))
            .filter(|file| file.is_file() && near.as_ref() != Some(file));
        let load = |path: &Option<PathBuf>| {
            path.as_deref()
                .map_or_else(|| Ok(File::default()), File::read)
        };
        let (project, user) = (load(&near)?, load(&own)?);
        let beside = here
            .ancestors()
            .map(|dir| dir.join(LOCAL_STORE))
            .find(|dir| dir.is_dir());
        let said_by = |path: Option<PathBuf>, who| path.map(|path| (path, who));
        Ok(Self {
            store: said_by(
                global.store.clone().filter(|p| !p.as_os_str().is_empty()),
                NAMED,
            )
            .or_else(|| said_by(project.store, "trackway.toml"))
            .or_else(|| said_by(beside, "the nearest .trackway/"))
            .or_else(|| said_by(user.store, "the user's trackway.toml"))
            .or_else(|| said_by(data, "the user's data folder")),
            jobs: project.jobs.or(user.jobs),
            namespace: project.namespace.or(user.namespace),
            color: global
                .color
                .or(project.color)
                .or(user.color)
                .unwrap_or(Color::Auto),
            files: near.into_iter().chain(own).collect(),
        })
    }

    /// The folder of the embedded store.
    pub(crate) fn store(&self) -> Result<&Path> {
        self.store
            .as_ref()
            .map(|(path, _)| path.as_path())
            .ok_or_else(|| {
                Failure::usage("there is no folder for the store: the home folder is not known")
                    .with_hint("name a folder with --store DIR or TRACKWAY_HOME")
            })
    }

    /// Whether a flag or a variable named the folder of the store.
    pub(crate) fn store_was_named(&self) -> bool {
        self.store_chosen_by() == NAMED
    }

    /// Who chose the folder of the store.
    pub(crate) fn store_chosen_by(&self) -> &'static str {
        self.store.as_ref().map_or("nobody", |(_, who)| who)
    }
}

impl File {
    fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .map_err(|e| Failure::io(format_args!("read {}", path.display()), &e))?;
        let mut file = Self::parse(&text).map_err(|(line, why)| {
            Failure::usage(format!("{}:{line}: {why}", path.display()))
                .with_hint("the keys are store, jobs, namespace and color")
        })?;
        // A relative folder is meant from the file that names it.
        if let (Some(store), Some(dir)) = (&mut file.store, path.parent()) {
            *store = dir.join(&*store);
        }
        Ok(file)
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        toml::from_str(text).map_err(|e| {
            let at = e.span().map_or(0, |span| span.start);
            let line = text
                .as_bytes()
                .iter()
                .take(at)
                .filter(|b| **b == b'\n')
                .count()
                + 1;
            (line, e.message().lines().collect::<Vec<_>>().join(", "))
        })
    }
}

fn folder_in(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

/// Where the user keeps data.
fn data_folder() -> Option<PathBuf> {
    user_folder("XDG_DATA_HOME", ".local/share", "LOCALAPPDATA")
}

/// Where the user keeps settings.
fn config_folder() -> Option<PathBuf> {
    user_folder("XDG_CONFIG_HOME", ".config", "APPDATA")
}

fn user_folder(xdg: &str, unix: &str, windows: &str) -> Option<PathBuf> {
    let base = if cfg!(windows) {
        folder_in(windows)
    } else if cfg!(target_os = "macos") {
        folder_in(xdg)
            .or_else(|| folder_in("HOME").map(|home| home.join("Library/Application Support")))
    } else {
        folder_in(xdg).or_else(|| folder_in("HOME").map(|home| home.join(unix)))
    };
    base.map(|base| base.join("trackway"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearer_settings_win() {
        let dir = tempfile::tempdir().unwrap();
        let (work, config) = (dir.path().join("a/b"), dir.path().join("config"));
        fs::create_dir_all(&work).unwrap();
        fs::create_dir_all(&config).unwrap();
        fs::write(
            config.join(FILE),
            "store = '/user'\njobs = 3\nnamespace = 'u'\n",
        )
        .unwrap();
        let read = |global: &GlobalArgs| {
            Settings::read_from(global, &work, Some(&config), Some("/data".into())).unwrap()
        };
        let none = GlobalArgs::default();
        assert_eq!(read(&none).store().unwrap(), Path::new("/user"));
        fs::create_dir(dir.path().join("a/.trackway")).unwrap();
        assert_eq!(read(&none).store().unwrap(), dir.path().join("a/.trackway"));
        fs::write(
            dir.path().join("a").join(FILE),
            "store = 'mine'\njobs = 5\n",
        )
        .unwrap();
        let settings = read(&none);
        assert_eq!(settings.store().unwrap(), dir.path().join("a/mine"));
        assert_eq!(
            (settings.jobs.unwrap().get(), settings.namespace.as_deref()),
            (5, Some("u"))
        );
        let flag = GlobalArgs {
            store: Some("/flag".into()),
            ..GlobalArgs::default()
        };
        assert_eq!(read(&flag).store().unwrap(), Path::new("/flag"));
    }

    #[test]
    fn wrong_keys_are_named_with_their_line() {
        let (line, why) = File::parse("jobs = 4\njbos = 5\n").unwrap_err();
        assert_eq!(line, 2);
        assert!(why.contains("jbos"), "{why}");
        assert_eq!(File::parse("\n\njobs = 0").unwrap_err().0, 3);
        assert_eq!(File::parse("color = 'blue'").unwrap_err().0, 1);
    }
}
