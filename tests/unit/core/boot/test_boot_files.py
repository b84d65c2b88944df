"""Which of several files with one UUID counts, and the JSON form."""

from __future__ import annotations

import json
from dataclasses import replace

from kvmnet.core.boot.boot_files import (
    ETC_FOLDER,
    IFCFG_FOLDER,
    LIB_FOLDER,
    RUN_FOLDER,
    BootFiles,
)
from kvmnet.core.boot.manager_settings import BootDevice, ManagerSettings
from kvmnet.core.boot.stored_profile import StoredProfile

UUID = "11111111-2222-4333-8444-555555555555"


def stored(file: str, mtime: int = 0) -> StoredProfile:
    return StoredProfile(file, {"connection": {"uuid": UUID, "type": "ethernet"}}, mtime, file.startswith("/run/"))


def chosen(*profiles: StoredProfile, hidden: tuple[str, ...] = ()) -> list[str]:
    return [profile.file for profile in BootFiles(profiles, hidden).effective.values()]


def test_of_one_uuid_the_file_of_the_first_folder_counts_and_there_the_newest() -> None:
    run, etc = stored(f"{RUN_FOLDER}/netplan-a.nmconnection"), stored(f"{ETC_FOLDER}/a", 1)
    newer, lib = stored(f"{ETC_FOLDER}/b", 2), stored(f"{LIB_FOLDER}/a.nmconnection", 9)
    ifcfg = stored(f"{IFCFG_FOLDER}/ifcfg-a", 9)
    assert chosen(ifcfg, lib, newer, etc, run) == [run.file]
    assert chosen(ifcfg, lib, newer, etc) == [newer.file]
    assert chosen(ifcfg, lib) == [lib.file]
    assert chosen(ifcfg) == [ifcfg.file]


def test_a_profile_that_is_marked_as_deleted_is_hidden_but_one_that_is_written_at_boot() -> None:
    etc, run = stored(f"{ETC_FOLDER}/a"), stored(f"{RUN_FOLDER}/netplan-a.nmconnection")
    assert chosen(etc, hidden=(UUID,)) == []
    assert chosen(etc, run, hidden=(UUID,)) == [run.file]


def test_the_json_form_has_everything() -> None:
    files = BootFiles(
        profiles=(stored(f"{ETC_FOLDER}/a", 5),),
        hidden=(UUID,),
        settings=ManagerSettings({"main": {"dns": "none"}}, ("eth0",)),
        timestamps={UUID: 1},
        active={"eth0": UUID},
        nics=(BootDevice("eth0", mac="00:14:4f:80:de:00", driver="e1000", path="pci", udev_managed=False),),
        options=("quiet",),
        unrecognized=("eth9",),
        version=(1, 52, 1),
        problems=("/etc/x is ignored",),
    )
    assert BootFiles.from_json(json.loads(json.dumps(files.to_json()))) == files
    assert replace(files, version=()) != files
