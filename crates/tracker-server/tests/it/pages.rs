//! Pages, as a browser gets them.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use http_body_util::BodyExt as _;
use secrecy::ExposeSecret as _;
use serde_json::{Value as Json, json};
use tower::ServiceExt as _;
use tracker_model::{
    Change, CollectionPatch, CollectionStore as _, FileDraft, FileStore as _, JsonObject,
    JsonPatch, LogLevel, LogLine, LogStore as _, MemoryTracker, Precondition, ReportPatch,
    ReportStore as _, RunPatch, RunState, RunStore as _, SweepPatch, SweepStore as _, Timestamp,
    bytes_of,
};
use tracker_server::Options;

use crate::support::{Answer, Client, World};

const EVIL: &str = "<script>alert('x')</script>\"><img src=x onerror=y>\u{202e}";

/// What somebody looks with.
struct Browser {
    router: Router,
    cookie: String,
}

impl Browser {
    fn new(world: &World) -> Self {
        Self {
            router: world.router(),
            cookie: String::new(),
        }
    }

    /// Logged in as a new user, who is no admin.
    async fn of(world: &World, user: &str) -> Self {
        let key = new_key(world, user).await;
        let mut browser = Self::new(world);
        let answer = browser.log_in(&key, "").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER);
        browser
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: String,
        more: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "server")
            .header("accept", "text/html")
            .header("cookie", format!("other=1; {}", self.cookie));
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes().to_vec(),
        }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, String::new(), &[]).await
    }

    /// The text of a page that is there.
    async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", text(&answer));
        text(&answer)
    }

    async fn log_in(&mut self, key: &str, next: &str) -> Answer {
        let form = [("key", key), ("next", next)].map(|(name, value)| {
            let value: String = value.bytes().map(|b| format!("%{b:02x}")).collect();
            format!("{name}={value}")
        });
        let answer = self.send(Method::POST, "/login", form.join("&"), &[]).await;
        if let Some(set) = answer.headers.get(header::SET_COOKIE) {
            let pair = set.to_str().unwrap().split(';').next().unwrap();
            self.cookie = pair.to_owned();
        }
        answer
    }
}

async fn new_key(world: &World, user: &str) -> String {
    let made = world
        .accounts()
        .add_user(user.parse().unwrap(), false, None);
    made.await.unwrap().1.expose_secret().to_owned()
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

fn place(answer: &Answer) -> &str {
    answer.headers[header::LOCATION].to_str().unwrap()
}

fn object(json: Json) -> JsonObject {
    json.as_object().cloned().unwrap()
}

fn patch(config: Json, summary: Json) -> RunPatch {
    RunPatch::new()
        .with_state(RunState::Finished)
        .with_config(JsonPatch::Replace(object(config)))
        .with_summary(JsonPatch::Replace(object(summary)))
}

async fn put(world: &World, path: &str, patch: RunPatch) {
    let path = path.parse().unwrap();
    let made = world.tracker.upsert_run(&path, patch, Precondition::None);
    made.await.unwrap();
}

/// Rows of these keys, by the wire.
async fn log(client: &Client, run: &str, keys: &[&str], rows: usize) {
    let row = |i: usize| {
        let values = keys.iter().map(|key| ((*key).to_owned(), json!(i)));
        let mut row: JsonObject = values.collect();
        row.insert("_step".to_owned(), json!(i));
        Json::from(row).to_string()
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    let body = json!({"files": {"wandb-history.jsonl": {"offset": 0, "content": rows}}});
    let path = format!("/files/{run}/file_stream");
    let sent = client.send(Method::POST, &path, body.to_string().into_bytes(), &[]);
    assert_eq!(sent.await.status, StatusCode::OK);
}

#[tokio::test]
async fn whoever_has_a_key_logs_in_and_out() {
    let world = World::new().await;
    let key = new_key(&world, "ada").await;
    put(&world, "ada/p/r", RunPatch::new()).await;
    let mut browser = Browser::new(&world);
    let asked = browser.get("/ada/p?filter=a%20b").await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER);
    assert_eq!(place(&asked), "/login?next=%2Fada%2Fp%3Ffilter%3Da%2520b");
    let form = browser.page("/login?next=/ada/p").await;
    assert!(form.contains("name=\"next\" value=\"/ada/p\""), "{form}");

    let refused = browser.log_in("not a key of anybody", "/ada/p").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(text(&refused).contains("not a key") && browser.cookie.is_empty());

    let taken = browser.log_in(&key, "/ada/p?filter=").await;
    assert_eq!(
        (taken.status, place(&taken)),
        (StatusCode::SEE_OTHER, "/ada/p?filter=")
    );
    let cookie = taken.headers[header::SET_COOKIE].to_str().unwrap();
    for part in [
        "; Path=/",
        "; HttpOnly",
        "; SameSite=Strict",
        "; Max-Age=1209600",
    ] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(
        !cookie.contains("Secure") && !cookie.contains(&key),
        "{cookie}"
    );
    let page = browser.get("/ada/p").await;
    assert_eq!(page.status, StatusCode::OK);
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        assert_eq!(page.headers[&name], value);
    }
    let out = browser
        .send(Method::POST, "/logout", String::new(), &[])
        .await;
    assert_eq!((out.status, place(&out)), (StatusCode::SEE_OTHER, "/login"));
    let gone = out.headers[header::SET_COOKIE].to_str().unwrap();
    assert!(
        gone.starts_with("trackway_session=;") && gone.contains("Max-Age=0"),
        "{gone}"
    );
}

#[tokio::test]
async fn a_cookie_opens_pages_alone() {
    let world = World::new().await;
    let browser = Browser::of(&world, "ada").await;
    put(&world, "ada/p/r", RunPatch::new()).await;
    let asked = [
        (Method::POST, "/graphql"),
        (Method::POST, "/files/ada/p/r/file_stream"),
        (Method::GET, "/files/ada/p/r/x.txt"),
        (Method::GET, "/metrics"),
    ];
    for (method, path) in asked {
        let body = json!({"query": "{ viewer { username } }"}).to_string();
        let answer = browser.send(method, path, body, &[]).await;
        let said = text(&answer);
        assert!(
            answer.status == StatusCode::UNAUTHORIZED || said.contains("\"viewer\":null"),
            "{path}: {said}"
        );
    }
    for (site, wanted) in [
        ("cross-site", 403),
        ("same-site", 403),
        ("same-origin", 303),
    ] {
        let header = [("sec-fetch-site", site)];
        let form = browser.send(Method::POST, "/logout", String::new(), &header);
        assert_eq!(form.await.status, wanted, "{site}");
    }
    // A program may have a page too.
    let client = world.again("ada").await;
    assert_eq!(client.get("/ada/p").await.status, StatusCode::OK);
}

#[tokio::test]
async fn only_what_the_server_signed_is_a_session() {
    let world = World::new().await;
    let mut browser = Browser::of(&world, "ada").await;
    assert_eq!(browser.get("/").await.status, StatusCode::OK);
    let good = browser.cookie.clone();
    // Any character of it changed, cut off, or something else that the server signs.
    let value = good.split_once('=').unwrap().1;
    for i in (0..value.len()).step_by(7) {
        let other = if value.as_bytes()[i] == b'A' {
            "B"
        } else {
            "A"
        };
        browser.cookie = format!("trackway_session={}{other}{}", &value[..i], &value[i + 1..]);
        assert_eq!(browser.get("/").await.status, StatusCode::SEE_OTHER, "{i}");
    }
    for value in ["", ".", "a.b", &value[..value.len() - 1]] {
        browser.cookie = format!("trackway_session={value}");
        assert_eq!(
            browser.get("/").await.status,
            StatusCode::SEE_OTHER,
            "{value}"
        );
    }
    // And a session is no URL of a file.
    let token = good.split_once('=').unwrap().1;
    let answer = browser.get(&format!("/storage/{token}/x")).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);

    browser.cookie = good;
    let ada = "ada".parse().unwrap();
    for key in world.accounts().keys(&ada).await.unwrap() {
        world.accounts().delete_key(&ada, &key.id).await.unwrap();
    }
    assert_eq!(browser.get("/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn sessions_end_and_are_safe_where_the_server_is() {
    let mut options = Options::new();
    options.session_lifetime = Duration::ZERO;
    options.public_url = Some("https://track.example.org".parse().unwrap());
    let world = World::with_options(Arc::new(MemoryTracker::new()), options).await;
    let key = new_key(&world, "ada").await;
    let mut browser = Browser::new(&world);
    for next in [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/a\r\nx: y",
    ] {
        let answer = browser.log_in(&key, next).await;
        assert_eq!(place(&answer), "/", "{next}");
        let cookie = answer.headers[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.ends_with("; Secure"), "{cookie}");
    }
    assert_eq!(
        browser.get("/").await.status,
        StatusCode::SEE_OTHER,
        "it is over"
    );
}

#[tokio::test]
async fn what_may_not_be_read_is_not_there() {
    let world = World::new().await;
    let (eve, ada) = (
        Browser::of(&world, "eve").await,
        Browser::of(&world, "ada").await,
    );
    put(&world, "ada/secret/r", patch(json!({}), json!({}))).await;
    let run = "ada/secret/r".parse().unwrap();
    let (file, body) = (FileDraft::new("x.txt"), bytes_of("x"));
    world.tracker.put_file(&run, file, body).await.unwrap();
    let lines = vec![LogLine::new(0, "hello")];
    world.tracker.write_log(&run, lines).await.unwrap();
    let pages = [
        "/ada",
        "/ada/secret",
        "/ada/secret/runs",
        "/ada/secret/workspace",
        "/ada/secret/runs/r",
        "/ada/secret/runs/r/files",
        "/ada/secret/compare?run=r",
        "/ada/secret/sweeps",
        "/ada/secret/artifacts",
        "/ada/secret/reports",
        "/web/files/ada/secret/r/x.txt",
        "/web/logs/ada/secret/r",
    ];
    for path in pages {
        let hers = ada.get(path).await;
        assert!(
            hers.status.is_success() || hers.status.is_redirection(),
            "{path}: {}",
            hers.status
        );
        let answer = eve.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        // It is not told apart from what does not exist.
        let other = eve.get(&path.replace("/ada", "/nobody")).await;
        assert_eq!(
            text(&answer).replace("ada", "nobody"),
            text(&other),
            "{path}"
        );
        assert_eq!(
            Browser::new(&world).get(path).await.status,
            StatusCode::SEE_OTHER,
            "{path}"
        );
    }
    assert!(ada.page("/").await.contains("secret"));
    assert!(!eve.page("/").await.contains("secret"));
    for path in [
        "/eve/%3Cscript%3E",
        "/eve/p%00",
        "/eve/none",
        "/a/b/c/d/e/f",
    ] {
        let answer = eve.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(
            text(&answer).contains("<h1>Not found</h1>") && !text(&answer).contains("<script"),
            "{path}"
        );
    }
    let program = world.again("eve").await;
    let json: Json = serde_json::from_slice(&program.get("/a/b/c/d/e/f").await.body).unwrap();
    assert!(json["error"].is_string());
}

#[tokio::test]
async fn nothing_that_users_write_becomes_a_part_of_a_page() {
    let world = World::new().await;
    let browser = Browser::of(&world, "ada").await;
    let client = world.again("ada").await;
    let mut run = patch(
        json!({EVIL: EVIL, "nested": {EVIL: [EVIL]}, "lr": 1}),
        json!({EVIL: {"_type": "image-file", "path": format!("{EVIL}.png"), "caption": EVIL}, "loss": EVIL}),
    );
    run = run
        .with_name(EVIL)
        .with_notes(EVIL)
        .with_tags(vec![EVIL.to_owned()]);
    for text in [
        &mut run.user,
        &mut run.host,
        &mut run.program,
        &mut run.group,
        &mut run.job_type,
        &mut run.sweep,
    ] {
        *text = Change::Set(EVIL.to_owned());
    }
    run.args = Some(vec![EVIL.to_owned()]);
    put(&world, "ada/p/r", run.clone()).await;
    put(&world, "ada/p/s", run).await;
    for id in ["r", "s"] {
        let path = format!("ada/p/{id}").parse().unwrap();
        log(&client, &format!("ada/p/{id}"), &[EVIL, "loss"], 5).await;
        let file = FileDraft::new("a <script> \"b\" & 'c'.html");
        world
            .tracker
            .put_file(&path, file, bytes_of(EVIL))
            .await
            .unwrap();
        let line = LogLine::new(0, format!("{EVIL}\u{1b}]0;{EVIL}"));
        world.tracker.write_log(&path, vec![line]).await.unwrap();
    }
    let mut sweep = SweepPatch::new();
    (sweep.name, sweep.config_text) = (Change::Set(EVIL.to_owned()), Change::Set(EVIL.to_owned()));
    sweep.config = JsonPatch::Replace(object(json!({"method": EVIL, "metric": {"name": "loss"}})));
    world
        .tracker
        .upsert_sweep(&"ada/p/w".parse().unwrap(), sweep)
        .await
        .unwrap();
    let mut report = ReportPatch::new();
    (report.title, report.description) =
        (Change::Set(EVIL.to_owned()), Change::Set(EVIL.to_owned()));
    report.spec = Some(
        json!({"blocks": [{"type": "paragraph", "children": [{"text": EVIL}]}, {"type": EVIL}]})
            .to_string(),
    );
    world
        .tracker
        .upsert_report(&"ada/p/x".parse().unwrap(), report)
        .await
        .unwrap();
    let artifact =
        tracker_model::CollectionPath::new("ada/p".parse().unwrap(), "a <script>").unwrap();
    let mut about = CollectionPatch::new();
    (about.kind, about.description) = (Some("k <script>".to_owned()), Change::Set(EVIL.to_owned()));
    world
        .tracker
        .upsert_collection(&artifact, about)
        .await
        .unwrap();

    let long = "%3Cscript%3E%22%27";
    for path in [
        "/",
        "/ada",
        "/ada/p",
        "/ada/p/runs/r",
        "/ada/p/compare?run=r&run=s",
        "/ada/p/sweeps",
        "/ada/p/sweeps/w",
        "/ada/p/reports",
        "/ada/p/reports/title--x",
        "/ada/p/artifacts",
        "/ada/p/artifacts/k%20%3Cscript%3E",
        "/ada/p/artifacts/k%20%3Cscript%3E/a%20%3Cscript%3E",
        &format!("/ada/p?columns={long},config.{long}&after=0"),
        &format!("/ada/p?filter=state%20!=%20{long}&order={long}"),
        &format!("/ada/p/runs/r?q={long}&x={long}&log={long}"),
        &format!("/ada/p/compare?run={long}&run=r&q={long}"),
        &format!("/login?next=/{long}"),
        &format!("/ada/p/runs/{long}"),
    ] {
        let answer = browser.get(path).await;
        let page = text(&answer);
        assert!(
            answer.status.is_success() || answer.status.is_client_error(),
            "{path}: {}",
            answer.status
        );
        for wrong in [
            "<script",
            "<img src=x",
            "\u{202e}",
            "\u{1b}",
            "href=\"javascript",
        ] {
            assert!(!page.contains(wrong), "{path} has {wrong:?}: {page}");
        }
    }
    let page = browser.page("/ada/p/runs/r").await;
    assert!(
        page.contains(
            "&lt;script&gt;alert('x')&lt;/script&gt;&quot;&gt;&lt;img src=x onerror=y&gt;\u{fffd}"
        ),
        "{page}"
    );
}

#[tokio::test]
async fn runs_are_filtered_ordered_and_paged() {
    let world = World::new().await;
    let browser = Browser::of(&world, "ada").await;
    for i in 0..120 {
        let run = patch(
            json!({"lr": i, "opt": {"name": "sgd"}}),
            json!({"loss": 120 - i}),
        );
        let run = run
            .with_created_at(Timestamp::from_millis(i))
            .with_name(format!("run-{i}!"));
        put(&world, &format!("ada/p/r{i}"), run).await;
    }
    let rows = |page: &str| page.matches("name=\"run\"").count();
    let page = browser.page("/ada/p").await;
    assert_eq!(rows(&page), 50);
    assert!(
        page.contains("1–50 of 120 runs") && page.contains("run-119!") && !page.contains("run-69!")
    );
    assert!(page.contains("rel=\"next\" href=\"?after=50\"") && !page.contains("rel=\"prev\""));
    for head in [">lr<", ">opt.name<", ">loss<"] {
        assert!(page.contains(head), "{head}");
    }
    let page = browser
        .page("/ada/p/workspace?after=50&order=config.lr")
        .await;
    assert!(
        page.contains("51–100 of 120") && page.contains("run-50!") && !page.contains("run-49!")
    );
    assert!(
        page.contains("rel=\"next\" href=\"?order=config.lr&amp;after=100\""),
        "{page}"
    );
    assert!(
        page.contains("rel=\"prev\" href=\"?order=config.lr\""),
        "{page}"
    );
    assert_eq!(rows(&browser.page("/ada/p?after=100").await), 20);

    for filter in [
        "config.lr+%3E=+110",
        "%7B%22config.lr%22:%7B%22$gte%22:110%7D%7D",
    ] {
        let page = browser
            .page(&format!("/ada/p?filter={filter}&columns=config.opt.name"))
            .await;
        assert_eq!(rows(&page), 10, "{filter}");
        assert!(
            page.contains(">sgd<") && !page.contains(">loss<"),
            "{filter}"
        );
    }
    let wrong = browser
        .get("/ada/p?filter=config.lr+%3E+1+and+stat+=+finished")
        .await;
    let page = text(&wrong);
    assert_eq!((wrong.status, rows(&page)), (StatusCode::BAD_REQUEST, 0));
    assert!(
        page.contains("value=\"config.lr &gt; 1 and stat = finished\""),
        "{page}"
    );
    assert!(
        page.contains("role=\"alert\"") && page.contains("<code>state</code>"),
        "{page}"
    );
    let cut = text(&browser.get("/ada/p?filter=config.lr+%3E").await);
    assert!(cut.contains("<mark>"), "{cut}");
    let wrong = browser.get("/ada/p?order=stat").await;
    assert!(wrong.status == StatusCode::BAD_REQUEST && text(&wrong).contains("Did you mean"));
    let wrong = browser.get("/ada/p?after=x").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    let none = browser.page("/ada/p?filter=config.lrr+%3E+1").await;
    assert!(
        none.contains("No run fits") && none.contains("did you mean config.lr?"),
        "{none}"
    );
}

#[tokio::test]
async fn a_run_shows_all_that_it_has() {
    let world = World::new().await;
    let browser = Browser::of(&world, "ada").await;
    let client = world.again("ada").await;
    let image = json!({"_type": "image-file", "path": "media/a.png"});
    put(
        &world,
        "ada/p/r",
        patch(
            json!({"a": {"b": 0.5}}),
            json!({"image": image, "best": 0.1}),
        ),
    )
    .await;
    let path = "ada/p/r".parse().unwrap();
    let keys: Vec<String> = (0..30).map(|i| format!("m/{i:02}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    log(&client, "ada/p/r", &keys, 1000).await;
    let line = |i: u64| {
        let mut line = LogLine::new(i, format!("\u{1b}[32mline {i}.\u{1b}[0m"));
        line.level = if i == 299 {
            LogLevel::Error
        } else {
            LogLevel::Output
        };
        line
    };
    world
        .tracker
        .write_log(&path, (0..300).map(line).collect())
        .await
        .unwrap();
    for name in ["media/a.png", "page.html"] {
        world
            .tracker
            .put_file(&path, FileDraft::new(name), bytes_of("<p>"))
            .await
            .unwrap();
    }
    let page = browser.page("/ada/p/runs/r").await;
    let charts = |page: &str| page.matches("<svg").count();
    assert_eq!(charts(&page), 24);
    assert!(
        page.contains("1–24 of 30 series") && page.contains("href=\"?page=2\""),
        "{page}"
    );
    assert!(page.contains("<td class=\"key\">a.b</td>") && page.contains(">0.5<"));
    assert!(page.contains("<img src=\"/web/files/ada/p/r/media/a.png\""));
    assert!(
        page.contains(">line 100.<")
            && !page.contains(">line 99.<")
            && page.contains("The last 200 lines of 300")
    );
    assert_eq!(
        page.matches("<span class=\"err\" title=\"standard error\">line 299.</span>")
            .count(),
        1
    );
    assert_eq!(charts(&browser.page("/ada/p/runs/r?page=2").await), 6);
    assert_eq!(
        charts(&browser.page("/ada/p/runs/r?page=9").await),
        6,
        "the last page"
    );
    assert_eq!(charts(&browser.page("/ada/p/runs/r?q=M/1").await), 10);
    assert_eq!(
        charts(&browser.page("/ada/p/runs/r?stream=system").await),
        0
    );
    for (part, to) in [
        ("files", "#files"),
        ("logs", "#console"),
        ("overview", ""),
        ("system", "?stream=system#charts"),
    ] {
        let answer = browser.get(&format!("/ada/p/runs/r/{part}")).await;
        assert_eq!(place(&answer), format!("/ada/p/runs/r{to}"));
    }
    let all = browser.get("/web/logs/ada/p/r").await;
    assert_eq!(
        all.headers[header::CONTENT_TYPE],
        "text/plain; charset=utf-8"
    );
    assert!(text(&all).starts_with("line 0.\nline 1.\n") && text(&all).lines().count() == 300);
    let image = browser.get("/web/files/ada/p/r/media/a.png").await;
    assert!(image.headers.get(header::CONTENT_DISPOSITION).is_none());
    let html = browser.get("/web/files/ada/p/r/page.html").await;
    assert_eq!(html.headers[header::CONTENT_DISPOSITION], "attachment");
    for answer in [image, html, all] {
        assert!(
            answer.headers[header::CONTENT_SECURITY_POLICY]
                .to_str()
                .unwrap()
                .contains("sandbox")
        );
        assert_eq!(answer.headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
    let deleted = RunPatch::new().with_deleted(true);
    put(&world, "ada/p/r", deleted).await;
    assert_eq!(
        browser.get("/ada/p/runs/r").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn runs_are_compared() {
    let world = World::new().await;
    let browser = Browser::of(&world, "ada").await;
    let client = world.again("ada").await;
    for (id, lr, keys) in [
        ("a", 0.1, ["loss", "acc"]),
        ("b", 0.2, ["loss", "other"]),
        ("c", 0.1, ["loss", "acc"]),
    ] {
        put(
            &world,
            &format!("ada/p/{id}"),
            patch(json!({"lr": lr, "same": 7}), json!({})).with_name(format!("run {id}")),
        )
        .await;
        log(&client, &format!("ada/p/{id}"), &keys, 10).await;
    }
    let page = browser
        .page("/ada/p/compare?run=a&run=b&run=c&run=gone&run=a")
        .await;
    assert!(page.contains("Compare 3 runs") && page.contains("<span class=\"tag\">gone</span>"));
    assert!(
        page.contains("lr</td>") && !page.contains("same</td>"),
        "{page}"
    );
    // A line for each run that has the series, which are all three and two of them.
    assert_eq!(page.matches("<svg").count(), 2);
    let lines = |name: &str| {
        page.matches(&format!("<title>run {name}: 10 points"))
            .count()
    };
    assert_eq!((lines("a"), lines("b"), lines("c")), (2, 1, 2));
    let all = browser.page("/ada/p/compare?run=a&run=b&all=1").await;
    assert!(all.contains("same</td>"));
    let one = browser.page("/ada/p/compare?run=a").await;
    assert!(one.contains("Choose two runs") && !one.contains("<svg"));
}

#[tokio::test]
async fn sweeps_say_what_was_best() {
    let world = World::new().await;
    let browser = Browser::of(&world, "ada").await;
    let mut sweep = SweepPatch::new();
    let config = json!({"method": "grid", "metric": {"name": "loss", "goal": "minimize"}, "parameters": {"lr": {"values": [1, 2, 3]}}});
    sweep.config = JsonPatch::Replace(object(config));
    world
        .tracker
        .upsert_sweep(&"ada/p/w".parse().unwrap(), sweep)
        .await
        .unwrap();
    for (id, loss) in [("a", 0.5), ("b", 0.25)] {
        let mut run = patch(json!({}), json!({"loss": loss})).with_name(format!("run {id}"));
        run.sweep = Change::Set("w".to_owned());
        put(&world, &format!("ada/p/{id}"), run).await;
    }
    let list = browser.page("/ada/p/sweeps").await;
    assert!(
        list.contains("href=\"/ada/p/sweeps/w\"") && list.contains("grid"),
        "{list}"
    );
    let page = browser.page("/ada/p/sweeps/w").await;
    assert!(
        page.contains("<a href=\"/ada/p/runs/b\">run b</a>: 0.25"),
        "{page}"
    );
    assert!(page.contains("2 of 3"), "{page}");
    assert_eq!(
        browser.get("/ada/p/sweeps/none").await.status,
        StatusCode::NOT_FOUND
    );
}
