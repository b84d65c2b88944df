"""The forms of names, which the schemas and the hook must have too."""

from __future__ import annotations

import re
from typing import Any

import pytest

from kvmnet import hook, resources
from kvmnet.core.base import names
from kvmnet.core.base.names import has_form, require_form

FORMS = {
    "cluster": {
        "name": names.NAME,
        "profile-name": names.POLICY_NAME,
        "interface-name": names.INTERFACE_KEY,
        "domain": names.DOMAIN_NAME,
    },
    "state": {"name": names.INTERFACE_NAME},
    "bundle": {
        "name": names.NAME,
        "policy-name": names.POLICY_NAME,
        "interface-name": names.INTERFACE_NAME,
        "interface-key": names.INTERFACE_KEY,
        "mac": names.MAC,
        "link-file": names.LINK_FILE,
    },
    "plan": {"name": names.NAME},
}


@pytest.mark.parametrize("name", FORMS)
def test_the_schemas_have_the_same_forms(name: str) -> None:
    parts: dict[str, Any] = resources.read_schema(name)["$defs"]
    assert {key: parts[key]["pattern"] for key in FORMS[name]} == {k: f"^{form}$" for k, form in FORMS[name].items()}


def test_the_hook_has_the_same_form_of_an_interface_name() -> None:
    assert hook.INTERFACE_NAME == names.INTERFACE_NAME


@pytest.mark.parametrize("form", [form for forms in FORMS.values() for form in forms.values()] + [names.HOSTNAME])
@pytest.mark.parametrize(
    "text", ["", "-rf", "--host=x", "../x", "/x", "a b", "a\n", "\na", "a\x1b", "a\u202e", "*", "%s", "ä"]
)
def test_no_form_accepts_an_option_a_path_or_a_control_character(form: str, text: str) -> None:
    assert not has_form(form, text) and not has_form(form, None)
    assert re.fullmatch(form, text) is None


def test_a_name_without_the_form_is_an_error_that_can_be_printed() -> None:
    assert require_form(names.NAME, "node1", "the host") == "node1"
    with pytest.raises(ValueError, match=r"the host .* is not valid") as error:
        require_form(names.NAME, "a\x1b\n\u202e" * 100, "the host")
    assert str(error.value).isprintable() and len(str(error.value)) < 100
