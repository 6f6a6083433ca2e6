"""What people ask for often, as words for a model that has our tools (pure)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Word = Annotated[str, Field(max_length=4096)]


def start_dev_server(
    command: Annotated[Word, Field(description="What starts it, such as: npm run dev")],
    port: Annotated[Word, Field(description="The port on which it listens, if that is known")] = "",
    workspace: Annotated[Word, Field(description="Where; default: the workspace of this chat")] = "",
) -> str:
    """Start a development server in the background, wait until it listens, and keep an eye on it."""
    where = f"the workspace {workspace!r}" if workspace else "the workspace of this chat"
    listens = f"It listens on port {port}. " if port else ""
    return (
        f"Start a development server in {where} with this command:\n\n{command}\n\n{listens}"
        "If there is no such workspace yet, call provision_workspace first; give it the port in `ports` if the server "
        "is to be reached from outside. Start the command with start_process and wait_s=0. Then call read_output with "
        'wait_for="pattern" and the words that such a server prints when it is ready, until it is, or until it ended. '
        "Tell me the address under which I reach it, and its process id. If it ended, show me its last lines and say "
        "why. Leave it running. When I ask later how it is, go on with read_output from the last offset."
    )


def rebuild_devcontainer(
    folder: Annotated[Word, Field(description="The folder of the project, or the dev container's name")] = "",
) -> str:
    """Say why a dev container is out of date, make it anew, and tell what changed."""
    which = f"the dev container of {folder!r}" if folder else "my dev container (ask me which if there are several)"
    return (
        f"Find {which} with list_containers. Tell me in one sentence for each reason why it is out of date; if it is "
        "not, say so and ask before you go on. Say which processes run in it, since they end when it is made anew. "
        "Then call recreate_devcontainer, and call it again as long as it says that it still builds. At the end tell "
        "me what changed, and every warning. If it failed, show me the last lines, what became of the old container, "
        "and what in the definition I should mend."
    )


def clean_up_chat() -> str:
    """End and stop what nobody needs any more in this chat, without losing data."""
    return (
        "Clean up what this chat left behind. List its processes with list_processes and its workspaces with "
        "list_containers, and show me both, shortly: what runs, since when, and what it is for as far as you know. "
        "End with signal_process what is clearly done or stuck; ask me before you end anything that may still be "
        "wanted. Stop workspaces in which nothing runs with stop_workspace: their data stays. Do not remove a "
        "workspace or its data unless I name it. At the end list what is left."
    )
