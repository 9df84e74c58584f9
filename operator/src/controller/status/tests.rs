//! Conditions, from reports.
