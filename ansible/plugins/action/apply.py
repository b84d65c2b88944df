# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""Make a host match the definition; see the module of the same name for its documentation."""

import base64
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile

from ansible.errors import AnsibleActionFail
from ansible_collections.kvmnet.kvmnet.plugins.plugin_utils import decisions
from ansible_collections.kvmnet.kvmnet.plugins.plugin_utils.change import FOLDER, ChangeBase

#: Larger archives do not fit into an argument, and go as a file.
ARGUMENT_LIMIT = 60000
UNPACK = (
    "import base64,io,sys,tarfile; data=open(sys.argv[2],'rb').read() if sys.argv[2].startswith('/') else "
    "base64.b64decode(sys.argv[2][1:]); tarfile.open(fileobj=io.BytesIO(data)).extractall(sys.argv[1])"
)
PLAN = (
    FOLDER + ' || exit 1; a=$2; u=$3; shift 3; python3 -I -c "$u" "$d" "$a" || exit 1; '
    '"$@" --bundle "$d/bundle" < /dev/null; c=$?; [ $c = 6 ] || rm -rf -- "$d"; exit $c'
)


class ActionModule(ChangeBase):
    """Plans the change, and makes it unless in check mode."""

    def change(self):
        """Make the change and return what to add to the result."""
        files = self._find_bundle()
        index = json.loads(files["bundle.json"])
        result = {"digest": index.get("digest", "")}
        code, document, reason = self._plan(self._pack(files))
        if code not in (0, decisions.DIFFERENT):
            return dict(result, failed=True, msg=reason, exit=code)
        changes = document.get("changes", [])
        result.update(changes=changes, changed=code == decisions.DIFFERENT)
        if self._task.diff:
            result["diff"] = {"prepared": decisions.format_changes(changes)}
        if not result["changed"] or self._task.check_mode:
            self.remove_folder()
            return result
        words = ["apply", "--yes", "--json", "--bundle", self.folder + "/bundle"]
        words += self.change_options() + (["--adopt"] if self.flag("adopt") else [])
        result.update(self.follow(words, self._find_places(files)))
        return result

    def _plan(self, argument):
        """Copy the bundle and plan. Return the exit code, the plan, and why it failed."""
        options = [word for code in self.words("allow") for word in ("--allow", code)]
        options += [word for guest in self.words("allow_guest_loss") for word in ("--allow-guest-loss", guest)]
        options += ["--adopt"] if self.flag("adopt") else []
        words = self.program() + ["plan", "--json", "--exit-code"] + options
        code, out, err = self.script(PLAN, str(self.option("folder", "/run")), argument, UNPACK, *words)
        self.take_folder(out)
        document = decisions.parse_document(out, {})
        lines = [line for line in (err or out).splitlines() if line.strip() and not line.startswith('{"event"')]
        return code, document, "\n".join(lines) or "kvmnet plan failed with exit code %d" % code

    def _pack(self, files):
        """Return the archive of the bundle as a word, or the path on the host to which it was copied."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for name, data in sorted(files.items()):
                entry = tarfile.TarInfo("bundle/" + name)
                entry.size, entry.mode = len(data), 0o600
                archive.addfile(entry, io.BytesIO(data))
        word = "b" + base64.b64encode(buffer.getvalue()).decode()
        if len(word) <= ARGUMENT_LIMIT:
            return word
        path = self._connection._shell.join_path(self._make_tmp_path(), "bundle.tar.gz")
        handle, local = tempfile.mkstemp()
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(buffer.getvalue())
            self._transfer_file(local, path)
        finally:
            os.unlink(local)
        return path

    def _find_bundle(self):
        """Return the files of the host's bundle: of the folder `bundle`, or rendered here from `definition`."""
        folder = self.option("bundle")
        if folder is not None:
            return self._read_folder(os.path.expanduser(str(folder)))
        name = str(self.option("host", self.vars.get("inventory_hostname", "")))
        output = tempfile.mkdtemp(prefix="kvmnet-")
        try:
            command = [str(self.option("kvmnet", "kvmnet")), "render", "--host", name, "-o", output]
            definition = self.option("definition")
            command += [os.path.expanduser(str(definition))] if definition is not None else []
            try:
                done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
            except OSError as error:
                raise AnsibleActionFail("kvmnet does not run on the control node: %s" % error)
            if done.returncode != 0:
                raise AnsibleActionFail("the definition cannot be rendered: %s" % done.stderr.decode(errors="replace"))
            return self._read_folder(os.path.join(output, name))
        finally:
            shutil.rmtree(output, ignore_errors=True)

    def _read_folder(self, folder):
        if not os.path.isfile(os.path.join(folder, "bundle.json")):
            raise AnsibleActionFail("%s is not a bundle that kvmnet render wrote" % folder)
        files = {}
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "rb") as file:
                files[name] = file.read()
        return files

    def _find_places(self, files):
        """Return the addresses at which the host may answer after the change, without a YAML library: those that the
        inventory gives it (kvmnet_addresses), and those of the task."""
        given = self.vars.get("kvmnet_addresses") or {}
        places = [str(text).partition("/")[0] for texts in given.values() for text in texts]
        return list(dict.fromkeys(self.words("new_addresses") + places))
