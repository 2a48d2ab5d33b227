"""Make what compose.yaml keeps secret, each in a file that one user may read; what is there already stays as it is."""

import os
import secrets
from pathlib import Path

TOKENS, DATABASE = Path("/run/outlast/tokens"), Path("/run/outlast/database")
#: Who reads what: the user of our image, and that of PostgreSQL's.
OUTLAST, POSTGRES = 1000, 70


def write(path: Path, text: str, user: int) -> None:
    """Put a file in its place whole, or not at all, for one user's eyes only."""
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with open(draft, "x", opener=lambda name, flags: os.open(name, flags, 0o400)) as file:
        file.write(text)
        file.flush()
        os.fchown(file.fileno(), user, user)
        os.fsync(file.fileno())
    draft.rename(path)


for token in (TOKENS / "token", TOKENS / "worker-token"):
    if not token.exists():
        write(token, secrets.token_urlsafe(32), OUTLAST)

# The password last: while it is missing no database has been made with it, and both are made anew.
if not (DATABASE / "password").exists():
    password = secrets.token_urlsafe(32)
    write(DATABASE / "url", f"postgresql://outlast:{password}@postgres:5432/outlast", OUTLAST)
    write(DATABASE / "password", password, POSTGRES)
