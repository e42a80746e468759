//! The editions of a document have the same commands.

#[path = "support/built.rs"]
mod built;

use built::text;

/// The lines in fenced blocks of the console that people type.
fn commands(path: &str) -> Vec<String> {
    let text = text(path);
    let mut fence: Option<&str> = None;
    let mut commands = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("```"), fence) {
            (Some(language), None) => fence = Some(language),
            (Some(_), Some(_)) => fence = None,
            (None, Some("console")) if line.starts_with("$ ") => {
                // What is said of a command is translated.
                let typed = line.split(" #").next().unwrap_or(line);
                commands.push(typed.trim_end().to_owned());
            }
            _ => {}
        }
    }
    assert_eq!(fence, None, "{path}: a fenced block does not end");
    commands
}

#[track_caller]
fn same_commands(one: &str, other: &str) {
    let (one_has, other_has) = (commands(one), commands(other));
    assert!(!one_has.is_empty(), "{one} has no command");
    let missing = |from: &[String], of: &[String]| {
        from.iter().filter(|command| !of.contains(command)).cloned().collect::<Vec<_>>()
    };
    let (lacks, has_more) = (missing(&one_has, &other_has), missing(&other_has, &one_has));
    assert!(lacks.is_empty() && has_more.is_empty(), "{other} lacks {lacks:#?}, and {one} lacks {has_more:#?}");
    assert_eq!(one_has, other_has, "{one} and {other} have the same commands in another order");
}

#[test]
fn the_chinese_readme_has_the_same_commands() {
    same_commands("README.md", "README.zh.md");
}

#[test]
fn the_chinese_walk_has_the_same_commands() {
    same_commands("docs/FOUR_PHASES.md", "docs/FOUR_PHASES.zh.md");
}
