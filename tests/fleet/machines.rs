//! Three machines: network namespaces with names of their own and cables between them.

use super::*;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// A server and two that ask it, as long as they live.
struct Machines([String; 3]);

impl Machines {
    fn new() -> Result<Machines, String> {
        let names = ["a", "b", "c"].map(|name| format!("fleet-{}-{name}", std::process::id()));
        let [a, b, c] = &names;
        let cable = |end: &str, number: u8| {
            format!(
                "ip link add veth{number} netns {a} type veth peer name veth0 netns {end} &&
                 ip -n {a} addr add 10.78.{number}.1/24 dev veth{number} && ip -n {end} addr add 10.78.{number}.2/24 dev veth0 &&
                 ip -n {a} link set veth{number} up && ip -n {end} link set veth0 up && ip -n {end} link set lo up"
            )
        };
        let make = names.iter().map(|name| format!("ip netns add {name}")).collect::<Vec<_>>().join(" && ");
        let script = format!("{make} && {} && {}", cable(b, 1), cable(c, 2));
        let machines = Machines(names.clone());
        let output = Command::new("sh").args(["-c", &script]).output().map_err(|e| e.to_string())?;
        if output.status.success() { Ok(machines) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
    }

    /// A run on one of them.
    fn run(&self, at: usize, part: &Part) -> Command {
        let mut command = Command::new("ip");
        let name = &self.0[at];
        let named = "hostname \"$0\" && exec \"$@\"";
        command.args(["netns", "exec", name, "unshare", "--uts", "sh", "-c", named, name]).arg(tool());
        command
            .args(["run", "-q", "-o"])
            .arg(&part.trace)
            .args(["--", "python3"])
            .arg(root().join("tests/fleet/host.py"));
        command
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for name in &self.0 {
            _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
        }
    }
}

#[test]
fn every_pipe_between_machines_is_found_and_no_other() {
    let test = "every_pipe_between_machines_is_found_and_no_other";
    if engines(test).is_empty() {
        return;
    }
    let machines = match Machines::new() {
        Ok(machines) => machines,
        Err(reason) => return println!("SKIPPED: {test}: no network namespaces here: {reason}"),
    };
    let folder = scratch(&format!("fleet.{}.machines", std::process::id()));
    let part = |name: &str, release| Part { trace: folder.join(name).with_extension("sst"), release };
    let parts = [part("server", "v1"), part("b", "v1"), part("c", "v2")];
    let mut server = machines.run(0, &parts[0]).args(["serve", "7"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut port = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let mut pipes = lines(machines.run(1, &parts[1]).args(["ask", "10.78.1.1", port.trim(), "3"]));
    pipes.extend(lines(machines.run(2, &parts[2]).args(["ask", "10.78.2.1", port.trim(), "4"])));
    assert!(server.wait().unwrap().success());
    assert_eq!(pipes.len(), 7);
    ask(test, &folder, &parts, &pipes);
    fs::remove_dir_all(folder).unwrap();
}
