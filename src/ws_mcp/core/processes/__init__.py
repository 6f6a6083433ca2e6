"""The processes of a chat: what they are, how their output is shown, who may see them."""
