-- Times are milliseconds since 1970 (`*_ms`) and nanoseconds on top (`*_ns`).
-- `config`, `summary`, `extras`, `metadata` and `details` are JSONB; NULL is the empty object.

CREATE TABLE project (
    id          INTEGER PRIMARY KEY,
    entity      TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    description TEXT,
    created_ms  INTEGER NOT NULL,
    created_ns  INTEGER NOT NULL,
    updated_ms  INTEGER,
    updated_ns  INTEGER,
    deleted     INTEGER NOT NULL,
    extras      BLOB,
    UNIQUE (entity, name)
) STRICT;

CREATE TABLE run (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    project    INTEGER NOT NULL REFERENCES project,
    run_id     TEXT    NOT NULL,
    name       TEXT,
    state      TEXT    NOT NULL,
    created_ms INTEGER NOT NULL,
    created_ns INTEGER NOT NULL,
    deleted    INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    config     BLOB,
    summary    BLOB,
    extras     BLOB,
    details    BLOB,
    UNIQUE (project, run_id)
) STRICT;
CREATE INDEX run_of_project ON run (project, created_ms DESC, created_ns DESC, run_id, deleted);
CREATE INDEX run_by_time    ON run (created_ms DESC, created_ns DESC, run_id, project, deleted);
CREATE INDEX run_by_id      ON run (run_id);

-- Sealed history: Parquet bytes in a file of the run's folder, or in `segment_data` when small.
-- A segment with a token waits for the commit of the writer with that token. Later segments
-- (by id) replace the points of earlier ones at and after the index where they begin.
CREATE TABLE segment (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    run        INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    stream     INTEGER NOT NULL,
    token      TEXT,
    path       TEXT,
    bytes      INTEGER NOT NULL,
    points     INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    parts      BLOB    NOT NULL
) STRICT;
CREATE INDEX segment_of_run ON segment (run, stream, id);
CREATE UNIQUE INDEX segment_by_path ON segment (path) WHERE path IS NOT NULL;

CREATE TABLE segment_data (
    segment INTEGER PRIMARY KEY REFERENCES segment ON DELETE CASCADE,
    data    BLOB NOT NULL
) STRICT;

-- The live tail of a history: what was appended and is not sealed yet, a line for each call.
CREATE TABLE tail (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    run    INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    stream INTEGER NOT NULL,
    points INTEGER NOT NULL,
    data   BLOB    NOT NULL
) STRICT;
CREATE INDEX tail_of_run ON tail (run, stream, id);

CREATE TABLE tail_state (
    run      INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    stream   INTEGER NOT NULL,
    next_row INTEGER NOT NULL,
    points   INTEGER NOT NULL,
    PRIMARY KEY (run, stream)
) STRICT, WITHOUT ROWID;

-- Contents, each once: in `blobs/` by hash, or in `blob_data` when small.
CREATE TABLE blob (
    id         INTEGER PRIMARY KEY,
    hash       BLOB    NOT NULL UNIQUE,
    md5        BLOB    NOT NULL,
    sha256     BLOB    NOT NULL,
    size       INTEGER NOT NULL,
    inline     INTEGER NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE blob_data (
    blob INTEGER PRIMARY KEY REFERENCES blob ON DELETE CASCADE,
    data BLOB NOT NULL
) STRICT;

CREATE TABLE file (
    run         INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    name        TEXT    NOT NULL,
    blob        INTEGER NOT NULL REFERENCES blob,
    modified_ms INTEGER,
    modified_ns INTEGER,
    extras      BLOB,
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX file_by_blob ON file (blob);

CREATE TABLE collection (
    id          INTEGER PRIMARY KEY,
    project     INTEGER NOT NULL REFERENCES project,
    name        TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    description TEXT,
    created_ms  INTEGER NOT NULL,
    created_ns  INTEGER NOT NULL,
    updated_ms  INTEGER,
    updated_ns  INTEGER,
    extras      BLOB,
    UNIQUE (project, name)
) STRICT;

-- The contents of a version. One that no version names is a draft: its writer holds the lock file
-- named after it, and without a holder it is swept.
CREATE TABLE manifest (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE entry (
    manifest  INTEGER NOT NULL REFERENCES manifest ON DELETE CASCADE,
    path      TEXT    NOT NULL,
    blob      INTEGER REFERENCES blob,
    reference TEXT,
    PRIMARY KEY (manifest, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX entry_by_blob ON entry (blob);

CREATE TABLE version (
    id          INTEGER PRIMARY KEY,
    collection  INTEGER NOT NULL REFERENCES collection,
    idx         INTEGER NOT NULL,
    manifest    INTEGER NOT NULL REFERENCES manifest,
    digest      TEXT    NOT NULL,
    size        INTEGER NOT NULL,
    entries     INTEGER NOT NULL,
    tags        TEXT    NOT NULL,
    description TEXT,
    metadata    BLOB,
    ttl_seconds INTEGER,
    created_ms  INTEGER NOT NULL,
    created_ns  INTEGER NOT NULL,
    logged_by   TEXT,
    source_key  TEXT,
    UNIQUE (collection, idx)
) STRICT;
CREATE INDEX version_by_manifest ON version (manifest);
CREATE UNIQUE INDEX version_by_source ON version (collection, source_key) WHERE source_key IS NOT NULL;

CREATE TABLE alias (
    collection INTEGER NOT NULL REFERENCES collection,
    name       TEXT    NOT NULL,
    version    INTEGER NOT NULL REFERENCES version ON DELETE CASCADE,
    -- In the order given.
    place      INTEGER NOT NULL,
    PRIMARY KEY (collection, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX alias_by_version ON alias (version);

CREATE TABLE artifact_use (
    run     INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    version INTEGER NOT NULL REFERENCES version ON DELETE CASCADE,
    role    INTEGER NOT NULL,
    -- 0 and 0 where the step is not known.
    stepped INTEGER NOT NULL,
    step    INTEGER NOT NULL,
    PRIMARY KEY (run, version, role, stepped, step)
) STRICT, WITHOUT ROWID;
CREATE INDEX artifact_use_by_version ON artifact_use (version);
