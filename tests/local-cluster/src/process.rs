//! The cluster's long-running programs: started once, recorded on disk, found again, ended.
//!
//! A process id alone may belong to a stranger by tomorrow, so that a record also has the start time and the boot. Nothing
//! here ends a process that it cannot identify by all three.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{Read, Seek, SeekFrom},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::{
    info::write_private,
    progress::{Seen, wait_for},
};

/// SIGKILL takes effect as soon as the process leaves the kernel, which I/O can delay.
const DEATH: Duration = Duration::from_secs(20);
/// Lines of a log that are shown when its program fails.
const SHOWN_LINES: usize = 15;

/// A process that can be recognised later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) pid: u32,
    /// Clock ticks from boot to its start (proc(5), /proc/pid/stat, field 22).
    started: u64,
    boot: String,
}

impl Recorded {
    pub(crate) fn of(pid: u32) -> Result<Self> {
        let stat = Stat::read(pid).with_context(|| format!("process {pid} is gone"))?;
        Ok(Self {
            pid,
            started: stat.started,
            boot: boot_id()?,
        })
    }

    pub(crate) fn is_alive(&self) -> bool {
        boot_id().is_ok_and(|boot| boot == self.boot)
            && Stat::read(self.pid)
                .is_some_and(|stat| stat.started == self.started && !stat.is_dead())
    }

    /// Ends the process at once: whatever it would save on the way out is deleted with the cluster.
    pub(crate) fn kill(&self) -> Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        let pid = i32::try_from(self.pid)
            .ok()
            .and_then(Pid::from_raw)
            .with_context(|| format!("{} is no process id", self.pid))?;
        if let Err(error) = kill_process(pid, Signal::KILL) {
            // It may have ended between the look and the call.
            ensure!(
                !self.is_alive(),
                "failed to end process {}: {error}",
                self.pid
            );
        }
        wait_for(&format!("process {} to end", self.pid), DEATH, || {
            Ok(if self.is_alive() {
                Seen::NotYet("still there".to_owned())
            } else {
                Seen::Done(())
            })
        })
    }
}

/// What /proc tells about a process.
struct Stat {
    state: char,
    parent: u32,
    started: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(stat: &str) -> Option<Self> {
        // The second field is the program's name in parentheses and may itself have spaces and parentheses.
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let started = fields.nth(17)?.parse().ok()?;
        Some(Self {
            state,
            parent,
            started,
        })
    }

    /// A zombie has ended; its parent just has not asked yet.
    fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }
}

fn boot_id() -> Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    let id = fs::read_to_string(path).with_context(|| format!("failed to read {path}"))?;
    Ok(id.trim_end().to_owned())
}

/// The processes whose parent is `parent`.
pub(crate) fn children(parent: u32) -> Result<Vec<u32>> {
    let entries = fs::read_dir("/proc").context("failed to list /proc")?;
    Ok(entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| Stat::read(*pid).is_some_and(|stat| stat.parent == parent))
        .collect())
}

/// The cluster's processes by name, as recorded in `<state>/processes.json`.
pub(crate) struct Processes {
    file: PathBuf,
    logs: PathBuf,
    recorded: BTreeMap<String, Recorded>,
}

impl Processes {
    pub(crate) fn load(state: &Path, logs: PathBuf) -> Result<Self> {
        let file = state.join("processes.json");
        let recorded = match fs::read(&file) {
            Ok(content) => serde_json::from_slice(&content)
                .with_context(|| format!("failed to understand {}", file.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("failed to read {}", file.display()));
            }
        };
        Ok(Self {
            file,
            logs,
            recorded,
        })
    }

    pub(crate) fn is_alive(&self, name: &str) -> bool {
        self.recorded.get(name).is_some_and(Recorded::is_alive)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Recorded> {
        self.recorded.get(name)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.recorded.keys().cloned().collect()
    }

    pub(crate) fn record(&mut self, name: &str, process: Recorded) -> Result<()> {
        self.recorded.insert(name.to_owned(), process);
        write_private(&self.file, &serde_json::to_vec_pretty(&self.recorded)?)
    }

    /// Starts a program unless it runs; `true` when it had to be started.
    ///
    /// It gets nothing of the caller's environment but `PATH`: a proxy, a certificate bundle or a kubeconfig of the person at
    /// the keyboard must not reach the cluster.
    pub(crate) fn ensure(&mut self, name: &str, command: &mut Command) -> Result<bool> {
        if self.is_alive(name) {
            return Ok(false);
        }
        let path = self.log(name);
        // A condition read from the log must not be met by an earlier run; why that one ended must stay readable.
        let _ = fs::rename(&path, self.logs.join(format!("{name}.previous.log")));
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("failed to open {}", path.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("failed to start {name}"))?;
        self.record(name, Recorded::of(child.id())?)?;
        Ok(true)
    }

    pub(crate) fn kill(&mut self, name: &str) -> Result<()> {
        if let Some(process) = self.recorded.get(name) {
            process.kill()?;
        }
        Ok(())
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    /// Waits for a condition that `name` brings about; shows its log when it ends first, or when it takes too long.
    pub(crate) fn wait<T>(
        &self,
        name: &str,
        what: &str,
        patience: Duration,
        mut look: impl FnMut() -> Result<Seen<T>>,
    ) -> Result<T> {
        wait_for(what, patience, || {
            ensure!(self.is_alive(name), "{name} ended");
            look()
        })
        .map_err(|error| {
            let log = self.log(name);
            anyhow!(
                "{error:#}\nlast lines of {}:\n{}",
                log.display(),
                last_lines(&log)
            )
        })
    }
}

fn last_lines(path: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(16 * 1024)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => {
            let lines: Vec<&str> = text.lines().collect();
            let shown = lines
                .iter()
                .skip(lines.len().saturating_sub(SHOWN_LINES))
                .map(|line| format!("  {line}\n"));
            shown.collect()
        }
        Err(error) => format!("  ({error})"),
    }
}

/// The command of one of the cluster's own programs, in an environment of nothing but `PATH`.
pub(crate) fn clean_command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut path = path.into_string().unwrap_or_default();
    // Debian keeps ip, iptables and conntrack where an unprivileged shell does not look.
    path.push_str(":/usr/local/sbin:/usr/sbin:/sbin");
    command.env_clear().env("PATH", path);
    command
}

/// Runs a command to its end and returns what it printed; its error output is the error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let line = std::iter::once(program.clone())
        .chain(command.get_args().map(|a| a.to_string_lossy().into_owned()))
        .take(8)
        .collect::<Vec<_>>()
        .join(" ");
    let output = command
        .output()
        .with_context(|| format!("failed to run {program}"))?;
    ensure!(
        output.status.success(),
        "`{line}` failed ({}): {}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim_end(),
        String::from_utf8_lossy(&output.stdout).trim_end()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = Stat::parse("42 (a) b (c)) S 7 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 987654 0 0")
            .unwrap();
        assert_eq!((stat.state, stat.parent, stat.started), ('S', 7, 987_654));
    }

    #[test]
    fn a_process_that_started_at_another_time_is_a_stranger() {
        let me = Recorded::of(std::process::id()).unwrap();
        assert!(me.is_alive());
        let reused = Recorded {
            started: me.started + 1,
            ..me.clone()
        };
        assert!(!reused.is_alive());
        let rebooted = Recorded {
            boot: "another".to_owned(),
            ..me
        };
        assert!(!rebooted.is_alive());
    }

    #[test]
    fn a_process_that_ended_is_not_alive_even_before_its_parent_asks() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let recorded = Recorded::of(child.id()).unwrap();
        assert!(recorded.is_alive());
        recorded.kill().unwrap();
        assert!(!recorded.is_alive());
        child.wait().unwrap();
    }
}
