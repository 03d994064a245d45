"""A private key that others can read is refused; a credential of systemd is not taken for one."""

import pytest

from gateway.keys import is_open


@pytest.fixture
def key(tmp_path):
    tmp_path.chmod(0o700)
    path = tmp_path / "uplink.key"
    path.write_text("secret")
    return path


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_key_of_its_owner_alone_is_not_open(key, mode):
    key.chmod(mode)
    assert not is_open(key)


@pytest.mark.parametrize("mode", [0o640, 0o440, 0o604, 0o602, 0o644])
def test_a_key_with_any_right_for_others_is_open(key, mode):
    key.chmod(mode)
    assert is_open(key)


def test_a_credential_of_systemd_shows_its_access_list_as_a_group_right(key, monkeypatch):
    """systemd 252 and later: mode 0440 with an access list for the service's user alone."""
    key.chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(key.parent))
    assert not is_open(key)


def test_what_all_can_read_is_open_even_there(key, monkeypatch):
    key.chmod(0o444)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(key.parent))
    assert is_open(key)


def test_a_folder_that_all_can_enter_is_not_systemds(key, monkeypatch):
    key.chmod(0o440)
    key.parent.chmod(0o755)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(key.parent))
    assert is_open(key)


def test_the_credentials_of_another_service_are_not_ours(key, monkeypatch, tmp_path):
    key.chmod(0o440)
    (tmp_path / "ours").mkdir(mode=0o700)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "ours"))
    assert is_open(key)


def test_a_key_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        is_open(tmp_path / "none")
