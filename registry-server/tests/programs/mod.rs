//! Programs of other people: where they are, and what happens to a test without one.

use std::ffi::OsString;

/// Says that a test was left out, which CI does not accept.
pub(crate) fn leave_out(test: &str, reason: &str) {
    eprintln!("LEFT OUT: {test} because {reason}");
    let in_ci = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(
        !in_ci,
        "with CI=true no test may be left out: {test}, because {reason}"
    );
}

/// Finds a program by the variable that names it, as `tests/run` does, or in `PATH`.
pub(crate) fn program(test: &str, variable: &str, name: &str) -> Option<OsString> {
    if let Some(program) = std::env::var_os(variable) {
        return Some(program);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        leave_out(
            test,
            &format!("{name} is neither in PATH nor named by {variable}"),
        );
    }
    found.map(Into::into)
}
