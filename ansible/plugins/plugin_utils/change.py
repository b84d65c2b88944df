# Apache License 2.0 (see LICENSE or https://www.apache.org/licenses/LICENSE-2.0)
"""The base of the action plugins that change a host: start the change, confirm it over a new connection, report it."""

import re
import shlex
import time

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible_collections.kvmnet.kvmnet.plugins.plugin_utils import decisions

from ansible.plugins.action import ActionBase

#: A connection of its own: ssh takes the first value of an option that it finds, so these come first.
OWN_CONNECTION = "-o ControlMaster=no -o ControlPath=none -o ControlPersist=no"
PREFIX = "kvmnet-remote."
#: Starts kvmnet in a session of its own and waits until its transaction has begun, or it has ended. Until then this
#: shell is its parent, so that kvmnet finds the SSH connection by which it was started. A kvmnet that has begun nothing
#: in two minutes is ended, so that no change begins after it was reported as failed.
START = (
    'd=$1; shift; setsid sh -c \'d=$1; shift; "$@" > "$d/events" 2> "$d/errors" < /dev/null; echo $? > "$d/code.new"; '
    'mv "$d/code.new" "$d/code"\' sh "$d" "$@" > /dev/null 2>&1 < /dev/null & p=$!; n=0; '
    'began() { [ -e "$d/code" ] || grep -q \'"event": "begin"\' "$d/events" 2> /dev/null; }; '
    "while [ $n -lt 600 ] && ! began; do sleep 0.2; n=$((n + 1)); done; "
    'if ! began; then env kill -s TERM -- "-$p"; n=0; '
    'while [ $n -lt 50 ] && env kill -s 0 -- "-$p" 2> /dev/null; do sleep 0.2; n=$((n + 1)); done; fi; '
    'cat "$d/events"; cat "$d/errors" >&2; '
    'if [ -e "$d/code" ]; then exit "$(cat "$d/code")"; fi'
)
FOLDER = 'umask 077; d=$(mktemp -d "$1/%sXXXXXXXXXX") && printf \'{"event": "folder", "path": "%%s"}\\n\' "$d"' % PREFIX
GRACE = 300


class LostConnection(Exception):
    """A connection to the host that was lost or refused."""


class ChangeBase(ActionBase):
    """What apply, rollback and remove have in common.

    A connection that is lost makes the task fail, and not the host unreachable: a rollout with `serial` goes on after
    unreachable hosts, whatever max_fail_percentage is.
    """

    _supports_check_mode = True
    _supports_diff = True
    _supports_async = False

    def run(self, tmp=None, task_vars=None):
        """Run the action, with every failure of the connection reported as a failed task."""
        result = super().run(tmp, task_vars)
        result.update(changed=False)
        self.vars = task_vars or {}
        self.folder = None
        self._old_args = None
        self._old_host = None
        try:
            result.update(self.change())
        except LostConnection as error:
            result.update(failed=True, msg=str(error), lost_connection=True)
        except AnsibleConnectionFailure as error:
            result.update(failed=True, msg="the host cannot be reached: %s" % error, lost_connection=True)
        finally:
            self._go_back()
        return result

    def change(self):
        """Make the change and return what to add to the result."""
        raise NotImplementedError

    # -- commands on the host

    def option(self, name, default=None):
        """Return an option of the task."""
        value = self._task.args.get(name)
        return default if value is None else value

    def flag(self, name):
        """Return an option of the task that is true or false."""
        return str(self.option(name, False)).lower() in ("1", "true", "yes", "on")

    def words(self, name):
        """Return an option of the task that is a list."""
        value = self.option(name, [])
        return [str(item) for item in (value if isinstance(value, (list, tuple)) else [value])]

    def program(self):
        """Return the words that run kvmnet on the host."""
        return [str(self.option("program", "kvmnet"))]

    def command(self, words):
        """Run a command on the host and return its exit code, output and error text. Raises LostConnection."""
        try:
            done = self._low_level_execute_command(" ".join(shlex.quote(word) for word in words), sudoable=True)
        except AnsibleConnectionFailure as error:
            raise LostConnection("the host cannot be reached: %s" % str(error).strip())
        return done.get("rc", 1), done.get("stdout", ""), done.get("stderr", "")

    def script(self, text, *words):
        """Run a shell script on the host."""
        return self.command(["sh", "-c", text, "sh"] + list(words))

    def make_folder(self):
        """Make a folder on the host for this change. Raises AnsibleActionFail."""
        code, out, err = self.script(FOLDER, str(self.option("folder", "/run")))
        self.take_folder(out)
        if code != 0 or not self.folder:
            raise AnsibleActionFail("no folder can be made on the host: %s" % (err or out).strip())

    def take_folder(self, out):
        """Keep the folder that a script has made."""
        paths = [event["path"] for event in decisions.parse_events(out) if event.get("event") == "folder"]
        self.folder = paths[0] if paths else None

    def remove_folder(self):
        """Remove the folder of this change. A host that cannot be reached keeps it until its next boot."""
        if self.folder and PREFIX in self.folder:
            try:
                self.command(["rm", "-rf", "--", self.folder])
            except LostConnection:
                pass
            self.folder = None

    # -- the change

    def follow(self, words, places=()):
        """Start kvmnet with these words, confirm its change and return the result of the task."""
        started, out, err = self.script(START, self.folder, *(self.program() + words))
        events = decisions.parse_events(out)
        transaction = decisions.find_transaction(events)
        if transaction is None:
            self.remove_folder()
            end = decisions.find_end(events)
            if started == 0 and end is not None:  # nothing to do; or the open change was rolled back
                return {"changed": end != decisions.DONE, "exit": started}
            reason = decisions.find_reason(events, err or out) or "kvmnet has not begun a change"
            return {"failed": True, "msg": reason, "exit": started}
        code, address, reason = self._find_end(transaction, places)
        outcome = {"transaction": transaction, "exit": code, "address": address or ""}
        if code == decisions.DONE:
            self.remove_folder()
            return dict(outcome, changed=True)
        texts = {
            decisions.ROLLED_BACK: "rolled back: the host is as before the change",
            decisions.NOT_VERIFIED: "the end of the change is not known, or the rollback was not verified",
        }
        message = texts.get(code, "the change was not made")
        why = self._read_reason() or reason
        self.remove_folder()
        return dict(outcome, failed=True, msg=message + (": " + why if why else ""))

    def _find_end(self, transaction, places):
        """Look for the host over new connections until its change has ended. Return the exit code, the address at which
        it answered (None: the one of the inventory), and why it was not reached before."""
        seconds = int(self.option("confirm_within", 120)) + int(self.option("timeout", 120)) + GRACE
        until, reason = time.time() + seconds, ""
        addresses = [None] + [place for place in places if place != self._host()]
        while True:
            for address in addresses:
                self._open_new_connection(address)
                try:
                    code = self._try(transaction)
                except LostConnection as error:
                    reason = str(error)
                    continue
                if isinstance(code, int):
                    return code, address, ""
                reason = code or reason
            if time.time() > until:
                return decisions.NOT_VERIFIED, None, reason
            time.sleep(1)

    def _try(self, transaction):
        """Try to confirm over the connection that was just opened. Return the exit code of the change if it has ended,
        else why not."""
        code, out, err = self.command(self.program() + ["confirm", "--transaction", transaction, "--json"])
        events = decisions.parse_events(out)
        verdict, end = decisions.judge_try(code, events)
        if verdict == decisions.ENDED:
            return end
        if verdict != decisions.LOOK:
            return decisions.find_reason(events, err)
        out = self.command(self.program() + ["history", "--json"])[1]
        end = decisions.find_outcome(decisions.parse_document(out, []), transaction)
        return decisions.find_reason(events, err) if end is None else end

    def _read_reason(self):
        """Return why the change has failed, by its events on the host."""
        try:
            out = self.command(["cat", self.folder + "/events"])[1]
        except LostConnection:
            return ""
        errors = [event["error"] for event in decisions.parse_events(out) if event.get("error")]
        return errors[0] if errors else ""

    # -- connections

    def _host(self):
        return self._connection.get_option("host") if self._is_ssh() else self._play_context.remote_addr

    def _is_ssh(self):
        return self._connection.transport == "ssh"

    def _open_new_connection(self, address):
        """Close the connection, so that the next command opens one of its own, to `address` where it is given.

        Ansible and the ssh_config of users share connections (ControlMaster, ControlPersist). A shared one may be older
        than the change, so it cannot confirm it.
        """
        self._connection.reset()
        if not self._is_ssh():
            return
        if self._old_args is None:
            self._old_args = self._connection.get_option("ssh_args") or ""
            self._old_host = self._connection.get_option("host")
        rest = re.sub(r"-o\s*['\"]?Control(Master|Path|Persist)[= ]\S+", "", self._old_args)
        alias = ""
        if address is not None:
            port = self._connection.get_option("port")
            name = "[%s]:%s" % (self._old_host, port) if port and int(port) != 22 else self._old_host
            alias = " -o %s" % shlex.quote("HostKeyAlias=" + name)
        args = "%s%s -o ConnectTimeout=10 -o ServerAliveInterval=5 -o ServerAliveCountMax=3 %s"
        self._connection.set_option("ssh_args", args % (OWN_CONNECTION, alias, rest))
        self._connection.set_option("host", address or self._old_host)

    def _go_back(self):
        """Give the connection its options back, for the tasks after this one."""
        if self._old_args is not None:
            self._connection.set_option("ssh_args", self._old_args)
            self._connection.set_option("host", self._old_host)
            try:
                self._connection.reset()
            except (AnsibleConnectionFailure, OSError):
                pass

    def change_options(self, timeout=True):
        """Return the options of kvmnet for a change, from those of the task."""
        options = [word for code in self.words("allow") for word in ("--allow", code)]
        options += [word for guest in self.words("allow_guest_loss") for word in ("--allow-guest-loss", guest)]
        if self.flag("no_confirm"):
            options.append("--no-confirm")
        elif self.option("confirm_within") is not None:
            options += ["--confirm-within", str(self.option("confirm_within"))]
        if timeout and self.option("timeout") is not None:
            options += ["--timeout", str(self.option("timeout"))]
        return options
