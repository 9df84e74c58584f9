//! A Docker engine of a test's own, beside whatever engine the machine may have.

use std::{
    ffi::OsString,
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Instant,
};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use crate::{
    process::{SOON, run, succeed},
    programs::{leave_out, program},
};

/// Stopped when dropped.
pub(crate) struct Engine {
    process: Child,
    client: OsString,
    folder: TempDir,
}

impl Engine {
    /// `None`, having said so, where none can be started.
    pub(crate) fn start(test: &str) -> Option<Self> {
        let client = program(test, "MOORAGE_DOCKER", "docker")?;
        let engine = program(test, "MOORAGE_DOCKERD", "dockerd")?;
        if !geteuid().is_root() {
            leave_out(test, "only root can start a Docker engine");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("context")).expect("a folder");
        // Not the machine's: an option that is both there and here is an error.
        fs::write(folder.path().join("daemon.json"), "{}").expect("written");
        let log = fs::File::create(folder.path().join("log")).expect("a log");
        let option = |name: &str, place: &str| {
            let mut option = OsString::from(format!("--{name}="));
            option.push(folder.path().join(place));
            option
        };
        let process = Command::new(engine)
            .args([
                option("config-file", "daemon.json"),
                option("data-root", "data"),
                option("exec-root", "exec"),
                option("pidfile", "pid"),
            ])
            .arg(format!("--host={}", address(folder.path())))
            // Nothing is run in it, and the machine's network is none of its business.
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("the engine starts");
        let mut engine = Self {
            process,
            client,
            folder,
        };
        if let Err(reason) = engine.until_ready() {
            leave_out(test, &reason);
            return None;
        }
        Some(engine)
    }

    fn until_ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + SOON;
        while !run(&mut self.docker(&["version"])).status.success() {
            let ended = self.process.try_wait().map_err(|error| error.to_string())?;
            if ended.is_some() || Instant::now() > deadline {
                return Err(format!(
                    "no Docker engine can be started here ({ended:?}): {}",
                    self.log().lines().last().unwrap_or_default()
                ));
            }
        }
        Ok(())
    }

    fn docker(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.client);
        command
            .args(arguments)
            .current_dir(self.folder.path().join("context"))
            .env("DOCKER_HOST", address(self.folder.path()))
            .env("DOCKER_CONFIG", self.folder.path().join("config"))
            // A newer client would look for a builder of its own.
            .env("DOCKER_BUILDKIT", "0");
        for another in ["DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_API_VERSION"] {
            command.env_remove(another);
        }
        command
    }

    /// Runs the client, which must succeed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        succeed(&mut self.docker(arguments))
    }

    /// Runs the client, which must fail. Yields what it complains about.
    pub(crate) fn refused(&self, arguments: &[&str]) -> String {
        let output = run(&mut self.docker(arguments));
        assert!(!output.status.success(), "docker {arguments:?} succeeds");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// The digest of the configuration of an image, and so of its content.
    pub(crate) fn id(&self, reference: &str) -> String {
        self.run(&["inspect", "--format", "{{.Id}}", reference])
    }

    /// Writes a file that can be built into an image.
    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.folder.path().join("context").join(name), content).expect("written");
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Lets the engine stop by itself, since it has processes and mounts of its own.
    fn stop(&mut self) -> Option<ExitStatus> {
        // It may have ended by itself.
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        let deadline = Instant::now() + SOON;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.process.try_wait() {
                return Some(status);
            }
            std::thread::yield_now();
        }
        None
    }

    fn mounts(&self) -> Vec<PathBuf> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(1).map(PathBuf::from))
            .filter(|place| place.starts_with(self.folder.path()))
            .collect()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let status = self.stop();
        if status.is_none() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
        let left = self.mounts();
        // The innermost come last.
        for place in left.iter().rev() {
            let _ = Command::new("umount").arg("--lazy").arg(place).status();
        }
        let clean = left.is_empty() && status.is_some_and(|status| status.signal().is_none());
        assert!(
            clean || std::thread::panicking(),
            "the engine ended with {status:?} and left {left:?}; its log:\n{}",
            self.log()
        );
    }
}

fn address(folder: &Path) -> String {
    format!("unix://{}", folder.join("socket").display())
}
