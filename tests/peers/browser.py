"""Looks at the server's pages in a real Chromium, as a person would.

    browser.py FOLDER    writes screenshots into the folder; exit 1 with what is wrong

The server and the key come from TRACKWAY_URL and TRACKWAY_KEY, the browser from CHROMIUM. The store
has the runs of an import; a run with console output, a sweep and a report are added here.
"""

import base64
import json
import os
import sys
import urllib.request
from urllib.parse import quote, urlsplit

from playwright.sync_api import sync_playwright

URL = os.environ["TRACKWAY_URL"].rstrip("/")
KEY = os.environ["TRACKWAY_KEY"]
HOST = urlsplit(URL).netloc
EVIL = "<script>document.title='taken'</script><img src=https://example.org/x.png>\"'\u202e"
DOT = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def ask(path, body, **headers):
    token = base64.b64encode(f"api:{KEY}".encode()).decode()
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), {
        "Authorization": f"Basic {token}", "Content-Type": "application/json", **headers,
    })
    with urllib.request.urlopen(request) as answer:
        said = json.load(answer)
    assert not said.get("errors"), said
    return said.get("data")


def fill():
    """Adds to the store what an import from MLflow does not have."""
    bucket = """mutation($name: String!, $title: String, $notes: String, $config: JSONString, $sweep: String) {
        upsertBucket(input: {entityName: "local", modelName: "pages", name: $name, displayName: $title,
            notes: $notes, config: $config, sweep: $sweep, tags: ["one", "two"]}) { bucket { id } } }"""
    sweep = """mutation($config: String!) {
        upsertSweep(input: {entityName: "local", projectName: "pages", config: $config}) { sweep { name } } }"""
    config = json.dumps({"method": "random", "metric": {"name": "loss", "goal": "minimize"},
                         "parameters": {"lr": {"min": 0.0, "max": 1.0}}})
    sweep = ask("/graphql", {"query": sweep, "variables": {"config": config}})["upsertSweep"]["sweep"]["name"]
    for name, title in [("rich", "a rich run"), ("evil", EVIL), ("third", "another one")]:
        ask("/graphql", {"query": bucket, "variables": {
            "name": name, "title": title, "notes": f"line one\n{EVIL}" if name == "evil" else "Tried a lower rate.",
            "config": json.dumps({"lr": {"value": 0.125 if name == "rich" else 0.5},
                                  "model": {"value": {"layers": [3, 5], "kind": EVIL if name == "evil" else "cnn"}}}),
            "sweep": sweep}})
        keys = [f"layer{i // 6}/metric{i % 6}" for i in range(30)] if name == "rich" else ["layer0/metric0", EVIL]
        rows = [json.dumps({"_step": i, "_timestamp": 1.79e9 + i, "loss": 2 / (i + 2) + (i % 7) / 90,
                            **{key: (i * (n + 3)) % 17 + i / 9 for n, key in enumerate(keys)}}) for i in range(300)]
        system = [json.dumps({"_timestamp": 1.79e9 + i, "_runtime": i, "system.cpu": 40 + i % 23}) for i in range(100)]
        printed = [f"2026-11-21T07:36:{i % 60:02}.000000 \u001b[32mepoch {i}\u001b[0m loss {2 / (i + 1):.4f}\n" for i in range(400)]
        printed += ["ERROR 2026-11-21T07:44:00.000000 a warning " + EVIL + "\n"]
        summary = {"loss": rows and 0.0066, "image": {"_type": "image-file", "path": "media/dot.png", "caption": "a dot"},
                   "note": EVIL if name == "evil" else "fine"}
        ask(f"/files/local/pages/{name}/file_stream", {"files": {
            "wandb-history.jsonl": {"offset": 0, "content": rows},
            "wandb-events.jsonl": {"offset": 0, "content": system},
            "wandb-summary.json": {"offset": 0, "content": [json.dumps(summary)]},
            "output.log": {"offset": 0, "content": printed},
        }, "complete": True, "exitcode": 0})
        put = """mutation($run: String!) { createRunFiles(input: {entityName: "local", projectName: "pages", runName: $run,
            files: ["media/dot.png"]}) { files { name uploadUrl } } }"""
        to = ask("/graphql", {"query": put, "variables": {"run": name}})["createRunFiles"]["files"][0]["uploadUrl"]
        urllib.request.urlopen(urllib.request.Request(to, DOT, method="PUT")).close()
    report = """mutation($spec: String!) { upsertView(input: {entityName: "local", projectName: "pages", type: "runs",
        displayName: "What we found", description: "in November", spec: $spec}) { view { id } } }"""
    spec = json.dumps({"blocks": [{"type": "heading", "level": 1, "children": [{"text": "Results"}]},
                                  {"type": "paragraph", "children": [{"text": EVIL}]}]})
    view = ask("/graphql", {"query": report, "variables": {"spec": spec}})["upsertView"]["view"]["id"]
    return sweep, view.rstrip("=")


class Looker:
    def __init__(self, browser, folder):
        self.folder, self.wrong = folder, []
        self.context = browser.new_context(viewport={"width": 1280, "height": 900})
        self.page = self.watched(self.context.new_page())

    def watched(self, page):
        page.on("console", lambda said: self.wrong.append(f"{page.url}: the console says {said.text}") if said.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.wrong.append(f"{page.url}: {error}"))
        page.on("request", lambda request: self.check(
            request.url.startswith("data:") or urlsplit(request.url).netloc == HOST, f"{page.url} asks for {request.url}"))
        page.on("dialog", lambda dialog: self.wrong.append(f"{page.url}: a dialog"))
        return page

    def check(self, holds, what):
        if not holds:
            self.wrong.append(what)

    def open(self, path, title, shot=None, charts=None, status=200):
        """Opens a page, and looks at what every page has to be."""
        answer = self.page.goto(URL + path)
        quiet = [w for w in self.wrong if "status of" in w]
        if status >= 400:
            # Chromium says so itself.
            self.wrong = [w for w in self.wrong if w not in quiet]
        self.check(answer.status == status, f"{path}: {answer.status}")
        self.check(title in self.page.title(), f"{path}: the title is {self.page.title()!r}")
        self.check(self.page.locator("script").count() == 0, f"{path}: a script")
        self.drawn(path, charts)
        for name, width, scheme in [("", 1280, "light"), ("-dark", 1280, "dark"), ("-phone", 390, "light")]:
            if shot:
                self.page.set_viewport_size({"width": width, "height": 900})
                self.page.emulate_media(color_scheme=scheme)
                wide = self.page.evaluate("document.documentElement.scrollWidth")
                self.check(wide <= width, f"{path}: {wide} pixels wide on a window of {width}")
                self.page.screenshot(path=os.path.join(self.folder, f"{shot}{name}.png"), full_page=True)
        self.page.set_viewport_size({"width": 1280, "height": 900})
        self.page.emulate_media(color_scheme="light")

    def drawn(self, path, charts):
        if charts is None:
            return
        drawings = self.page.locator(".chart svg")
        self.check(drawings.count() == charts, f"{path}: {drawings.count()} charts, not {charts}")
        for i in range(drawings.count()):
            box = drawings.nth(i).bounding_box()
            self.check(box and box["width"] > 200 and box["height"] > 100, f"{path}: chart {i} is {box}")
            line = drawings.nth(i).locator("g > g path").last.bounding_box()
            self.check(line and line["width"] + line["height"] > 5, f"{path}: the line of chart {i} is {line}")


def main(folder):
    os.makedirs(folder, exist_ok=True)
    sweep, view = fill()
    with sync_playwright() as playwright:
        sandbox = [] if os.name != "posix" or os.getuid() else ["--no-sandbox"]
        browser = playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=sandbox)
        look = Looker(browser, folder)
        page = look.page
        look.open("/local/pages?filter=a", "Log in", "login")
        look.check("next=" in page.url, f"the login page does not know what was wanted: {page.url}")
        page.fill("#key", "not the key of anybody")
        page.click("text=Log in >> nth=-1")
        look.check(page.locator(".error").is_visible(), "a wrong key is taken")
        look.wrong = [w for w in look.wrong if "status of" not in w]
        page.goto(URL + "/login?next=/local/pages")
        page.fill("#key", KEY)
        page.click("button.primary")
        look.check(page.url == URL + "/local/pages", f"after logging in: {page.url}")
        look.check(page.evaluate("document.cookie") == "", "scripts see the cookie")

        look.open("/", "Projects", "home")
        projects = page.locator("td.name a")
        imported = [projects.nth(i).get_attribute("href") for i in range(projects.count())]
        look.check("/local/pages" in imported and len(imported) > 1, f"projects: {imported}")
        for i, path in enumerate(imported):
            look.open(path, path.rsplit("/", 1)[-1].replace("%20", " "), f"project{i}")
            runs = page.locator("td.name a")
            if not runs.count():
                look.check(page.locator(".empty").is_visible(), f"{path} has no runs and does not say so")
                continue
            runs.first.click()
            look.check("/runs/" in page.url and page.locator("h1").is_visible(), f"{path}: a run leads to {page.url}")
            look.drawn(path, min(24, page.locator(".chart").count()))
            page.screenshot(path=os.path.join(folder, f"run{i}.png"), full_page=True)
            look.open(f"{path}/artifacts", "Artifacts", f"artifacts{i}")
            collections = page.locator("td.name a")
            if collections.count():
                collections.first.click()
                page.locator("td.name a").first.click()
                look.check(page.locator("h1").is_visible(), f"no version at {page.url}")
                page.screenshot(path=os.path.join(folder, f"version{i}.png"), full_page=True)

        look.open("/local/pages/runs/rich", "a rich run", "rich", charts=24)
        image = page.locator("td.wide img")
        image.scroll_into_view_if_needed()
        wide = image.evaluate("async i => { await i.decode(); return i.naturalWidth }")
        look.check(wide == 1, f"the image is {wide} pixels wide")
        page.click("text=Next →")
        look.check(page.locator(".chart svg").count() == 7, "the second page of charts")
        look.open("/local/pages/runs/rich?stream=system", "a rich run", charts=1)
        look.open("/local/pages/runs/rich?q=layer3&log=1&x=time", "a rich run", charts=6)
        look.open("/local/pages/runs/evil", "<script>", "evil", charts=3)
        look.open("/local/pages/runs/rich/logs", "a rich run")
        look.check(page.url.endswith("#console"), f"the console is at {page.url}")
        text = page.context.request.get(URL + "/web/logs/local/pages/rich").text()
        look.check(text.count("\n") == 401 and "\x1b" not in text, "all of the console output")

        look.open("/local/pages", "pages")
        page.locator("input[name=run]").nth(0).check()
        page.locator("input[name=run]").nth(2).check()
        page.click("text=Compare chosen runs")
        look.check(page.url.count("run=") == 2, f"the form of comparing leads to {page.url}")
        look.drawn(page.url, 2)
        look.open("/local/pages/compare?run=rich&run=evil&run=third&run=none", "Compare", "compare", charts=3)
        look.open("/local/pages?filter=" + quote("config.lr > 0.2 and"), "pages", "wrong", status=400)
        look.check(page.locator("input[name=filter]").input_value() == "config.lr > 0.2 and", "the filter is gone")
        page.fill("input[name=filter]", "config.lr > 0.2")
        with page.expect_navigation():
            page.keyboard.press("Enter")
        look.check(page.locator("tbody tr").count() == 2, f"{page.locator('tbody tr').count()} runs fit")
        page.click("th a:has-text('loss')")
        look.check("order=-summary.loss" in page.url and "filter=" in page.url, f"the head leads to {page.url}")
        look.open("/local/pages/sweeps", "Sweeps", "sweeps")
        look.open(f"/local/pages/sweeps/{sweep}", sweep, "sweep")
        look.check("Best run" in page.locator("dl").inner_text(), "no best run")
        look.open("/local/pages/reports", "Reports")
        look.open(f"/local/pages/reports/What-we-found--{view}", "What we found", "report")
        look.open("/local/none", "Not found", "missing", status=404)
        look.open("/a/b/c/d/e", "Not found", status=404)

        page.goto(URL + "/")
        page.click("text=Log out")
        look.check(page.url == URL + "/login", f"logging out leads to {page.url}")
        page.goto(URL + "/local/pages")
        look.check("/login?next=" in page.url, "still logged in")
        browser.close()
    for line in look.wrong:
        print(line)
    return 1 if look.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
