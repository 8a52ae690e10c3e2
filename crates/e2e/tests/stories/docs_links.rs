//! Every relative link in the repository's pages leads somewhere: to a file that is
//! there and, with an anchor, to a heading of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Folders that are not ours to check, besides hidden ones.
const SKIPPED: [&str; 2] = ["target", "node_modules"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() {
            if !name.starts_with('.') && !SKIPPED.contains(&name.as_str()) {
                pages(&path, found);
            }
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// A page's lines with the code blocks left out.
fn prose(page: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    page.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// The targets of `[text](target)`, code spans left out.
fn links(page: &str) -> Vec<String> {
    let spans = prose(page).flat_map(|line| line.split('`').step_by(2).map(str::to_owned));
    // A link's text may hold a code span: only its end is looked for.
    let mut found = Vec::new();
    for span in spans {
        for rest in span.split("](").skip(1) {
            found.extend(rest.split_once(')').map(|(target, _)| target.to_owned()));
        }
    }
    found
}

/// The anchors that GitHub gives to a page's headings.
fn anchors(page: &str) -> BTreeSet<String> {
    let headings = prose(page).filter(|line| line.starts_with('#'));
    let mut anchors = BTreeSet::new();
    for heading in headings {
        let text = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let again = (1..).map(|number| format!("{anchor}-{number}"));
        let anchor = std::iter::once(anchor.clone()).chain(again).find(|a| !anchors.contains(a));
        anchors.extend(anchor);
    }
    anchors
}

/// What is wrong with a link of the page at `from`; none if nothing is.
fn fault(from: &Path, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let folder = from.parent().unwrap();
    let target = if path.is_empty() { from.to_owned() } else { folder.join(path) };
    if !target.exists() {
        return Some(format!("{}: no file {link}", from.display()));
    }
    let missing = !anchor.is_empty()
        && !std::fs::read_to_string(&target).is_ok_and(|page| anchors(&page).contains(anchor));
    missing.then(|| format!("{}: no heading {link}", from.display()))
}

#[test]
fn every_link_leads_somewhere() {
    let mut found = Vec::new();
    pages(&root(), &mut found);
    assert!(found.iter().any(|page| page.ends_with("docs/PROTOCOL.md")), "{found:?}");
    let (mut checked, mut faults) = (0, Vec::new());
    for page in found {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in links(&text) {
            checked += 1;
            faults.extend(fault(&page, &link));
        }
    }
    assert!(checked > 50, "only {checked} links found");
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn links_are_found_and_wrong_ones_noticed() {
    let page = "# A `b`: c!\n## Twice\n## Twice\n[x](#a-b-c) and [`y`](z.md#w), `[no](no)`\n\
        ```\n[no](no)\n# no\n```\n";
    assert_eq!(links(page), ["#a-b-c", "z.md#w"]);
    let expected = ["a-b-c", "twice", "twice-1"].map(str::to_owned);
    assert_eq!(anchors(page), BTreeSet::from(expected));
    let readme = root().join("README.md");
    for good in ["https://example.com/x", "docs", "docs/ARCHITECTURE.md#rooms", "#start"] {
        assert_eq!(fault(&readme, good), None, "{good}");
    }
    for bad in ["nowhere.md", "docs/ARCHITECTURE.md#nowhere", "#nowhere", "Makefile#x"] {
        assert!(fault(&readme, bad).is_some(), "{bad}");
    }
}
