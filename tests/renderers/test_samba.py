"""Who may enter which shared folder, and what a change of that costs those who are inside."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.units import Action, steps
from renderers import APPLIANCE
from renderers.encode import RenderingError
from renderers.samba import SAMBA, probes, render
from renderers.samba_plan import CONF, START
from renderers.samba_reread import sections, statements
from tests.desired_state.households import households
from tests.renderers.homes import BENCH, alone, holm, household

SEAL = re.compile(r"hearth-[0-9a-f]{16}\$")
homes = households().filter(lambda home: home.files is not None)


def conf(home, target=APPLIANCE):
    """Return smb.conf as Samba reads it: sections of keys and values."""
    return sections(statements(CONF, render(home, target)[CONF].content))


def shares(home, target=APPLIANCE):
    """Return the sections that are the family's folders."""
    return {name: keys for name, keys in conf(home, target).items() if name != "global" and not SEAL.fullmatch(name)}


def sharing(people=("anna", "jens", "mia"), /, **given):
    """Return a home with these people, and shares that are called so and have these fields."""
    listed = {name: {"description": "Things", **fields} for name, fields in given.items()}
    return household(people={person: {"name": person} for person in people}, files={"shares": listed})


@given(homes, st.sampled_from([APPLIANCE, BENCH]))
def test_exactly_those_may_enter_whom_the_home_names(home, target):
    """Readers and writers, read again from the file, are the household's; of one's own level and everyone's the higher one counts."""
    written = shares(home, target)
    for name, share in home.files.shares.items():
        may = {person: {share.access.get(person), share.access.get("everyone")} - {None} for person in home.people}
        readers = {person for person, levels in may.items() if levels}
        assert (name in written) == bool(readers)
        if readers:
            assert set(written[name]["valid users"].split(" ")) == readers
            writers = {person for person, levels in may.items() if "write" in levels}
            assert set(written[name].get("write list", "").split()) == writers
    assert written.keys() <= home.files.shares.keys()


def test_a_share_that_is_open_to_nobody_is_not_served():
    """An empty list of users would mean everyone to Samba."""
    assert shares(sharing(empty={}, family={"access": {"anna": "read"}})).keys() == {"family"}
    assert shares(sharing((), media={"access": {"everyone": "read"}})) == {}


def test_a_persons_own_level_takes_nothing_from_what_everyone_may():
    """`everyone: write` means her too, though her own line says less."""
    media = shares(sharing(media={"access": {"everyone": "write", "mia": "read"}}))["media"]
    assert media["write list"] == "anna jens mia"


def test_backups_have_their_limit_and_no_recycle_folder():
    """What a Mac thins out of its backups must really go, or the disk fills; everything else that is deleted is kept for a while."""
    written = shares(holm())
    assert written["backups"]["fruit:time machine"] == "yes"
    assert written["backups"]["fruit:time machine max size"] == "500G"
    assert "vfs objects" not in written["backups"]
    assert {keys["recycle:repository"] for name, keys in written.items() if name != "backups"} == {".recycle"}


def test_every_configuration_has_a_seal_of_its_own_and_nobody_may_break_it():
    """The probe asks for a share that only this very file has."""
    before, after = holm(), holm().model_copy(update={"people": {"anna": holm().people["anna"]}})
    names = {name: keys for home in (before, after) for name, keys in conf(home).items() if SEAL.fullmatch(name)}
    assert len(names) == 2
    assert {keys["valid users"] for keys in names.values()} == {"root"}
    assert {probe.seal for home in (before, after) for probe in probes(home, APPLIANCE)} == set(names)


@pytest.mark.parametrize(
    ("appliance", "workgroup", "expected"),
    [
        ("hearth", "HOLM", "HEARTH"),
        ("holm", "HOLM", "HOLM-PI"),
        ("a-name-of-17-here", "HOLM", "A-NAME-OF-17-HE"),
        ("abcdefghijklmn-o", "HOLM", "ABCDEFGHIJKLMN"),
        ("abcdefghijklmno", "ABCDEFGHIJKLMNO", "ABCDEFGHIJKL-PI"),
        ("abcdefghijkl-pi", "ABCDEFGHIJKL-PI", "ABCDEFGHIJKL-1"),
    ],
)
def test_windows_knows_the_appliance_by_a_name_that_it_can_know(appliance, workgroup, expected):
    """At most 15 characters, and not the workgroup's own name, which Samba warns of."""
    home = sharing(family={"access": {"anna": "read"}})
    place = home.appliance.model_copy(update={"name": appliance})
    files = home.files.model_copy(update={"workgroup": workgroup})
    assert conf(home.model_copy(update={"appliance": place, "files": files}))["global"]["netbios name"] == expected


def test_a_stranger_and_an_old_protocol_have_no_way_in():
    """No guest, nothing before SMB 2.1, every message signed, nobody from outside of the home, no way out of a folder."""
    told = conf(holm())["global"]
    wanted = {
        "map to guest": "never",
        "restrict anonymous": "2",
        "server min protocol": "SMB2_10",
        "server signing": "mandatory",
        "hosts allow": "127.0.0.0/8 192.168.10.0/24 fe80::/10",
        "invalid users": "root",
        "follow symlinks": "no",
        "disable netbios": "yes",
        "disable spoolss": "yes",
    }
    assert {key: told[key] for key in wanted} == wanted


def told(before, after, target=APPLIANCE):
    """Return what each unit is told when one home becomes another."""
    old, new = alone(SAMBA, before, target), alone(SAMBA, after, target)
    changed = {path for path in {*old.files, *new.files} if old.files.get(path) != new.files.get(path)}
    return {step.unit.removesuffix(".service"): step.action for step in steps(old.plan, new.plan, changed)}


BASE = {"family": {"access": {"anna": "write", "mia": "read"}}}


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (sharing(**BASE), {}),
        (sharing(**BASE, media={"access": {"everyone": "read"}}), {"smbd": Action.RELOAD}),
        (sharing(family={"access": {"anna": "write", "mia": "read", "jens": "read"}}), {"smbd": Action.RELOAD}),
        (sharing(family={"access": {"anna": "write", "mia": "write"}}), {"smbd": Action.RELOAD}),
        (sharing(("anna", "jens", "mia", "john"), **BASE), {}),
        (sharing(family={"access": {"anna": "write"}}), {"smbd": Action.RESTART}),
        (sharing(family={"access": {"anna": "read", "mia": "read"}}), {"smbd": Action.RESTART}),
        (sharing(("anna", "jens"), family={"access": {"anna": "write"}}), {"smbd": Action.RESTART}),
        (sharing(), {"smbd": Action.RESTART}),
    ],
    ids=[
        "nothing", "a new share", "someone more may read", "someone may write", "a new person",
        "someone may no longer read", "someone may no longer write", "a person leaves", "the share goes",
    ],
)  # fmt: skip
def test_only_who_loses_something_costs_the_others_their_connection(after, expected):
    """Samba keeps what is open over a reload: right for whoever may still be there, wrong for whoever may not."""
    assert told(sharing(**BASE), after) == expected


def test_what_is_announced_is_told_to_the_announcers():
    """Samba, Windows' discovery and Macs' learn of another name at their start; a new backup folder is announced at Samba's start."""
    home = sharing(**BASE)
    renamed = home.model_copy(update={"appliance": home.appliance.model_copy(update={"name": "box"})})
    assert told(home, renamed) == dict.fromkeys(("smbd", "avahi-daemon", "wsdd2"), Action.RESTART)
    backups = sharing(**BASE, backups={"time_machine": True, "access": {"anna": "write"}})
    assert told(home, backups) == dict.fromkeys(("smbd", "wsdd2"), Action.RESTART)


def test_a_bench_announces_nothing_and_listens_on_loopback_alone():
    """One unit, one address, its own folder; nothing of the machine's own Samba is used."""
    told = conf(holm(), BENCH)["global"]
    assert (told["interfaces"], told["bind interfaces only"], told["multicast dns register"]) == (
        "127.168.10.2/8",
        "yes",
        "no",
    )
    assert [unit.name for unit in SAMBA.units(holm(), BENCH)] == ["smbd.service"]
    assert set(render(holm(), BENCH)) == {CONF, START}


@pytest.mark.parametrize(
    "injected", ["a\nroot preexec = touch /tmp/x", "a]\n[b", "%U", "a;b", "a\\", "GlObAl", "+adm", "@adm", "&adm"]
)
@pytest.mark.parametrize("where", ["person", "share", "workgroup", "limit", "appliance"])
def test_an_injection_that_got_past_the_loader_renders_nothing(where, injected):
    """Cases 31 and 32, with the first line of defence gone."""
    home = holm()
    files = home.files
    spoilt = {
        "person": {"people": {injected: home.people["mia"]}},
        "share": {"files": files.model_copy(update={"shares": {injected: files.shares["media"]}})},
        "workgroup": {"files": files.model_copy(update={"workgroup": injected})},
        "limit": {
            "files": files.model_copy(
                update={"shares": {"b": files.shares["backups"].model_copy(update={"limit": injected})}}
            )
        },
        "appliance": {"appliance": home.appliance.model_copy(update={"name": injected})},
    }
    with pytest.raises(RenderingError):
        render(home.model_copy(update=spoilt[where]), APPLIANCE)
