"""Completion files for bash, zsh and fish from the program's commands: `python -m tools.completion DIR` writes them.

All three find the command and the position on the line in the same way, by the same table. Codes and choices are in
the files; names of hosts, guests and networks come from `kvmnet complete`, which reads the definition in the current
folder.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any, NamedTuple

import typer

from kvmnet.cli.help import first_sentence
from kvmnet.core import catalogue
from tools import reference

_KINDS = {"HOST": "hosts", "GUEST": "guests", "NETWORK": "networks", "CODE": "codes", "DIR": "folders"}
_KINDS |= {"FOLDER": "folders", "PATH": "files", "FILE": "files", "OLD": "files", "NEW": "files"}
_NO_VALUES = "-"


class Option(NamedTuple):
    """An option: its names, and the kind of its values or their words; None for a flag."""

    names: list[str]
    values: str | None


class Command(NamedTuple):
    """What follows a command: its options and the kinds of its arguments in order. `repeats`: the last one may."""

    name: str
    purpose: str
    options: list[Option]
    arguments: list[str]
    repeats: bool


def commands() -> list[Command]:
    """Return the program's commands as completion needs them."""
    return [_command(name, command) for name, command in reference.commands().items() if not command.hidden]


def _command(name: str, command: Any) -> Command:
    options, arguments, repeats = [Option(["--help"], None)], [], False
    for parameter in command.params:
        if getattr(parameter, "hidden", False):
            continue
        if parameter.param_type_name == "argument":
            arguments.append(_values(parameter))
            repeats = parameter.nargs == -1
        else:
            values = None if parameter.is_flag else _values(parameter)
            options.append(Option([*parameter.opts, *parameter.secondary_opts], values))
    return Command(name, first_sentence(inspect.cleandoc(command.help or "")), options, arguments, repeats)


def _values(parameter: Any) -> str:
    """Return the kind of a parameter's values, or their words separated by blanks."""
    if parameter.name == "format" and parameter.param_type_name == "argument":
        from kvmnet.exporters import EXPORTERS

        return " ".join(["list", *EXPORTERS.names()])
    choices = getattr(parameter.type, "choices", None)
    if choices:
        return " ".join(map(str, choices))
    return _KINDS.get(str(parameter.metavar or "").rstrip("…").upper(), _NO_VALUES)


def _tree() -> dict[str, str]:
    """Return the commands and groups of the first level with their purposes."""
    from kvmnet.cli import main

    reference.commands()  # registers them
    program: Any = typer.main.get_command(main.app)
    return {name: first_sentence(inspect.cleandoc(entry.help or "")) for name, entry in program.commands.items()}


def _groups() -> dict[str, list[Command]]:
    """Return the commands of each group."""
    members: dict[str, list[Command]] = {}
    for command in commands():
        group, _, name = command.name.partition(" ")
        if name:
            members.setdefault(group, []).append(command)
    return members


def _codes() -> str:
    return " ".join(entry.code for entry in catalogue.all_codes())


def _quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# bash and zsh share their table and the walk over the words of the line: the syntax used is that of both.

_WALK = """_kvmnet_walk() {  # the words before the cursor, without kvmnet
  command= options= arguments= waiting= position=0
  local word entry
  for word; do
    if [[ -n $waiting ]]; then
      if [[ $word != = ]]; then waiting=; fi
    elif [[ $word == --*=* ]]; then
      :
    elif [[ $word == -?* ]]; then
      entry=${options#*"|$word:"}
      if [[ $entry != "$options" ]]; then waiting=${entry%%"|"*}; fi
    elif [[ -z $command || $command == group\\ * ]]; then
      command="${command#group }${command:+ }$word"
      _kvmnet_table "$command"
    else
      position=$((position + 1))
    fi
  done
}
_kvmnet_wanted() {  # what the cursor is at: `words` or the kind of a value
  if [[ -n $waiting ]]; then wanted=$waiting; return; fi
  local rest=$arguments i=$position
  while [[ $i -gt 0 && $rest == *"|"* ]]; do rest=${rest#*"|"}; i=$((i - 1)); done
  wanted=${rest%%"|"*}
  if [[ $i -gt 0 && $wanted != *... ]]; then wanted=-; fi
  wanted=${wanted%...}
}
"""


def _table() -> str:
    """The shell function that sets `options` and `arguments` of a command; `options` has only those with a value."""
    lines = ["_kvmnet_table() {", "  options= arguments= flags=", "  case $1 in"]
    for group, members in _groups().items():
        names = " ".join(member.name.split()[1] for member in members)
        lines.append(f"  {group}) command='group {group}'; arguments={_quote(names)}; flags='--help' ;;")
    for command in commands():
        valued = "".join(
            f"|{name}:{option.values}" for option in command.options if option.values for name in option.names
        )
        flags = " ".join(name for option in command.options for name in option.names if name.startswith("--"))
        kinds = "|".join(command.arguments) + ("..." if command.repeats else "")
        parts = f"options={_quote(valued + '|' if valued else '')}; arguments={_quote(kinds or _NO_VALUES)}"
        lines.append(f"  {_quote(command.name)}) {parts}; flags={_quote(flags)} ;;")
    lines += ["  esac", "}"]
    return "\n".join(lines) + "\n"


def bash() -> str:
    """Return the file for bash."""
    top = " ".join(_tree())
    return f"""# bash completion for kvmnet
{_table()}{_WALK}_kvmnet() {{
  local cur=${{COMP_WORDS[COMP_CWORD]}} command options arguments flags waiting position wanted words=
  _kvmnet_walk "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"
  _kvmnet_wanted
  if [[ -n $waiting && $cur == = ]]; then cur=; fi
  COMPREPLY=()
  if [[ -z $waiting && $cur == -* ]]; then words="${{flags:---help --version}}"
  elif [[ -z $command ]]; then words={_quote(top)}
  else
    case $wanted in
    hosts|guests|networks) words=$("${{COMP_WORDS[0]}}" complete "$wanted" 2>/dev/null) ;;
    codes) words={_quote(_codes())} ;;
    files) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
    folders) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$cur"); return ;;
    -) ;;
    *) words=$wanted ;;
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}}
complete -F _kvmnet kvmnet
"""


def zsh() -> str:
    """Return the file for zsh; its name is _kvmnet."""
    top = " ".join(_tree())
    return f"""#compdef kvmnet
# zsh completion for kvmnet
{_table()}{_WALK}_kvmnet() {{
  local cur=${{words[CURRENT]}} program=${{words[1]}} command options arguments flags waiting position wanted
  local -a before found
  before=("${{(@)words[2,CURRENT-1]}}")
  _kvmnet_walk "${{before[@]}}"
  _kvmnet_wanted
  if [[ -z $waiting && $cur == -* ]]; then found=(${{=${{flags:---help --version}}}})
  elif [[ -z $command ]]; then found=({top})
  else
    case $wanted in
    hosts|guests|networks) found=(${{(f)"$($program complete $wanted 2>/dev/null)"}}) ;;
    codes) found=({_codes()}) ;;
    files) _files; return ;;
    folders) _files -/; return ;;
    -|'') return 1 ;;
    *) found=(${{=wanted}}) ;;
    esac
  fi
  compadd -a found
}}
if [[ $funcstack[1] == _kvmnet ]]; then _kvmnet "$@"; else compdef _kvmnet kvmnet; fi
"""


_FISH = """function __kvmnet_at --description 'whether the line is at this command, and at this argument'
    set -l depth (count (string split ' ' -- $argv[1]))
    set -l plain
    set -l waiting 0
    for word in (commandline -opc)[2..-1]
        if test $waiting = 1
            set waiting 0
        else if string match -q -- '-*' $word
            contains -- "$plain[1..$depth] $word" $__kvmnet_valued; and set waiting 1
        else
            set -a plain $word
        end
    end
    test "$plain[1..$depth]" = "$argv[1]"; or return 1
    test (count $argv) = 1; and return 0
    set -l position (math (count $plain) - $depth)
    test $position = $argv[2]; or begin
        test "$argv[3]" = repeats; and test $position -gt $argv[2]
    end
end
"""


def fish() -> str:
    """Return the file for fish."""
    every = commands()
    valued = [
        _quote(f"{command.name} {name}")
        for command in every
        for option in command.options
        if option.values
        for name in option.names
    ]
    lines = ["# fish completion for kvmnet", f"set -g __kvmnet_valued {' '.join(valued)}", _FISH]
    lines += ["complete -c kvmnet -f", "complete -c kvmnet -s h -l help -d 'Show the help and exit.'"]
    lines.append("complete -c kvmnet -n __fish_use_subcommand -l version -d 'Print the version and exit.'")
    for name, purpose in _tree().items():
        lines.append(f"complete -c kvmnet -n __fish_use_subcommand -a {name} -d {_quote(purpose)}")
    for group, members in _groups().items():
        for member in members:
            name = member.name.split()[1]
            lines.append(f'complete -c kvmnet -n "__kvmnet_at {group} 0" -a {name} -d {_quote(member.purpose)}')
    for command in every:
        lines += _fish_command(command)
    return "\n".join(lines) + "\n"


def _fish_command(command: Command) -> list[str]:
    lines = []
    for option in command.options[1:]:
        names = " ".join(f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in option.names)
        values = f" -r {_fish_values(option.values)}" if option.values else ""
        lines.append(f"complete -c kvmnet -n \"__kvmnet_at '{command.name}'\" {names}{values}")
    for position, kind in enumerate(command.arguments):
        repeats = " repeats" if command.repeats and position == len(command.arguments) - 1 else ""
        if kind != _NO_VALUES:
            condition = f"__kvmnet_at '{command.name}' {position}{repeats}"
            lines.append(f'complete -c kvmnet -n "{condition}" {_fish_values(kind)}')
    return lines


def _fish_values(kind: str) -> str:
    """Return the arguments of fish's `complete` that give the values of a kind."""
    if kind in ("hosts", "guests", "networks"):
        return f"-f -a '(kvmnet complete {kind} 2>/dev/null)'"
    special = {"files": "-F", "folders": "-f -a '(__fish_complete_directories)'", "codes": f"-f -a '{_codes()}'"}
    return special.get(kind, "-f" if kind == _NO_VALUES else f"-f -a '{kind}'")


FILES = {"bash/kvmnet": bash, "zsh/_kvmnet": zsh, "fish/kvmnet.fish": fish}


def main(arguments: list[str]) -> int:
    """Write the files below a folder, in a folder for each shell."""
    if len(arguments) != 1:
        print("usage: python -m tools.completion DIR", file=sys.stderr)
        return 2
    for name, write in FILES.items():
        path = Path(arguments[0]) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(write(), encoding="utf-8")
    print(f"completion for {len(FILES)} shells written to {arguments[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
