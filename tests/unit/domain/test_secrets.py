"""What of a nested value is kept out of logs and results."""

from __future__ import annotations

from foreshadow.domain.secrets import secret_values


def test_every_secret_of_a_nested_value_is_found() -> None:
    assert secret_values(
        {
            "resources": [
                {"environment": {"DB_PASSWORD": "open sesame", "HOME": "/root"}},
                {"command": ["serve", "--token", "abc123", "--api-key=xyz", "--port", "80"]},
                {"login": {"credentials": {"user": "ann", "pins": [1234, None, "99"]}}},
            ],
            "url": "https://ann:pw@prom/",
            "password": "",
        }
    ) == {"open sesame", "abc123", "xyz", "ann", "1234", "None", "https://ann:pw@prom/"}


def test_where_a_secret_is_is_none() -> None:
    assert secret_values({"token_file": "/run/t", "command": ["--password", "$PASSWORD"]}) == set()
