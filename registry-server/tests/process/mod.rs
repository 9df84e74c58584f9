//! The real program as a process.

#![allow(dead_code, reason = "each file of tests uses a part of it")]

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub(crate) mod image;

/// Longest time anything may take that takes no time.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The program, with nothing of this process's environment.
pub(crate) fn moorage_registry(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_moorage-registry"));
    command.env_clear().current_dir(folder).stdin(Stdio::null());
    command
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> Output {
    command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"))
}

/// Runs a program, which must succeed, and yields what it wrote.
pub(crate) fn succeed(command: &mut Command) -> String {
    let output = run(command);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// A server of ours. Stopped when dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) folder: TempDir,
    log: Arc<Mutex<String>>,
    address: SocketAddr,
}

impl Server {
    /// Starts on a port of its own in a folder of its own.
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), variables)
    }

    /// Starts in this folder.
    pub(crate) fn start_in(folder: TempDir, variables: &[(&str, &str)]) -> Self {
        let mut process = moorage_registry(folder.path())
            .env("REGISTRY_HTTP_ADDR", "127.0.0.1:0")
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let log = collect(process.stderr.take().expect("a pipe"));
        let mut server = Self {
            process,
            folder,
            log,
            address: ([127, 0, 0, 1], 0).into(),
        };
        server.address = server.until("its address", |server| address(&server.log()));
        server
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// `host:port/name`, as clients want it.
    pub(crate) fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("the log").clone()
    }

    /// Waits for something, and shows the log when it does not come.
    pub(crate) fn until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            let ended = self.process.try_wait().expect("a state");
            assert!(
                ended.is_none(),
                "the server ended ({ended:?}) before {what}; its log:\n{}",
                self.log()
            );
            assert!(
                Instant::now() < deadline,
                "waited in vain for {what}; the server's log:\n{}",
                self.log()
            );
            std::thread::yield_now();
        }
    }

    pub(crate) fn until_logged(&mut self, text: &str) {
        self.until(text, |server| server.log().contains(text).then_some(()));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, signal).expect("the signal is sent");
    }

    /// Waits for the end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(status) = self.process.try_wait().expect("a state") {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "the server does not end; its log:\n{}",
                self.log()
            );
            std::thread::yield_now();
        }
    }

    /// The most memory the process has had, in bytes.
    pub(crate) fn peak_memory(&self) -> u64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = std::fs::read_to_string(path).expect("the state of the process");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .expect("VmHWM");
        line.trim()
            .trim_end_matches(" kB")
            .parse::<u64>()
            .expect("a number")
            * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to stop.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address in the line in which the server says that it serves.
fn address(log: &str) -> Option<SocketAddr> {
    let line = log.lines().find(|line| line.contains("serving http"))?;
    let rest = line.split_once("address=")?.1;
    rest.split_whitespace().next()?.parse().ok()
}

/// Everything that comes out of a pipe, as it comes.
fn collect(pipe: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let log = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&log);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut log = into.lock().expect("the log");
            log.push_str(&line);
            log.push('\n');
        }
    });
    log
}
