//! Examples and exit codes: what people read of the help, and copy.
//!
//! Each line fits into 80 columns, for a line that is wrapped cannot be told from the next. What an example is for stands
//! behind three spaces, or in a line of its own that is indented further: the manual's pages are made of that.

use clap::builder::styling::{AnsiColor, Styles};

pub(super) const EXAMPLES: &str = "\
Examples:
  sockshim run -- curl http://localhost:8080/     every call, as it happens
  sockshim run -o web.sst -- nginx                keep the trace of a server
  sockshim report web.sst                         the story of each connection
  sockshim show web.sst                           every call again
  sockshim check --no-leaks --no-errors web.sst   is all as it should be?
  sockshim diff before.sst after.sst              what changed between two runs
  sockshim doctor web.sst                         what was not seen, and why
  sockshim export web.sst -o web.pcapng           for Wireshark; others: --list
  sockshim demo --explain                         a first look, in plain words
  LD_PRELOAD=$(sockshim lib) wget localhost       without the tool: plain lines
";

pub(super) const RUN_EXAMPLES: &str = "\
Examples:
  sockshim run -- curl http://localhost:8080/     every call, as it happens
  sockshim run curl -s http://localhost:8080/     the same: -s is curl's own
  sockshim run -q -o web.sst -- sh -c 'nginx & ab -n 1000 http://localhost/'
      keep the trace of a server and its clients, and tell nothing meanwhile
  sockshim run -q --jsonl - -- nginx | jq -c 'select(.errno)'
      calls as JSON, as they happen: here those that fail
  sockshim run -q --metrics :9464 -- nginx        numbers for Prometheus
  sockshim run --keep 256M -o web.sst -- nginx    for days: the newest 256M
  sockshim run --tls-keys -o web.sst -- curl -s https://localhost/
      so that Wireshark shows what was encrypted (docs/TLS.md)
  sockshim run --verify -- curl -s http://localhost:8080/
      is everything there? compared with what strace sees
  sockshim run --inject connect:error=ECONNREFUSED -- curl http://localhost/
      a fault on demand: what does curl do when it is refused?
";

pub(super) const RUN_EXIT_CODES: &str = "\
Exit codes:
  The program's own, or 128 + signal where a shell shows that a signal killed it
  (sockshim run ends by the same signal). Otherwise:
    1    --verify: the program ended with 0, but kernel and trace disagree
    2    the command line is wrong
  125    sockshim itself failed
  126    the program was found, but cannot be run or cannot be traced
  127    the program, its interpreter or its loader was not found
";

pub(super) const SHOW_EXAMPLES: &str = "\
Examples:
  sockshim show web.sst                           every call, as run tells them
  sockshim show --connections web.sst             a line per connection
  sockshim show web.sst web.sst.1                 all files of a run (--rotate)
";

/// Of verbs that judge nothing.
pub(super) const EXIT_CODES_OF_READERS: &str = "\
Exit codes:
    0    done; also when the reader of a pipe had enough
    2    the command line is wrong
  125    sockshim itself failed, or the trace cannot be read
";

pub(super) const SNAPSHOT_EXAMPLES: &str = "\
Examples:
  sockshim snapshot web.sst -o now.sst            while run -o web.sst goes on
  sockshim report now.sst                         and what it is by then
";

pub(super) const REPORT_EXAMPLES: &str = "\
Examples:
  sockshim report web.sst                         who, to whom, how it ended
  sockshim report --sort first-byte --top 3 web.sst
      the three slowest answers
  sockshim report --process curl --verdict reset --verdict refused web.sst
      those of curl that were reset or refused
  sockshim report --connection 2 web.sst          its calls, drawn as a sequence
  sockshim report --html web.html web.sst         a page: plots, and all of it
  sockshim report client.sst server.sst           two runs: both ends of pipes
  sockshim report --explain --lang zh web.sst     in sentences, here in Chinese
";

pub(super) const REPORT_EXIT_CODES: &str = "\
Exit codes:
    0    done; also when the reader of a pipe had enough
    2    the command line is wrong, or asks for what is not in the trace
  125    sockshim itself failed, or the trace cannot be read
";

pub(super) const EXPLORE_EXAMPLES: &str = "\
Examples:
  sockshim explore -- curl -s http://localhost/   what can it not bear?
  sockshim explore --functions connect,%received --timeout 2s -- ./client
      only these calls fail; what takes longer than that hangs
  sockshim explore --persist --errors ECONNRESET -- ./client
      and if it goes on failing?
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
  sockshim doctor curl                            what of it will be seen
  sockshim doctor ./server.sh                     a script: its interpreter
  sockshim doctor web.sst                         what was not seen, and why
";

pub(super) const DOCTOR_EXIT_CODES: &str = "\
Exit codes:
    0    all is seen, or the call at least where libc does the rest (in part)
    1    something is not seen
    2    the command line is wrong
  125    sockshim itself failed, or the trace cannot be read
  126    it is no program and no trace, or may not be executed
  127    the program, its interpreter or its loader was not found
";

pub(super) const EXPORT_EXAMPLES: &str = "\
Examples:
  sockshim export --list                          the formats, who reads them
  sockshim export web.sst -o web.pcapng           packets, for Wireshark
  sockshim export --format jsonl web.sst          each call as an object
  sockshim export --connections web.sst -o web.csv
      a row per connection, for a spreadsheet
  sockshim export --endpoint http://localhost:4318 web.sst
      spans, to a collector or to Jaeger
  sockshim export --format parquet --connections web.sst -o lake/connections
      a folder that grows run by run, for a fleet
";

pub(super) const EXPORT_EXIT_CODES: &str = "\
Exit codes:
    0    done; also when the reader of a pipe had enough
    2    the command line is wrong
  125    the trace cannot be read, or the output cannot be written: then no file
         is left; --endpoint: not all spans were accepted, which is told with
         how many were not
";

pub(super) const DEMO_EXAMPLES: &str = "\
Examples:
  sockshim demo                                   every call, as it happens
  sockshim demo --explain                         the same in plain sentences
  sockshim demo -q -o demo.sst                    keep the trace, to look at it
  sockshim report demo.sst                        the story of each connection
";

pub(super) const LIB_EXAMPLES: &str = "\
Examples:
  LD_PRELOAD=$(sockshim lib) wget localhost       plain lines on stderr
";

pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  source <(sockshim completions bash)             in bash, for this shell
  sockshim completions zsh > ~/.zfunc/_sockshim
      for zsh, with ~/.zfunc in fpath
  sockshim completions fish > ~/.config/fish/completions/sockshim.fish
      for fish
";

pub(super) const EXIT_CODES: &str = "\
Exit codes:
  The program's own, or 128 + signal where a shell shows that a signal killed it
  (sockshim run ends by the same signal). Otherwise:
    0    done; also when the reader of a pipe had enough
    1    run --verify: the program ended with 0, but kernel and trace disagree;
         doctor: something is not seen;
         check, diff, explore: as their own help says
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
