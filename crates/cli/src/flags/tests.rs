use clap::CommandFactory;
use clap::error::ErrorKind;

use super::*;

fn parse(line: &[&str]) -> Result<Verb, clap::Error> {
    Flags::try_parse_from([&["sockshim"], line].concat()).map(|flags| flags.verb)
}

fn run(line: &[&str]) -> Run {
    match parse(&[&["run"], line].concat()) {
        Ok(Verb::Run(run)) => run,
        other => panic!("{line:?} should be a run: {other:?}"),
    }
}

#[test]
fn the_definitions_agree_with_each_other() {
    Flags::command().debug_assert();
}

#[test]
fn flags_after_the_program_are_its_own() {
    let line = ["curl", "-s", "--color", "never", "-o", "x", "--help", "--", "-q"];
    assert_eq!(run(&line).command, line);
    assert_eq!(run(&[&["--"], &line[..]].concat()).command, line);
    assert_eq!(run(&["--", "-odd-name", "--", "x"]).command, ["-odd-name", "--", "x"]);
    let ours = run(&["-q", "-o", "web.sst", "nginx", "-o", "-g", "daemon off;"]);
    assert_eq!(ours.command, ["nginx", "-o", "-g", "daemon off;"]);
    assert_eq!(ours.recording.output.unwrap().to_str(), Some("web.sst"));
    assert!(ours.recording.quiet);
}

#[test]
fn an_unknown_flag_before_the_program_is_an_error_and_no_program() {
    assert_eq!(parse(&["run", "--snaplem", "5", "curl"]).unwrap_err().kind(), ErrorKind::UnknownArgument);
    assert_eq!(parse(&["run", "-q"]).unwrap_err().kind(), ErrorKind::MissingRequiredArgument);
}

#[test]
fn defaults_are_those_of_the_help() {
    let Run { recording, view, .. } = run(&["true"]);
    assert_eq!((recording.snaplen_bytes, recording.region_bytes), (32, DEFAULT_REGION_BYTES));
    assert!(recording.edges && !recording.quiet && recording.output.is_none());
    assert_eq!(view.color, ColorChoice::Auto);
    assert!(!run(&["--no-edges", "true"]).recording.edges);
}

#[test]
fn keys_need_a_file_and_all_that_passed() {
    let snaplen = |line: &[&str]| run(&[line, &["--tls-keys", "-o", "x.sst", "true"]].concat()).recording.snaplen_bytes;
    assert_eq!((snaplen(&[]), snaplen(&["--snaplen", "600"])), (65535, 600));
    let error = parse(&["run", "--tls-keys", "true"]).unwrap_err();
    assert!(error.exit_code() == 2 && error.to_string().contains("--output"), "{error}");
}

#[test]
fn sizes_have_suffixes_and_bounds() {
    for (text, bytes) in [("131072", 131072), ("96k", 96 << 10), ("1M", 1 << 20), ("4G", 4 << 30)] {
        assert_eq!(run(&["--region-size", text, "true"]).recording.region_bytes, bytes, "{text}");
    }
    for text in ["", "M", "64MB", "-1", "+1", "1.5G", "0", "4K", "5G", "99999999999999999999", "17179869184G"] {
        let error = parse(&["run", &format!("--region-size={text}"), "true"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().lines().next().unwrap().contains("--region-size"), "{error}");
    }
}

#[test]
fn a_bad_value_is_named_in_one_line_with_what_would_do() {
    let error = parse(&["run", "--snaplen", "70000", "true"]).unwrap_err();
    let line = error.to_string().lines().next().unwrap().to_owned();
    assert!(["70000", "--snaplen", "65535"].iter().all(|part| line.contains(part)), "{line}");
    assert_eq!(error.exit_code(), 2);
    assert_eq!(parse(&["show", "--color", "blue", "x"]).unwrap_err().kind(), ErrorKind::InvalidValue);
}

#[test]
fn where_a_number_is_asked_for_none_is_no_answer() {
    for line in [&["report", "--top", "0", "x"][..], &["explore", "--max", "0", "x"], &["explore", "--jobs", "0", "x"]]
    {
        let error = parse(line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line:?}");
        assert!(error.to_string().contains(line[1]), "{error}");
    }
    let error = parse(&["report", "--top=0", "x"]).unwrap_err().to_string();
    assert!(error.starts_with("error: invalid value '0' for '--top <N>': a number of 1 or more"), "{error}");
}

/// The verbs that stand in the help, as it lists them, and each with all that its own help has.
fn verbs() -> impl Iterator<Item = (clap::Command, clap::Command)> {
    let (listed, mut tool) = (Flags::command(), Flags::command().disable_help_subcommand(true));
    tool.build();
    let whole: Vec<clap::Command> = tool.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned().collect();
    let listed: Vec<clap::Command> = listed.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned().collect();
    assert_eq!(listed.len(), whole.len());
    listed.into_iter().zip(whole)
}

#[test]
fn help_starts_with_examples_and_says_what_the_verb_does() {
    for (listed, verb) in verbs() {
        let about = listed.get_about().unwrap().to_string();
        assert_eq!(verb.get_about().unwrap().to_string(), about);
        let help = parse(&[verb.get_name(), "--help"]).unwrap_err();
        assert_eq!((help.kind(), help.exit_code()), (ErrorKind::DisplayHelp, 0));
        let help = help.to_string();
        assert!(help.starts_with("Examples:\n") && help.contains(about.split(' ').next().unwrap()), "{help}");
        assert!(help.contains("Exit codes:") || ["lib", "completions"].contains(&verb.get_name()), "{help}");
        assert!(!help.contains("see a summary with"), "one help is enough: {help}");
    }
    for word in ["--help", "-h"] {
        let help = parse(&[word]).unwrap_err().to_string();
        assert!(help.starts_with("Examples:\n") && help.contains("Exit codes:"), "{help}");
        assert!(!help.contains(crate::demo::VERB), "the hidden verb should stay hidden: {help}");
    }
}

#[test]
fn what_is_not_wrapped_by_itself_fits_into_80_columns() {
    for command in verbs().map(|(_, verb)| verb).chain([Flags::command()]) {
        for text in [command.get_before_help(), command.get_after_help()].into_iter().flatten() {
            let text = text.to_string();
            text.lines().for_each(|line| assert!(line.len() <= 80, "{}: {line}", command.get_name()));
        }
    }
}

#[test]
fn every_example_can_be_parsed() {
    let all = verbs().map(|(_, verb)| verb).chain([Flags::command()]);
    let all: String = all.map(|command| command.get_before_help().unwrap().to_string() + "\n").collect();
    let lines = all.lines().map(str::trim).filter(|line| line.starts_with("sockshim "));
    for line in lines.clone() {
        // The comment is set off by three spaces; what the shell redirects is not for us. Quotes do not matter here.
        let line = line.split("   ").next().unwrap().split(" > ").next().unwrap();
        Flags::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    assert_eq!(lines.count(), if cfg!(feature = "tui") { 59 } else { 55 });
}

#[test]
fn limits_of_the_trace_need_a_file_and_room_and_exclude_each_other() {
    let limit = |line: &[&str]| run(&[line, &["-o", "x.sst", "true"]].concat()).recording.limit();
    assert_eq!(limit(&["--keep", "256M"]), Some(Limit::Keep(256 << 20)));
    assert_eq!(limit(&["--rotate", "1G"]), Some(Limit::Rotate(1 << 30)));
    assert_eq!(limit(&[]), None);
    for (line, word) in [
        (&["--keep", "1M"][..], "--output"),
        (&["--rotate", "1M"], "--output"),
        (&["-o", "x", "--keep", "1023K"], "1M at least"),
        (&["-o", "x", "--rotate", "0"], "1M at least"),
        (&["-o", "x", "--rotate", "many"], "--rotate"),
        (&["-o", "x", "--keep", "1M", "--rotate", "1M"], "cannot be used with"),
    ] {
        let error = parse(&[&["run"], line, &["true"]].concat()).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains(word), "{line:?}: {error}");
    }
}

#[test]
fn run_alone_is_parsed_as_among_all_verbs() {
    let lines = [
        "run x",
        "run -q -o t.sst -- x -o y",
        "run --keep 2M -o t.sst x",
        "run --tls-keys -o t.sst --snaplen 5 x",
        "run --inject connect:error=ECONNREFUSED --color never x --help",
        "run",
        "run -h",
        "run --help",
        "run --bogus x",
        "run --keep 2M x",
        "run --keep 1 -o t.sst x",
        "run --outputs",
        "run --version",
        "run -V",
        "run help",
    ];
    for line in lines {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let alone = Run::parse_alone(&words).map(Verb::Run);
        let among = parse(&line.split(' ').collect::<Vec<_>>());
        let told = |parsed: Result<Verb, clap::Error>| match parsed {
            Ok(verb) => format!("{verb:?}"),
            Err(error) => format!("{:?} {}", error.kind(), error.render().ansi()),
        };
        assert_eq!(told(alone), told(among), "{line}");
    }
}
