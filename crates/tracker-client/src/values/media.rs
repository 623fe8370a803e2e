use serde_json::Value as Json;
use tracker_model::{JsonObject, Result, Value};

use super::{put, take_count, take_text, wrong};

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $word:literal;)*) => {
        /// What a file of a run shows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum MediaKind {
            $($(#[$doc])* $kind,)*
        }

        impl MediaKind {
            /// The word in `_type`, such as `image-file`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $word,)*
                }
            }

            /// The kind of a word in `_type`, if it is known.
            pub fn of(word: &str) -> Option<Self> {
                match word {
                    $($word => Some(Self::$kind),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// A file of no kind of its own.
    File = "file";
    /// A picture.
    Image = "image-file";
    /// A sound.
    Audio = "audio-file";
    /// A film.
    Video = "video-file";
    /// A page of HTML.
    Html = "html-file";
    /// A [`super::Table`].
    Table = "table-file";
    /// A part of a table that grows.
    IncrementalTable = "incremental-table-file";
    /// A table of many files.
    PartitionedTable = "partitioned-table";
    /// Two tables side by side.
    JoinedTable = "joined-table";
    /// Points or bodies in space.
    Object3d = "object3D-file";
    /// A molecule.
    Molecule = "molecule-file";
    /// A chart of Plotly.
    Plotly = "plotly-file";
    /// A chart of Bokeh.
    Bokeh = "bokeh-file";
    /// The graph of a model.
    Graph = "graph-file";
}

/// A reference to a file of the run.
///
/// ```json
/// {"_type":"image-file","path":"media/images/x_3_ab12.png","sha256":"ab12…","size":2048,
///  "format":"png","width":64,"height":32,"caption":"a cat"}
/// ```
///
/// Source: `wandb.Image`, `wandb.Table` and their like, when they are logged.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Media {
    /// What the file shows.
    pub kind: MediaKind,
    /// The name of the file in the run. Missing where only an artifact has it.
    pub path: Option<String>,
    /// SHA-256 of the contents, hexadecimal.
    pub sha256: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
    /// The format of an image, such as `png`.
    pub format: Option<String>,
    /// Pixels across.
    pub width: Option<u64>,
    /// Pixels down.
    pub height: Option<u64>,
    /// The rows of a table.
    pub rows: Option<u64>,
    /// The columns of a table.
    pub columns: Option<u64>,
    /// What stands below it.
    pub caption: Option<String>,
    /// All other members, such as `artifact_path`, `boxes` and `masks`.
    pub more: JsonObject,
}

impl Media {
    /// A reference to a file with this name in the run.
    pub fn new(kind: MediaKind, path: impl Into<String>) -> Self {
        let mut media = Self::read(kind, &JsonObject::new());
        media.path = Some(path.into());
        media
    }

    pub(super) fn read(kind: MediaKind, object: &JsonObject) -> Self {
        let mut more = object.clone();
        more.remove("_type");
        Self {
            kind,
            path: take_text(&mut more, "path"),
            sha256: take_text(&mut more, "sha256"),
            size: take_count(&mut more, "size"),
            format: take_text(&mut more, "format"),
            width: take_count(&mut more, "width"),
            height: take_count(&mut more, "height"),
            rows: take_count(&mut more, "nrows"),
            columns: take_count(&mut more, "ncols"),
            caption: take_text(&mut more, "caption"),
            more,
        }
    }
}

impl From<Media> for Json {
    fn from(media: Media) -> Self {
        let mut object = media.more;
        put(&mut object, "_type", Some(media.kind.as_str()));
        put(&mut object, "path", media.path);
        put(&mut object, "sha256", media.sha256);
        put(&mut object, "size", media.size);
        put(&mut object, "format", media.format);
        put(&mut object, "width", media.width);
        put(&mut object, "height", media.height);
        put(&mut object, "nrows", media.rows);
        put(&mut object, "ncols", media.columns);
        put(&mut object, "caption", media.caption);
        Self::Object(object)
    }
}

impl From<Media> for Value {
    fn from(media: Media) -> Self {
        Self::Json(Json::from(media).to_string())
    }
}

/// References to several images of one size and format.
///
/// ```json
/// {"_type":"images/separated","width":8,"height":8,"format":"png","count":2,
///  "filenames":["media/images/a.png","media/images/b.png"],"captions":["a","b"]}
/// ```
///
/// Source: a list of `wandb.Image`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Images {
    /// The names of the files in the run.
    pub paths: Vec<String>,
    /// The format of all of them, such as `png`.
    pub format: Option<String>,
    /// Pixels across.
    pub width: Option<u64>,
    /// Pixels down.
    pub height: Option<u64>,
    /// All other members, such as `captions`.
    pub more: JsonObject,
}

impl Images {
    /// References to files with these names in the run.
    pub fn new<T: Into<String>>(paths: impl IntoIterator<Item = T>) -> Self {
        Self {
            paths: paths.into_iter().map(Into::into).collect(),
            format: None,
            width: None,
            height: None,
            more: JsonObject::new(),
        }
    }

    pub(super) fn read(object: &JsonObject) -> Result<Self> {
        let mut more = object.clone();
        more.remove("_type");
        let Some(Json::Array(names)) = more.remove("filenames") else {
            return Err(wrong("list of images", "filenames are no list"));
        };
        let paths = names.iter().map(|n| n.as_str().map(ToOwned::to_owned));
        let paths: Option<Vec<String>> = paths.collect();
        let paths = paths.ok_or_else(|| wrong("list of images", "filenames are no texts"))?;
        if take_count(&mut more, "count").is_some_and(|count| count != paths.len() as u64) {
            return Err(wrong("list of images", "there are not as many as it says"));
        }
        Ok(Self {
            paths,
            format: take_text(&mut more, "format"),
            width: take_count(&mut more, "width"),
            height: take_count(&mut more, "height"),
            more,
        })
    }
}

impl From<Images> for Json {
    fn from(images: Images) -> Self {
        let mut object = images.more;
        put(&mut object, "_type", Some("images/separated"));
        put(&mut object, "count", Some(images.paths.len()));
        put(&mut object, "filenames", Some(images.paths));
        put(&mut object, "format", images.format);
        put(&mut object, "width", images.width);
        put(&mut object, "height", images.height);
        Self::Object(object)
    }
}

impl From<Images> for Value {
    fn from(images: Images) -> Self {
        Self::Json(Json::from(images).to_string())
    }
}
