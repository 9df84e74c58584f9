//! The API types of Moorage.
