# SPDX-License-Identifier: MIT
"""What is shut in changes nothing outside, and what is well-behaved notices little.

Each damage is done once unconfined, so that what holds is the confinement.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from haltable import ConfigurationError
from haltable.bodies import Confinement, _confine, confinement
from haltable.bodies._confine import restrictions
from tests.bodies import deny, shut

DENY = Path(deny.__file__).read_text()
#: Seconds that are enough for what happens at once.
A_WHILE = 20
#: What an owner can do to a file, and how.
DAMAGES = {
    "write": "echo lost > kept",
    "append": "echo more >> kept",
    "truncate": "python3 -c 'import os; os.truncate(\"kept\", 0)'",
    "remove": "rm -f kept",
    "rename": "mv kept out/taken",
    "replace": "echo lost > out/other && mv -f out/other kept",
    "change the mode": "chmod 000 kept",
    "change the times": "touch -d 2001-01-01 kept",
    "write by a symbolic link": "ln -s ../kept out/link && echo lost > out/link",
    "write by a hard link": "ln kept out/hard && echo lost > out/hard",
    "make a file beside it": "touch kept-wal",
    "make a directory beside it": "mkdir other",
}


@pytest.fixture(params=shut.USERS)
def place(request):
    """A directory of the user's: `out` may be written to, the rest may not."""
    place = shut.made(request.param)
    yield place
    shutil.rmtree(place.root)


def state(place):
    """Returns all that can be seen of the place outside `out` (sizes, modes, times, contents)."""
    return {
        path.name: (status.st_mode, status.st_mtime_ns, path.is_file() and path.read_bytes())
        for path in place.root.iterdir()
        if path != place.out and path.name != "applier.py"
        for status in [path.stat()]
    }


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_nothing_outside_is_changed(place, damage):
    """Shut in, a body leaves no trace outside its writable paths; not shut in, it does."""
    damage = damage.replace("python3", place.interpreter)
    before = state(place)
    confined = place.run(*place.shut("sh", "-c", damage))
    after = state(place)
    free = place.run("sh", "-c", f"rm -rf out/*; {damage}")

    assert confined.returncode != 0, confined.stdout
    assert after == before
    assert free.returncode == 0, free.stdout
    assert state(place) != before


def test_a_well_behaved_body_works(place):
    """What writes where it may, reads what it may and starts others ends as ever."""
    work = """
        set -e
        mkdir -p out/deep/er; echo one > out/deep/er/file; mv out/deep/er/file out/deep/file
        ln out/deep/file out/hard; ln -s deep/file out/soft; : > out/hard; echo two >> out/soft
        rm out/hard out/soft; echo lost > /dev/null
        (exit 3) || sh -c 'cat kept out/deep/file' | cat; cd out; echo here > by-cwd; cd deep
        echo there > ../there; sleep 0 & wait
    """

    ran = place.run(*place.shut("sh", "-c", work))

    assert (ran.returncode, ran.stdout) == (0, "kept\ntwo\n")
    assert sorted(path.name for path in place.out.iterdir()) == ["by-cwd", "deep", "there"]


def test_a_body_that_begins_in_a_writable_directory_writes_there(place):
    """The directory it starts in is writable if it is named, by whatever path."""
    ran = place.run(*place.shut("sh", "-c", "echo here > here; pwd"), cwd=place.out)

    assert (ran.returncode, ran.stdout) == (0, f"{place.out}\n")
    assert (place.out / "here").read_text() == "here\n"


def test_a_writable_file_is_written_in_place(place):
    """A path that is a file gives that file, and nothing beside it."""
    order = {"writable": [str(place.kept)]}
    ran = place.run(*place.shut("sh", "-c", "echo new > kept", **order))
    beside = place.run(*place.shut("sh", "-c", "echo new > out/file", **order))

    assert ran.returncode == 0, ran.stdout
    assert place.kept.read_text() == "new\n"
    assert beside.returncode != 0


def test_what_is_hidden_is_not_even_read(place):
    """A hidden file or directory cannot be opened, so not locked either."""
    room = place.root / "room"
    room.mkdir()
    (room / "file").touch()
    order = {"hidden": [str(place.kept), str(room), str(place.root / "not there")]}
    ran = place.run(*place.shut("sh", "-c", "cat kept; ls room", **order))
    seen = place.run(*place.shut("sh", "-c", "cat kept; ls room"))

    assert "cannot open directory" in ran.stdout
    assert ran.stdout.count("Permission denied") == 2
    assert seen.stdout == "kept\nfile\n"


@pytest.mark.parametrize("status", [0, 1, 125, 255])
def test_its_status_is_the_bodys(place, status):
    """Whoever waits learns what the body ended with."""
    assert place.run(*place.shut("sh", "-c", f"exit {status}")).returncode == status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, 40])
def test_its_signal_is_the_bodys(place, number):
    """Whoever waits learns which signal killed the body."""
    ran = place.run(*place.shut("sh", "-c", f"kill -{int(number)} $$"))

    assert ran.returncode == -number


def test_an_orphans_status_is_not_the_bodys(place):
    """Whoever loses its parent is reaped at its end, and the body goes on."""
    body = """
        (sh -c 'echo $$ >out/orphan; exit 9' &)
        until [ -s out/orphan ]; do :; done
        while [ -e "/proc/$(cat out/orphan)" ]; do :; done
        exit 4
    """

    assert place.run(*place.shut("sh", "-c", body)).returncode == 4


def test_a_program_that_is_not_there_is_told(place):
    """What cannot be executed is no body, and has a status of its own."""
    ran = place.run(*place.shut("./nothing"))

    assert (ran.returncode, ran.stdout) == (125, "No such file or directory\n")


def test_it_has_no_privileges(place):
    """Neither now nor by any program it may run: no capability, and none to be had."""
    ran = place.run(*place.shut("grep", "-E", "^Cap|^NoNewPrivs", "/proc/self/status"))
    values = dict(line.split(":\t") for line in ran.stdout.splitlines())

    assert values.pop("NoNewPrivs") == "1"
    assert {int(value, 16) for value in values.values()} == {0}
    assert len(values) == 5


def test_it_is_whom_it_was(place):
    """It runs as the same user and group as before."""
    ran = place.run(*place.shut("id", "-un"))

    assert ran.stdout == f"{place.user}\n"


def test_it_sees_its_own_processes_only(place):
    """In /proc there is nobody but the body and what it started."""
    ran = place.run(*place.shut("sh", "-c", "echo $$; echo /proc/[0-9]*"))

    assert ran.stdout.splitlines()[0] == "2"
    assert {*ran.stdout.splitlines()[1].split()} == {"/proc/1", "/proc/2"}


#: Leaves the group and the session, hears no TERM, and holds a pipe open.
ESCAPE = """
    (setsid sh -c 'trap "" TERM HUP; exec 3>out/alive >/dev/null 2>&1; echo $$ >&3; sleep 60' &)
    read word; cat kept
"""


def escaped(place, argv):
    """Runs a body that leaves somebody behind; returns the pipe and whose number was said."""
    with place.start(*argv, stdin=subprocess.PIPE) as started:
        alive = (place.out / "alive").open()
        number = int(alive.readline())
        assert started.communicate("end\n")[0] == "kept\n"
    return alive, number


def test_nothing_of_it_outlives_it(place):
    """Whoever left the group, and the session, and hears no TERM, ends with the body."""
    os.mkfifo(place.out / "alive")
    shutil.chown(place.out / "alive", place.user)
    alive, number = escaped(place, ["sh", "-c", ESCAPE])
    with alive:
        left = select.select([alive], [], [], 0)[0] == []
        os.killpg(number, signal.SIGKILL)
    alive, number = escaped(place, place.shut("sh", "-c", ESCAPE))
    with alive:
        rest = alive.read()

    assert left
    assert number < 10  # Of a namespace of its own.
    assert rest == ""


def test_who_waits_for_it_takes_it_along(place):
    """The waiter's death by KILL is the body's, and that of all it started."""
    argv = place.shut("sh", "-c", "(setsid sleep 60 &); echo up; sleep 60")
    with place.start(*argv) as started:
        assert started.stdout.readline() == "up\n"
        started.kill()
        ended = select.select([started.stdout], [], [], A_WHILE)[0]
        rest = started.stdout.read() if ended else None

    assert rest == ""


def test_the_end_of_its_output_is_the_bodys(place):
    """A body that closes its output is not held open by those who wait for it."""
    argv = place.shut("sh", "-c", "exec >&- 2>&-; read word; exit 3")
    with place.start(*argv, stdin=subprocess.PIPE) as started:
        ended = select.select([started.stdout], [], [], A_WHILE)[0]
        running = started.poll()
        started.stdin.close()

    assert (bool(ended), running, started.returncode) == (True, None, 3)


def test_term_reaches_the_body(place):
    """A TERM to the group ends the body by its own hand, and the waiter waits for that."""
    body = "trap 'echo tidied; exit 5' TERM; echo up; while :; do sleep 0.05; done"
    argv = place.shut("sh", "-c", body)
    with place.start(*argv, start_new_session=True, stderr=subprocess.DEVNULL) as started:
        assert started.stdout.readline() == "up\n"
        os.killpg(started.pid, signal.SIGTERM)
        rest = started.stdout.read()

    assert (rest, started.returncode) == ("tidied\n", 5)


PEERS = {
    "tcp": (socket.AF_INET, socket.SOCK_STREAM, lambda place: ("127.0.0.1", 0)),
    "udp": (socket.AF_INET, socket.SOCK_DGRAM, lambda place: ("127.0.0.1", 0)),
    "abstract": (socket.AF_UNIX, socket.SOCK_STREAM, lambda place: f"\0{place.root}"),
}


@pytest.mark.parametrize(
    ("peer", "network", "reached"),
    [
        ("tcp", True, True),
        ("tcp", False, False),
        ("udp", True, True),
        ("udp", False, False),
        ("abstract", True, False),
    ],
)
def test_the_network(place, peer, network, reached):
    """Without network nobody is reached; abstract sockets are out of reach in any case."""
    family, kind, address = PEERS[peer]
    code = (
        "import socket, sys\n"
        "family, kind, address = eval(sys.argv[1])\n"
        "with socket.socket(family, kind) as client:\n"
        "    client.connect(address)\n"
    )
    with socket.socket(family, kind) as server:
        server.bind(address(place))
        if kind == socket.SOCK_STREAM:
            server.listen()
        target = repr((int(family), int(kind), server.getsockname()))
        call = [place.interpreter, "-I", "-c", code, target]
        ran = place.run(*place.shut(*call, network=network))
        free = place.run(*call)

    assert free.returncode == 0, free.stdout
    assert (ran.returncode == 0) == reached, ran.stdout


def test_tcp_ports_are_denied_twice(place):
    """Without network Landlock denies TCP too, whatever network there is."""
    assert restrictions(4, network=False)[1] == 3
    assert restrictions(4, network=True)[1] == restrictions(3, network=False)[1] == 0


def test_a_newer_landlock_forbids_more(place):
    """Each version forbids what it knows of, and nothing that it does not."""
    files = [restrictions(version, network=True)[0] for version in (3, 4, 5, 6)]

    assert [f"{each:x}" for each in files] == ["7ff2", "7ff2", "fff2", "fff2"]
    assert [restrictions(version, network=True)[2] for version in (5, 6, 7)] == [0, 3, 3]


def denied(place, *which, argv):
    """Runs a command under a kernel that lacks something."""
    return place.run(place.interpreter, "-I", "-c", DENY, *which, "--", *argv)


@pytest.mark.parametrize(
    ("which", "complaint"),
    [
        ("landlock_create_ruleset 38", "has no Landlock of version 3 or later: it takes Linux 6.2"),
        ("landlock_create_ruleset 95", "has no Landlock .*`landlock` in the boot parameter `lsm=`"),
        ("landlock_add_rule 22", "Landlock takes no rule for /"),
        ("landlock_restrict_self 7", "Landlock does not take effect"),
        ("mount 1", "nothing can be mounted on /"),
        ("mount_setattr 38", "/ cannot be made read-only"),
        ("unshare 1", {"root": "gives no namespaces", "": "user [0-9]+ gets no user namespace"}),
        ("unshare 28", {"root": "gives no namespaces", "": "user.max_user_namespaces"}),
        ("capset 1", "capabilities cannot be dropped"),
    ],
)
def test_a_kernel_that_cannot_is_refused(place, which, complaint):
    """Where the kernel lacks a thing nothing is run, and the message says what is missing."""
    if isinstance(complaint, dict):
        complaint = complaint.get(place.user, complaint[""])
    ran = denied(place, *which.split(), argv=place.shut("sh", "-c", "echo began > out/began"))

    assert ran.returncode == 125
    assert re.search(complaint, ran.stdout)
    assert os.strerror(int(which.split()[1])) in ran.stdout
    assert [*place.out.iterdir()] == []


def test_whoever_may_not_administrate_is_shut_in_all_the_same(place):
    """Root that is not told to be more than a user, as in a container, takes a user's way."""
    call = place.shut("sh", "-c", "id -un; echo one > out/file; echo lost > kept")
    ran = denied(place, "capget", "1", argv=call)

    assert ran.returncode != 0
    assert ran.stdout.splitlines()[0] == place.user
    assert ((place.out / "file").read_text(), place.kept.read_text()) == ("one\n", "kept\n")


def test_a_trial_runs_nothing(place):
    """Without a program it only says whether it could."""
    ran, refused = place.run(*place.shut()), denied(place, "unshare", "1", argv=place.shut())

    assert (ran.returncode, ran.stdout) == (0, "")
    assert refused.returncode == 125


def test_an_old_landlock_is_refused(monkeypatch):
    """A version that lets files outside be truncated is none."""
    monkeypatch.setattr(_confine, "_system_call", lambda *arguments: 2)

    with pytest.raises(_confine.NotConfined, match="no Landlock of version 3 or later"):
        _confine.confine({"writable": [], "hidden": [], "network": True})


@pytest.mark.parametrize("which", ["landlock_create_ruleset 38", "unshare 1"])
def test_what_cannot_be_kept_is_not_made(which):
    """Where this kernel cannot, there is no such value: it says so before any loop begins."""
    code = "from haltable.bodies import Confinement; Confinement(writable=[])"
    ran = subprocess.run(
        [sys.executable, "-c", DENY, *which.split(), "--", sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "ConfigurationError: Confinement: " in ran.stderr.splitlines()[-1]


def test_elsewhere_there_is_none(monkeypatch):
    """On another system it is refused, and the message says which it takes."""
    monkeypatch.setattr(sys, "platform", "darwin")

    with pytest.raises(ConfigurationError, match="none on darwin; it takes Linux"):
        Confinement(writable=[])


def test_a_masked_proc_is_no_way_out(place):
    """Where /proc cannot be mounted the old one is seen, but nobody's memory is reached."""
    code = "import sys; open(f'/proc/{sys.argv[1]}/mem', sys.argv[2]).read(0)"
    with place.start("sleep", "60") as victim:
        try:
            peek = [place.interpreter, "-I", "-S", "-c", code, str(victim.pid)]
            masked = [
                denied(place, *"mount 1 14".split(), argv=place.shut(*peek, mode))
                for mode in ("rb", "r+b")
            ]
            free = place.run(*peek, "r+b")
        finally:
            victim.kill()

    assert free.returncode == 0, free.stdout
    assert [ran.stdout.split("] ")[-1].split(":")[0] for ran in masked] == [
        "Permission denied",
        "Read-only file system",
    ]


@pytest.mark.parametrize("writable", ["out", None, 3, [""], ["a\0b"], [3], [b"out"]], ids=repr)
def test_writable_is_a_list_of_paths(writable):
    """What is no list of paths is refused, and the message shows what would be right."""
    with pytest.raises(ConfigurationError, match=r'writable=.*as \["out"\]'):
        Confinement(writable=writable)


@pytest.mark.parametrize("network", [0, 1, None, "no"])
def test_network_is_a_flag(network):
    """What is neither True nor False is refused."""
    with pytest.raises(ConfigurationError, match=r"network=.*True or False"):
        Confinement(writable=[], network=network)


def test_it_is_a_value(tmp_path, monkeypatch):
    """Two of the same are equal, and a relative path counts from where it was given."""
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    relative = Confinement(writable=["out"])
    monkeypatch.chdir("/")

    assert relative == Confinement(writable=[tmp_path / "out"], network=True)
    assert json.loads(json.dumps(relative.instructions())) == {
        "writable": [str(tmp_path / "out")],
        "hidden": [],
        "network": True,
    }


def test_an_order_names_each_directory_once(tmp_path):
    """Links are followed, and what lies under another writable path is not named again."""
    (tmp_path / "out" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("out")
    writable = [tmp_path / "link" / "deep", tmp_path / "link", tmp_path / "out"]

    assert Confinement(writable=writable).instructions()["writable"] == [str(tmp_path / "out")]


def test_a_writable_path_is_there(tmp_path):
    """A path that does not exist is refused when the body is to start, and named."""
    confinement = Confinement(writable=[tmp_path / "out"])

    with pytest.raises(ConfigurationError, match=r"out'\]\): there is nothing; make it first"):
        confinement.check()


def test_a_stores_file_is_kept(tmp_path):
    """A store that lies under a writable path is refused; beside it, it is hidden."""
    out, store = tmp_path / "out", tmp_path / "loops.db"
    out.mkdir()
    for name in ("loops.db", "loops.db-wal", "loops.dbx"):
        (tmp_path / name).touch()
    outer, inner = Confinement(writable=[tmp_path]), Confinement(writable=[out])

    with pytest.raises(ConfigurationError, match=r"the body could change .*loops\.db"):
        outer.check([store])
    assert inner.instructions([store])["hidden"] == [str(store), f"{store}-wal"]


#: Ways to the store by which it could be changed, as lines of a shell.
WAYS = {
    "the store is a link": "touch out/real; ln -s out/real loops.db",
    "a link on the way": "touch real; ln -s ../real out/link; ln -s out/link loops.db",
    "a directory on the way": "mkdir d; touch d/loops.db; ln -s ../d out/d; ln -s out/d/loops.db .",
    "a hard link": "touch loops.db; mkdir out/deep; ln loops.db out/deep/other",
    "its journal is a link": "touch loops.db out/real; ln -s out/real loops.db-wal",
    "still to come": "ln -s out/to-come loops.db",
    "round and round": "ln -s round out/round; ln -s out/round loops.db",
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_no_other_name_leads_to_the_store(tmp_path, way):
    """Links of either kind are seen through, and so is a file that is still to come."""
    (tmp_path / "out").mkdir()
    subprocess.run(["/bin/sh", "-ec", way], cwd=tmp_path, check=True)

    with pytest.raises(ConfigurationError, match="the body could change"):
        Confinement(writable=[tmp_path / "out"]).check([tmp_path / "loops.db"])


def test_a_writable_file_may_be_the_store(tmp_path):
    """A writable path that is itself the store, or its journal, is refused."""
    for name in ("loops.db", "loops.db-shm"):
        (tmp_path / name).touch()
        with pytest.raises(ConfigurationError, match="the body could change"):
            Confinement(writable=[tmp_path / name]).check([tmp_path / "loops.db"])


def test_a_protected_directory_is_kept_whole(tmp_path):
    """A directory that is to be kept holds no writable one."""
    (tmp_path / "kept" / "out").mkdir(parents=True)

    with pytest.raises(ConfigurationError, match=r"the body could change .*kept"):
        Confinement(writable=[tmp_path / "kept" / "out"]).check([tmp_path / "kept"])


@pytest.mark.parametrize("code", [confinement.__file__, os.__file__, __file__, sys.executable])
def test_the_code_is_kept(code):
    """The library, Python and the program are never writable, asked for or not."""
    for path in (code, str(Path(code).parent)):
        with pytest.raises(ConfigurationError, match="the body could change"):
            Confinement(writable=[path]).check()


def test_a_directory_beside_the_program_is_fine(tmp_path):
    """What is writable may lie in the directory of the program, and of the store."""
    (tmp_path / "out").mkdir()
    program = tmp_path / "program.py"
    program.write_text(
        "from haltable.bodies import Confinement\n"
        "print(Confinement(writable=['out']).instructions(['loops.db'])['writable'])\n"
    )
    call = [sys.executable, program]
    ran = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (ran.stdout, ran.stderr) == (f"{[str(tmp_path / 'out')]}\n", "")
