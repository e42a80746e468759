//! The text that Prometheus reads, in its own format (0.0.4) and in OpenMetrics (1.0.0), which differ in what the name of a
//! counter is, and in how they end. No value of a label needs an escape: all are words of ours.

use std::fmt::Write;

/// Upper bounds of the buckets, in nanoseconds and as they are written: loopback connects in less than 0.1 ms, and what
/// nobody answers takes longer than the last.
const BOUNDS: [(u64, &str); 15] = [
    (100_000, "0.0001"),
    (500_000, "0.0005"),
    (1_000_000, "0.001"),
    (5_000_000, "0.005"),
    (10_000_000, "0.01"),
    (25_000_000, "0.025"),
    (50_000_000, "0.05"),
    (100_000_000, "0.1"),
    (250_000_000, "0.25"),
    (500_000_000, "0.5"),
    (1_000_000_000, "1.0"),
    (2_500_000_000, "2.5"),
    (5_000_000_000, "5.0"),
    (10_000_000_000, "10.0"),
    (30_000_000_000, "30.0"),
];

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// Prometheus's own.
    Plain,
    /// OpenMetrics.
    Open,
}

impl Flavor {
    /// What HTTP calls it.
    pub const fn content_type(self) -> &'static str {
        match self {
            Flavor::Plain => "text/plain; version=0.0.4; charset=utf-8",
            Flavor::Open => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What the numbers of a family are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They only grow, until the run ends.
    Counter,
    /// They go up and down.
    Gauge,
    /// They are durations.
    Histogram,
}

/// How many durations were how long.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// No longer than each bound, and longer than the one before.
    counts: [u64; BOUNDS.len()],
    count: u64,
    sum_ns: u128,
}

impl Histogram {
    /// Counts a duration.
    pub fn add(&mut self, ns: u64) {
        let bucket = BOUNDS.iter().zip(&mut self.counts).find(|((bound, _), _)| ns <= *bound);
        bucket.into_iter().for_each(|(_, count)| *count += 1);
        self.count += 1;
        self.sum_ns += u128::from(ns);
    }
}

/// All of the text in the making.
pub struct Page {
    out: String,
    flavor: Flavor,
}

impl Page {
    /// An empty one.
    pub fn new(flavor: Flavor) -> Page {
        Page { out: String::new(), flavor }
    }

    /// Begins a family. The name of a counter is given without `_total`.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let family = if kind == Kind::Counter && self.flavor == Flavor::Plain { "_total" } else { "" };
        let word = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = writeln!(self.out, "# HELP {name}{family} {help}\n# TYPE {name}{family} {word}");
        Family { out: &mut self.out, name, kind }
    }

    /// The whole text.
    pub fn end(mut self) -> String {
        if self.flavor == Flavor::Open {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

/// A family of numbers in the making.
pub struct Family<'a> {
    out: &'a mut String,
    name: &'static str,
    kind: Kind,
}

impl Family<'_> {
    /// A number.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: u64) {
        let suffix = if self.kind == Kind::Counter { "_total" } else { "" };
        self.line(suffix, labels, value);
    }

    /// A time, which is told in seconds.
    pub fn seconds(&mut self, labels: &[(&str, &str)], ns: u128) {
        self.line("", labels, Seconds(ns));
    }

    /// A histogram, with a label of its own.
    pub fn histogram(&mut self, label: (&str, &str), histogram: &Histogram) {
        let mut so_far = 0;
        for ((_, bound), count) in BOUNDS.iter().zip(histogram.counts) {
            so_far += count;
            self.line("_bucket", &[label, ("le", bound)], so_far);
        }
        self.line("_bucket", &[label, ("le", "+Inf")], histogram.count);
        self.line("_count", &[label], histogram.count);
        self.line("_sum", &[label], Seconds(histogram.sum_ns));
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let _ = write!(self.out, "{}{suffix}", self.name);
        for (at, (label, value)) in labels.iter().enumerate() {
            let _ = write!(self.out, "{}{label}=\"{value}\"", if at == 0 { '{' } else { ',' });
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.out, "{end} {value}");
    }
}

/// Nanoseconds as seconds, to the last digit.
struct Seconds(u128);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_in_its_bucket_and_in_all_above() {
        let mut histogram = Histogram::default();
        for ns in [0, 100_000, 100_001, 1_000_000_000, 40_000_000_000] {
            histogram.add(ns);
        }
        let mut page = Page::new(Flavor::Plain);
        page.family("x_seconds", Kind::Histogram, "Help.").histogram(("of", "us"), &histogram);
        let out = page.end();
        for line in [
            "# HELP x_seconds Help.\n# TYPE x_seconds histogram\n",
            "x_seconds_bucket{of=\"us\",le=\"0.0001\"} 2\n",
            "x_seconds_bucket{of=\"us\",le=\"0.0005\"} 3\n",
            "x_seconds_bucket{of=\"us\",le=\"0.5\"} 3\n",
            "x_seconds_bucket{of=\"us\",le=\"1.0\"} 4\n",
            "x_seconds_bucket{of=\"us\",le=\"30.0\"} 4\n",
            "x_seconds_bucket{of=\"us\",le=\"+Inf\"} 5\n",
            "x_seconds_count{of=\"us\"} 5\nx_seconds_sum{of=\"us\"} 41.000200001\n",
        ] {
            assert!(out.contains(line), "{line} is not in {out}");
        }
    }

    #[test]
    fn bounds_are_what_they_are_written_as() {
        for (ns, text) in BOUNDS {
            assert_eq!((text.parse::<f64>().unwrap() * 1e9).round() as u64, ns);
        }
        assert!(BOUNDS.is_sorted());
    }

    #[test]
    fn a_counter_has_two_names_and_one_of_its_samples() {
        let told = |flavor| {
            let mut page = Page::new(flavor);
            page.family("x", Kind::Counter, "Help.").sample(&[], 7);
            page.end()
        };
        assert_eq!(told(Flavor::Plain), "# HELP x_total Help.\n# TYPE x_total counter\nx_total 7\n");
        assert_eq!(told(Flavor::Open), "# HELP x Help.\n# TYPE x counter\nx_total 7\n# EOF\n");
    }
}
