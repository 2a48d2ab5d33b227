"""Who calls, and what that one may see."""

from __future__ import annotations

from dataclasses import dataclass

from outlast.core.session import Session


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody whose credentials were checked, or somebody on this machine where none are asked for."""

    #: For the log and the record; unique among those who may call.
    name: str
    #: Whether it may list and stop sessions of anybody.
    operator: bool = False
    #: Whether it may learn of sessions that it does not name; False for somebody who could be a guest.
    lists: bool = True
    #: Agents that it may call; None for all.
    agents: frozenset[str] | None = None
    #: What the ids of its sessions begin with; empty when it is not bound so.
    session_prefix: str = ""
    #: The user that it is; its sessions are that user's. Empty when it is not bound so.
    user: str = ""

    def may_name(self, agent: str, session_id: str) -> bool:
        """Tell whether it may use such a session id of an agent, if it is nobody else's."""
        return (self.agents is None or agent in self.agents) and session_id.startswith(self.session_prefix)

    def sees(self, session: Session) -> bool:
        """Tell whether a session is one of those that it may know of."""
        key = session.key
        return self.operator or (
            self.may_name(key.agent, key.session_id) and (not self.user or session.user == self.user)
        )
