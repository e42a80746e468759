//! `sockshim explore`.
