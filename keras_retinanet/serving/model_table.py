"""The models of a server, and which of them a request names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from keras_retinanet.serving.responses import RETRY, error_response
from keras_retinanet.serving.served_model import LoadedVersion, ServedModel

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


class ModelTable:
    """Models by name.

    Args:
        models: At least one; the first is on the page.
    """

    def __init__(self, models: Iterable[ServedModel]) -> None:
        self.by_name = {model.name: model for model in models}
        self.first = next(iter(self.by_name))

    def current(self, request: Request) -> LoadedVersion | Response:
        """The version that answers a request.

        Args:
            request: Names a model, and perhaps a version, in its path.

        Returns:
            The version, or an error: there is no such model or version, or it is not loaded yet.
        """
        name = request.path_params["name"]
        if missing := self.missing_model(name):
            return missing
        current = self.by_name[name].current
        if current is None:
            return error_response(503, "The model is warming up; try again in a moment.", RETRY)
        return self.missing_version(request, current) or current

    def missing_model(self, name: str) -> Response | None:
        """An error if there is no such model.

        Args:
            name: Name of a model.

        Returns:
            The response with status 404, or `None`.
        """
        if name in self.by_name:
            return None
        known = " and ".join(map(repr, self.by_name))
        return error_response(404, f"Unknown model {name[:60]!r}; this server has {known}.")

    def missing_version(self, request: Request, current: LoadedVersion) -> Response | None:
        """An error if a request names another version.

        Args:
            request: May name a version in its path.
            current: The version that answers.

        Returns:
            The response with status 404, or `None`.
        """
        name, version = request.path_params["name"], request.path_params.get("version")
        if version in (None, str(current.number)):
            return None
        known = f"this server has {current.number}"
        return error_response(404, f"Unknown version {version[:20]!r} of {name!r}; {known}.")
