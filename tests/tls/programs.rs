//! Programs with OpenSSL, as clients and as servers, and others: what each of them needs for its keys to be there.

use super::*;

/// Runs a client by itself and recorded against a server that nobody records, and looks for its request.
fn client(folder: &Folder, name: &str, command: &[&str]) {
    let run = folder.recorded(name, command);
    assert!(!run.output.stdout.is_empty(), "{name} got no answer");
    assert!(run.keys().len() >= 4, "{name}: {:?}", run.keys());
    assert_eq!(run.tshark("http.request", "http.request.uri"), ["/page"], "{name}");
}

#[test]
fn clients_of_every_kind_are_read() {
    if !all_there(&["openssl", "tshark"]) {
        return;
    }
    let folder = Folder::new("clients");
    let (server, port) = s_server(&folder, None, "8");
    // It reads SSLKEYLOGFILE never, but for -keylogfile.
    let ask = format!(
        "printf 'GET /page HTTP/1.0\\r\\n\\r\\n' | openssl s_client -connect 127.0.0.1:{port} -quiet -ign_eof 2>/dev/null"
    );
    client(&folder, "s_client", &["sh", "-c", &ask]);
    let url = format!("https://localhost:{port}/page");
    // Its module opens libssl for itself alone.
    let python = format!(
        "import socket, ssl\n\
         context = ssl.create_default_context(cafile='certificate')\n\
         context.keylog_filename = None\n\
         tcp = socket.create_connection(('127.0.0.1', {port}))\n\
         with context.wrap_socket(tcp, server_hostname='localhost') as tls:\n\
         \x20   tls.sendall(b'GET /page HTTP/1.0\\r\\n\\r\\n')\n\
         \x20   print(tls.recv(1000))"
    );
    let exit = |program: &str| there(program);
    if exit("python3") {
        client(&folder, "python", &["python3", "-c", &python]);
    }
    if exit("wget") {
        // GnuTLS in Debian.
        client(&folder, "wget", &["wget", "-q", "--ca-certificate=certificate", "-O", "-", &url]);
    }
    if exit("node") {
        let node = format!(
            "process.env.NODE_TLS_REJECT_UNAUTHORIZED; require('https').get({{ host: '127.0.0.1', port: {port}, \
             path: '/page', rejectUnauthorized: false }}, got => got.on('data', data => console.log('' + data)))"
        );
        client(&folder, "node", &["node", "-e", &node]);
    }
    drop(server);
}

#[test]
fn a_server_is_read_as_well() {
    if !all_there(&["openssl", "curl", "tshark"]) {
        return;
    }
    let folder = Folder::new("server");
    let (server, port) = s_server(&folder, Some(("server", &["--tls-keys"])), "1");
    let url = format!("https://localhost:{port}/page");
    succeed(&mut folder.command(None, &["curl", "-s", "--cacert", "certificate", &url]));
    assert!(server.ends().success());
    let run = Recorded { trace: folder.path("server.sst"), output: succeed(&mut Command::new("true")) };
    assert_eq!(run.tshark("http.request", "http.request.uri"), ["/page"]);
}

/// A port that is free now: nginx cannot be asked which one it was given.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn workers_of_nginx_that_have_changed_their_user_are_read() {
    if !all_there(&["openssl", "curl", "tshark"]) {
        return;
    }
    if Command::new("nginx").arg("-v").output().is_err() {
        println!("SKIPPED: nginx is not installed");
        return;
    }
    let folder = Folder::new("nginx");
    let (port, home) = (free_port(), folder.0.display().to_string());
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {home}/{name};"))
        .concat();
    let config = format!(
        "daemon off; worker_processes 2; pid {home}/pid; error_log {home}/error.log; events {{}}\n\
         http {{ access_log off; {folders} server {{ listen 127.0.0.1:{port} ssl http2; ssl_protocols TLSv1.2 TLSv1.3;\n\
         ssl_certificate {home}/certificate; ssl_certificate_key {home}/key;\n\
         location / {{ return 200 \"it is $uri\\n\"; }} }} }}\n"
    );
    fs::write(folder.path("nginx.conf"), config).unwrap();
    let file = folder.path("nginx.conf").display().to_string();
    let mut nginx = folder.command(Some(("nginx", &["--tls-keys"])), &["nginx", "-c", &file]);
    let nginx = Running::start(nginx.stderr(Stdio::null()));
    let ask = |path: &str, more: &[&str]| {
        let url = format!("https://localhost:{port}{path}");
        let command =
            [&["curl", "-s", "--cacert", "certificate", "--retry-connrefused", "--retry", "20"], more, &[&url]];
        let output = succeed(&mut folder.command(None, &command.concat()));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("it is {path}\n"));
    };
    ask("/three", &["--http1.1"]);
    ask("/two", &["--http1.1", "--tls-max", "1.2"]);
    ask("/frames", &["--http2"]);
    let pid = fs::read_to_string(folder.path("pid")).unwrap();
    succeed(Command::new("kill").args(["-QUIT", pid.trim()]));
    assert!(nginx.ends().success());
    let run = Recorded { trace: folder.path("nginx.sst"), output: succeed(&mut Command::new("true")) };
    assert_eq!(run.tshark("http.request", "http.request.uri"), ["/three", "/two"]);
    assert_eq!(run.tshark("http.response", "http.response.code"), ["200", "200"]);
    assert_eq!(run.tshark("http2.headers.path", "http2.headers.path"), ["/frames"]);
    // As root the workers are somebody else, who could not open the files.
    let versions = run.model();
    let versions: Vec<_> = versions.connections().filter_map(|end| end.tls.as_deref()?.protocol()).collect();
    assert_eq!(versions, [("tls", "1.3"), ("tls", "1.2"), ("tls", "1.3")]);
}

#[test]
fn the_programs_own_callback_is_called_and_it_sees_no_other() {
    if !all_there(&["openssl", "gcc"]) {
        return;
    }
    let folder = Folder::new("callback");
    let source = root().join("tests/tls/callback.c");
    let mut gcc = Command::new("gcc");
    gcc.args(["-Wall", "-Wextra", "-Werror", "-o"])
        .arg(folder.path("callback"))
        .arg(source)
        .args(["-l:libssl.so.3", "-l:libcrypto.so.3"]);
    if !gcc.output().is_ok_and(|output| output.status.success())
        && !Path::new("/usr/lib/x86_64-linux-gnu/libssl.so.3").exists()
    {
        println!("SKIPPED: there is no libssl.so.3 to link with");
        return;
    }
    succeed(&mut gcc);
    let program = folder.path("callback").display().to_string();
    let run = folder.recorded("callback", &[&program]);
    let said = String::from_utf8_lossy(&run.output.stdout).into_owned();
    assert!(said.contains("their own: 5 lines") && said.contains("none: 0 lines"), "{said}");
    // Three handshakes, of which the program saw one: each has four secrets at either end, and one for exporters.
    assert_eq!(run.keys().len(), 15, "{:?}", run.keys());
}

#[test]
fn who_collects_keys_already_goes_on_with_it() {
    if !all_there(&["openssl", "curl"]) {
        return;
    }
    let folder = Folder::new("collects");
    let (server, port) = s_server(&folder, None, "1");
    let url = format!("https://localhost:{port}/page");
    let own = folder.path("own.keys");
    fs::write(&own, "CLIENT_RANDOM 00 11\n").unwrap();
    let mut curl =
        folder.command(Some(("curl", &["--tls-keys"])), &["curl", "-s", "--cacert", "certificate", "-o", "got", &url]);
    let run = folder.kept("curl", succeed(curl.env("SSLKEYLOGFILE", &own)));
    let theirs = fs::read_to_string(&own).unwrap();
    let theirs: Vec<&str> =
        theirs.lines().filter(|line| line.starts_with(|letter: char| letter.is_ascii_uppercase())).collect();
    let mut ours = run.keys();
    // What was there before is not of this run.
    assert_eq!(theirs[0], "CLIENT_RANDOM 00 11");
    let mut new: Vec<String> = theirs[1..].iter().map(|line| (*line).to_owned()).collect();
    ours.sort();
    new.sort();
    assert_eq!(ours, new);
    assert!(server.ends().success());
}
