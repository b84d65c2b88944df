"""Real git repositories for the tests of pull mode: one that is pushed to, and the states that are committed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from kvmnet import pipeline
from kvmnet.core.base.git_remote import GitRemote
from kvmnet.core.rendering.bundle_files import format_bundle
from kvmnet.pull.mirror import Mirror

MAC = "00:14:4f:80:de:00"
DEFINITION = """kvmnet: 1
cluster: rocks
profile: plain
networks:
  private: {subnets: [10.1.0.0/16]}
hosts:
  a: {interfaces: {lan: {match: {name: eth0}, mac: "00:14:4f:80:de:00", network: private, addresses: [10.1.0.1]}}}
  b: {interfaces: {lan: {match: {name: eth0}, mac: "00:14:4f:80:de:01", network: private, addresses: [10.1.0.2]}}}
"""


class Origin:
    """A repository with a working tree, whose branch main is fetched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        settings = ("-c", "user.name=admin", "-c", "user.email=admin@example.org", "-c", "commit.gpgSign=false")
        done = subprocess.run(
            ["git", "-C", str(self.folder), *settings, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, text: str = "", *options: str, key: str = "") -> str:
        """Commit the states of a definition, or nothing new; signed with `key` if there is one. Return the ID."""
        if text:
            self.write_states(text)
            self.git("add", "--all")
        signing = ("-c", "gpg.format=ssh", "-c", f"user.signingKey={key}", "-c", "commit.gpgSign=true") if key else ()
        self.git(*signing, "commit", "--quiet", "--allow-empty", "--message=change", *options)
        return self.git("rev-parse", "HEAD")

    def write_states(self, text: str) -> None:
        source = self.folder / "cluster.yaml"
        source.write_text(text)
        definition = pipeline.load(str(source))
        assert definition.ok, definition.problems
        for bundle in definition.bundles():
            folder = self.folder / "states" / bundle.host
            folder.mkdir(parents=True, exist_ok=True)
            for name, content in format_bundle(bundle).items():
                (folder / name).write_text(content)


def mirror_of(origin: Origin, folder: Path) -> Mirror:
    """Return the mirror of an origin. The setting accepts no local path, the mirror does."""
    return Mirror(folder, GitRemote(f"file://{origin.folder}", "file", "localhost", 0), "main")


def make_key(folder: Path, name: str) -> str:
    """Make a key of ssh; return the path of the private one."""
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True)
    return str(path)


def allow_signer(file: Path, key: str) -> None:
    file.write_text(f"admin@example.org {Path(key + '.pub').read_text()}")
