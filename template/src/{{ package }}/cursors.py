"""Cursors for lists: where the next page begins, signed so that nobody can make one up."""

from typing import Any

from itsdangerous import BadData, URLSafeSerializer
from pydantic import SecretStr
from starlette.exceptions import HTTPException


class Cursors:
    """Makes cursors and reads them back."""

    def __init__(self, secret_key: SecretStr, name: str, previous_key: SecretStr | None = None) -> None:
        """Take the service's key, the name of the list that the cursors belong to, and the key before, if any."""
        # The last one signs, all of them are believed.
        keys = [key.get_secret_value() for key in (previous_key, secret_key) if key]
        self._serializer = URLSafeSerializer(keys, salt=f"cursor:{name}")

    def dump(self, position: Any) -> str:
        """Return the cursor for a position: anything that JSON can hold."""
        return str(self._serializer.dumps(position))

    def load(self, cursor: str) -> Any:
        """Return the position; a cursor that was not made here is answered with 400."""
        try:
            return self._serializer.loads(cursor)
        except BadData:
            raise HTTPException(400, "That cursor is not one of ours.") from None
