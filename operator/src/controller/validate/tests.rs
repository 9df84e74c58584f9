//! One table per kind of problem.
