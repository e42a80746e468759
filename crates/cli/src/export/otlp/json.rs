//! OTLP/JSON: requests, spans and attributes as protobuf's JSON has them, with 64-bit numbers as text and ids as
//! hexadecimal digits.

use std::io::{self, Write};

use sockshim_reader::model::Span;

use super::super::keys::Key;
use super::super::rows::Row;
use super::super::text;
use super::ids::Place;

/// The version of the semantic conventions that the names are of.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";
/// What of a row is not an attribute of a span: the resource says it, the span itself, or whoever knows the verdict.
const ELSEWHERE: &[&str] = &["dur_ns", "process.executable.name", "process.pid", "error.type", "server.address"];

/// A span, as it is told.
pub struct Told<'a> {
    /// Its ids.
    pub place: Place,
    /// The span that it is in.
    pub parent: Option<Place>,
    /// What it is called.
    pub name: &'a str,
    /// From when to when.
    pub span: Span,
    /// Facts.
    pub attributes: &'a Attributes,
    /// Spans elsewhere that it has to do with.
    pub links: &'a [Link],
    /// What went wrong, if it failed.
    pub error: Option<&'a str>,
}

/// A span that another one has to do with.
pub struct Link {
    /// Where it is.
    pub to: Place,
    /// In which way.
    pub what: &'static str,
}

/// An `ExportTraceServiceRequest` in the making.
#[derive(Default)]
pub struct Request {
    bytes: Vec<u8>,
    spans: usize,
    /// Spans of the resource that is being written; none if there is no such.
    of_resource: Option<usize>,
}

impl Request {
    /// How many spans it has.
    pub fn spans(&self) -> usize {
        self.spans
    }

    /// From here on spans are of this resource.
    pub fn resource(&mut self, resource: &Attributes) {
        self.close_resource();
        let first = self.bytes.is_empty();
        self.put(if first { "{\"resourceSpans\":[" } else { "," });
        self.put("{\"resource\":{\"attributes\":[");
        self.bytes.extend_from_slice(&resource.bytes);
        self.put("]},\"scopeSpans\":[{\"scope\":{\"name\":\"sockshim\",\"version\":\"");
        self.put(env!("CARGO_PKG_VERSION"));
        self.put("\"},\"spans\":[");
        self.of_resource = Some(0);
    }

    /// Adds a span.
    pub fn span(&mut self, told: &Told<'_>) {
        let first = self.of_resource == Some(0);
        self.of_resource = self.of_resource.map(|count| count + 1);
        self.spans += 1;
        self.put(if first { "{" } else { ",{" });
        self.put(&told.place.to_string());
        if let Some(parent) = told.parent {
            self.put(&format!(",\"parentSpanId\":\"{:016x}\"", parent.span));
        }
        self.put(",\"name\":\"");
        text::escaped(&mut self.bytes, told.name);
        // SPAN_KIND_INTERNAL: a connection is no request, and tools that count requests shall not count it as one.
        let Span { start_ns, end_ns } = told.span;
        self.put(&format!("\",\"kind\":1,\"startTimeUnixNano\":\"{start_ns}\",\"endTimeUnixNano\":\"{end_ns}\""));
        self.put(",\"attributes\":[");
        self.bytes.extend_from_slice(&told.attributes.bytes);
        self.put("]");
        for (at, link) in told.links.iter().enumerate() {
            self.put(if at == 0 { ",\"links\":[{" } else { ",{" });
            self.put(&link.to.to_string());
            let mut what = Attributes::default();
            what.string("sockshim.link", link.what);
            self.put(",\"attributes\":[");
            self.bytes.extend_from_slice(&what.bytes);
            self.put("]}");
        }
        if !told.links.is_empty() {
            self.put("]");
        }
        if let Some(error) = told.error {
            self.put(",\"status\":{\"code\":2,\"message\":\"");
            text::escaped(&mut self.bytes, error);
            self.put("\"}");
        }
        self.put("}");
    }

    /// Writes it as a line, and begins anew. A request without spans is none.
    pub fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        self.close_resource();
        let written = match self.spans {
            0 => Ok(()),
            _ => {
                self.put("]}\n");
                out.write_all(&self.bytes)
            }
        };
        self.bytes.clear();
        self.spans = 0;
        written
    }

    fn close_resource(&mut self) {
        if self.of_resource.take().is_some() {
            self.put("]}],\"schemaUrl\":\"");
            self.put(SCHEMA_URL);
            self.put("\"}");
        }
    }

    fn put(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }
}

/// How many spans a request has, of which only the text is left. Quotes in values are escaped, so no value looks like this.
pub fn spans_of(request: &str) -> u64 {
    request.matches("\"startTimeUnixNano\":\"").count() as u64
}

/// Attributes, of a span or of a resource. Takes the fields of a row too.
#[derive(Default)]
pub struct Attributes {
    bytes: Vec<u8>,
}

impl Attributes {
    /// Adds text.
    pub fn string(&mut self, name: &str, value: &str) {
        self.begin(name, "stringValue\":\"");
        text::escaped(&mut self.bytes, value);
        self.put("\"}}");
    }

    /// Adds a number.
    pub fn number(&mut self, name: &str, value: u64) {
        self.signed_number(name, i64::try_from(value).unwrap_or(i64::MAX));
    }

    /// Adds several texts.
    pub fn strings(&mut self, name: &str, values: &[String]) {
        self.begin(name, "arrayValue\":{\"values\":[");
        for (at, value) in values.iter().enumerate() {
            self.put(if at == 0 { "{\"stringValue\":\"" } else { ",{\"stringValue\":\"" });
            text::escaped(&mut self.bytes, value);
            self.put("\"}");
        }
        self.put("]}}}");
    }

    fn signed_number(&mut self, name: &str, value: i64) {
        self.begin(name, "intValue\":\"");
        text::number(&mut self.bytes, value);
        self.put("\"}}");
    }

    fn begin(&mut self, name: &str, kind: &str) {
        self.put(if self.bytes.is_empty() { "{\"key\":\"" } else { ",{\"key\":\"" });
        // Names of our own have no dot in rows, and a name space here.
        if !name.contains('.') {
            self.put("sockshim.");
        }
        self.put(name);
        self.put("\",\"value\":{\"");
        self.put(kind);
    }

    fn put(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }
}

impl Row for Attributes {
    fn text(&mut self, key: &Key, value: &str) {
        if !ELSEWHERE.contains(&key.name) {
            self.string(key.name, value);
        }
    }

    fn plain(&mut self, key: &Key, value: &[u8]) {
        self.text(key, &String::from_utf8_lossy(value));
    }

    fn signed(&mut self, key: &Key, value: i64) {
        if !ELSEWHERE.contains(&key.name) {
            self.signed_number(key.name, value);
        }
    }

    fn unsigned(&mut self, key: &Key, value: u64) {
        self.signed(key, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn time(&mut self, _: u64) {}

    fn bytes(&mut self, _: &Key, _: &[u8]) {}

    fn list(&mut self, key: &Key, values: &[String]) {
        self.strings(key.name, values);
    }

    fn given(&self) -> Option<&[u8]> {
        // With commas in between, a piece does not look the same wherever it stands.
        None
    }

    fn again(&mut self, _: &[u8]) {}
}
