"""Each recorded exchange gives the stock clients through the gateway what it gives without."""

import json
import warnings

import anthropic
import openai
from anthropic.types import Message, MessageTokensCount, RawMessageStreamEvent
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

from cases import BASE_URL, FULL, KEY, MOCK_URL, mock, report

# The driver compares bytes at every cut; here the cut that drifts across event bounds will do.
CUTS = (1, 7, 37, 0) if FULL else (37,)


# By path: the client, and what it makes of an answer and of an event.
KINDS = {
    "/v1/chat/completions": (openai, ChatCompletion, ChatCompletionChunk),
    "/v1/completions": (openai, Completion, Completion),
    "/v1/embeddings": (openai, CreateEmbeddingResponse, None),
    "/v1/messages": (anthropic, Message, RawMessageStreamEvent),
    "/v1/messages/count_tokens": (anthropic, MessageTokensCount, None),
    "/v1/responses": (openai, Response, ResponseStreamEvent),
}


class Side:
    """Both stock clients before one server."""

    def __init__(self, url, key):
        self.clients = {
            openai: openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0),
            anthropic: anthropic.Anthropic(base_url=url, api_key=key, max_retries=0),
        }

    def outcome(self, path, body):
        """What the application gets: everything parsed, or the error with all that it carries."""
        maker, whole, event = KINDS[path.partition("?")[0]]
        path = path.removeprefix("/v1") if maker is openai else path
        post = self.clients[maker].post
        got = []
        try:
            if body.get("stream"):
                kind = maker.Stream[event]
                for one in post(path, cast_to=whole, body=body, stream=True, stream_cls=kind):
                    got.append(one.to_dict(mode="json"))
            else:
                got.append(post(path, cast_to=whole, body=body).to_dict(mode="json"))
        except maker.APIStatusError as error:
            got.append([type(error).__name__, error.status_code, error.message, error.body])
        except maker.APIError as error:
            got.append([type(error).__name__, error.message, error.body])
        except Exception as error:
            got.append([type(error).__name__, str(error)])
        return got


def refused(result):
    """Whether the gateway refused the request for a field; the driver has the list of those."""
    last = result[-1] if result else None
    body = last[3] if isinstance(last, list) and len(last) == 4 else None
    inner = body.get("error", body) if isinstance(body, dict) else None
    return isinstance(inner, dict) and inner.get("code") == "field_refused"


def main():
    warnings.filterwarnings("ignore")
    direct = Side(MOCK_URL, "direct")
    through = Side(BASE_URL.removesuffix("/v1"), KEY)
    for exchange in mock("exchanges")["exchanges"]:
        path, body = exchange["path"], json.loads(exchange["request"])
        for cut in CUTS:
            mock("arm", {"id": exchange["id"], "step": cut})
            found = through.outcome(path, body)
            if refused(found):
                continue
            wanted = direct.outcome(path, body)
            why = None if found == wanted else f"wanted {wanted}\nfound  {found}"[:2000]
            report(f"{exchange['id']} in pieces of {cut}", why)


if __name__ == "__main__":
    main()
