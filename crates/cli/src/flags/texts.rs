//! Examples and exit codes: what people read of the help, and copy.

use clap::builder::styling::{AnsiColor, Styles};

pub(super) const EXAMPLES: &str = "\
Examples:
  sockshim run -- curl -s http://localhost:8080/       tell every socket call of curl, as it happens
  sockshim run -o web.sst -- nginx -g 'daemon off;'    keep the trace of nginx and its workers
  sockshim report web.sst                              the story of every connection
  sockshim show web.sst                                every call again
  sockshim check --no-leaks --no-errors web.sst        is it as it should be? for tests
  sockshim diff before.sst after.sst                   what has changed between two runs
  sockshim doctor web.sst                              what passed around us in it, and why
  sockshim export web.sst -o web.pcapng                for Wireshark; export --list tells the other tools
  sockshim demo --explain                              no program at hand? here is one, in plain words
  LD_PRELOAD=$(sockshim lib) wget http://localhost/    without the tool: plain lines on stderr
";

pub(super) const RUN_EXAMPLES: &str = "\
Examples:
  sockshim run -- curl -s http://localhost:8080/ -o page.html
  sockshim run curl -s http://localhost:8080/          the same: flags after the program are its own
  sockshim run -q -o web.sst -- sh -c 'nginx & ab -n 1000 http://localhost/'
  sockshim run -q --jsonl - -- nginx | jq -c 'select(.errno)'    calls as objects, as they happen
  sockshim run -q --metrics :9464 -- nginx             for Prometheus: numbers, while it runs
  sockshim run --keep 256M -o web.sst -- nginx         for days: the newest 256M of it are there
  sockshim run --tls-keys -o web.sst -- curl -s https://localhost/     for Wireshark: docs/TLS.md
  sockshim run --verify -- curl -s http://localhost:8080/     is everything there? strace knows
  sockshim run --inject connect:error=ECONNREFUSED:when=2+ -- curl http://localhost/ http://localhost/
";

pub(super) const REPORT_EXAMPLES: &str = "\
Examples:
  sockshim report web.sst                              who, to whom, how long, how it ended
  sockshim report --sort first-byte --top 3 web.sst    the slowest answers
  sockshim report --process curl --verdict reset --verdict refused web.sst
  sockshim report --connection 2 web.sst               its calls, drawn as a sequence
  sockshim report --html web.html web.sst              a page: plots, a table, every sequence
  sockshim report client.sst server.sst                two runs: both ends of what is between them
  sockshim report --explain --lang zh web.sst          told in sentences, here in Chinese
";

pub(super) const REPORT_EXIT_CODES: &str = "\
Exit codes:
    0    done; also when the reader of a pipe had enough
    2    the command line is wrong, or asks for what is not in the trace
  125    sockshim itself failed, or the trace cannot be read
";

pub(super) const EXPLORE_EXAMPLES: &str = "\
Examples:
  sockshim explore -- curl -s http://localhost:8080/   which failures does curl not bear?
  sockshim explore --functions connect,%received --timeout 2s -- ./client
  sockshim explore --persist --errors ECONNRESET -- ./client    and if it goes on failing?
";

pub(super) const EXPLORE_EXIT_CODES: &str = "\
Exit codes:
    0    whatever failed, the program came to an end of its own
    1    with some fault it crashed, hung or leaked
    2    the command line is wrong
  125    sockshim itself failed, or the program makes no call that could fail
  126    it cannot be run or cannot be traced
  127    the program, its interpreter or its loader was not found
";

pub(super) const DOCTOR_EXAMPLES: &str = "\
Examples:
  sockshim doctor curl                                 what of curl and its libraries will be seen
  sockshim doctor ./server.sh                          a script: its interpreter
  sockshim doctor web.sst                              a trace: what passed around us, and why
";

pub(super) const EXPORT_EXAMPLES: &str = "\
Examples:
  sockshim export --list                               which formats there are, and who reads them
  sockshim export --format jsonl web.sst               every call as an object, on standard output
  sockshim export --format csv --connections web.sst -o web.csv
  sockshim export --endpoint http://localhost:4318 web.sst       spans, to a collector or to Jaeger
  sockshim export --format parquet --connections web.sst -o lake/connections    a folder, for a fleet
";

pub(super) const EXPORT_EXIT_CODES: &str = "\
Exit codes:
    0    done; also when the reader of a pipe had enough
    2    the command line is wrong
  125    the trace cannot be read, or the output cannot be written: then no file is left;
         --endpoint: not all spans were accepted, which is told with how many were not
";

pub(super) const DOCTOR_EXIT_CODES: &str = "\
Exit codes:
    0    all is seen, or the call at least where libc does the rest (in part)
    1    something is not seen
    2    the command line is wrong
  125    sockshim itself failed, or the trace cannot be read
  126    it is no program, or may not be executed
  127    the program, its interpreter or its loader was not found
";

pub(super) const EXIT_CODES: &str = "\
Exit codes:
  The program's own, or 128 + signal where a shell shows that a signal killed it
  (sockshim run ends by the same signal). Otherwise:
    0    done; also when the reader of a pipe had enough
    1    run --verify: the program ended with 0, but the kernel and the trace disagree;
         doctor: something is not seen; check, diff, explore: as their own help says
    2    the command line is wrong
  125    sockshim itself failed
  126    the program was found, but cannot be run or cannot be traced
  127    the program, its interpreter or its loader was not found
";

/// Examples come first: most people copy one and leave.
pub(super) const TEMPLATE: &str = "{before-help}{about}\n\n{usage-heading} {usage}\n\n{all-args}{after-help}";

pub(super) const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default());
