//! Numbers for Prometheus, as its own programs and its Python library read them, while a program runs and afterwards.

use super::built::{lines, root, scratch, tool};
use super::tally::tally;
use super::{Run, checker, has, is_here, python};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

/// How long something that has to happen may take before a test says that it did not.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that runs until it is let go, and its numbers.
struct Live {
    run: Run,
    child: Child,
    said: BufReader<ChildStderr>,
    address: String,
}

impl Live {
    /// Starts a script that prints when it has done what is to be seen.
    fn start(test: &str, script: &str) -> Live {
        let folder = scratch(&format!("exports.{}.{test}", std::process::id()));
        let run = Run { trace: folder.join("run.sst"), folder };
        let mut command = Command::new(tool());
        command.args(["run", "-q", "--metrics", ":0", "-o"]).arg(&run.trace).args(["--", "sh", "-c", script]);
        command.env("PYTHON", python()).env("HERE", root().join("tests/exports")).current_dir(&run.folder);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("sockshim: metrics are at http://127.0.0.1:");
        let port = address.and_then(|rest| rest.strip_suffix("/metrics")).unwrap_or_else(|| panic!("{line}"));
        let address = format!("127.0.0.1:{port}");
        Live { run, child, said, address }
    }

    /// Waits until the program has printed something.
    fn wait(&mut self) {
        let mut line = [0; 64];
        assert!(self.child.stdout.as_mut().unwrap().read(&mut line).unwrap() > 0, "the program has ended");
    }

    /// The numbers, by curl.
    fn scrape(&self, more: &[&str]) -> String {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-S", "-f"]).args(more).arg(format!("http://{}/metrics", self.address));
        lines(&mut curl).join("\n") + "\n"
    }

    /// Lets the program end.
    fn end(mut self) -> Run {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        assert!(rest.is_empty(), "{rest}");
        self.run
    }
}

/// Asks until the answer is as it should be.
fn until(what: &str, mut ask: impl FnMut() -> Option<String>) -> String {
    let begun = Instant::now();
    loop {
        match ask() {
            Some(answer) => return answer,
            None => assert!(begun.elapsed() < PATIENCE, "{what}"),
        }
    }
}

#[test]
fn the_numbers_of_a_run_are_those_of_its_trace() {
    let test = "the_numbers_of_a_run_are_those_of_its_trace";
    if !has(test, "import prometheus_client.openmetrics.parser") || !is_here(test, &["curl", "--version"]) {
        return;
    }
    let talk = "import os, runpy, sys; sys.argv[1:] = ['.']; runpy.run_path(os.environ['HERE'] + '/talk.py'); sys.stdin.read()";
    let mut live = Live::start("metrics", &format!("exec \"$PYTHON\" -u -c \"{talk}\""));
    live.wait();
    // The last call on a socket closes the last of 23; what the tool has counted is what it has drained.
    let plain = until("23 sockets are closed", || {
        Some(live.scrape(&[])).filter(|text| text.contains("\nsockshim_connections_closed_total 23\n"))
    });
    let open = live.scrape(&["-H", "Accept: application/openmetrics-text; version=1.0.0"]);
    assert!(open.ends_with("\n# EOF\n"), "{open}");
    let head = lines(Command::new("curl").args(["-s", "-I", &format!("http://{}/metrics", live.address)]));
    assert!(head[0].contains("200") && head.iter().any(|line| line.contains("text/plain; version=0.0.4")), "{head:?}");
    let other = lines(Command::new("curl").args(["-s", "-i", &format!("http://{}/", live.address)]));
    assert!(other[0].contains("404") && other.last().unwrap().contains("/metrics"), "{other:?}");

    // Whoever asks and says nothing keeps nobody.
    let idle = TcpStream::connect(&live.address).unwrap();
    let address = live.address.clone();
    let run = live.end();
    drop(idle);
    assert!(TcpStream::connect(address).is_err(), "somebody answers for a run that is over");
    let keep = |name: &str, text: &str| -> PathBuf {
        let path = run.folder.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let files = [
        keep("live.prom", &plain),
        keep("live.openmetrics", &open),
        run.export("prometheus", "prom", &[]),
        run.export("jsonl", "connections.jsonl", &["--connections"]),
        run.export("jsonl", "jsonl", &[]),
        run.export("otlp", "otlp.json", &[]),
    ];
    let said = lines(Command::new(checker()).arg(root().join("tests/exports/metrics.py")).args(&files));
    assert!(said[0].starts_with("23 connections, "), "{said:?}");
    if is_here(test, &["promtool", "--version"]) {
        let mut promtool = Command::new("promtool");
        promtool.args(["check", "metrics"]).stdin(fs::File::open(&files[2]).unwrap());
        assert_eq!(lines(&mut promtool), Vec::<String>::new());
    }
}

/// A Prometheus of our own, that looks once a second.
struct Prometheus {
    child: Child,
    address: String,
}

impl Prometheus {
    fn start(live: &Live) -> Prometheus {
        let config = "global: {scrape_interval: 1s}\nscrape_configs:\n  - job_name: sockshim\n    static_configs: [{targets: ['ADDRESS']}]\n";
        fs::write(live.run.folder.join("prometheus.yml"), config.replace("ADDRESS", &live.address)).unwrap();
        let mut command = Command::new("prometheus");
        command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address=127.0.0.1:0"]);
        let mut child = command.current_dir(&live.run.folder).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let line = log.find(|line| line.contains("msg=\"Listening on\"")).expect("Prometheus does not listen");
        let address = line.rsplit("address=").next().unwrap().to_owned();
        // It shall not block on what nobody reads.
        std::thread::spawn(move || log.for_each(drop));
        Prometheus { child, address }
    }

    /// The value of an expression, of one series.
    fn query(&self, expression: &str) -> Option<String> {
        let mut curl = Command::new("curl");
        curl.args(["-s", "-G", "--data-urlencode", &format!("query={expression}")]);
        curl.arg(format!("http://{}/api/v1/query", self.address));
        // {"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1795,"42"]}]}}
        let answer = lines(&mut curl).join("");
        Some(answer.split_once("\"value\":[")?.1.split('"').nth(1)?.to_owned())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn prometheus_scrapes_a_run_while_it_goes_on() {
    let test = "prometheus_scrapes_a_run_while_it_goes_on";
    if !is_here(test, &["prometheus", "--version"]) || !is_here(test, &["curl", "--version"]) {
        return;
    }
    let soak = std::env::var_os("SOCKSHIM_SOAK").is_some_and(|value| value == "1");
    let connections = if soak { 50_000 } else { 500 };
    let mut live = Live::start("prometheus", &format!("exec \"$PYTHON\" \"$HERE/load.py\" {connections}"));
    let prometheus = Prometheus::start(&live);
    live.wait();
    let sockets = (2 * connections + 1).to_string();
    until("Prometheus has seen all", || {
        prometheus.query("sockshim_connections_closed_total").filter(|count| *count == sockets)
    });
    for (expression, expected) in [
        ("sockshim_connections_opened_total", sockets),
        ("sockshim_connect_seconds_count{outcome='connected'}", connections.to_string()),
        ("sockshim_bytes_total{direction='transmit'}", (14 * connections).to_string()),
        ("sockshim_calls_total{function='accept4',result='ok'}", connections.to_string()),
        ("sockshim_lost_calls_total + sockshim_uncounted_events_total", "0".to_owned()),
        ("sum(resets(sockshim_calls_total[1h]))", "0".to_owned()),
        ("resets(sockshim_connections_closed_total[1h])", "0".to_owned()),
        ("min(min_over_time(up[1h]))", "1".to_owned()),
    ] {
        assert_eq!(prometheus.query(expression), Some(expected), "{expression}");
    }
    let quantile = "histogram_quantile(0.5, sockshim_first_byte_seconds_bucket{role='active'})";
    let median: f64 = prometheus.query(quantile).unwrap().parse().unwrap();
    assert!(median > 0.0, "{median}");
    let scrapes = prometheus.query("count_over_time(up[1h])").unwrap();
    tally(&format!("scraped_connections={connections} scrapes={scrapes}"));
    drop(prometheus);
    live.end();
}

#[test]
fn an_address_that_cannot_be_taken_lets_nothing_begin() {
    let folder = scratch(&format!("exports.{}.no_metrics", std::process::id()));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (address, code, words) in [
        (&*address, 125, [&*address, "in use", "--metrics"]),
        ("192.0.2.1:9464", 125, ["192.0.2.1:9464", "assign", "--metrics"]),
        ("somewhere:9464", 2, ["somewhere:9464", "--metrics", "127.0.0.1:9464"]),
    ] {
        let mut run = Command::new(tool());
        run.args(["run", "-q", "-o", "run.sst", "--metrics", address, "--", "touch", "ran"]);
        let output = run.current_dir(&folder).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        words.iter().for_each(|word| assert!(said.contains(word), "{word} is not in {said}"));
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    let mut run = Command::new(tool());
    let output = run.args(["run", "-q", "--metrics", "0.0.0.0:0", "--", "true"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("to whoever can reach this machine"), "{said}");
    fs::remove_dir_all(folder).unwrap();
}
