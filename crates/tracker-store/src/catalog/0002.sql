-- Sweeps; the columns are as those of `run`.
CREATE TABLE sweep (
    id          INTEGER PRIMARY KEY,
    project     INTEGER NOT NULL REFERENCES project,
    sweep_id    TEXT    NOT NULL,
    name        TEXT,
    description TEXT,
    state       TEXT    NOT NULL,
    created_ms  INTEGER NOT NULL,
    created_ns  INTEGER NOT NULL,
    updated_ms  INTEGER,
    updated_ns  INTEGER,
    user        TEXT,
    config      BLOB,
    config_text TEXT,
    extras      BLOB,
    version     INTEGER NOT NULL,
    UNIQUE (project, sweep_id)
) STRICT;
CREATE INDEX sweep_of_project ON sweep (project, created_ms DESC, created_ns DESC, sweep_id);
