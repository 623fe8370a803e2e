#!/usr/bin/env python3
"""100,000 run documents and five filters over them: query_corpus.py OUT_DIR [COUNT].

Writes docs.jsonl (160 MB at the default count; 30 config keys, 30 summary keys, 0-4 tags) and filters.json.
With the default count the filters match 36071, 10011, 10738, 33917 and 10549 documents.
"""
import json
import random
import sys

out, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
r = random.Random(1)
A = ["eager", "brave", "dry", "calm", "lucky", "misty"]
B = ["fox", "sun", "moon", "river", "cloud"]
with open(f"{out}/docs.jsonl", "w") as f:
    for i in range(count):
        cfg = {"lr": r.choice([0.1, 0.03, 0.01, 0.003, 0.001]), "batch_size": r.choice([16, 32, 64, 128, 256]), "optimizer": r.choice(["adam", "sgd", "adamw", "lion"]), "seed": r.randint(0, 9999), "epochs": r.randint(1, 100), "use_amp": r.random() < .5, "model": {"name": r.choice(["resnet50", "vit", "unet", "mlp"]), "depth": r.randint(2, 50)}, "layers": [r.choice([64, 128]) for _ in range(r.randint(0, 4))], "notes": None if r.random() < .5 else "n" + str(i)}
        for k in range(21):
            cfg[f"p{k:02d}"] = r.choice([r.random(), r.randint(0, 100), "v" + str(r.randint(0, 9)), True])
        s = {"acc": r.random(), "epoch": r.randint(0, 100), "_step": r.randint(0, 10**6), "_runtime": r.random() * 1e4, "_timestamp": 1.7e9 + r.random() * 1e7}
        if r.random() < .9:
            s["loss"] = r.random() * 3
        for k in range(30 - len(s)):
            s[f"m{k:02d}/v"] = r.random()
        d = {"name": f"{i:08x}", "display_name": f"{r.choice(A)}-{r.choice(B)}-{i}", "state": r.choice(["finished"] * 6 + ["running", "crashed", "failed", "killed"]), "tags": r.sample(["baseline", "prod", "debug", "v2", "sweep", "ablation", "paper", "old"], r.randint(0, 4)), "created_at": f"2024-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}T{r.randint(0, 23):02d}:00:00Z", "username": r.choice(["ann", "bob", "cy"]), "group": r.choice([None, "g1", "g2"]), "job_type": "train", "config": cfg, "summary_metrics": s}
        f.write(json.dumps(d) + "\n")
filters = {
    "f1_eq_range": {"state": "finished", "config.lr": {"$lte": 0.01}},
    "f2_metric_gt": {"summary_metrics.acc": {"$gt": 0.9}},
    "f3_tags_in": {"tags": {"$in": ["baseline", "prod"]}, "config.optimizer": "adam"},
    "f4_or_regex": {"$or": [{"display_name": {"$regex": "^eager"}}, {"config.model.name": "resnet50"}], "state": {"$ne": "crashed"}},
    "f5_and_mix": {"$and": [{"created_at": {"$gte": "2024-03-01", "$lt": "2024-06-01"}}, {"summary_metrics.loss": {"$exists": True}}, {"config.batch_size": {"$nin": [16, 32]}}, {"tags": {"$not": {"$size": 0}}}]},
}
json.dump(filters, open(f"{out}/filters.json", "w"), indent=1)
