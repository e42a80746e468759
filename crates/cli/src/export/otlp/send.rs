//! OTLP over HTTP, in JSON: each line of the export is posted to a collector, and again if it has no time for it.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Result, bail};
use ureq::Agent;
use ureq::http::Uri;

use super::super::{Format, Options, say, write};
use super::json::spans_of;
use crate::entry::Exit;
use crate::flags::Export;
use crate::views::{count, safe, thousands};

/// Requests that wait to be sent. Whoever makes more of them waits: the trace does not run away.
const MOST_WAITING: usize = 8;
/// How long one try may take: OpenTelemetry's own default.
const ONE_TRY: Duration = Duration::from_secs(10);
/// One try there is, however little patience is left.
const SHORTEST_TRY: Duration = Duration::from_secs(1);
/// The first pause, which is doubled each time, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Of what a collector answers, so much is read and shown.
const MOST_READ: u64 = 1 << 16;
const MOST_SHOWN: usize = 200;

/// An address to send to: `http://HOST:PORT`, with a path or without.
pub fn endpoint(text: &str) -> Result<String, String> {
    if text.starts_with("https://") {
        return Err("https is not spoken here: send to a collector by http, which passes it on".into());
    }
    let wrong = || "an address such as http://localhost:4318".to_owned();
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or_else(wrong)?;
    // A port that is none is left in the text, and so is one that is not there.
    let has_port = authority.as_str().rsplit_once(':').is_some_and(|(_, after)| !after.contains(']'));
    if uri.scheme_str() != Some("http") || authority.host().is_empty() || has_port != authority.port_u16().is_some() {
        return Err(wrong());
    }
    match uri.path() {
        "" | "/" => Ok(format!("http://{authority}/v1/traces")),
        _ => Ok(text.to_owned()),
    }
}

/// Sends a trace.
pub fn send(flags: &Export, format: &Format, endpoint: &str) -> Result<Exit> {
    let mut sender = Sender::new(endpoint.to_owned(), Duration::from_nanos(flags.patience_ns));
    write(flags, format, (format.make)(Options::default()).as_mut(), &mut sender, &mut say)?;
    let Outcome { accepted, refused, unsent, why } = sender.end();
    let lost = refused + unsent;
    match why {
        None => Ok(Exit::SUCCESS),
        Some(why) if accepted == 0 => {
            bail!("cannot send to {endpoint}: {why}; none of {} arrived", count(lost, "span"))
        }
        Some(why) => {
            let all = count(accepted + lost, "span");
            bail!("{} of {all} did not arrive at {endpoint}: {why}", thousands(lost))
        }
    }
}

/// What became of the spans.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    accepted: u64,
    /// The collector does not want them.
    refused: u64,
    /// The collector was not there, or had no time, until nobody tried any longer.
    unsent: u64,
    /// Why not all of them were accepted.
    why: Option<String>,
}

/// Where lines go: each is a request.
struct Sender {
    line: Vec<u8>,
    queue: SyncSender<String>,
    thread: JoinHandle<Outcome>,
}

impl Sender {
    fn new(url: String, patience: Duration) -> Sender {
        let (queue, requests) = sync_channel(MOST_WAITING);
        Sender { line: Vec::new(), queue, thread: thread::spawn(move || deliver(&requests, &url, patience)) }
    }

    fn end(self) -> Outcome {
        drop(self.queue);
        let lost = Outcome { why: Some("sending failed".into()), ..Outcome::default() };
        self.thread.join().unwrap_or(lost)
    }
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        while let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
            let rest = self.line.split_off(end + 1);
            let line = std::mem::replace(&mut self.line, rest);
            let request = String::from_utf8(line).map_err(io::Error::other)?;
            // It receives until we are gone.
            self.queue.send(request).map_err(io::Error::other)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends requests until there are no more. After one that nobody took in time, the others are only counted.
fn deliver(requests: &Receiver<String>, url: &str, patience: Duration) -> Outcome {
    // A redirection would turn the POST into a GET, and a proxy of the environment is not for a collector near by.
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None);
    let agent = config.user_agent(concat!("sockshim/", env!("CARGO_PKG_VERSION"))).build().new_agent();
    let mut outcome = Outcome::default();
    let mut given_up = false;
    for request in requests {
        let spans = spans_of(&request);
        if given_up {
            outcome.unsent += spans;
            continue;
        }
        let why = match post(&agent, &request, url, patience) {
            End::Accepted { rejected, why } => {
                outcome.accepted += spans.saturating_sub(rejected);
                outcome.refused += rejected.min(spans);
                why
            }
            End::Refused(why) => {
                outcome.refused += spans;
                Some(why)
            }
            End::GaveUp(why) => {
                given_up = true;
                outcome.unsent += spans;
                Some(why)
            }
        };
        outcome.why = outcome.why.or(why);
    }
    outcome
}

/// What became of a request.
enum End {
    /// The collector took it, but for so many spans.
    Accepted { rejected: u64, why: Option<String> },
    /// It will never take it.
    Refused(String),
    /// It did not in time.
    GaveUp(String),
}

/// Posts a request, and again, until it is taken, refused, or nobody wants to wait any longer.
fn post(agent: &Agent, request: &str, url: &str, patience: Duration) -> End {
    let deadline = Instant::now() + patience;
    for tries in 0.. {
        let timeout = deadline.saturating_duration_since(Instant::now()).clamp(SHORTEST_TRY, ONE_TRY);
        let post = agent.post(url).config().timeout_global(Some(timeout)).build();
        let (why, asked) = match post.content_type("application/json").send(request) {
            Ok(mut answer) => {
                let status = answer.status();
                let body = answer.body_mut().with_config().limit(MOST_READ).lossy_utf8(true).read_to_string();
                let body = body.unwrap_or_default();
                let text = format!("{status}{}", shown(&body));
                match status.as_u16() {
                    200..300 => return accepted(&body),
                    429 | 502 | 503 | 504 => {
                        let asked = answer.headers().get("Retry-After").and_then(|value| value.to_str().ok());
                        (text, asked.and_then(retry_after))
                    }
                    404 | 405 => return End::Refused(format!("{text}: is that the path for traces?")),
                    _ => return End::Refused(text),
                }
            }
            Err(ureq::Error::Timeout(_)) => (format!("no answer within {} s", timeout.as_secs_f64().round()), None),
            Err(ureq::Error::Io(error)) => (error.to_string(), None),
            Err(error) => (error.to_string(), None),
        };
        let pause = asked.unwrap_or_else(|| pause(tries, RandomState::new().hash_one(tries)));
        if pause >= deadline.saturating_duration_since(Instant::now()) {
            let asked = asked.map_or(String::new(), |asked| format!(" (it asks to wait {} s)", asked.as_secs()));
            return End::GaveUp(format!("{why}{asked}, and --give-up-after {} s is over", patience.as_secs_f64()));
        }
        let asks = if asked.is_some() { ", as it asks" } else { "" };
        say(format!("{url}: {why}; trying again in {} s{asks}", (pause.as_secs_f64() * 10.0).ceil() / 10.0));
        thread::sleep(pause);
    }
    End::GaveUp("tried often enough".into())
}

/// A pause that is twice as long each time, and by chance shorter by up to half: those who failed together shall not
/// come again together.
fn pause(tries: u32, chance: u64) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << tries.min(16)).min(LONGEST_PAUSE);
    longest.mul_f64(0.5 + (chance >> 11) as f64 / (1u64 << 54) as f64)
}

/// `Retry-After: 5`, or a date.
fn retry_after(value: &str) -> Option<Duration> {
    match value.trim().parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let date = httpdate::parse_http_date(value.trim()).ok()?;
            Some(date.duration_since(SystemTime::now()).unwrap_or_default())
        }
    }
}

/// The beginning of what a collector says, behind a colon.
fn shown(body: &str) -> String {
    let body: String = safe(body.trim().as_bytes()).chars().take(MOST_SHOWN).collect();
    if body.is_empty() { body } else { format!(": {body}") }
}

/// A collector may take a part only: `{"partialSuccess":{"rejectedSpans":"2","errorMessage":"..."}}`.
fn accepted(body: &str) -> End {
    let digits = body.split_once("\"rejectedSpans\"").map_or("", |(_, rest)| rest.trim_start_matches([':', ' ', '"']));
    let digits = digits.split(|char: char| !char.is_ascii_digit()).next().unwrap_or_default();
    let rejected = digits.parse().unwrap_or(0);
    End::Accepted { rejected, why: (rejected > 0).then(|| format!("it rejected some{}", shown(body))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_has_a_path_and_no_tls() {
        for (text, url) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
            ("http://10.0.0.1/v1/traces", "http://10.0.0.1/v1/traces"),
            ("http://[::1]:4318/api/otlp", "http://[::1]:4318/api/otlp"),
        ] {
            assert_eq!(endpoint(text).unwrap(), url);
        }
        for wrong in
            ["", "localhost:4318", "http://", "http:///x", "http://:80", "grpc://x", "http://a b", "http://u@x"]
        {
            assert!(endpoint(wrong).unwrap_err().contains("http://localhost:4318"), "{wrong:?}");
        }
        assert!(endpoint("https://x").unwrap_err().contains("https"));
    }

    #[test]
    fn pauses_grow_and_are_never_quite_the_same() {
        for tries in 0..100 {
            let (least, most) = (pause(tries, 0), pause(tries, u64::MAX));
            assert!(least >= FIRST_PAUSE / 2 && most <= LONGEST_PAUSE && least < most, "{tries}: {least:?} {most:?}");
            assert!(least >= pause(tries.saturating_sub(1), 0));
        }
        assert_eq!(pause(3, 0), FIRST_PAUSE * 4);
        assert_eq!(pause(99, 0), LONGEST_PAUSE / 2);
    }

    #[test]
    fn a_collector_says_when_to_come_again() {
        assert_eq!(retry_after(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        let later = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3600));
        assert!(retry_after(&later).unwrap() > Duration::from_secs(1800));
        assert_eq!((retry_after("soon"), retry_after("-1")), (None, None));
    }

    #[test]
    fn a_collector_may_take_a_part() {
        let rejected = |body: &str| match accepted(body) {
            End::Accepted { rejected, why } => (rejected, why.is_some()),
            _ => unreachable!(),
        };
        assert_eq!(rejected(r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"full"}}"#), (3, true));
        assert_eq!(rejected(r#"{"partialSuccess": {"rejectedSpans": 3}}"#), (3, true));
        for none in ["", "{}", r#"{"partialSuccess":{"rejectedSpans":"0"}}"#, r#"{"partialSuccess":{}}"#] {
            assert_eq!(rejected(none), (0, false), "{none}");
        }
    }
}
