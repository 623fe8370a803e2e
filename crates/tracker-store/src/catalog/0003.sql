-- What filters of runs find without reading all of them. The expressions are those of the code.
CREATE INDEX run_by_name  ON run (name) WHERE name IS NOT NULL;
CREATE INDEX run_by_state ON run (state, project, created_ms, created_ns, run_id, deleted);
CREATE INDEX run_by_group ON run ((details ->> 'group')) WHERE (details ->> 'group') IS NOT NULL;
CREATE INDEX run_by_sweep ON run ((details ->> 'sweep')) WHERE (details ->> 'sweep') IS NOT NULL;
