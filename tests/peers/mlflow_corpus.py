#!/usr/bin/env python3
"""Deterministic, nasty MLflow corpus + ground truth.  Needs only `requests`.

  mlflow_corpus.py generate --tracking-uri http://127.0.0.1:5801 --profile nasty --runs 1200 \
        --metrics 6 --points 400 --artifacts-mb 8 --seed 7 --prefix c1 --out truth.json
  mlflow_corpus.py generate --tracking-uri ... --profile perf --runs 200 --metrics 10 --points 1000 --out perf.json
  mlflow_corpus.py verify --tracking-uri ... --truth truth.json        (reads back over REST, exit 1 on a difference)
  mlflow_corpus.py to-filestore --db mlflow.db --out mlruns    (same data in the file-store layout)
  mlflow_corpus.py generate --file-store --tracking-uri ...    (the server keeps a file store itself)
  mlflow_corpus.py verify-db --db mlflow.db --truth truth.json          (reads the SQLite file)

Checksum rule (same in any language):  for each point  "<key>\t<step>\t<timestamp_ms>\t<16 hex digits of the IEEE-754
big-endian bits of value>\n" in UTF-8, every NaN as 7ff8000000000000; sort the lines as bytes; sha256 of their concatenation.
`points_sha` is what a client sent; `points_sha_stored` is what a SQL-backed server keeps (+-Inf clamped to
+-1.7976931348623157e308, -0.0 -> 0.0, identical (key,step,ts,value) collapsed).
params/tags: "<key>\t<value>\n" with \\, \t, \n, \r escaped as \\\\ \\t \\n \\r; sorted; sha256.  Tags the server adds are excluded (see tag_keys).
"""
import argparse, hashlib, json, math, os, random, struct, sys, threading, time, urllib.parse
from concurrent.futures import ThreadPoolExecutor
import requests

T0 = 1_700_000_000_000
DBL_MAX = 1.7976931348623157e308
NAN, INF = float("nan"), float("inf")
_tl = threading.local()

# ---------- canonical form ----------
def bits(v):
    return "7ff8000000000000" if v != v else struct.pack(">d", v).hex()

def points_sha(pts):
    h = hashlib.sha256()
    for l in sorted(("%s\t%d\t%d\t%s\n" % (k, s, t, bits(v))).encode() for k, s, t, v in pts):
        h.update(l)
    return h.hexdigest()

def esc(s):
    return s.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")

def kv_sha(d):
    h = hashlib.sha256()
    for l in sorted(("%s\t%s\n" % (esc(k), esc(v))).encode() for k, v in d.items()):
        h.update(l)
    return h.hexdigest()

def stored(pts):
    out, seen = [], set()
    for k, s, t, v in pts:
        if v == INF: v = DBL_MAX
        elif v == -INF: v = -DBL_MAX
        elif v == 0: v = 0.0
        b = (k, s, t, bits(v))
        if b not in seen:
            seen.add(b); out.append((k, s, t, v))
    return out

def per_key(pts):
    d = {}
    for p in pts: d.setdefault(p[0], []).append(p)
    return {k: {"n": len(v), "sha": points_sha(v)} for k, v in sorted(d.items())}

# ---------- transport ----------
class Api:
    def __init__(self, uri):
        self.uri = uri.rstrip("/")
    def s(self):
        if not hasattr(_tl, "s"): _tl.s = requests.Session()
        return _tl.s
    def call(self, method, path, v="2.0", ok=True, **kw):
        for i in range(6):
            r = self.s().request(method, f"{self.uri}/api/{v}/mlflow{path}", timeout=300, **kw)
            if r.status_code in (429, 500, 502, 503, 504) and i < 5:
                time.sleep(0.2 * 2 ** i); continue
            break
        if ok and r.status_code != 200:
            raise RuntimeError(f"{method} {path}: {r.status_code} {r.text[:400]}")
        return r.json() if r.status_code == 200 else r
    def post(self, path, body, **kw): return self.call("POST", path, json=body, **kw)
    def get(self, path, params=None, **kw): return self.call("GET", path, params=params or {}, **kw)
    def artifact_url(self, root, rel):
        # root is mlflow-artifacts:/<exp>/<run>/artifacts ; every path segment is percent-encoded once
        p = urllib.parse.urlparse(root).path.lstrip("/")
        return f"{self.uri}/api/2.0/mlflow-artifacts/artifacts/{p}/" + urllib.parse.quote(rel, safe="/")
    def put_artifact(self, root, rel, data):
        u = urllib.parse.urlparse(root)
        if u.scheme == "mlflow-artifacts":
            r = self.s().put(self.artifact_url(root, rel), data=data, timeout=300)
            return r.status_code, r.text[:200]
        base = u.path if u.scheme in ("", "file") else None
        if base is None: return 0, "unsupported root " + root
        fp = os.path.join(urllib.parse.unquote(base), rel); os.makedirs(os.path.dirname(fp), exist_ok=True)
        open(fp, "wb").write(data); return 200, ""

    def served(self, root, rel):
        if not root.startswith("mlflow-artifacts:") or rel.isascii(): return True
        try: return self.s().get(self.artifact_url(root, rel), timeout=300).status_code == 200
        except requests.ConnectionError: return False

def num(v):   # proto3-JSON doubles
    return "NaN" if v != v else "Infinity" if v == INF else "-Infinity" if v == -INF else v

class Gen:
    def __init__(self, a):
        self.a, self.api, self.rng = a, Api(a.tracking_uri), random.Random(a.seed)
        self.truth = {"format": 1, "args": vars(a), "experiments": {}, "runs": {}, "logged_models": {}, "registered_models": {},
                      "refused": [], "traces": {}}
        self.lock = threading.Lock()

    def exp(self, name, tags=None, artifact_location=None):
        body = {"name": f"{self.a.prefix}{name}", "tags": [{"key": k, "value": v} for k, v in (tags or {}).items()]}
        eid = self.api.post("/experiments/create", body)["experiment_id"]
        self.truth["experiments"][eid] = {"name": body["name"], "tags": tags or {}, "lifecycle": "active", "runs": 0}
        return eid

    def run(self, eid, key, name=None, start=T0, end=T0 + 60000, status="FINISHED", params=None, tags=None, pts=(), parent=None,
            artifacts=None, datasets=None, deleted=False):
        params, tags, pts = dict(params or {}), dict(tags or {}), list(pts)
        if self.a.file_store:             # a key is a file there, so it can't be a folder of other keys too
            keys = {p[0] for p in pts}
            pts = [p for p in pts if not any(k.startswith(p[0] + "/") for k in keys)]
        tags["corpus.key"] = key
        if parent: tags["mlflow.parentRunId"] = parent
        first = dict(list(tags.items())[:100]); rest = list(tags.items())[100:]
        r = self.api.post("/runs/create", {"experiment_id": eid, "start_time": start, "run_name": name or key, "user_id": "corpus",
                          "tags": [{"key": k, "value": v} for k, v in first.items()]})["run"]
        rid, root = r["info"]["run_id"], r["info"]["artifact_uri"]
        pl = list(params.items())
        first_batch = True
        ms, ps, ts = list(pts), pl, rest
        while ms or ps or ts:
            p, ps = ps[:100], ps[100:]
            t, ts = ts[:100], ts[100:]
            n = 1000 - len(p) - len(t)
            m, ms = ms[:n], ms[n:]
            self.log_batch(rid, m, p, t)
        for ds in datasets or []:
            self.api.post("/runs/log-inputs", {"run_id": rid, "datasets": [ds]})
        arts = {}
        for rel, data in (artifacts or {}).items():
            code, msg = self.api.put_artifact(root, rel, data)
            # the artifact proxy percent-decodes a second time, so a literal "a%20b" lands as "a b"
            kept = urllib.parse.unquote(rel) if root.startswith("mlflow-artifacts:") else rel
            if code == 200:
                arts[kept] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest(), **({"sent_as": rel} if kept != rel else {})}
                # MLflow 2.x (gunicorn) drops the connection over a file name that does not fit into Latin-1
                if not self.api.served(root, kept): arts[kept]["unserved"] = True
            else: self.truth["refused"].append({"run": rid, "artifact": rel, "status": code, "msg": msg})
        if status != "RUNNING" or end is None:
            b = {"run_id": rid, "status": status}
            if end is not None and status not in ("RUNNING", "SCHEDULED"): b["end_time"] = end
            self.api.post("/runs/update", b)
        else:
            end = None
        if status in ("RUNNING", "SCHEDULED"): end = None
        if deleted: self.api.post("/runs/delete", {"run_id": rid})
        st = pts if self.a.file_store else stored(pts)
        tags.setdefault("mlflow.runName", name or key)
        with self.lock:
            self.truth["experiments"][eid]["runs"] += 1
            self.truth["runs"][rid] = {"key": key, "experiment_id": eid, "name": name or key, "status": status, "start_time": start,
                "end_time": end, "lifecycle": "deleted" if deleted else "active", "parent": parent,
                "points": len(pts), "points_sha": points_sha(pts), "points_stored": len(st), "points_sha_stored": points_sha(st),
                "metrics": per_key(st), "params": len(params), "params_sha": kv_sha(params),
                "tags": len(tags), "tags_sha": kv_sha(tags), "tag_keys": sorted(tags), "artifact_root": root, "artifacts": arts,
                "datasets": len(datasets or [])}
        return rid, root

    def log_batch(self, rid, pts, params, tags):
        body = lambda pts: {"run_id": rid, "metrics": [{"key": k, "step": s, "timestamp": tm, "value": num(v)} for k, s, tm, v in pts],
                            "params": [{"key": k, "value": v} for k, v in params], "tags": [{"key": k, "value": v} for k, v in tags]}
        r = self.api.post("/runs/log-batch", body(pts), ok=False)
        if isinstance(r, dict): return
        # MLflow 2.x refuses a batch in which two points become one row (-0.0 and 0.0, Inf and DBL_MAX): send it without the twins
        if "UNIQUE constraint failed: metrics" not in r.text: raise RuntimeError(f"log-batch: {r.status_code} {r.text[:400]}")
        self.truth["refused"].append({"run": rid, "batch": len(pts), "sent": len(stored(pts)), "status": r.status_code, "msg": r.text[:200]})
        self.api.post("/runs/log-batch", body(stored(pts)))

    def series(self, rng, key, n, step0=0, dstep=1, t0=T0, dt=1000):
        v, out = rng.uniform(0.5, 4), []
        for i in range(n):
            v = v * 0.999 + rng.gauss(0, 0.01)
            out.append((key, step0 + i * dstep, t0 + i * dt, v))
        return out

    # ---------- profiles ----------
    def perf(self):
        a = self.a
        eid = self.exp("perf")
        def one(i):
            rng = random.Random(f"{a.seed}/perf/{i}")
            pts = []
            for m in range(a.metrics): pts += self.series(rng, f"m{m:03d}" if m % 3 else f"train/m{m:03d}", a.points)
            if a.sqlite_fast:   # rows go straight into the server's own file: the REST write path makes ~1-6k points/s
                rid, _ = self.run(eid, f"perf-{i:05d}", start=T0 + i * 1000, end=T0 + i * 1000 + 500000, params={"lr": str(rng.random()), "i": str(i)})
                return rid, pts
            art = {"data/blob.bin": rng.randbytes(int(a.artifacts_mb * 1e6 / a.runs))} if a.artifacts_mb else None
            self.run(eid, f"perf-{i:05d}", start=T0 + i * 1000, end=T0 + i * 1000 + 500000, params={"lr": str(rng.random()), "i": str(i)}, pts=pts, artifacts=art)
        if not a.sqlite_fast:
            with ThreadPoolExecutor(a.threads) as ex: list(ex.map(one, range(a.runs)))
            return
        import sqlite3
        db = sqlite3.connect(a.sqlite_fast, timeout=120)
        for i in range(a.runs):
            rid, pts = one(i)
            st = stored(pts); last = {}
            for k, s, t, v in st:
                if k not in last or (s, t, v) > last[k]: last[k] = (s, t, v)
            with db:
                db.executemany("insert into metrics(key,value,timestamp,run_uuid,step,is_nan) values(?,?,?,?,?,0)", [(k, v, t, rid, s) for k, s, t, v in st])
                db.executemany("insert into latest_metrics(key,value,timestamp,step,is_nan,run_uuid) values(?,?,?,?,0,?)", [(k, v, t, s, rid) for k, (s, t, v) in last.items()])
            self.truth["runs"][rid].update(points=len(pts), points_sha=points_sha(pts), points_stored=len(st), points_sha_stored=points_sha(st), metrics=per_key(st))
        db.close()

    def nasty(self):
        a = self.a
        # 1. one experiment with > 1000 light runs
        bulk = self.exp("bulk", {"mlflow.note.content": "# bulk\n**many** light runs", "team": "A/B"})
        def light(i):
            rng = random.Random(f"{a.seed}/light/{i}")
            pts = self.series(rng, "loss", rng.randint(1, 5)) + self.series(rng, "val/acc", rng.randint(0, 4), dstep=10)
            self.run(bulk, f"light-{i:05d}", name=f"sweep {i % 7}", start=T0 + (i // 3) * 1000, end=T0 + i * 1000 + 777,
                     status=("FINISHED", "FAILED", "KILLED")[i % 3], params={"lr": repr(rng.random()), "opt/name": "adam"},
                     tags={"group": f"g{i % 5}"}, pts=pts, deleted=(i % 97 == 50))
        with ThreadPoolExecutor(a.threads) as ex: list(ex.map(light, range(a.runs)))

        # 2. nasty runs
        e = self.exp("nasty / ünï-实验 100% #?", {"mlflow.note.content": "note with \"quotes\", tabs\t, newline\n, ünï 🙂", "k" * 250: "long tag key", "long": "v" * 5000})
        rng = random.Random(f"{a.seed}/nasty")
        n, m = a.points, a.metrics
        self.run(e, "empty")
        self.run(e, "only-params", params={"a": "1", "b": ""})
        self.run(e, "only-tags", tags={"x": "", "y/z": "multi\nline\twith tab \\ backslash 🙂"})
        for st in ("FAILED", "KILLED", "RUNNING", "SCHEDULED"):
            self.run(e, f"status-{st}", status=st, pts=self.series(rng, "loss", 5))
        self.run(e, "dense", pts=[p for j in range(m) for p in self.series(rng, f"dense/m{j}", n)])
        self.run(e, "unicode-keys", pts=[p for k in ("train/loss", "train/loss/sub", "train", "損失/検証", "ünï/λ", "a b:c-d.e_f", "k" * 250, "system/cpu_utilization_percentage", "x/y/z/w/v/u", "A", "a") for p in self.series(rng, k, 7)],
                 params={"損失/λ": "значение", "a b:c": "1", "p" * 250: "x"})
        self.run(e, "special-values", pts=[("v", i, T0 + i, x) for i, x in enumerate((NAN, INF, -INF, DBL_MAX, -DBL_MAX, 5e-324, -5e-324, 2.2250738585072014e-308, 0.0, -0.0, 0.1, 1 / 3, 2.0 ** 53 + 1, math.pi, 1e22, 1e21, 1e-7, 123456789012345680.0))]
                 + [("all_nan", i, T0 + i, NAN) for i in range(9)] + [("inf", 0, T0, INF)])
        self.run(e, "same-step", pts=[("v", s, T0 + j * 10, float(s * 10 + j)) for s in range(20) for j in range(4)])
        self.run(e, "same-step-same-ts", pts=[("v", 1, T0, x) for x in (3.0, 1.0, 2.0, NAN, 0.0, -0.0, INF, DBL_MAX)] + [("v", 1, T0, 3.0)])
        self.run(e, "default-step-zero", pts=[("v", 0, T0 + i, rng.random()) for i in range(3000)])
        self.run(e, "steps-extreme", pts=[("v", s, T0, 1.0) for s in (-5, -1, 0, 1, 2 ** 31, 2 ** 53, 2 ** 53 + 1, 2 ** 63 - 1, -2 ** 63)]
                 + [("ts", 0, t, 1.0) for t in (0, 1, 2 ** 53 + 1, 2 ** 63 - 1, T0)])
        ooo = self.series(rng, "ooo", 2500); rng.shuffle(ooo)
        self.run(e, "out-of-order", pts=ooo + [("back", 100 - i, T0 + i, float(i)) for i in range(100)])
        self.run(e, "resumed", pts=self.series(rng, "loss", 300) + [(k, s, t + 9_000_000, v + 1) for k, s, t, v in self.series(rng, "loss", 300, step0=200)])
        self.run(e, "long-30k", pts=self.series(rng, "long", 30000, dt=50))
        self.run(e, "float-secs-timestamps", pts=[("v", i, 1_700_000_000 + i, float(i)) for i in range(10)])
        self.run(e, "wide", pts=[(f"w/{i:04d}", 0, T0, float(i)) for i in range(1500)], params={f"p{i:03d}": str(i) for i in range(320)}, tags={f"t{i:03d}": str(i) for i in range(260)})
        self.run(e, "long-strings", params={"p6000": "x" * 6000, "p6000u": "é" * 6000, "json": json.dumps({"a": [1, {"b": None}]}), "nl": "a\nb\r\nc\td\\"},
                 tags={"T" * 250: "long key", "t8000": "y" * 8000, "mlflow.note.content": "## note\n" + "z" * 7000 + " 🙂"})
        self.run(e, "system-tags", tags={"mlflow.user": "alice", "mlflow.source.name": "/home/a/train.py", "mlflow.source.type": "LOCAL", "mlflow.source.git.commit": "0" * 40,
                 "mlflow.source.git.repoURL": "git@x:y.git", "mlflow.source.git.branch": "main", "mlflow.docker.image.uri": "img", "mlflow.log-model.history": "[]"})
        self.run(e, "no-name-time-zero", start=0, end=1)
        self.run(e, "end-before-start", start=T0, end=T0 - 5000)
        self.run(e, "same name"); self.run(e, "same-name-2", name="same name")
        self.run(e, "deleted-run", pts=self.series(rng, "loss", 50), params={"a": "1"}, artifacts={"x.txt": b"deleted run artifact"}, deleted=True)
        ds = lambda nm, dg, **kw: {"dataset": {"name": nm, "digest": dg, "source_type": kw.get("st", "local"), "source": kw.get("src", '{"uri": "/data/a.csv"}'), **({"schema": kw["schema"]} if "schema" in kw else {}), **({"profile": kw["profile"]} if "profile" in kw else {})},
                                    "tags": [{"key": "mlflow.data.context", "value": kw.get("ctx", "train")}] if kw.get("ctx", "train") else []}
        shared = ds("shared-ds", "abc123", schema='{"mlflow_colspec": [{"type": "long", "name": "a", "required": true}]}', profile='{"num_rows": 10}')
        self.run(e, "datasets-1", datasets=[shared, ds("val ünï", "d2", ctx="eval", st="s3", src='{"uri": "s3://b/k%20x"}'), ds("noctx", "d3", ctx=None), ds("big", "d4", profile=json.dumps({"p": "x" * 200000}))])
        self.run(e, "datasets-2", datasets=[shared])
        big = rng.randbytes(max(1, int(a.artifacts_mb * 1e6)))
        arts = {"top.txt": b"hello\n", "empty.bin": b"", "dir/nested/deep/er/f.json": b'{"a":1}', "name with space.txt": b"s", "ünï-日本.txt": "é".encode(), "100%.txt": b"pct", "a%20b.txt": b"enc",
                "hash#q?.txt": b"h", "plus+amp&=.txt": b"p", "quote's\"x.txt": b"q", "semi;comma,.txt": b"sc", "~tilde.txt": b"t", "dir with space/é/f.txt": b"x", ".hidden/.dot": b"d", "big/model.bin": big, "UPPER.TXT": b"U", "upper.txt": b"u",
                "no_ext": b"\x00\xff\x00", "html.html": b"<b>x</b>", "gz.json.gz": b"\x1f\x8b\x08\x00notgzip"}
        self.run(e, "artifacts", artifacts=arts)
        self.run(e, "artifacts-many", artifacts={f"many/f{i:04d}.txt": str(i).encode() for i in range(1100)})

        # 3. nested runs, 3 levels, child in another experiment too
        ne, ne2 = self.exp("nested"), self.exp("nested-other")
        p, _ = self.run(ne, "parent", pts=self.series(rng, "loss", 3))
        for i in range(6):
            c, _ = self.run(ne, f"child-{i}", parent=p, pts=self.series(rng, "loss", 4))
            for j in range(2): self.run(ne, f"grandchild-{i}-{j}", parent=c, pts=self.series(rng, "loss", 2))
        self.run(ne2, "child-cross-experiment", parent=p)
        self.run(ne, "orphan", parent="f" * 32)
        dp, _ = self.run(ne, "parent-deleted"); self.run(ne, "child-of-deleted", parent=dp)
        self.api.post("/runs/delete", {"run_id": dp}); self.truth["runs"][dp]["lifecycle"] = "deleted"
        self.exp("empty-experiment")

        # 4. deleted experiment with runs
        de = self.exp("deleted-experiment")
        for i in range(3): self.run(de, f"in-deleted-exp-{i}", pts=self.series(rng, "loss", 5))
        self.api.post("/experiments/delete", {"experiment_id": de})
        self.truth["experiments"][de]["lifecycle"] = "deleted"
        for r in self.truth["runs"].values():
            if r["experiment_id"] == de: r["lifecycle"] = "deleted"

        self.models(rng)
        if a.traces: self.traces()

    def models(self, rng):
        me = self.exp("models")
        acc = self.series(rng, "acc", 5)
        rid, root = self.run(me, "model-source", pts=acc)
        rid2, _ = self.run(me, "model-consumer")
        lms = []
        for i in range(3):
            r = self.api.post("/logged-models", {"experiment_id": me, "name": f"lm-{i}", "model_type": "classifier", "source_run_id": rid,
                              "params": [{"key": f"lp{j}", "value": str(j)} for j in range(5)], "tags": [{"key": "lt", "value": "ü"}]}, ok=False)
            if not isinstance(r, dict):       # MLflow 2.x has no logged models: only the registry is filled then
                self.truth["refused"].append({"logged_model": i, "status": r.status_code, "msg": r.text[:300]}); break
            mi = r["model"]["info"]; mid = mi["model_id"]
            files = {"MLmodel": b"artifact_path: model\nflavors:\n  python_function:\n    loader_module: x\n", "data/model.pkl": rng.randbytes(5000 + i), "requirements.txt": b"numpy\n"}
            up = {}
            for rel, data in files.items():
                code, msg = self.api.put_artifact(mi["artifact_uri"], rel, data)
                if code == 200: up[rel] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
                else: self.truth["refused"].append({"model": mid, "artifact": rel, "status": code, "msg": msg})
            if i < 2: self.api.call("PATCH", f"/logged-models/{mid}", json={"model_id": mid, "status": "LOGGED_MODEL_READY"})
            self.api.post("/runs/outputs", {"run_id": rid, "models": [{"model_id": mid, "step": 10 * i}]})
            self.api.post("/runs/log-batch", {"run_id": rid, "metrics": [{"key": "model_metric", "value": 0.5 + i, "timestamp": T0 + i, "step": 10 * i, "model_id": mid, "dataset_name": "shared-ds", "dataset_digest": "abc123"}]})
            self.truth["logged_models"][mid] = {"name": f"lm-{i}", "source_run_id": rid, "params": 5, "artifacts": up, "root": mi["artifact_uri"], "status": "READY" if i < 2 else "PENDING"}
            lms.append(mid)
        if lms:
            extra = [("model_metric", 10 * i, T0 + i, 0.5 + i) for i in range(len(lms))]
            t = self.truth["runs"][rid]
            t["extra_points"] = [[k, s, tm, v] for k, s, tm, v in extra]; t["points"] += len(lms); t["points_stored"] += len(lms)
            t["metrics"]["model_metric"] = per_key(extra)["model_metric"]; t["points_sha"] = t["points_sha_stored"] = points_sha(acc + extra)
            self.api.post("/runs/log-inputs", {"run_id": rid2, "models": [{"model_id": lms[0]}]})
        name = f"{self.a.prefix}reg-model ü"
        self.api.post("/registered-models/create", {"name": name, "description": "desc ü", "tags": [{"key": "rt", "value": "1"}]})
        vs = []
        for i in range(3):
            origin = {"source": f"models:/{lms[i]}", "model_id": lms[i]} if lms else {"source": f"{root}/m{i}"}
            v = self.api.post("/model-versions/create", {"name": name, **origin, "run_id": rid, "description": f"v{i+1}", "tags": [{"key": "vt", "value": str(i)}]}, ok=False)
            if not isinstance(v, dict): self.truth["refused"].append({"model_version": i, "msg": v.text[:300]}); continue
            vs.append(v["model_version"]["version"])
        v = self.api.post("/model-versions/create", {"name": name, "source": root + "/model", "run_id": rid}, ok=False)
        if isinstance(v, dict): vs.append(v["model_version"]["version"])
        else: self.truth["refused"].append({"model_version": "run-source", "msg": v.text[:300]})
        al = {}
        for alias, ver in (("champion", vs[1]), ("challenger", vs[0]), ("also-champion", vs[1])):
            self.api.post("/registered-models/alias", {"name": name, "alias": alias, "version": ver}); al[alias] = ver
        self.api.post("/model-versions/transition-stage", {"name": name, "version": vs[0], "stage": "Production", "archive_existing_versions": False})
        self.api.post("/registered-models/create", {"name": f"{self.a.prefix}reg-empty"})
        self.truth["registered_models"] = {name: {"versions": vs, "aliases": al, "stages": {vs[0]: "Production"}}, f"{self.a.prefix}reg-empty": {"versions": [], "aliases": {}}}

    def traces(self):
        te = self.exp("traces")
        try:
            os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"; os.environ["MLFLOW_ENABLE_ASYNC_TRACE_LOGGING"] = "false"
            import mlflow
            mlflow.set_tracking_uri(self.a.tracking_uri); mlflow.set_experiment(experiment_id=te)
            for i in range(25):
                with mlflow.start_span(f"root-{i}") as s:
                    s.set_inputs({"q": "ü" * i}); s.set_outputs({"a": i})
                    with mlflow.start_span("child", span_type="LLM") as c: c.set_attribute("tok", i)
            self.truth["traces"] = {"experiment_id": te, "count": 25, "spans": 50}
        except ImportError as ex:
            self.truth["traces"] = {"skipped": str(ex)}

def generate(a):
    g = Gen(a); t = time.time()
    if a.profile in ("nasty", "both"): g.nasty()
    if a.profile in ("perf", "both"): g.perf()
    tr = g.truth
    tr["totals"] = {"experiments": len(tr["experiments"]), "runs": len(tr["runs"]), "points": sum(r["points"] for r in tr["runs"].values()),
                    "points_stored": sum(r["points_stored"] for r in tr["runs"].values()), "params": sum(r["params"] for r in tr["runs"].values()),
                    "artifacts": sum(len(r["artifacts"]) for r in tr["runs"].values()), "artifact_bytes": sum(x["size"] for r in tr["runs"].values() for x in r["artifacts"].values()),
                    "deleted_runs": sum(r["lifecycle"] == "deleted" for r in tr["runs"].values()), "logged_models": len(tr["logged_models"]), "seconds": round(time.time() - t, 1)}
    json.dump(tr, open(a.out, "w"), ensure_ascii=False, indent=1, default=str)
    print(json.dumps(tr["totals"])); print("refused:", json.dumps(tr["refused"], ensure_ascii=False)[:3000])

# ---------- verification ----------
def cmp_run(rid, t, pts, params, tags, diffs):
    pk = per_key(pts)
    if pk != t["metrics"]:
        for k in sorted(set(pk) | set(t["metrics"])):
            if pk.get(k) != t["metrics"].get(k): diffs.append(f"{t['key']} {rid} metric {k!r}: got {pk.get(k)} want {t['metrics'].get(k)}")
    if t["points_sha_stored"] and points_sha(pts) != t["points_sha_stored"]: diffs.append(f"{t['key']} {rid}: points sha")
    if kv_sha(params) != t["params_sha"]: diffs.append(f"{t['key']} {rid}: params ({len(params)} vs {t['params']})")
    got = {k: v for k, v in tags.items() if k in set(t["tag_keys"])}
    if kv_sha(got) != t["tags_sha"]: diffs.append(f"{t['key']} {rid}: tags ({len(got)} vs {t['tags']})")

def verify(a):
    tr = json.load(open(a.truth)); api = Api(a.tracking_uri); diffs = []; seen = {}
    exps, tok = {}, None
    while True:
        r = api.get("/experiments/search", {"max_results": 1000, "view_type": "ALL", **({"page_token": tok} if tok else {})})
        for e in r.get("experiments", []): exps[e["experiment_id"]] = e
        tok = r.get("next_page_token")
        if not tok: break
    for eid, e in tr["experiments"].items():
        g = exps.get(eid)
        if not g: diffs.append(f"experiment {eid} missing"); continue
        if g["name"] != e["name"] or g["lifecycle_stage"] != e["lifecycle"]: diffs.append(f"experiment {eid}: {g['name']} {g['lifecycle_stage']}")
        if {t["key"]: t.get("value", "") for t in g.get("tags", [])} != e["tags"]: diffs.append(f"experiment {eid}: tags {[t['key'][:40] for t in g.get('tags', [])]}")
        tok = None
        while True:
            r = api.post("/runs/search", {"experiment_ids": [eid], "max_results": 500, "run_view_type": "ALL", **({"page_token": tok} if tok else {})})
            for x in r.get("runs", []): seen[x["info"]["run_id"]] = x
            tok = r.get("next_page_token")
            if not tok: break
    def one(it):
        rid, t = it
        x = seen.get(rid)
        if not x: diffs.append(f"run {rid} {t['key']} missing"); return
        i, d = x["info"], x.get("data", {})
        for f, w in (("status", t["status"]), ("start_time", t["start_time"]), ("end_time", t["end_time"]), ("lifecycle_stage", t["lifecycle"]), ("run_name", t["name"])):
            if i.get(f) != w: diffs.append(f"{t['key']} {rid}: {f} got {i.get(f)!r} want {w!r}")
        pts = []
        for m in d.get("metrics", []):
            tok = None
            while True:
                r = api.get("/metrics/get-history", {"run_id": rid, "metric_key": m["key"], "max_results": 25000, **({"page_token": tok} if tok else {})})
                pts += [(p["key"], int(p["step"]), int(p["timestamp"]), float(p["value"])) for p in r.get("metrics", [])]
                tok = r.get("next_page_token")
                if not tok: break
        cmp_run(rid, t, pts, {p["key"]: p.get("value", "") for p in d.get("params", [])}, {p["key"]: p.get("value", "") for p in d.get("tags", [])}, diffs)
        if len(x.get("inputs", {}).get("dataset_inputs", [])) != t["datasets"]: diffs.append(f"{t['key']}: datasets {len(x.get('inputs', {}).get('dataset_inputs', []))} want {t['datasets']}")
        if t["artifacts"] and not a.no_artifacts:
            got, todo = {}, [""]
            while todo:
                d0 = todo.pop(); r = api.get("/artifacts/list", {"run_id": rid, **({"path": d0} if d0 else {})}, ok=False)
                if not isinstance(r, dict): diffs.append(f"{t['key']}: list {d0!r}: {r.status_code} {r.text[:150]}"); continue
                for f in r.get("files", []):
                    if f.get("is_dir"): todo.append(f["path"])
                    else: got[f["path"]] = f
            for rel, w in t["artifacts"].items():
                if rel not in got: diffs.append(f"{t['key']}: artifact {rel!r} not listed"); continue
                if rel.startswith("many/") and not rel.endswith("7.txt"): continue
                if w.get("unserved"): continue
                q = api.s().get(api.artifact_url(t["artifact_root"], rel), timeout=300)
                if q.status_code != 200 or hashlib.sha256(q.content).hexdigest() != w["sha256"]: diffs.append(f"{t['key']}: artifact {rel!r} download {q.status_code} {len(q.content)} bytes, size listed {got[rel].get('file_size')!r}")
            for rel in set(got) - set(t["artifacts"]): diffs.append(f"{t['key']}: unexpected artifact {rel!r}")
    with ThreadPoolExecutor(a.threads) as ex: list(ex.map(one, tr["runs"].items()))
    report(diffs, len(tr["runs"]))

def verify_db(a):
    import sqlite3
    tr = json.load(open(a.truth)); db = sqlite3.connect(f"file:{a.db}?mode=ro", uri=True); diffs = []
    for rid, t in tr["runs"].items():
        pts = [(k, s, tm, NAN if n else v) for k, s, tm, v, n in db.execute("select key,step,timestamp,value,is_nan from metrics where run_uuid=?", (rid,))]
        cmp_run(rid, t, pts, dict(db.execute("select key,value from params where run_uuid=?", (rid,))), dict(db.execute("select key,value from tags where run_uuid=?", (rid,))), diffs)
    report(diffs, len(tr["runs"]))

def to_filestore(a):
    """Writes a SQLite store in the file-store layout: experiments, runs, metrics, params, tags, dataset inputs, artifacts."""
    import shutil, sqlite3
    tr = json.load(open(a.truth)) if a.truth else None
    db = sqlite3.connect(f"file:{a.db}?mode=ro", uri=True); q = lambda v: "null" if v is None else json.dumps(v, ensure_ascii=False)
    def put(base, kind, key, text):
        fp = os.path.join(base, kind, key)
        try:
            os.makedirs(os.path.dirname(fp), exist_ok=True); open(fp, "w", newline="").write(text); return 1
        except OSError as ex:          # "train" and "train/loss" cannot coexist in this layout
            print("not representable:", kind, key, ex.__class__.__name__); return 0
    st = {"RUNNING": 1, "SCHEDULED": 2, "FINISHED": 3, "FAILED": 4, "KILLED": 5}; n = 0
    for eid, name, loc, life, ct, lt in db.execute("select experiment_id,name,artifact_location,lifecycle_stage,creation_time,last_update_time from experiments").fetchall():
        ed = os.path.join(a.out, ".trash" if life == "deleted" else "", str(eid)); os.makedirs(ed, exist_ok=True)
        open(ed + "/meta.yaml", "w").write("artifact_location: %s\ncreation_time: %s\nexperiment_id: '%s'\nlast_update_time: %s\nlifecycle_stage: %s\nname: %s\n" % (q("file://" + os.path.abspath(ed)), q(ct), eid, q(lt), life, q(name)))
        for k, v in db.execute("select key,value from experiment_tags where experiment_id=?", (eid,)): put(ed, "tags", k, v or "")
        for rid, nm, user, status, t0, t1, rl, dt in db.execute("select run_uuid,name,user_id,status,start_time,end_time,lifecycle_stage,deleted_time from runs where experiment_id=?", (eid,)).fetchall():
            rd = os.path.join(ed, rid)
            for d in ("metrics", "params", "tags", "artifacts"): os.makedirs(os.path.join(rd, d), exist_ok=True)
            open(rd + "/meta.yaml", "w").write("artifact_uri: %s\nend_time: %s\nentry_point_name: ''\nexperiment_id: '%s'\nlifecycle_stage: %s\nrun_id: %s\nrun_name: %s\nsource_name: ''\nsource_type: 4\nsource_version: ''\nstart_time: %s\nstatus: %d\ntags: []\nuser_id: %s\n%s" % (q("file://" + os.path.abspath(rd) + "/artifacts"), q(t1), eid, rl, rid, q(nm), q(t0), st[status], q(user), f"deleted_time: {dt}\n" if dt else ""))
            for tb in ("params", "tags"):
                for k, v in db.execute(f"select key,value from {tb} where run_uuid=?", (rid,)): put(rd, tb, k, v or "")
            if a.artifacts and os.path.isdir(os.path.join(a.artifacts, str(eid), rid, "artifacts")):
                shutil.copytree(os.path.join(a.artifacts, str(eid), rid, "artifacts"), os.path.join(rd, "artifacts"), dirs_exist_ok=True)
            for iid, uid, dn, dg, dst, ds, dsc, dp in db.execute("select i.input_uuid,d.dataset_uuid,d.name,d.digest,d.dataset_source_type,d.dataset_source,d.dataset_schema,d.dataset_profile from inputs i join datasets d on d.dataset_uuid=i.source_id where i.source_type='DATASET' and i.destination_id=?", (rid,)).fetchall():
                put(rd, "inputs/" + iid, "meta.yaml", "destination_id: %s\ndestination_type: RUN\nsource_id: %s\nsource_type: DATASET\ntags: %s\n" % (uid, uid, json.dumps(dict(db.execute("select name,value from input_tags where input_uuid=?", (iid,))), ensure_ascii=False)))
                put(ed, "datasets/" + uid, "meta.yaml", "digest: %s\nname: %s\nprofile: %s\nschema: %s\nsource: %s\nsource_type: %s\n" % (q(dg), q(dn), q(dp), q(dsc), q(ds), q(dst)))
            m = {}
            for k, s, t, v, isnan in db.execute("select key,step,timestamp,value,is_nan from metrics where run_uuid=?", (rid,)):
                m.setdefault(k, []).append("%d %s %d\n" % (t, "nan" if isnan else repr(float(v)), s))
            for k, l in m.items():
                if put(rd, "metrics", k, "".join(l)): n += len(l)
                elif tr and rid in tr["runs"]:
                    t = tr["runs"][rid]; lost = t["metrics"].pop(k); t["points_stored"] -= lost["n"]; t["unrepresentable"] = True
            if tr and rid in tr["runs"] and tr["runs"][rid].get("unrepresentable"):
                kept = [(k, s, t, NAN if nn else v) for k, s, t, v, nn in db.execute("select key,step,timestamp,value,is_nan from metrics where run_uuid=?", (rid,)) if k in tr["runs"][rid]["metrics"]]
                tr["runs"][rid]["points_sha_stored"] = points_sha(kept)
    if tr:
        for r in tr["runs"].values():
            for x in r["artifacts"].values(): x.pop("unserved", None)
        json.dump(tr, open(a.truth_out, "w"), ensure_ascii=False, indent=1)
    print(n, "points written")

def report(diffs, n):
    print(f"{n} runs compared, {len(diffs)} differences")
    for d in diffs[:60]: print("  ", d)
    sys.exit(1 if diffs else 0)

if __name__ == "__main__":
    ap = argparse.ArgumentParser(); sp = ap.add_subparsers(dest="cmd", required=True)
    g = sp.add_parser("generate"); g.add_argument("--profile", choices=("nasty", "perf", "both"), default="nasty")
    g.add_argument("--runs", type=int, default=1200); g.add_argument("--metrics", type=int, default=6); g.add_argument("--points", type=int, default=400)
    g.add_argument("--artifacts-mb", type=float, default=8); g.add_argument("--seed", type=int, default=7); g.add_argument("--prefix", default="c-")
    g.add_argument("--out", default="truth.json"); g.add_argument("--sqlite-fast", metavar="DB", help="perf profile: insert the points into this SQLite file (no NaN in this profile)"); g.add_argument("--traces", action="store_true"); g.add_argument("--tracking-uri", required=True); g.add_argument("--threads", type=int, default=2)
    v = sp.add_parser("verify"); v.add_argument("--tracking-uri", required=True); v.add_argument("--truth", required=True); v.add_argument("--threads", type=int, default=2); v.add_argument("--no-artifacts", action="store_true")
    g.add_argument("--file-store", action="store_true", help="the server keeps a file store: every point as sent, no key that is a folder of another")
    d = sp.add_parser("verify-db"); d.add_argument("--db", required=True); d.add_argument("--truth", required=True)
    f = sp.add_parser("to-filestore"); f.add_argument("--db", required=True); f.add_argument("--out", required=True)
    f.add_argument("--artifacts", metavar="DIR", help="the server's artifact destination, copied into the runs"); f.add_argument("--truth"); f.add_argument("--truth-out", help="the ground truth less what the layout cannot hold")
    a = ap.parse_args(); {"to-filestore": to_filestore, "generate": generate, "verify": verify, "verify-db": verify_db}[a.cmd](a)
