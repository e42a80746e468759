//! Faults on demand, the tool's part: reads the plan, says what is wrong in it, and hands it to the shim.

pub mod explore;

use std::fs;
use std::path::Path;

use sockshim_format::plan::{Mistake, parse};

/// The variable that the shim finds its plan in.
pub const VARIABLE: &str = "SOCKSHIM_INJECT";
/// Bytes of a plan: the shim carries it into every program that is executed.
const MOST: usize = 4096;

/// `--inject`: rules as they are.
///
/// # Errors
///
/// A word is none: says which, and what would be one.
pub fn rules(text: &str) -> Result<String, String> {
    parse(text).map(|_| text.to_owned()).map_err(|mistake| pointed(text, 0, &mistake))
}

/// `--inject-file`: rules out of a file, without its comments.
///
/// # Errors
///
/// It cannot be read, or a word is none.
pub fn file(path: &str) -> Result<String, String> {
    let text = fs::read_to_string(Path::new(path)).map_err(|error| format!("{error}; name a file with rules in it"))?;
    parse(&text).map_err(|mistake| pointed(&text, 1, &mistake))?;
    let rules = text.lines().map(|line| line.split('#').next().unwrap_or(line).trim());
    Ok(rules.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" "))
}

/// All rules as one plan; `None` without any.
///
/// # Errors
///
/// They are too many together.
pub fn plan(rules: &[String], files: &[String]) -> anyhow::Result<Option<String>> {
    let all = files.iter().chain(rules).map(String::as_str).collect::<Vec<_>>().join(" ");
    if all.trim().is_empty() {
        return Ok(None);
    }
    parse(&all).map_err(|mistake| anyhow::anyhow!("the rules of --inject together: {}", pointed(&all, 0, &mistake)))?;
    anyhow::ensure!(all.len() <= MOST, "the rules of --inject have {} bytes together; {MOST} at most", all.len());
    Ok(Some(all))
}

/// The mistake, and the line that it is in, with the word underlined. Lines are counted from `first`, or not at all.
fn pointed(text: &str, first: usize, mistake: &Mistake) -> String {
    let start = text[..mistake.at.start].rfind('\n').map_or(0, |at| at + 1);
    let line = text[start..].lines().next().unwrap_or("");
    let word = &text[mistake.at.clone()];
    let place = match first {
        0 => String::new(),
        first => format!("line {}: ", first + text[..start].matches('\n').count()),
    };
    let before = text[start..mistake.at.start].chars().count();
    let (indent, marks) = (" ".repeat(before), "^".repeat(word.chars().count().max(1)));
    format!("{place}`{word}` is {}\n\n    {line}\n    {indent}{marks}", mistake.why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_shown_where_it_stands() {
        let told = rules("connect:error=ECONREFUSED:when=2+").expect_err("no errno");
        let (line, marks) = told.split_once("\n\n    ").and_then(|(_, lines)| lines.split_once("\n    ")).expect(&told);
        assert_eq!(line.find("error="), marks.find('^'), "{told}");
        assert_eq!(marks.trim(), "^".repeat("error=ECONREFUSED".len()), "{told}");
        assert!(told.starts_with("`error=ECONREFUSED` is no errno"), "{told}");
    }

    #[test]
    fn rules_of_several_options_are_one_plan() {
        let two = ["connect:error=EINTR".to_owned(), "seed=7".to_owned()];
        assert_eq!(
            plan(&two, &["accept:error=EMFILE".to_owned()]).unwrap().unwrap(),
            "accept:error=EMFILE connect:error=EINTR seed=7"
        );
        assert_eq!(plan(&[], &[]).unwrap(), None);
        let many = vec!["close:error=EIO".to_owned(); 33];
        assert!(plan(&many, &[]).unwrap_err().to_string().contains("32 rules at most"));
    }
}
