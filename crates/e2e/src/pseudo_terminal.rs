//! A terminal that a test looks at: what a program says only to people.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tokio::sync::watch;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

/// A pseudo-terminal.
pub struct PseudoTerminal {
    keyboard: File,
    /// Held, so that what was shown is not lost between two programs.
    screen: File,
    shown: watch::Receiver<Vec<u8>>,
}

impl PseudoTerminal {
    /// Opens one.
    pub fn open() -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("a pseudo-terminal");
        grantpt(&master).expect("the terminal may be used");
        unlockpt(&master).expect("the terminal can be unlocked");
        let name = ptsname(&master, Vec::new()).expect("the terminal has a name");
        let path = PathBuf::from(std::ffi::OsStr::from_bytes(name.as_bytes()));
        // Not becoming this process's own terminal takes no flag: it has no need of one
        // and is no session leader.
        let screen = OpenOptions::new().read(true).write(true).open(path).expect("its other end");
        let keyboard = File::from(master);
        let mut output = keyboard.try_clone().expect("its end can be shared");
        let (keep, shown) = watch::channel(Vec::new());
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The last program's end is an error here, and so is the test's.
            while let Ok(count) = output.read(&mut buffer)
                && count > 0
            {
                keep.send_modify(|shown| shown.extend_from_slice(&buffer[..count]));
            }
        });
        Self { keyboard, screen, shown }
    }

    /// The terminal as a program's input or output.
    pub fn stdio(&self) -> Stdio {
        Stdio::from(self.screen.try_clone().expect("the terminal can be shared"))
    }

    /// Types.
    pub fn type_text(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).expect("the terminal takes it");
    }

    /// Everything that it has shown so far.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.shown.borrow()).into_owned()
    }

    /// Waits until it shows this; answers everything that it has shown.
    pub async fn until_shown(&self, text: &str) -> String {
        let mut shown = self.shown.clone();
        let holds = |shown: &Vec<u8>| String::from_utf8_lossy(shown).contains(text);
        let waiting = timeout(PATIENCE, shown.wait_for(holds)).await.is_ok();
        assert!(waiting, "{text:?} is not shown: {:?}", self.shown());
        self.shown()
    }
}
