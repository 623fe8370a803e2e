-- The greatest index that a version of the collection has had, so that none is given twice.
ALTER TABLE collection ADD COLUMN last_idx INTEGER;
UPDATE collection SET last_idx = (SELECT max(idx) FROM version WHERE version.collection = collection.id);
-- Whether its versions are links.
ALTER TABLE collection ADD COLUMN portfolio INTEGER NOT NULL DEFAULT 0;

ALTER TABLE version ADD COLUMN extras BLOB;
-- Of a link: the version that it stands for, and what is said of it, but for its index, its aliases
-- and its times.
ALTER TABLE version ADD COLUMN link_of INTEGER REFERENCES version ON DELETE CASCADE;
CREATE UNIQUE INDEX version_by_link ON version (link_of, collection) WHERE link_of IS NOT NULL;
ALTER TABLE entry ADD COLUMN extras BLOB;

-- Contents that were put by themselves stay until then, whether or not something refers to them.
ALTER TABLE blob ADD COLUMN held_ms INTEGER;

-- What runs print.
CREATE TABLE log_line (
    run      INTEGER NOT NULL REFERENCES run ON DELETE CASCADE,
    number   INTEGER NOT NULL,
    time_ms  INTEGER,
    time_ns  INTEGER,
    is_error INTEGER NOT NULL,
    label    TEXT,
    text     TEXT    NOT NULL,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;

-- Reports; the columns are as those of `sweep`.
CREATE TABLE report (
    id          INTEGER PRIMARY KEY,
    project     INTEGER NOT NULL REFERENCES project,
    report_id   TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    title       TEXT,
    name        TEXT,
    description TEXT,
    user        TEXT,
    spec        TEXT    NOT NULL,
    created_ms  INTEGER NOT NULL,
    created_ns  INTEGER NOT NULL,
    updated_ms  INTEGER,
    updated_ns  INTEGER,
    extras      BLOB,
    version     INTEGER NOT NULL,
    UNIQUE (project, report_id)
) STRICT;
CREATE INDEX report_of_project ON report (project, created_ms DESC, created_ns DESC, report_id);

-- Documents of a service that are no part of an experiment; the value is JSONB.
CREATE TABLE record (
    space      TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    value      BLOB    NOT NULL,
    version    INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL,
    updated_ns INTEGER NOT NULL,
    PRIMARY KEY (space, key)
) STRICT;
