//! Any text as a configuration file: judged in clear lines that tell no secret.

/// Stands for a secret. Digits alone, so that it can be planted as a number too.
const SECRET: &str = "7391846250173";

/// What a text without a file is called.
const FILE: &str = "redcast.toml";

/// Where an operator may have written a secret, rightly or wrongly. Each is put
/// behind the input, `@` standing for the secret.
const PLANTS: [&str; 10] = [
    "[api]\nkey = \"@\"\n",
    "[api]\nkey = @\n",
    "[api]\nkey = [\"@\"]\n",
    "[api]\nkey = \"@\"\nkey_file = \"/nowhere/key\"\n",
    "[api]\nkey = \"@\n",
    "[redis]\nurl = \"redis://user:@@127.0.0.1:6379\"\n",
    "[redis]\nurl = \"nonsense://user:@@\"\n",
    "[redis]\nurl = \"@",
    "[auth]\nforward_url = \"http://user:@@127.0.0.1/auth\"\n",
    "[auth]\nforward_url = \"@\"\n",
];

/// The body of the target `config`.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // A file that is named is read, and these may have no end.
    if ["/dev", "/proc", "/sys"].iter().any(|folder| text.contains(folder)) {
        return;
    }
    judge(text);
    if !text.contains(SECRET) {
        // One each time, chosen by the input itself: ten would be ten times slower.
        let sum = data.iter().fold(0_usize, |sum, byte| sum + usize::from(*byte));
        let plant = PLANTS[sum % PLANTS.len()];
        let said = judge(&format!("{text}\n{}", plant.replacen('@', SECRET, 1)));
        assert!(!said.contains(SECRET), "{plant:?}: told in {said:?}");
    }
}

/// What the operator is told; empty if nothing is wrong.
///
/// Each thing that is wrong has a line of its own. Where a line begins with the
/// place, all do: text from the file never breaks out of its line.
fn judge(text: &str) -> String {
    let Err(told) = redcast::check_config_text(text) else { return String::new() };
    let place = told.split(':').next().filter(|first| *first == FILE).unwrap_or("");
    for line in told.split('\n') {
        assert!(!line.trim().is_empty(), "an empty line: {told:?}");
        assert!(line.starts_with(place), "a broken line: {told:?}");
        assert!(!line.contains('\r'), "a broken line: {told:?}");
    }
    assert!(!told.is_empty(), "refused without a word");
    told
}
