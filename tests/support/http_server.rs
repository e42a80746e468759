//! A web server that is nearly everywhere.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

/// Python's server in a folder of its own, and the port that it chose.
pub fn http_server(folder: &Path) -> Option<(std::process::Child, String)> {
    let mut python = Command::new("python3");
    python.args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]).current_dir(folder);
    let mut server = python.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let mut line = String::new();
    BufReader::new(server.stdout.take()?).read_line(&mut line).ok()?;
    // Serving HTTP on 127.0.0.1 port 40331 (http://127.0.0.1:40331/) ...
    let port = line.split(" port ").nth(1)?.split(' ').next()?.to_owned();
    Some((server, port))
}
