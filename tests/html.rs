//! `sockshim report --html` in a real browser: the page loads without a complaint, its numbers are the model's, and
//! what a program sent or was called is text on it.
//!
//! Chromium is needed; without it a test says that it skips, and with `SOCKSHIM_REQUIRE_PROGRAMS=1` it fails.

#[path = "support/built.rs"]
mod built;

use built::{root, scratch, succeed, tool};
use sockshim_reader::model::Role;
use sockshim_reader::order::Events;
use sockshim_reader::{Model, Trace};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A trace, and the page of it.
struct Paged {
    trace: PathBuf,
    page: PathBuf,
}

impl Paged {
    fn of(trace: PathBuf) -> Paged {
        let page = trace.with_extension("html");
        succeed(Command::new(tool()).args(["report", "--html"]).arg(&page).arg(&trace));
        Paged { trace, page }
    }

    fn demo(test: &str) -> Paged {
        let trace = scratch("html").join(format!("{test}.sst"));
        succeed(Command::new(tool()).args(["demo", "-q", "-o"]).arg(&trace));
        Paged::of(trace)
    }

    fn model(&self) -> Model {
        let mut model = Model::new();
        Events::new(Trace::open(&self.trace).unwrap()).for_each(|event| model.feed(&event.unwrap()));
        model.finish(true);
        model
    }

    /// What the page is when its script has run. `at` is what follows its name, such as `#c2`.
    fn loaded(&self, at: &str) -> String {
        loaded(&self.page, at)
    }
}

fn there() -> bool {
    let there = Command::new("chromium").arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        println!("SKIPPED: chromium is not there");
        assert!(std::env::var_os("SOCKSHIM_REQUIRE_PROGRAMS").is_none_or(|value| value != "1"), "chromium");
    }
    there
}

/// The page in a browser, as markup. It may not write to the console: errors, violations of its policy and
/// exceptions that nobody caught are there.
fn loaded(page: &Path, at: &str) -> String {
    let profile = page.with_extension("profile");
    let mut chromium = Command::new("chromium");
    chromium.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"]);
    chromium.args(["--virtual-time-budget=10000", "--window-size=1280,2400"]);
    chromium.arg(format!("--user-data-dir={}", profile.display())).arg(format!("file://{}{at}", page.display()));
    let output = chromium.output().unwrap();
    let (dom, log) = (text(&output.stdout), text(&output.stderr));
    let console: Vec<&str> = log.lines().filter(|line| line.contains("CONSOLE")).collect();
    assert_eq!(console, [""; 0], "the console of {}", page.display());
    assert!(dom.contains("data-ready=\"1\""), "the script did not come to its end:\n{log}");
    _ = fs::remove_dir_all(profile);
    dom
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The texts in the elements that begin with `open`, up to `close`, without the markup in them.
fn texts(dom: &str, open: &str, close: &str) -> Vec<String> {
    let inside = dom.split(open).skip(1).filter_map(|rest| rest.split_once('>')?.1.split(close).next());
    inside.map(plain).collect()
}

fn plain(markup: &str) -> String {
    let mut plain = String::new();
    let mut tag = false;
    for c in markup.chars() {
        match c {
            '<' => tag = true,
            '>' => tag = false,
            c if !tag => plain.push(c),
            _ => {}
        }
    }
    plain.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// Everything before the data: what the browser shows is there.
fn shown(dom: &str) -> &str {
    dom.split("<script").next().unwrap()
}

#[test]
fn the_numbers_on_the_page_are_the_models() {
    if !there() {
        return;
    }
    let demo = Paged::demo("numbers");
    let dom = demo.loaded("");
    let dom = shown(&dom);
    // The summary is the report's, line by line.
    let mut report = Command::new(tool());
    report.args(["report", "--color", "never"]).arg(&demo.trace).env("COLUMNS", "1000");
    let report = text(&succeed(&mut report).stdout);
    let lines = report.split("\n\n").next().unwrap().lines().skip(1);
    let expected: Vec<(String, String)> = lines
        .map(|line| (line.get(2..12).unwrap().trim().to_owned(), line.get(12..).unwrap().trim().to_owned()))
        .collect();
    let labels = texts(dom, "<dt", "</dt>").into_iter().zip(texts(dom, "<dd", "</dd>"));
    assert_eq!(labels.collect::<Vec<_>>(), expected);
    assert!(report.lines().next().unwrap().ends_with(&texts(dom, "<p id=\"heading\"", "</p>").concat()));
    // A row for each pipe and for each connection that is none.
    let model = demo.model();
    let near = |conn: &&sockshim_reader::model::Connection| {
        let other = conn.other_end.and_then(|id| model.connection(id));
        other.is_none_or(|other| conn.role == Role::Active || (other.role != Role::Active && conn.id < other.id))
    };
    let rows: Vec<_> = model.connections().filter(near).collect();
    assert_eq!(rows.len(), 4);
    let column = |number: usize| texts(dom, &format!("<div class=\"c{number} "), "</div>").split_off(1);
    let names = rows.iter().map(|conn| match conn.other_end {
        Some(other) => format!("{} ⇄ {}", conn.id + 1, other + 1),
        None => (conn.id + 1).to_string(),
    });
    let sorted = |mut values: Vec<String>| {
        values.sort();
        values
    };
    assert_eq!(sorted(column(0)), sorted(names.collect()));
    let bytes = |of: fn(&sockshim_reader::model::Connection) -> u64| {
        let shown = rows.iter().map(|conn| match conn.role {
            Role::Listener => "·".to_owned(),
            _ => format!("{} B", of(conn)),
        });
        sorted(shown.collect())
    };
    assert_eq!(sorted(column(8)), bytes(|conn| conn.sent.bytes));
    assert_eq!(sorted(column(9)), bytes(|conn| conn.received.bytes));
    let verdicts = rows.iter().map(|conn| model.verdict(conn).word().replace('-', " "));
    assert_eq!(sorted(column(10)), sorted(verdicts.collect()));
    // All that passed, over time.
    let passed: [u64; 2] = model
        .connections()
        .fold([0, 0], |[sent, received], conn| [sent + conn.sent.bytes, received + conn.received.bytes]);
    let key = texts(dom, "<div id=\"plot-bytes\"", "</div>").concat();
    assert!(key.contains(&format!("{} B sent{} B received", passed[0], passed[1])), "{key}");
}

#[test]
fn a_connection_is_opened_with_its_sentence_and_its_sequence() {
    if !there() {
        return;
    }
    let demo = Paged::demo("opened");
    let model = demo.model();
    let client = model.connections().find(|conn| conn.sent.bytes == 64 && conn.peer_name.is_some()).unwrap();
    let other = model.connection(client.other_end.unwrap()).unwrap();
    for number in [client.id + 1, other.id + 1] {
        let dom = demo.loaded(&format!("#c{number}"));
        let dialog = texts(shown(&dom), "<dialog", "</dialog>").concat();
        let title = format!("#{} ⇄ #{}", client.id + 1, other.id + 1);
        let parts =
            [title.as_str(), "client closed first.", "getaddrinfo()", "SYN", "FIN", "64 B \"GET /hello HTTP/1.1"];
        parts.iter().for_each(|part| assert!(dialog.contains(part), "no {part:?} in {dialog}"));
        // A circle for each call on either end, the accept and the resolution.
        let calls = client.calls + other.calls + 2;
        assert_eq!(dom.matches("<circle").count() as u64, calls, "{dialog}");
    }
}

#[test]
fn what_a_program_sent_or_was_called_is_text() {
    let folder = scratch("html");
    let (program, trace) = (folder.join("hostile"), folder.join("hostile.sst"));
    let mut gcc = Command::new("gcc");
    gcc.args(["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-o"]).arg(&program);
    succeed(gcc.arg(root().join("tests/html/hostile.c")));
    let mut run = Command::new(tool());
    succeed(run.args(["run", "-q", "--snaplen", "512", "-o"]).arg(&trace).arg("--").arg(&program));
    let paged = Paged::of(trace);
    let page = fs::read_to_string(&paged.page).unwrap();
    assert_eq!((page.matches("</script>").count(), page.matches("<img").count()), (2, 0));
    let data = page.split("id=\"data\">").nth(1).unwrap().split("</script>").next().unwrap();
    assert!(data.contains("\\u003c/script\\u003e") && !data.contains('<'), "nothing hostile was recorded");
    if !there() {
        return;
    }
    let model = paged.model();
    let client = model.connections().find(|conn| conn.role == Role::Active).unwrap();
    let dom = paged.loaded(&format!("#c{}", client.id + 1));
    assert_eq!(texts(&dom, "<title", "</title>")[0], "hostile.sst – sockshim", "a script ran");
    assert_eq!(dom.matches("<img").count(), 0);
    let dialog = texts(shown(&dom), "<dialog", "</dialog>").concat();
    assert!(dialog.contains("</script><script nonce=sockshim>"), "{dialog}");
}

#[test]
fn the_page_is_used_by_keys() {
    if !there() {
        return;
    }
    let demo = Paged::demo("keys");
    // What a person does, and what is there then: as a script behind the page's own.
    let driver = r##"<script nonce="sockshim">
        const did = [], press = (at, key) => at.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
        press(document.body, "/");
        did.push(document.activeElement.id);
        $("search").value = "listens listener";
        $("search").oninput = null;
        filter();
        did.push(table.rows.length);
        press($("search"), "Escape");
        did.push(document.activeElement.id, table.rows.length);
        press($("table"), "ArrowDown");
        press($("table"), "End");
        press($("table"), "ArrowUp");
        did.push(table.at, $("table").getAttribute("aria-activedescendant"));
        press($("table"), "Enter");
        did.push($("detail").open, location.hash === `#c${table.rows[2].near.id}`);
        press($("detail"), "ArrowLeft");
        did.push(table.at);
        $("detail").close();
        $("detail").dispatchEvent(new Event("close"));
        did.push($("detail").open, document.activeElement.id);
        $("columns").children[5].firstChild.click();
        did.push($("columns").children[5].getAttribute("aria-sort"), table.rows.every((item, at) => !at || item.took <= table.rows[at - 1].took));
        $("theme").click();
        $("theme").click();
        did.push(document.documentElement.dataset.theme);
        document.documentElement.dataset.did = did.join(" ");
        </script>"##;
    let page = demo.page.with_extension("driven.html");
    let whole = fs::read_to_string(&demo.page).unwrap();
    fs::write(&page, whole.replace("</body>", &format!("{driver}</body>"))).unwrap();
    let dom = loaded(&page, "");
    let did = dom.split("data-did=\"").nth(1).and_then(|rest| rest.split('"').next());
    assert_eq!(did, Some("search 1 table 4 2 row-2 true true 1 false table descending true dark"));
}

#[test]
fn a_run_without_connections_is_a_page_too() {
    if !there() {
        return;
    }
    let trace = scratch("html").join("empty.sst");
    succeed(Command::new(tool()).args(["run", "-q", "-o"]).arg(&trace).args(["--", "true"]));
    let dom = Paged::of(trace).loaded("");
    assert_eq!(texts(shown(&dom), "<div class=\"empty\"", "</div>"), ["No connections."]);
}

fn report(arguments: &[&str], trace: &Path) -> Output {
    Command::new(tool()).arg("report").args(arguments).arg(trace).output().unwrap()
}

#[test]
fn a_page_is_written_whole_or_not_at_all() {
    let demo = Paged::demo("written");
    let page = fs::read(&demo.page).unwrap();
    let piped = report(&["--html", "-"], &demo.trace);
    assert!(piped.status.success());
    assert_eq!(piped.stdout, page);
    // A slip of the hand does not cost the trace.
    let trace = fs::read(&demo.trace).unwrap();
    let refused = report(&["--html", demo.trace.to_str().unwrap()], &demo.trace);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("is a trace, and would be overwritten"), "{}", text(&refused.stderr));
    assert_eq!(fs::read(&demo.trace).unwrap(), trace);
    let folder = scratch("html/nowhere");
    let missing = folder.join("missing/page.html");
    let failed = report(&["--html", missing.to_str().unwrap()], &demo.trace);
    assert_eq!(failed.status.code(), Some(125));
    assert!(text(&failed.stderr).contains("missing/page.html"), "{}", text(&failed.stderr));
    let into = report(&["--html", folder.to_str().unwrap()], &demo.trace);
    assert_eq!(into.status.code(), Some(125));
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "something was left");
    // What is chosen is on it, and nothing else.
    let one = text(&report(&["--html", "-", "--sort", "bytes", "--top", "1"], &demo.trace).stdout);
    assert!(one.contains("[\"sockets\",\"2: 1 pipe with both its ends\"]"));
}
