"""What cache policies are configured with, and what becomes of it when they are added up."""

from typing import Any, TypeVar

P = TypeVar("P", bound=Any)
_CONFIGURED = ("key_storage", "isolation_level", "lock_manager")


def is_plain(policy: Any) -> bool:
    """Whether a policy is configured with nothing."""
    return all(getattr(policy, name) is None for name in _CONFIGURED)


def adopt(policy: Any, member: Any) -> None:
    """Let a policy take over what another is configured with. Raises `ValueError` on conflict."""
    for name in _CONFIGURED:
        own, other = getattr(policy, name), getattr(member, name)
        if own is None:
            setattr(policy, name, other)
        elif other is not None and other != own:
            message = f"Policies with a different `{name}` cannot be added: {own!r} and {other!r}."
            raise ValueError(message)


def plain(policy: P) -> P:
    """Return a policy without what it is configured with, which the compound has taken over."""
    if is_plain(policy):
        return policy
    copy: Any = policy.configure()
    for name in _CONFIGURED:
        setattr(copy, name, None)
    return copy
