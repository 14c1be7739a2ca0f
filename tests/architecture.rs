//! What the design says is absent, is absent.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the workspace").to_owned()
}

/// What cargo says about the workspace. It reads no more crates than the build of this test has
/// downloaded: a machine without the crates of other platforms gets an answer, too.
fn metadata(more: &[&str]) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--offline"])
        .args(more)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {errors}");
    serde_json::from_slice(&output.stdout).expect("cargo's metadata")
}

/// This machine's platform, as cargo names it.
fn platform() -> String {
    let output = Command::new(env!("CARGO"))
        .arg("-vV")
        .output()
        .expect("cargo runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("cargo names its host").to_owned()
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().into_iter().flatten()
}

/// All Rust sources below a folder, with their text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.file_name().is_some_and(|name| name == "tests.rs") {
            // A module's tests.
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a text file");
            found.push((path, text));
        }
    }
    found
}

/// A file's lines of code, without comments and without its tests.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    text[..end]
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
}

/// The adapters, and how many lines each may have: what its framework forces, the mount of the
/// status page, and no policy.
const ADAPTERS: [(&str, usize); 5] = [
    // With the body of a refused request, which its server must not reset: shared with axum and
    // warp.
    ("tower", 560),
    ("axum", 250),
    ("actix", 510),
    // Its fairings can only lead elsewhere, and the answer's body has to discard the request's. It
    // drops header lines, and so has to ask at launch what happens to a client without one.
    ("rocket", 690),
    // Its rejections carry the application's words, so failed logins need methods that make them.
    // Only a filter can take a body, so a refused request's needs a branch of its own.
    ("warp", 510),
];

#[test]
fn core_names_no_framework_and_no_http_type() {
    let metadata = metadata(&["--no-deps"]);
    let core = packages(&metadata).find(|package| package["name"] == "ipwhois-guard-core");
    let dependencies = core.expect("core")["dependencies"]
        .as_array()
        .expect("a list");
    for dependency in dependencies.iter().filter(|d| d["kind"].is_null()) {
        let name = dependency["name"].as_str().expect("a name");
        let foreign = [
            "http", "hyper", "axum", "actix", "rocket", "warp", "tower", "redis",
        ];
        let is_foreign = foreign.iter().any(|foreign| name.starts_with(foreign));
        assert!(!is_foreign || name == "httpdate", "core depends on {name}");
    }
    for (path, text) in sources(&root().join("crates/ipwhois-guard-core/src")) {
        for line in code(&text) {
            for word in ["http::", "axum", "actix", "rocket", "warp"] {
                let names_it = line.to_lowercase().contains(word);
                assert!(!names_it, "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn adapters_hold_no_status_literal_and_parse_no_header() {
    for (adapter, _) in ADAPTERS {
        let folder = root().join(format!("crates/ipwhois-guard-{adapter}/src"));
        for (path, text) in sources(&folder) {
            for line in code(&text) {
                let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
                for word in words {
                    let is_status = word.len() == 3
                        && word.parse::<u16>().is_ok_and(|n| (100..600).contains(&n));
                    // No answer has it: by this number Rocket's request guards call the adapter's
                    // own catcher.
                    let is_private = adapter == "rocket" && word == "597";
                    assert!(!is_status || is_private, "{}: {line}", path.display());
                }
                for parsing in [
                    "parse::<Ip",
                    "to_str()",
                    "split(",
                    "X-Forwarded",
                    "x-forwarded",
                ] {
                    assert!(!line.contains(parsing), "{}: {line}", path.display());
                }
            }
        }
    }
}

#[test]
fn an_adapter_is_read_in_one_sitting() {
    for (adapter, limit) in ADAPTERS {
        let folder = root().join(format!("crates/ipwhois-guard-{adapter}/src"));
        let lines: usize = sources(&folder)
            .iter()
            .map(|(_, text)| code(text).filter(|line| !line.trim().is_empty()).count())
            .sum();
        assert!(lines <= limit, "{adapter}: {lines} lines");
    }
}

#[test]
fn no_dependency_needs_a_newer_compiler_than_the_workspace_promises() {
    let minor = |version: &str| -> Option<u32> { version.split('.').nth(1)?.parse().ok() };
    let metadata = metadata(&["--filter-platform", &platform()]);
    let own = packages(&metadata)
        .find(|package| package["name"] == "ipwhois-guard-core")
        .and_then(|package| package["rust_version"].as_str())
        .and_then(minor)
        .expect("a rust-version");
    for package in packages(&metadata) {
        let needed = package["rust_version"]
            .as_str()
            .and_then(minor)
            .unwrap_or(0);
        assert!(needed <= own, "{} needs 1.{needed}", package["name"]);
    }
}

#[test]
fn every_published_crate_has_its_documentation_in_its_readme() {
    for entry in fs::read_dir(root().join("crates")).expect("a folder") {
        let folder = entry.expect("an entry").path();
        let library = fs::read_to_string(folder.join("src/lib.rs")).expect("a library");
        let included = library.starts_with("#![doc = include_str!(\"../README.md\")]");
        assert!(included, "{}", folder.display());
    }
}

/// The maximum width of a line of prose, in characters: that of a line of code.
const WIDTH: usize = 100;

/// The lines of a file that hold prose, with their numbers: all of a text but its code and tables,
/// and the comments of a program. A line that no blank can break is as short as it can be.
fn wide_prose(path: &Path, text: &str) -> Vec<usize> {
    let is_text = path.extension().is_some_and(|extension| extension == "md");
    let mut in_code = false;
    let mut wide = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let words = line.trim_start();
        let prose = match words.strip_prefix("//") {
            Some(comment) if !is_text => comment.trim_start_matches(['/', '!']).trim_start(),
            None if !is_text => continue,
            _ => words,
        };
        if prose.starts_with("```") {
            in_code = !in_code;
        }
        let is_breakable = prose.split_whitespace().nth(1).is_some();
        if !in_code && !prose.starts_with('|') && is_breakable && line.chars().count() > WIDTH {
            wide.push(n + 1);
        }
    }
    wide
}

#[test]
fn prose_is_as_narrow_as_code() {
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_prose = name.ends_with(".md") || name.ends_with(".rs");
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if is_prose {
                let text = fs::read_to_string(&path).expect("a text file");
                let wide = wide_prose(&path, &text);
                assert!(wide.is_empty(), "{}: lines {wide:?}", path.display());
            }
        }
    }
}

#[test]
fn wide_prose_is_found_wherever_it_stands() {
    let wide = format!("{} end", "word ".repeat(25));
    let check = |path: &str, text: String, expected: &[usize]| {
        assert_eq!(wide_prose(Path::new(path), &text), expected, "{text}");
    };
    check("a.rs", format!("let a = 1;\n/// {wide}\n"), &[2]);
    check("a.rs", format!("let a = \"{wide}\";\n"), &[]);
    check(
        "a.md",
        format!("{wide}\n| {wide} |\n```\n{wide}\n```\n{wide}\n"),
        &[1, 6],
    );
    check("a.md", format!("- [{}](x)\n", "x".repeat(120)), &[1]);
    check("a.md", "x".repeat(120), &[]);
}
