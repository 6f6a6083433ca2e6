"""Whose tokens are good: file and flags say it together, or it is an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis.strategies import builds, sampled_from

from ws_mcp.core.errors import PolicyError
from ws_mcp.core.policy.auth import FLAGS, Auth, agreed, differing, is_web

WEB = sampled_from(["", "https://a.example", "https://b.example"])
SAID = builds(
    Auth, issuer=WEB, resource=WEB, tokens_file=sampled_from(["", "/t"]), principal=sampled_from(["", "hash"])
)


@given(file=SAID, flags=SAID)
def test_together_they_say_what_each_of_them_says_or_nothing(file: Auth, flags: Auth) -> None:
    clash = [key for key in FLAGS if file.said.get(key, "") and flags.said.get(key, file.said[key]) != file.said[key]]
    if clash:
        with pytest.raises(PolicyError) as raised:
            agreed(file, flags)
        assert len(raised.value.problems) == len(clash)
        return
    both = agreed(file, flags)
    assert both.said == {**file.said, **flags.said}
    assert not set(differing(both, file)) & file.said.keys()


def test_a_contradiction_names_the_flag_and_the_key() -> None:
    said = (
        "--oauth-issuer (a flag or a variable) says 'https://b.example', and issuer under [auth] in the policy file "
        "says 'https://a.example': leave one of them out"
    )
    with pytest.raises(PolicyError) as raised:
        agreed(Auth(issuer="https://a.example"), Auth(issuer="https://b.example"))
    assert str(raised.value) == said


@pytest.mark.parametrize(
    ("auth", "missing"),
    [
        (Auth(), ()),
        (Auth(tokens_file="/t"), ()),
        (Auth(issuer="https://a.example"), ("jwks", "resource")),
        (Auth(audience="x"), ("issuer", "jwks", "resource")),
        (Auth(principal="hash", issuer="https://a.example", jwks="/k"), ("resource",)),
        (Auth(issuer="https://a.example", jwks="/k", resource="https://b.example"), ()),
    ],
)
def test_what_an_issuer_lacks_is_named(auth: Auth, missing: tuple[str, ...]) -> None:
    assert auth.missing == missing


@pytest.mark.parametrize(
    ("url", "is_one"),
    [
        ("https://id.example/x", True),
        ("http://127.0.0.1:9", True),
        ("http://localhost", True),
        ("http://[::1]/", True),
        ("http://id.example", False),
        ("https://", False),
        ("https://[x", False),
        ("ftp://id.example", False),
        ("/etc/keys", False),
    ],
)
def test_an_address_is_believed_over_https_or_on_this_machine(url: str, is_one: bool) -> None:
    assert is_web(url) == is_one
