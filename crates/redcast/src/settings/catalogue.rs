//! What defaults.toml says of each key, read from its comments: the one source of
//! descriptions, for the schema and the docs alike.

use super::DEFAULTS;

/// One section, in the order of the file.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    /// Whether it is a list of tables.
    pub(crate) is_list: bool,
    pub(crate) description: String,
    pub(crate) entries: Vec<Entry>,
}

/// One key of a section.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: &'static str,
    pub(crate) description: String,
    /// The value as TOML.
    pub(crate) value: &'static str,
    /// Whether the value is set, or stands in a comment as an example.
    pub(crate) is_set: bool,
}

/// Reads defaults.toml. A comment belongs to the key or the section right below it.
pub(crate) fn catalogue() -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    for line in DEFAULTS.lines() {
        let (is_set, text) = match line.strip_prefix('#') {
            Some(text) => (false, text.trim()),
            None => (true, line.trim()),
        };
        if let Some((name, is_list)) = header(text) {
            let description = sentence(&mut comment);
            sections.push(Section { name, is_list, description, entries: Vec::new() });
        } else if let (Some((key, value)), Some(section)) = (pair(text), sections.last_mut()) {
            let description = sentence(&mut comment);
            section.entries.push(Entry { key, description, value, is_set });
        } else if text.is_empty() {
            comment.clear();
        } else {
            comment.push(text);
        }
    }
    sections
}

fn sentence(comment: &mut Vec<&str>) -> String {
    std::mem::take(comment).join(" ")
}

fn header(text: &'static str) -> Option<(&'static str, bool)> {
    let list = text.strip_prefix("[[").and_then(|rest| rest.strip_suffix("]]"));
    let table = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    list.map(|name| (name, true)).or(table.map(|name| (name, false)))
}

fn pair(text: &'static str) -> Option<(&'static str, &'static str)> {
    let (key, value) = text.split_once(" = ")?;
    let is_key = key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    is_key.then_some((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_and_key_is_described() {
        let sections = catalogue();
        assert!(sections.iter().any(|section| section.name == "channels" && section.is_list));
        for section in &sections {
            assert!(section.description.ends_with('.'), "[{}]", section.name);
            for Entry { key, description, .. } in &section.entries {
                assert!(description.ends_with(['.', ')']), "{}.{key}: {description}", section.name);
            }
        }
    }
}
