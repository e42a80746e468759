//! The manual: `sockshim.1` and a page for each verb, made from the same texts as the help.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::flags::Flags;

/// When the texts were last gone through; pages have to have a date (man(7)).
const DATE: &str = "2026-11-24";

/// Writes every page into a folder, which is made if it is not there.
pub fn write(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
    for (name, page) in pages()? {
        let path = folder.join(name);
        fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Names and contents. Hidden verbs have no page.
fn pages() -> Result<Vec<(String, Vec<u8>)>> {
    let mut tool = Flags::command().disable_help_subcommand(true);
    tool.build();
    let verbs: Vec<Command> = tool.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned().collect();
    let names: Vec<String> = verbs.iter().map(page_name).collect();
    let mut pages = vec![page(tool, &names)?];
    for verb in verbs {
        pages.push(page(verb, &["sockshim".into()])?);
    }
    Ok(pages)
}

/// Such as `sockshim-run`.
fn page_name(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn page(command: Command, see_also: &[String]) -> Result<(String, Vec<u8>)> {
    let name = page_name(&command);
    let texts = [command.get_before_help(), command.get_after_help()].map(|text| text.map(ToString::to_string));
    let verbs = command.get_subcommands().any(|verb| !verb.is_hide_set());
    let man = Man::new(command).date(DATE).source(concat!("sockshim ", env!("CARGO_PKG_VERSION")));
    let man = man.manual("User Commands");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    let [before, after] = texts;
    let mut roff = Roff::new();
    if let Some(text) = before {
        examples(&mut roff, &text);
    }
    roff.to_writer(&mut page)?;
    man.render_options_section(&mut page)?;
    if verbs {
        man.render_subcommands_section(&mut page)?;
    }
    let mut roff = Roff::new();
    if let Some(text) = after {
        exit_status(&mut roff, &text);
    }
    roff.control("SH", ["SEE ALSO"]);
    let mut pages: Vec<String> = see_also.iter().map(|name| format!("{name}(1)")).collect();
    pages.push("sockshim(3)".into());
    roff.text([roman(pages.join(", "))]);
    roff.to_writer(&mut page)?;
    Ok((format!("{name}.1"), page))
}

/// `  command      what it is for`, or that in the next line, further indented.
fn examples(roff: &mut Roff, text: &str) {
    roff.control("SH", ["EXAMPLES"]);
    // A command is copied: it is neither hyphenated nor stretched.
    roff.control("nh", []).control("ad", ["l"]);
    let mut lines = text.lines().skip(1).peekable();
    while let Some(line) = lines.next() {
        let below = lines.next_if(|next| next.starts_with("   "));
        let (command, purpose) = match (line.trim().split_once("   "), below) {
            (Some((command, purpose)), None) => (command, purpose),
            (_, below) => (line.trim(), below.unwrap_or_default()),
        };
        roff.control("TP", []).text([bold(command)]).text([roman(purpose.trim())]);
    }
    roff.control("hy", []).control("ad", ["b"]);
}

/// `  125  what it means`, and lines that go on; in front of them what concerns them all.
fn exit_status(roff: &mut Roff, text: &str) {
    roff.control("SH", ["EXIT STATUS"]);
    for line in text.lines().skip(1).map(str::trim).filter(|line| !line.is_empty()) {
        match line.split_once(' ') {
            Some((code, meaning)) if code.bytes().all(|byte| byte.is_ascii_digit()) => {
                roff.control("TP", []).text([bold(code)]).text([roman(meaning.trim())]);
            }
            _ => {
                roff.text([roman(line)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_visible_verb_has_a_page_that_holds_its_help() {
        let pages = pages().unwrap();
        let text = |name: &str| {
            let (_, page) = pages.iter().find(|(file, _)| file == name).unwrap_or_else(|| panic!("no {name}"));
            String::from_utf8(page.clone()).unwrap()
        };
        let visible = Flags::command().get_subcommands().filter(|verb| !verb.is_hide_set()).count();
        assert_eq!(pages.len(), visible + 1);
        assert!(text("sockshim.1").contains("sockshim\\-doctor(1), "));
        let run = text("sockshim-run.1");
        for words in [".SH EXAMPLES\n", "\\fBsockshim run ", "\\-\\-snaplen", ".SH \"EXIT STATUS\"\n", "\\fB125\\fR"] {
            assert!(run.contains(words), "{words:?} is not in {run}");
        }
        // What an example is for is no command, and stands below it.
        assert!(
            run.contains("\\fBsockshim run \\-q \\-\\-metrics :9464 \\-\\- nginx\\fR\nnumbers for Prometheus\n"),
            "{run}"
        );
        assert!(run.contains("\\-\\- curl http://localhost/\\fR\na fault on demand"), "{run}");
    }
}
