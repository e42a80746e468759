//! Facts in Chinese (简体中文).

use sockshim_format::errno::errno_name;
use sockshim_format::op::Op;
use sockshim_format::plan::What;

use super::fact::{Closing, End, Fact, Kind, Lesson, Stage};
use super::lang::time;
use crate::views::thousands;

/// What an end is called.
pub const fn end(end: End) -> &'static str {
    match end {
        End::Client => "客户端",
        End::Server => "服务器",
        End::Listener => "监听",
        End::Datagram => "数据报",
        End::Pair => "套接字对",
        End::Socket => "套接字",
    }
}

/// The other end in a sentence.
const fn the(end: End) -> &'static str {
    match end {
        End::Client => "客户端",
        End::Server => "服务器",
        _ => "对方",
    }
}

/// A sentence for a fact, or two.
pub fn say(fact: &Fact) -> String {
    match fact {
        Fact::Program { name, pid } => format!("程序 {name} 开始工作，进程号 {pid}。"),
        Fact::Stage(stage) => heading(*stage).into(),
        Fact::Lesson(lesson) => explain(*lesson).into(),
        Fact::Resolved { name, addresses, took_ns } => {
            format!("主机名 {name} 解析为 {}，用时 {}。", addresses.join("、"), time(*took_ns))
        }
        Fact::Unresolved { name, error } => {
            format!("主机名 {name} 解析失败：{error}。检查一下拼写，再看看 DNS 服务器是否有应答。")
        }
        Fact::Created { fd, kind } => match kind {
            Kind::Udp { .. } | Kind::Local { stream: false } => {
                format!("socket：描述符 {fd} 现在指代一个{}，不必建立连接就能发送。", socket(kind))
            }
            _ => format!("socket：描述符 {fd} 现在指代一个{}，另一端还没有人。", socket(kind)),
        },
        Fact::Paired { fds: (a, b) } => {
            format!("socketpair：描述符 {a} 和 {b} 是同一条管道的两端，从一端写入，就能从另一端读出。")
        }
        Fact::Options { count, names } => {
            let etc = if names.len() < *count { " 等" } else { "" };
            format!("设置了 {count} 个选项：{}{etc}。", names.join("、"))
        }
        Fact::Bound { address, port_is_free: true } => {
            format!("bind：申请地址 {address}。端口写 0，就是让内核挑一个空闲端口。")
        }
        Fact::Bound { address, .. } => format!("bind：从现在起它的地址是 {address}，发往这里的数据都归这个套接字。"),
        Fact::Listening { address, backlog } => {
            let place = address.as_ref().map_or(String::new(), |address| format!("在 {address} "));
            format!("listen：{place}等候客户端，最多允许 {} 个排队。", thousands((*backlog).into()))
        }
        Fact::WaitsForClient => "accept：队列里还没有客户端，调用睡眠，有人来了再醒。".into(),
        Fact::WaitsForAnswer => "connect：请求已经发出，调用睡眠，等待应答。".into(),
        Fact::WaitsForBytes { other } => format!("要读的数据还没到，调用睡眠，等{}开口。", the(*other)),
        Fact::WaitsForRoom { other } => format!("缓冲区满了，写不进去；调用睡眠，等{}读走一些。", the(*other)),
        Fact::ConnectBegun { name, address } => {
            let who = name.as_ref().map_or(format!(" {address} "), |name| format!(" {name}（{address}）"));
            format!("connect：开始建立到{who}的连接，调用没有等结果就返回了。")
        }
        Fact::Connected { name, ip, port, local, took_ns } => {
            let host = match name {
                Some(name) => format!("主机名 {name} 对应 {ip}"),
                None => format!("{ip} 指明主机"),
            };
            let ours = local.as_ref().map_or(String::new(), |local| format!("我方这一端是 {local}。"));
            format!("connect：{host}，端口 {port} 指明是哪个套接字。{} 后管道接通。{ours}", time(*took_ns))
        }
        Fact::ConnectedTo { address, took_ns } => {
            format!("connect：{} 后，通往 {address} 的管道接通。", time(*took_ns))
        }
        Fact::PeerChosen { address } => {
            format!("connect：对数据报套接字来说，这一步什么也不发送，内核只是记住数据要发往 {address}。")
        }
        Fact::Accepted { fd, listener, peer, waited_ns } => {
            let waited =
                if *waited_ns >= 1_000_000 { format!("等了 {} 后，", time(*waited_ns)) } else { String::new() };
            let who = peer.as_ref().map_or("客户端".into(), |peer| format!("来自 {peer} 的客户端"));
            format!("accept：{waited}{who}到了。描述符 {fd} 是我方这一端；{listener} 继续监听。")
        }
        Fact::Wrote { bytes, asked, begins } if bytes < asked => format!(
            "想写 {} 字节，只写进了 {} 字节{}。这叫部分写入，剩下的要再写一次。",
            thousands(*asked),
            thousands(*bytes),
            quote(begins)
        ),
        Fact::Wrote { bytes, begins, .. } => format!("写了 {} 字节{}。", thousands(*bytes), quote(begins)),
        Fact::Read { bytes, waited_ns, begins } => {
            let waited =
                if *waited_ns >= 1_000_000 { format!("等了 {} 后，", time(*waited_ns)) } else { String::new() };
            format!("{waited}读到 {} 字节{}。", thousands(*bytes), quote(begins))
        }
        Fact::WroteMore { calls, bytes } => {
            format!("接着又写了 {} 次，前后共 {} 字节。", thousands(*calls), thousands(*bytes))
        }
        Fact::ReadMore { calls, bytes } => {
            format!("接着又读了 {} 次，前后共 {} 字节。", thousands(*calls), thousands(*bytes))
        }
        Fact::Secured { version, name, took_ns } => {
            let version = version.as_ref().map_or("TLS", |version| version);
            let name = name.as_ref().map_or(String::new(), |name| format!("（服务器名 {name}）"));
            format!("{version}：用了 {}，双方商定了密钥{name}。此后的内容都已加密，只有两端能读懂。", time(*took_ns))
        }
        Fact::Exchanged { writes, sent, reads, received } => format!(
            "对话就这样继续：又写 {} 次，共 {} 字节；又读 {} 次，共 {} 字节。",
            thousands(*writes),
            thousands(*sent),
            thousands(*reads),
            thousands(*received)
        ),
        Fact::SentDatagram { bytes, to } => match to {
            Some(to) => format!("向 {to} 发出一个 {} 字节的数据报。", thousands(*bytes)),
            None => format!("发出一个 {} 字节的数据报。", thousands(*bytes)),
        },
        Fact::ReceivedDatagram { bytes, from, waited_ns } => {
            let waited =
                if *waited_ns >= 1_000_000 { format!("等了 {} 后，", time(*waited_ns)) } else { String::new() };
            let from = from.as_ref().map_or(String::new(), |from| format!("来自 {from}、"));
            format!("{waited}收到一个{from}长 {} 字节的数据报。", thousands(*bytes))
        }
        Fact::Again { reading: true } => "想读，但数据还没到：EAGAIN。".into(),
        Fact::Again { reading: false } => "想写，但缓冲区暂时没有空间：EAGAIN。".into(),
        Fact::Ended { other, first: true } => format!("{}先关闭了它那一端；我方的读返回 0。", the(*other)),
        Fact::Ended { other, .. } => format!("{}也结束了它那个方向；我方的读返回 0。", the(*other)),
        Fact::ShutDown { both: true, other } => format!("shutdown：两个方向都结束了，{}会得到通知。", the(*other)),
        Fact::ShutDown { other, .. } => {
            format!("shutdown：我方的话说完了，{}会得到通知；但我方仍然可以读。", the(*other))
        }
        Fact::ReadsNoMore => "shutdown：今后不再读了。对方不会得到通知。".into(),
        Fact::Closed { fd, closing, other } => close(*fd, *closing, *other),
        Fact::WasReset { other } => {
            format!("{}重置了连接（ECONNRESET）：它关闭时还有数据没读，或者它崩溃了。途中的数据已经丢失。", the(*other))
        }
        Fact::Failed { op, errno, target } => failed(*op, *errno, target.as_deref()),
        Fact::Injected { op, injected } => {
            let errno = match errno_name(injected.value as u16) {
                name if !name.is_empty() && What(injected.what).is(What::ERROR) => format!("（{name}）"),
                _ => String::new(),
            };
            let (name, rule) = (op.name(), injected.rule);
            format!("{name} 在这里按用户的要求出了故障{errno}：--inject 的第 {rule} 条规则。由此而来的并非网络所为。")
        }
        Fact::LeftOpen { fd, other_is_gone, other } => {
            let gone = if *other_is_gone { format!("尽管{}已经关闭，", the(*other)) } else { String::new() };
            format!("{gone}描述符 {fd} 始终没有关闭：程序结束时由内核代为关闭。")
        }
        Fact::Lost { count } => format!("这里有 {} 个调用没能记录下来，叙述有缺失。", thousands(*count)),
        Fact::Untold { told } => format!(
            "后面还有套接字，情形大同小异，所以只讲前 {} 个。想看别的，用 sockshim report --explain --connection NUMBER。",
            thousands(*told)
        ),
        Fact::Over { sockets, sent, received } => format!(
            "讲完了：共 {} 个套接字，发送 {} 字节，接收 {} 字节。",
            thousands(*sockets),
            thousands(*sent),
            thousands(*received)
        ),
    }
}

const fn heading(stage: Stage) -> &'static str {
    match stage {
        Stage::Resolve => "开始之前：先找到地址。",
        Stage::Create => "第一阶段（共四个）：创建。",
        Stage::Connect => "第二阶段（共四个）：连接。",
        Stage::Communicate => "第三阶段（共四个）：通信。",
        Stage::Disconnect => "第四阶段（共四个）：断开。",
    }
}

const fn explain(lesson: Lesson) -> &'static str {
    match lesson {
        Lesson::Stage(Stage::Resolve) => "名字是给人用的，网络只认地址。",
        Lesson::Stage(Stage::Create) => "程序向内核要一个套接字：它是管道的一端，而管道还没有铺好。",
        Lesson::Stage(Stage::Connect) => "两端找到彼此：客户端调用 connect，服务器则依次 bind、listen、accept。",
        Lesson::Stage(Stage::Communicate) => "字节开始流动。程序只管读和写，其余的事由内核里的 TCP 或 UDP 去做。",
        Lesson::Stage(Stage::Disconnect) => "两端各自挂断。谁先挂断，值得留意。",
        Lesson::Descriptor => "描述符是一个小整数，程序用它告诉内核：我指的是哪个套接字、哪个文件。",
        Lesson::Handshake => {
            "这一个调用的背后是三个报文段：发出 SYN，收到 SYN 和 ACK，再发出 ACK。此时服务器程序可能还毫不知情。"
        }
        Lesson::InProgress => {
            "这个套接字是非阻塞的，所以 connect 返回 EINPROGRESS：这不是错误，意思是“正在办”。程序稍后再来问结果。"
        }
        Lesson::Backlog => {
            "和客户端握手由内核代劳，握完手的客户端在队列里等着 accept。队列最多能排多长，就是 backlog。"
        }
        Lesson::Accept => "监听套接字从不传输数据。每个客户端都会得到一个新的套接字，端口不变。",
        Lesson::Stream => "TCP 是字节流，消息之间没有边界：写一次，也许要读好几次才能读完，反过来也一样。",
        Lesson::Write => "写成功只表示内核收下了这些字节，不表示对方已经收到。",
        Lesson::End => "流的结尾就是读返回 0：所有字节都到齐了，不会再有了。",
        Lesson::Datagram => "数据报要么完整到达，要么根本不到；没有人保证它会到。",
        Lesson::Again => "套接字是非阻塞的，EAGAIN 的意思是“现在还不行”。好的做法是用 poll 或 epoll 等一等，再来试。",
        Lesson::TimeWait => {
            "先关闭的一端会把这条连接再保留一段时间（Linux 上是一分钟），免得迟到的报文段混进后来的连接。这就是 TIME_WAIT。"
        }
        Lesson::HalfClose => "管道有两个方向，可以分别结束。只结束其中一个，叫做半关闭。",
        Lesson::Reset => "还有数据没读就关闭，内核发的就不是告别的 FIN，而是中断连接的 RST，好让对方知道那些数据丢了。",
    }
}

fn socket(kind: &Kind) -> String {
    match kind {
        Kind::Tcp { six } => format!(" TCP 套接字{}", if *six { "（IPv6）" } else { "" }),
        Kind::Udp { six } => format!(" UDP 套接字{}", if *six { "（IPv6）" } else { "" }),
        Kind::Local { stream: true } => "本机进程间通信用的流式套接字".into(),
        Kind::Local { .. } => "本机进程间通信用的数据报套接字".into(),
        Kind::Other { family, kind } => format!("套接字（{family}，{kind}）"),
    }
}

fn close(fd: i32, closing: Closing, other: End) -> String {
    let other = the(other);
    match closing {
        Closing::First { tcp: true } => {
            format!("close：我方先挂断，发出 FIN 通知{other}。描述符 {fd} 从此不再指代任何东西。")
        }
        Closing::First { .. } => format!("close：我方先挂断，{other}会得到通知。描述符 {fd} 从此不再指代任何东西。"),
        Closing::Second => format!("close：{other}先关闭了，现在我方也关闭，管道就此消失。"),
        Closing::AfterHalfClose => "close：我方的方向早已结束，这里只是归还描述符。".into(),
        Closing::Unread { bytes } => {
            format!("close：还有 {} 字节没有读，所以发给{other}的是 RST。", thousands(bytes.into()))
        }
        Closing::Linger => format!("close：SO_LINGER 设成了零，所以发给{other}的是 RST，不是 FIN。"),
        Closing::AfterReset => format!("close：连接早已中断，这里只是归还描述符 {fd}。"),
        Closing::Both => "close：两端恰好同时挂断。".into(),
        Closing::Listener => format!("close：描述符 {fd} 不再监听。已经接受的连接不受影响。"),
        Closing::Datagram => format!("close：归还描述符 {fd}。用数据报，没有可以告别的对象。"),
        Closing::Unconnected => format!("close：归还描述符 {fd}，它从未建立过连接。"),
        Closing::StillNamed => format!("close：归还描述符 {fd}，但还有别的描述符指代这个套接字，管道仍然通着。"),
        Closing::Unknown => format!("close：归还描述符 {fd}，管道就此消失。"),
    }
}

fn failed(op: Op, errno: u16, target: Option<&str>) -> String {
    let name = match errno_name(errno) {
        "" => format!("错误 {errno}"),
        name => name.to_owned(),
    };
    let call = match target {
        Some(target) => format!("{}（{target}）", op.name()),
        None => format!("{} ", op.name()),
    };
    match reason(&name) {
        "" => format!("{call}失败：{name}。"),
        reason => format!("{call}失败（{name}）：{reason}"),
    }
}

/// The usual cause, and what to do.
fn reason(name: &str) -> &'static str {
    match name {
        "ECONNREFUSED" => "那里没有人监听。服务器启动了吗？端口对吗？",
        "ETIMEDOUT" => "迟迟没有应答。也许防火墙丢弃了报文，也许主机没有开机。",
        "EHOSTUNREACH" | "ENETUNREACH" => "没有通往那个地址的路。检查路由，看看网络是否接通。",
        "EADDRINUSE" => {
            "端口正被另一个套接字占用，或者先前的连接还处于 TIME_WAIT。停掉对方，或者在 bind 之前设置 SO_REUSEADDR。"
        }
        "EADDRNOTAVAIL" => "本机没有这个地址，或者空闲端口已经用完。",
        "EACCES" | "EPERM" => "没有权限。1024 以下的端口属于 root，路径也可能受权限限制。",
        "ENOENT" => "没有套接字使用这个路径。服务器启动了吗？",
        "EPIPE" => "对方已经不在，写了也没有人读。内核还会发送 SIGPIPE，不忽略它的程序会因此终止。",
        "ECONNRESET" => "对方中断了连接。",
        "ECONNABORTED" => "还没轮到 accept，客户端就离开了队列。接着 accept 下一个即可。",
        "EBADF" => "这个描述符不指代任何东西：它之前已经关闭，也许是被另一个线程关闭的。",
        "ENOTCONN" => "还没有连接，或者连接已经结束。",
        "EISCONN" => "连接已经建立过了。",
        "EMFILE" => "进程的描述符用完了。检查有没有泄漏，或者用 ulimit -n 提高上限。",
        "ENFILE" => "整个系统的描述符都用完了。",
        "EMSGSIZE" => "数据报太大，一个包装不下。每次少发一些。",
        "EINTR" => "中途来了一个信号。重新调用即可。",
        "EAFNOSUPPORT" => "内核或者这个套接字不支持这种地址。",
        "ENOBUFS" | "ENOMEM" => "内核暂时没有可用的内存。",
        _ => "",
    }
}

fn quote(begins: &Option<String>) -> String {
    begins.as_ref().map_or(String::new(), |begins| format!("：“{begins}”"))
}
