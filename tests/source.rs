//! About the sources: who may name whom, and that the library exports what the table, the header and
//! the documents say, imports next to nothing, and stays out of the tool.

#[path = "support/built.rs"]
mod built;
#[path = "support/openers.rs"]
mod openers;
#[path = "source/reading.rs"]
mod reading;

use built::{declared, lines, root, shim, text, tool};
use openers::openers;
use reading::{code, named, rust, sources, tokens};
use sockshim_format::op::Op;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Parts of the shim, and the parts that each may name. Downward only.
const LAYERS: &[(&str, &[&str])] = &[
    ("main", &[]),
    ("lib", &["abi", "lifecycle", "next"]),
    ("abi", &["abi", "filter", "hooks", "inject", "lifecycle", "recorder", "follow", "next", "stack", "sys", "arch"]),
    ("hooks", &["hooks", "filter", "inject", "recorder", "follow", "next", "sys", "arch"]),
    ("filter", &["inject", "recorder", "next", "sys"]),
    ("inject", &["inject", "recorder", "next", "sys"]),
    ("lifecycle", &["recorder", "config", "filter", "follow", "inject", "sys"]),
    ("follow", &["config", "stack", "sys"]),
    ("stack", &["arch"]),
    ("recorder", &["recorder", "next", "sys", "arch"]),
    ("config", &["arch"]),
    ("next", &["arch"]),
    ("sys", &["arch"]),
    ("arch", &["arch"]),
];

/// What only `src/arch` may say: which processor this is, and its instructions. (`#[cfg]` picks the rows of
/// `syscall()` that a processor has no numbers for.)
const OF_A_PROCESSOR: &[&str] = &["asm", "global_asm", "naked_asm", "x86_64", "aarch64", "target_arch"];

/// Where a part may name only some of another: (who, of whom, what). Names that begin with a capital
/// letter are types and constants.
const NARROW: &[(&str, &str, &[&str])] = &[
    // The gate, and the types that rows and hooks hand to one another. Never a chunk, never a byte.
    (
        "abi",
        "recorder",
        &["self", "gate", "is_off", "is_plain", "call", "descriptors", "verdict", "MODE", "MODE_UNKNOWN"],
    ),
    ("recorder", "next", &["errno"]),
    // What the dynamic linker knows of the processor.
    ("recorder/clock", "next", &["self", "find"]),
    // Which descriptor a stream that is closed has.
    ("filter", "next", &["self", "fileno"]),
    (
        "hooks/process",
        "recorder",
        &[
            "self",
            "call",
            "clock",
            "descriptors",
            "forked",
            "gate",
            "log",
            "may_ask",
            "ask_ahead",
            "region",
            "tcp",
            "thread",
            "MAY_ASK",
        ],
    ),
    ("hooks/raw", "recorder", &["call", "verdict"]),
    ("hooks/execute", "recorder", &["self", "as_vfork_parent", "call", "descriptors"]),
    ("hooks", "recorder", &["self", "asks_edges", "call", "descriptors", "may_ask"]),
    // errno only where a resolver's result says that it counts.
    ("hooks/resolve", "next", &["self", "errno", "Fn"]),
    // The two functions that exec goes on to with another environment are not rows of their own there.
    ("hooks/execute", "next", &["fileno", "Behind", "Fn", "Slot"]),
    ("hooks", "next", &["self", "fileno", "pending", "Fn"]),
];

/// Words that a part may not contain at all.
const NEVER: &[(&str, &[&str])] = &[
    ("hooks", &["Window", "Extension", "Commit", "chunk"]),
    ("crates/cli/src/views", &["region", "records", "Batch", "Commit", "Extension", "Header"]),
    ("crates/cli/src/export", &["region", "records", "Batch", "Commit", "Extension", "Header"]),
];

#[test]
fn paths_are_found_in_code_and_nowhere_else() {
    let code = "use crate::{a::{self, X}, b}; // crate::c\nlet s = \"crate::d\"; let c = '\"'; crate::e::f();";
    assert_eq!(named(&tokens(code), "crate").into_iter().collect::<Vec<_>>(), ["a", "b", "e"]);
}

#[test]
fn imports_go_downward() {
    let mut wrong = Vec::new();
    for path in code("src") {
        // src/hooks/connect.rs: hooks/connect, of the part hooks
        let module = path.trim_start_matches("src/").trim_end_matches(".rs");
        let part = module.split('/').next().unwrap();
        let Some((_, may)) = LAYERS.iter().find(|(name, _)| *name == part) else {
            wrong.push(format!("{path} is in no layer"));
            continue;
        };
        let code = rust(&path);
        let uses = named(&code, "crate").into_iter().filter(|name| !may.contains(&&**name));
        wrong.extend(uses.map(|name| format!("{path} uses crate::{name}")));
        for whole in ["recorder", "next"] {
            let narrow = |key: &str| NARROW.iter().find(|(who, of, _)| *who == key && *of == whole);
            let Some((_, _, may)) = narrow(module).or_else(|| narrow(part)) else { continue };
            // Fn0 to Fn8 are all one.
            let short = |name: &String| name.strip_prefix("Fn").map_or(name.clone(), |_| "Fn".to_owned());
            let uses = named(&code, whole).into_iter().filter(|name| !may.contains(&&*short(name)));
            wrong.extend(uses.map(|name| format!("{path} uses {whole}::{name}")));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn nobody_sees_more_than_is_theirs() {
    let mut wrong = Vec::new();
    for (part, words) in NEVER {
        let folder = if part.contains('/') { (*part).to_owned() } else { format!("src/{part}") };
        for path in code(&folder) {
            let code: BTreeSet<String> = rust(&path).into_iter().collect();
            wrong.extend(words.iter().filter(|word| code.contains(**word)).map(|word| format!("{path} names {word}")));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn one_place_knows_the_processor() {
    for path in sources("src").iter().filter(|path| !path.starts_with("src/arch/")) {
        let found: Vec<_> = rust(path).into_iter().filter(|token| OF_A_PROCESSOR.contains(&token.as_str())).collect();
        let expected: &[&str] = if path == "src/hooks/raw.rs" { &["target_arch"; 5] } else { &[] };
        assert_eq!(found, expected, "{path}");
    }
}

#[test]
fn nobody_links_the_shim() {
    let mut wrong = Vec::new();
    for crate_ in fs::read_dir(root().join("crates")).unwrap().map(|entry| entry.unwrap().path()) {
        let manifest = fs::read_to_string(crate_.join("Cargo.toml")).unwrap();
        for line in manifest.lines() {
            let name = line.split(['=', '.', ' ']).next().unwrap();
            let may: &[&str] = match crate_.file_name().unwrap().to_str().unwrap() {
                "format" | "link" => &[],
                "reader" => &["sockshim-format"],
                "harness" => &["sockshim-format", "sockshim-reader", "sockshim-link"],
                _ => &["sockshim-format", "sockshim-reader"],
            };
            if name.starts_with("sockshim") && !may.contains(&name) {
                wrong.push(format!("{}: {line}", crate_.display()));
            }
        }
    }
    // An rlib that exports `close` interposes every binary that names it.
    for path in ["tests", "benches", "crates"].into_iter().flat_map(sources).chain(["src/main.rs".to_owned()]) {
        if !named(&rust(&path), "sockshim").is_empty() {
            wrong.push(format!("{path} names the library crate"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    let all = ["src", "crates", "tests"].into_iter().flat_map(sources);
    // Unit tests beside the code are of the file that declares them.
    let silent: Vec<String> =
        all.filter(|path| !path.ends_with("tests.rs") && !text(path).starts_with("//! ")).collect();
    assert!(silent.is_empty(), "no //! comment at the beginning of {silent:?}");
}

/// The dynamic symbols of a binary: type and name without its version.
fn symbols(binary: &Path, which: &str) -> Vec<(char, String)> {
    let lines = lines(Command::new("nm").args(["-D", which]).arg(binary));
    let mut symbols: Vec<(char, String)> = Vec::new();
    for line in &lines {
        let mut words = line.split_whitespace().rev();
        let name = words.next().unwrap().split('@').next().unwrap();
        symbols.push((words.next().unwrap().chars().next().unwrap(), name.to_owned()));
    }
    symbols
}

fn exports() -> BTreeSet<String> {
    let mut symbols = symbols(&shim(), "--defined-only");
    // The name of their version is a symbol of its own.
    symbols.retain(|symbol| *symbol != ('A', "SOCKSHIM_0".to_owned()));
    let strange: Vec<_> = symbols.iter().filter(|(kind, _)| *kind != 'T').collect();
    assert!(strange.is_empty(), "the library exports what is no function: {strange:?}");
    symbols.into_iter().map(|(_, name)| name).collect()
}

fn interposed() -> BTreeSet<String> {
    Op::ALL.iter().map(|op| op.symbol().to_owned()).chain(openers()).collect()
}

/// Fails with what only one of the two has.
fn same(left: &str, right: &str, a: &BTreeSet<String>, b: &BTreeSet<String>) {
    let (only_a, only_b): (Vec<_>, Vec<_>) = (a.difference(b).collect(), b.difference(a).collect());
    assert!(only_a.is_empty() && only_b.is_empty(), "\nonly {left}: {only_a:?}\nonly {right}: {only_b:?}");
}

#[test]
fn the_library_exports_the_table() {
    let exports = exports().into_iter().filter(|name| !name.starts_with("sockshim_")).collect();
    same("exported", "in the table", &exports, &interposed());
}

#[test]
fn the_library_exports_the_header() {
    let exports = exports().into_iter().filter(|name| name.starts_with("sockshim_")).collect();
    same("exported", "in sockshim.h", &exports, &declared());
}

#[test]
fn every_function_is_documented_once() {
    let doc = text("docs/FUNCTIONS.md");
    let mut phase = "";
    let mut documented = BTreeSet::new();
    for line in doc.lines() {
        phase = line.strip_prefix("## ").unwrap_or(phase);
        // | `socket` | socket(2) | always | ... |
        let Some(cells) = line.strip_prefix("| `").map(|row| row.split(" | ").collect::<Vec<_>>()) else { continue };
        let symbol = cells[0].trim_end_matches('`');
        assert!(cells.len() == 4, "a row has not four cells: {line}");
        assert!(documented.insert(symbol.to_owned()), "{symbol} has two rows");
        let op = Op::ALL.iter().find(|op| op.symbol() == symbol);
        let stands_in = op.map(|op| op.phase().name()).or(openers().contains(symbol).then_some("files"));
        assert_eq!(stands_in.unwrap_or("nowhere"), phase.to_lowercase(), "{symbol}");
        // An alias says of what.
        let base = op.map_or(symbol, |op| op.name());
        let mut alike = Op::ALL.iter().filter(|other| other.name() == base && other.symbol() != symbol);
        let says = alike.any(|other| cells[3].contains(&format!("`{}`", other.symbol())));
        assert!(base == symbol || says, "{symbol} is another name of {base}");
    }
    same("in docs/FUNCTIONS.md", "in the table", &documented, &interposed());
}

#[test]
fn the_tool_is_not_interposed() {
    let own: Vec<String> = symbols(&tool(), "--defined-only")
        .into_iter()
        .map(|(_, name)| name)
        .filter(|name| name.starts_with("sockshim_") || interposed().contains(name))
        .collect();
    assert!(own.is_empty(), "the tool has the shim in it: {own:?}");
    let imports = symbols(&tool(), "--undefined-only");
    assert!(imports.contains(&('U', "write".to_owned())), "the tool does not import libc's write");
}

#[test]
fn the_shim_needs_next_to_nothing() {
    // What the compiler makes of copies and comparisons, and the few names that `next`, `clock`,
    // `config` and `follow` say why of. Each one more is a thing that can be interposed, or not be there.
    const MAY: &[&str] = &[
        "__errno_location",
        "__fpending",
        "__h_errno_location",
        "bcmp",
        "clock_gettime",
        "dl_iterate_phdr",
        "dlsym",
        "environ",
        "__environ", // the same, as GNU ld may call it
        "fileno",
        "memcmp",
        "memcpy",
        "memmove",
        "memset",
        "strlen",
    ];
    // Weak: crt1, the unwinder's registration, and what only glibc has.
    const MAY_WEAKLY: &[&str] = &[
        "_ITM_deregisterTMCloneTable",
        "_ITM_registerTMCloneTable",
        "__cxa_finalize",
        "__gmon_start__",
        "__libc_stack_end",
    ];
    let strange: Vec<_> = symbols(&shim(), "--undefined-only")
        .into_iter()
        .filter(|(kind, name)| !(MAY.contains(&&**name) || *kind == 'w' && MAY_WEAKLY.contains(&&**name)))
        .collect();
    assert!(strange.is_empty(), "the shim imports {strange:?}: is it linked by GNU ld?");

    let dynamic = lines(Command::new("readelf").args(["-d", "-W"]).arg(shim()));
    let needed: BTreeSet<&str> = dynamic
        .iter()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split(['[', ']']).nth(1))
        .collect();
    assert!(needed.contains("libc.so.6"), "{needed:?}");
    // Anything more, and a child for another libc would not start.
    assert_eq!(needed.len(), 1, "the shim needs {needed:?}");
}

#[test]
fn the_shim_cannot_panic() {
    let lines = lines(Command::new("nm").arg(shim()));
    assert!(lines.iter().any(|line| line.ends_with(" T connect")), "the library is stripped: nothing can be told");
    let panics: Vec<_> =
        lines.iter().filter(|line| line.contains("panick") || line.contains("unwrap_failed")).collect();
    assert!(panics.is_empty(), "{panics:#?}");
}

#[test]
fn clippy_knows_what_the_shim_may_not_call() {
    let rules = text("clippy.toml");
    let forbidden: BTreeSet<&str> = rules.split("\"libc::").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let missing: Vec<String> = text("src/abi/table.rs")
        .lines()
        .filter_map(|line| line.split_once(" libc => fn ")?.1.split('(').next().map(str::to_owned))
        .filter(|name| !forbidden.contains(&**name))
        .collect();
    assert!(missing.is_empty(), "clippy.toml lets the shim call {missing:?}, which it exports");
}
