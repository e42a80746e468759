//! Real programs on loopback: each behaves under the shim as it does without, and what was recorded
//! is what happened, by the programs' own account of it.
//!
//! ```text
//! harness    a program in each of the five ways of being with us or without; skipping
//! server     a program that runs meanwhile
//! recorded   a trace, and what every trace must satisfy
//! web        an HTTP server in this process, which nobody traces and which counts what passes
//! the rest   one program, or family of programs, each
//! ```
//! A program that is not installed makes its test print SKIPPED, or fail under
//! `SOCKSHIM_REQUIRE_PROGRAMS=1`. `SOCKSHIM_TOOL` names another tool than `target/release/sockshim`.
//! All traffic stays on 127.0.0.1 and ::1; every wait is bounded by [`harness::PATIENCE`].

mod harness;
mod recorded;
mod server;
mod web;

mod chromium;
mod curl;
mod git;
mod java;
mod nginx;
mod node;
mod openssl;
mod postgres;
mod python;
mod redis;
mod socat;
mod ssh;
mod threads;
mod wget;
