//! Descriptors that can't be had.

use std::fs;
use std::path::Path;

use nginx_tests::faults::{Kind, Spell};
use nginx_tests::{Client, Handshake, Nginx, ScriptedBackend, wait_until};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};

use crate::memory::without_pieces;
use crate::stage::Stage;
use crate::visits::{self, Outcome, Visit, outcome};

const NO_FILES: &str = "(24: Too many open files)";

/// Of a client's connection, of one to an upstream, of a log whose name is a request's: each fails once.
#[test]
fn at_every_call() {
    let Some(stage) = prepared() else { return };
    for visit in [
        visits::plain as Visit,
        visits::tls_on_both_sides,
        visits::second,
        visits::logged,
    ] {
        assert_eq!(outcome(visit, &stage), Outcome::Done);
        let calm = without_pieces(stage.holdings());
        for number in 1.. {
            stage.news();
            let (failed, seen) = stage.during(Kind::Descriptors, number, Spell::Once, |stage| {
                outcome(visit, stage)
            });
            if failed == 0 {
                assert!(number > 1, "no call fails");
                break;
            }
            let news = stage.news();
            assert!(news.contains(NO_FILES), "{news}");
            if seen != Outcome::Done {
                assert_eq!(seen, Outcome::Answered(500), "{news}");
                assert!(
                    news.contains("failed: too-many-open-files: socket() failed"),
                    "{news}"
                );
            }
            assert_eq!(outcome(visit, &stage), Outcome::Done);
            if !stage.comes_to_hold(|now| without_pieces(now) == calm) {
                panic!(
                    "after call {number}: {:?}, and before {calm:?}",
                    stage.holdings()
                );
            }
        }
    }
    stage.assert_nothing_is_counted_as_open();
}

/// Whatever else fails, a tunnel has the lines of its beginning and its end, and what was refused has one.
#[test]
fn for_a_log_its_line_is_missing() {
    let Some(stage) = prepared() else { return };
    assert_eq!(outcome(visits::logged, &stage), Outcome::Done);
    let mut lost = 0;
    for number in 1.. {
        stage.news();
        let before = stage.lines_of_their_own();
        let (failed, seen) = stage.during(Kind::Descriptors, number, Spell::Once, |stage| {
            outcome(visits::logged, stage)
        });
        if failed == 0 {
            break;
        }
        let due = if seen == Outcome::Done { 2 } else { 1 };
        let missing = stage.news().matches("own.log\" failed").count();
        let lines = stage.lines_of_their_own() - before;
        assert_eq!(lines, due - missing, "after call {number}");
        lost += missing;
    }
    assert_eq!(lost, 2);
}

fn prepared() -> Option<Stage> {
    // nginx stops accepting for a while when it can't.
    Stage::start(|setup| setup.allow_log(NO_FILES).events("accept_mutex_delay 20ms;"))
}

const SERVER: &str = "
    server {
        listen 127.0.0.1:%PORT%;
        location / { proxy_pass http://%BACKEND%; websocket on; }
    }";

/// A worker that has as many as it may have serves those that it has, and others when some have gone.
#[test]
fn of_a_worker_that_is_full() {
    const TUNNELS: usize = 5;
    // With room for a client, and none for its upstream; or for neither.
    for more in [1, 0] {
        let backend = ScriptedBackend::standard();
        let nginx = Nginx::http(SERVER)
            .set("BACKEND", backend.address())
            .events("accept_mutex_delay 20ms;")
            .allow_log(NO_FILES)
            .start();
        let worker = nginx.worker_pids()[0];
        let before = files(worker);
        leave_room_for(worker, 2 * TUNNELS + more);

        let mut inside: Vec<Client> = (0..TUNNELS).map(|_| join(&nginx)).collect();
        let mut late = Client::connect(nginx.port());
        if more == 1 {
            assert_eq!(late.exchange(&Handshake::new("/")).status(), 500);
            nginx.wait_for_log("websocket handshake failed: too-many-open-files: socket() failed");
            late = Client::connect(nginx.port());
        }
        late.send(Handshake::new("/").bytes())
            .expect("the kernel takes it");
        if more == 0 {
            nginx.wait_for_log(&format!("accept4() failed {NO_FILES}"));
            log_anew(&nginx, worker);
        }
        for client in &mut inside {
            client.echo("still here");
        }
        // Whoever goes makes room.
        inside.pop().expect("a tunnel").close_politely();
        if more == 0 {
            assert_eq!(late.read_head().expect("an answer").status(), 101);
            late.echo("in at last");
        } else {
            join(&nginx).echo("in");
        }
        drop((inside, late));
        wait_until("the worker to have no more than before", || {
            files(worker) == before
        });
    }
}

/// A log that can't be opened anew is written on.
#[track_caller]
fn log_anew(nginx: &Nginx, worker: u32) {
    let (log, moved) = (nginx.path("logs/error.log"), nginx.path("logs/moved.log"));
    fs::rename(&log, &moved).expect("a log that can be renamed");
    nginx.signal(Signal::USR1);
    let of_worker = format!(" {worker}#{worker}: open() ");
    wait_until("the worker to find no descriptor for its log", || {
        let text = fs::read_to_string(&moved).unwrap_or_default();
        text.lines()
            .any(|line| line.contains(&of_worker) && line.contains(NO_FILES))
    });
    wait_until("the master to have its log", || log.exists());
    fs::rename(&moved, &log).expect("a log that can be renamed");
}

fn join(nginx: &Nginx) -> Client {
    let mut client = Client::connect(nginx.port());
    client.establish("/");
    client
}

fn files(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count)
}

/// Lets a process have so many descriptors more.
fn leave_room_for(process: u32, count: usize) {
    let list = format!("/proc/{process}/fd");
    let mut free = (0..).filter(|number: &u64| !Path::new(&list).join(number.to_string()).exists());
    let limit = free.nth(count);
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    let limits = Rlimit {
        current: limit,
        maximum: limit,
    };
    prlimit(pid, Resource::Nofile, limits).expect("a limit for a process of ours");
}
