//! About `docs/LIMITATIONS.md`: whatever is said not to work, a test shows.

#[path = "support/built.rs"]
mod built;

use built::{root, text};

#[test]
fn every_limitation_names_the_test_that_shows_it() {
    let doc = text("docs/LIMITATIONS.md");
    let mut wrong = Vec::new();
    for item in doc.split("\n- ").skip(1) {
        let item = item.split("\n\n").next().unwrap();
        let named = item.split('`').skip(1).step_by(2).filter(|name| name.ends_with(".c") || name.ends_with(".rs"));
        let missing: Vec<&str> = named.clone().filter(|name| !root().join(name).exists()).collect();
        let shown =
            named.count() > 0 || item.split_whitespace().collect::<Vec<_>>().join(" ").contains("known from reading");
        if !missing.is_empty() || !shown {
            wrong.push(format!("{missing:?} {}", item.lines().next().unwrap_or_default()));
        }
    }
    assert!(wrong.is_empty(), "no test, or none that exists:\n{}", wrong.join("\n"));
}
