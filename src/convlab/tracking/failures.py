"""What went wrong at MLflow's server or database, in a few words on one line."""

import ssl
import textwrap
from collections.abc import Iterator
from http.client import BadStatusLine, IncompleteRead, RemoteDisconnected
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from convlab.errors import InputError
from convlab.tracking.store import shown_uri, tracking_uri, without_password

if TYPE_CHECKING:
    from requests.exceptions import RequestException

LONGEST = 200  # characters of a message that is not ours: MLflow puts whole answers into it


def explain(error: Exception) -> str:
    """Return what a command ends with that cannot do without the server: it does not answer, or it failed."""
    if unanswered(error):
        return f"{shown_uri()} does not answer ({reason(error)}); see MLFLOW_TRACKING_URI"
    return f"{shown_uri()} failed: {reason(error)}"


def reason(error: Exception) -> str:
    """Return in a few words, on one line, what went wrong; of a failed request `HOST:PORT: …`."""
    if isinstance(error, InputError):
        return str(error)
    text = (str(error).splitlines() or [type(error).__name__])[0]
    if request := _failed_request(error):
        sent = request.request  # None where an answer broke off
        address = urlsplit(str(sent.url) if sent else tracking_uri()).netloc.rpartition("@")[2]
        text = f"{address}: {_what(request.args[0] if request.args else request)}"
    return textwrap.shorten(without_password(text), LONGEST, placeholder=" …")


def unanswered(error: Exception) -> bool:
    """Return whether the server or database could not be reached, or went away before it had answered."""
    from requests import exceptions as requests
    from sqlalchemy.exc import OperationalError

    kinds = (requests.ConnectionError, requests.Timeout, requests.ChunkedEncodingError, OperationalError)
    return any(isinstance(one, kinds) for one in _causes(error))


def _failed_request(error: Exception) -> "RequestException | None":
    """Return the failed HTTP request behind an error of MLflow's, which names it in a message alone."""
    from requests.exceptions import RequestException

    return next((one for one in _causes(error) if isinstance(one, RequestException)), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def _what(error: object) -> str:
    """Return what ended a request: requests wraps urllib3's errors, and urllib3 those of the socket."""
    from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_TIMEOUT
    from urllib3 import exceptions as urllib3

    match error:
        case urllib3.MaxRetryError():
            return _what(error.reason)
        case urllib3.NewConnectionError():  # a timeout, too, by its class
            if error.__cause__:
                return _what(error.__cause__)
        case urllib3.ProxyError():
            return f"the proxy: {_what(error.original_error)}"
        case urllib3.ProtocolError() | urllib3.SSLError():
            return _what(error.args[-1])
        case urllib3.TimeoutError() | TimeoutError():
            return f"no answer within {MLFLOW_HTTP_REQUEST_TIMEOUT.get():g} s"
        case RemoteDisconnected() | ConnectionResetError() | BrokenPipeError() | IncompleteRead():
            return "closed the connection before it had answered"
        case BadStatusLine():
            return "does not speak HTTP"
        case ssl.SSLError():
            return f"no TLS connection ({error.reason})"
        case OSError() if error.strerror:
            return error.strerror
    return (str(error).splitlines() or [type(error).__name__])[0]
